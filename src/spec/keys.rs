//! Reads the keys of mappings, and suggests corrections for unknown keys.

use serde_saphyr::Spanned;

use super::node::Node;
use super::problem::{Mistake, ProblemKind};
use super::reader::Reader;
use super::schema::{ENTRY_KEYS, PLATFORM_KEYS, SPEC_KEYS};
use crate::image::{Location, Platform};

/// The known keys of a mapping, with their values.
#[derive(Default)]
pub(super) struct Keys<'n>(pub(super) Vec<(String, &'n Spanned<Node>)>);

impl<'n> Keys<'n> {
    pub(super) fn get(&self, name: &str) -> Option<&'n Spanned<Node>> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// Returns the value of a key, unless it is null.
    pub(super) fn filled(&self, name: &str) -> Option<&'n Spanned<Node>> {
        self.get(name).filter(|node| !matches!(node.value, Node::Null))
    }
}

/// The kinds of mappings in a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Spec,
    Entry,
    Platform,
}

impl Level {
    /// Returns the level's name for messages.
    fn name(self) -> &'static str {
        match self {
            Self::Spec => "a spec",
            Self::Entry => "an entry of \"manifests\"",
            Self::Platform => "\"platform\"",
        }
    }

    fn keys(self) -> &'static [String] {
        match self {
            Self::Spec => &SPEC_KEYS,
            Self::Entry => &ENTRY_KEYS,
            Self::Platform => &PLATFORM_KEYS,
        }
    }

    fn has(self, name: &str) -> bool {
        self.keys().iter().any(|key| key == name)
    }

    /// Returns the known key that an unknown one is probably a typo of. A key of another level is not a typo, unless it
    /// resembles a key that 2.2.1 reads: a top-level `platform` may hold an anchor, but `platforms` in an entry is a
    /// mistake.
    fn near_miss(self, name: &str) -> Option<&'static str> {
        if self == Self::Spec && letters(name) == "images" {
            return Some("manifests");
        }
        let meant = near_miss(name, self.keys())?;
        let is_elsewhere = [Self::Spec, Self::Entry, Self::Platform].into_iter().any(|other| other.has(name));
        let is_read_by_2_2_1 = ["image", "tags", "manifests", "annotations", "platform"].contains(&meant);
        (is_read_by_2_2_1 || !is_elsewhere).then_some(meant)
    }
}

impl Reader<'_> {
    /// Reads the known keys of a mapping. An unknown key is ignored with a warning, as in 2.2.1. A typo of a known key
    /// is an error, because ignoring it would publish a wrong index. Keys that start with `x-` are user-defined.
    pub(super) fn keys<'n>(&mut self, node: &'n Spanned<Node>, level: Level) -> Option<Keys<'n>> {
        let Node::Map(entries) = &node.value else {
            let (name, keys) = (level.name(), level.keys().join(", "));
            let meant = as_mapping(&node.value, level);
            self.note(node.referenced, format!("{name} must be a mapping with the keys {keys}{meant}"));
            return None;
        };
        let mut known = Vec::new();
        for (key, value) in entries {
            let Some(name) = self.key(key) else { continue };
            if level.has(&name) {
                known.push((name, value));
            } else if name.starts_with("x-") {
                // User-defined.
            } else if let Some(meant) = level.near_miss(&name) {
                let message = format!("unknown key \"{name}\" in {}", level.name()).into();
                let (kind, suggestion) = (ProblemKind::UnknownKey, Some(meant.into()));
                self.note_key(key, &name, Mistake { kind, message, suggestion, hint: None });
            } else {
                let mistake = Mistake { kind: ProblemKind::UnknownKey, ..ignored_key(&name, level).into() };
                self.warn(key.referenced, mistake);
            }
        }
        Some(Keys(known))
    }
}

/// Returns the end of the message about a node that is not a mapping: the mapping that was probably meant.
fn as_mapping(node: &Node, level: Level) -> String {
    let Node::Text(text) = node else { return String::new() };
    match (level, text.parse::<Platform>()) {
        (Level::Platform, Ok(Platform { os, architecture, variant, .. })) if is_plain(text) => {
            let variant = if variant.is_empty() { String::new() } else { format!(", variant: {variant}") };
            format!("; did you mean \"{{os: {os}, architecture: {architecture}{variant}}}\"?")
        }
        (Level::Entry, _) if text.parse::<Location>().is_ok() && !text.contains([' ', '#', ',', '{', '}']) => {
            format!("; did you mean \"{{image: {text}}}\"?")
        }
        _ => String::new(),
    }
}

/// Returns whether YAML reads the parts of a platform as text without quotes.
fn is_plain(platform: &str) -> bool {
    platform.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._".contains(&b))
}

/// Returns the warning about an ignored key.
fn ignored_key(name: &str, level: Level) -> String {
    let elsewhere = [Level::Platform, Level::Entry, Level::Spec].into_iter().find(|other| other.has(name));
    let why = match (name, elsewhere) {
        ("img" | "ref" | "reference", None) if level == Level::Entry => "; did you mean \"image\"?".into(),
        ("entries" | "sources", None) if level == Level::Spec => "; did you mean \"manifests\"?".into(),
        ("features", None) => "; an index no longer lists CPU features".into(),
        (_, None) => String::new(),
        (_, Some(other)) => format!("; it is a key of {}: check the indentation", other.name()),
    };
    format!("unknown key \"{name}\" in {} is ignored{why}", level.name())
}

/// Maximum length of a key to compare. The edit distance needs memory for each pair of characters.
const MAX_COMPARED: usize = 64;

/// Returns the valid key that an unknown one resembles: in different case or punctuation, shortened, or with a typo.
///
/// A suffix of a valid key (`version` of `osversion`, `features` of `osfeatures`) is not a typo of it, because
/// it means something else.
pub(crate) fn near_miss<'k, K: AsRef<str>>(name: &str, valid: &'k [K]) -> Option<&'k str> {
    if name.len() > MAX_COMPARED {
        return None;
    }
    let name = letters(name);
    let distance = |key: &str| {
        let key = letters(key);
        let is_shortened = name.len() >= 4 && key.starts_with(&name);
        let is_plural = name.strip_prefix(&key).is_some_and(|end| end == "s");
        let is_end = key.ends_with(&name) || name.ends_with(&key);
        let (distance, shorter) = (strsim::osa_distance(&name, &key), name.len().min(key.len()));
        let allowed = match shorter {
            0..=2 => 0,
            3..=6 => 1,
            _ => 2,
        };
        match distance {
            0 => Some(0),
            _ if is_end => None,
            _ if is_shortened || is_plural => Some(1),
            _ => Some(distance).filter(|distance| *distance <= allowed),
        }
    };
    let near = valid.iter().map(AsRef::as_ref).filter_map(|key| Some((distance(key)?, key)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, key)| key)
}

/// Returns the letters and digits of a key in lowercase.
fn letters(key: &str) -> String {
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_a_typo_of_a_key_of_the_same_level() {
        for (level, name, meant) in [
            (Level::Entry, "platfrom", Some("platform")),
            (Level::Entry, "platforms", Some("platform")),
            (Level::Entry, "Platform", Some("platform")),
            (Level::Entry, "plaform", Some("platform")),
            (Level::Entry, "imgae", Some("image")),
            (Level::Entry, "images", Some("image")),
            (Level::Entry, "anotations", Some("annotations")),
            (Level::Entry, "annotation", Some("annotations")),
            (Level::Entry, "os", None),
            (Level::Entry, "architecture", None),
            (Level::Entry, "variant", None),
            (Level::Entry, "tags", None),
            (Level::Entry, "version", None),
            (Level::Spec, "images", Some("manifests")),
            (Level::Spec, "tag", Some("tags")),
            (Level::Spec, "Tags", Some("tags")),
            (Level::Spec, "TAGS", Some("tags")),
            (Level::Spec, "manifest", Some("manifests")),
            (Level::Spec, "mainfests", Some("manifests")),
            (Level::Spec, "artifact_type", Some("artifactType")),
            (Level::Spec, "version", None),
            (Level::Spec, "platform", None),
            (Level::Spec, "name", None),
            (Level::Spec, "description", None),
            (Level::Spec, "os", None),
            (Level::Platform, "varient", Some("variant")),
            (Level::Platform, "variants", Some("variant")),
            (Level::Platform, "osVersion", Some("osversion")),
            (Level::Platform, "os_version", Some("osversion")),
            (Level::Platform, "OS", Some("os")),
            (Level::Platform, "oss", Some("os")),
            (Level::Platform, "so", None),
            (Level::Platform, "architechture", Some("architecture")),
            (Level::Platform, "arch", Some("architecture")),
            (Level::Platform, "version", None),
            (Level::Platform, "Version", None),
            (Level::Platform, "features", None),
            (Level::Platform, "id", None),
            (Level::Platform, "image", None),
            (Level::Platform, "", None),
            (Level::Platform, "-", None),
        ] {
            assert_eq!(level.near_miss(name), meant, "{level:?} {name}");
        }
        assert_eq!(near_miss(&"k".repeat(1_000_000), Level::Spec.keys()), None);
    }

    #[test]
    fn a_key_of_another_level_gets_an_indentation_hint() {
        let warning = ignored_key("os", Level::Entry);
        assert_eq!(
            warning,
            "unknown key \"os\" in an entry of \"manifests\" is ignored; it is a key of \"platform\": check the indentation"
        );
        assert!(ignored_key("tags", Level::Entry).contains("it is a key of a spec"));
        // Suggesting `osversion` would lead to a wrong `os.version`.
        assert_eq!(ignored_key("version", Level::Platform), "unknown key \"version\" in \"platform\" is ignored");
    }
}
