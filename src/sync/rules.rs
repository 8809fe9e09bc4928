use std::collections::{BTreeSet, HashSet};
use std::fmt;

use super::tag_regex::TagRegex;
use super::version_constraint::VersionConstraint;
use crate::image::{Digest, Location, Reference, UntrustedText};

/// What a sync copies.
#[derive(Debug, Default)]
pub(crate) struct SyncRules {
    /// The repositories and layouts, each once.
    pub(crate) repositories: Vec<RepositoryRules>,
    /// The registries whose certificates are not checked.
    pub(crate) unverified: BTreeSet<String>,
}

/// Which images of a repository or layout are copied.
#[derive(Debug, Clone)]
pub(crate) struct RepositoryRules {
    /// The repository or layout.
    pub(crate) repository: Location,
    /// The path of the repository below the target with `--scoped`; without, only its last component counts.
    pub(crate) path: String,
    /// The images that are given by tag, name or digest.
    pub(super) named: Vec<ImageName>,
    /// The rules that select from the list of tags.
    pub(super) selectors: Vec<TagSelector>,
    /// The tags that no rule selects.
    pub(super) excluded: Vec<TagRegex>,
}

/// The name of an image in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ImageName {
    Tag(String),
    Digest(Digest),
    /// The only image of a location without names.
    Only,
}

/// A rule that selects tags from a list.
#[derive(Debug, Clone)]
pub(super) enum TagSelector {
    All,
    Regex(TagRegex),
    Versions(VersionConstraint),
}

/// The selected images of a repository.
#[derive(Debug)]
pub(crate) struct Selection {
    /// The images, each once: those that are given by name first, then the others in the order of the list.
    pub(crate) images: Vec<Location>,
    /// The descriptions of the rules that selected no tag.
    pub(crate) unmatched: Vec<String>,
}

impl RepositoryRules {
    /// Returns the rules for a repository without any: they select no image.
    pub(super) fn none(repository: Location, path: String) -> Self {
        Self { repository, path, named: Vec::new(), selectors: Vec::new(), excluded: Vec::new() }
    }

    /// Returns the rules that select the image of a location, or all tags of a repository or layout. `path` is the path
    /// of a layout below the target.
    pub(crate) fn of_location(location: &Location, path: Option<String>) -> Self {
        let path = path.or_else(|| location.reference().map(scoped_path)).unwrap_or_default();
        let mut rules = Self::none(location.without_name(), path);
        match (location.digest(), location.tag()) {
            (Some(digest), _) => rules.named.push(ImageName::Digest(digest.clone())),
            (None, Some(tag)) => rules.named.push(ImageName::Tag(tag.to_owned())),
            (None, None) if location.layout().is_some_and(|layout| layout.transport.has_no_names()) => {
                rules.named.push(ImageName::Only);
            }
            (None, None) => rules.selectors.push(TagSelector::All),
        }
        rules
    }

    /// Whether the rules select from the list of tags.
    pub(crate) fn need_list(&self) -> bool {
        !self.selectors.is_empty()
    }

    /// Selects the images. `tags` is the list of all tags; it may be empty if the rules do not need it.
    pub(crate) fn select(&self, tags: &[UntrustedText]) -> Selection {
        let is_excluded = |tag: &str| self.excluded.iter().any(|regex| regex.matches(tag));
        let mut seen: HashSet<&str> = HashSet::new();
        let mut images = Vec::new();
        for name in &self.named {
            match name {
                ImageName::Digest(digest) if seen.insert(digest.as_str()) => {
                    images.push(self.repository.with_digest(digest.clone()));
                }
                ImageName::Tag(tag) if !is_excluded(tag) && seen.insert(tag) => {
                    images.push(self.repository.with_tag(tag));
                }
                ImageName::Only => images.push(self.repository.clone()),
                ImageName::Digest(_) | ImageName::Tag(_) => {}
            }
        }
        let mut has_matched = vec![false; self.selectors.len()];
        for tag in tags.iter().map(UntrustedText::as_str).filter(|tag| !is_excluded(tag)) {
            let mut is_selected = false;
            for (selector, has_matched) in self.selectors.iter().zip(&mut has_matched) {
                let is_match = selector.matches(tag);
                *has_matched |= is_match;
                is_selected |= is_match;
            }
            if is_selected && seen.insert(tag) {
                images.push(self.repository.with_tag(tag));
            }
        }
        let unmatched = self.selectors.iter().zip(has_matched).filter(|(_, has_matched)| !has_matched);
        Selection { images, unmatched: unmatched.map(|(selector, _)| selector.to_string()).collect() }
    }
}

/// Returns the path of a repository below a target with `--scoped`: its registry and its repository. A `_` replaces the
/// `:` before a port, because neither a repository nor a layout's folder may have one.
pub(super) fn scoped_path(reference: &Reference) -> String {
    format!("{}/{}", reference.registry().replace(':', "_"), reference.repository())
}

impl TagSelector {
    fn matches(&self, tag: &str) -> bool {
        match self {
            Self::All => true,
            Self::Regex(regex) => regex.matches(tag),
            Self::Versions(constraint) => constraint.matches(tag),
        }
    }
}

impl fmt::Display for TagSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("it has no tag to copy"),
            Self::Regex(regex) => write!(f, "no tag matches \"{}\"", regex.pattern()),
            Self::Versions(constraint) => write!(f, "no tag is a version \"{}\"", constraint.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Location {
        text.parse().unwrap()
    }

    fn texts(names: &[&str]) -> Vec<UntrustedText> {
        names.iter().map(|&name| name.into()).collect()
    }

    /// Returns the names of the selected images, and the descriptions of rules without a tag.
    fn select(rules: &RepositoryRules, tags: &[&str]) -> (Vec<String>, Vec<String>) {
        let Selection { images, unmatched } = rules.select(&texts(tags));
        let name = |image: &Location| image.tag().map_or_else(|| image.digest().unwrap().to_string(), str::to_owned);
        (images.iter().map(name).collect(), unmatched)
    }

    fn regex(pattern: &str) -> TagRegex {
        TagRegex::parse(pattern).unwrap()
    }

    #[test]
    fn a_location_selects_its_image_or_every_tag() {
        let digest = Digest::sha256(b"");
        for (location, tags, selected) in [
            ("r.io/app", &["v1", "v2"][..], vec!["v1".to_owned(), "v2".into()]),
            ("r.io/app:v1", &[], vec!["v1".into()]),
            (&format!("r.io/app@{digest}"), &[], vec![digest.to_string()]),
            ("oci:folder:a/b:c", &[], vec!["a/b:c".into()]),
            ("oci:folder", &["x y"], vec!["x y".into()]),
        ] {
            let rules = RepositoryRules::of_location(&at(location), None);
            assert_eq!(select(&rules, tags), (selected, Vec::new()), "{location}");
            assert_eq!(rules.need_list(), !tags.is_empty(), "{location}");
        }
    }

    #[test]
    fn a_tag_that_several_rules_select_is_selected_once() {
        let mut rules = RepositoryRules::none(at("r.io/app"), String::new());
        let digest = Digest::sha256(b"");
        rules.named = vec![
            ImageName::Tag("3.12".into()),
            ImageName::Digest(digest.clone()),
            ImageName::Tag("3.12".into()),
            ImageName::Digest(digest.clone()),
        ];
        assert!(!rules.need_list());
        rules.selectors = vec![
            TagSelector::Regex(regex("^3")),
            TagSelector::Versions(VersionConstraint::parse(">= 3.12").unwrap()),
            TagSelector::Regex(regex("^9")),
            TagSelector::Versions(VersionConstraint::parse("^9").unwrap()),
        ];
        let tags = ["2.7", "3.11", "3.12", "3.13", "latest", "3.11"];
        let expected = ["3.12", digest.as_str(), "3.11", "3.13"].map(str::to_owned).to_vec();
        let unmatched = ["no tag matches \"^9\"", "no tag is a version \"^9\""].map(str::to_owned).to_vec();
        assert_eq!(select(&rules, &tags), (expected, unmatched));
    }

    #[test]
    fn excluded_tags_are_left_out_of_every_rule() {
        let mut rules = RepositoryRules::of_location(&at("r.io/app"), None);
        rules.named = vec![ImageName::Tag("v1-rc1".into()), ImageName::Tag("v0".into())];
        rules.excluded = vec![regex("-rc"), regex("^sha256-")];
        let selected = select(&rules, &["v1", "v1-rc1", "sha256-0.sig", "v2"]).0;
        assert_eq!(selected, ["v0", "v1", "v2"]);
        let (selected, unmatched) = select(&rules, &["v1-rc1"]);
        assert_eq!((selected, unmatched), (vec!["v0".to_owned()], vec!["it has no tag to copy".to_owned()]));
    }

    #[test]
    fn the_scoped_path_names_registry_and_repository() {
        for (location, path) in [
            ("busybox", "docker.io/library/busybox"),
            ("quay.io/team/app:v1", "quay.io/team/app"),
            ("localhost:5000/app", "localhost_5000/app"),
        ] {
            assert_eq!(RepositoryRules::of_location(&at(location), None).path, path);
        }
        let layout = RepositoryRules::of_location(&at("oci:folder/team/app"), Some("team/app".into()));
        assert_eq!((layout.path.as_str(), layout.repository), ("team/app", at("oci:folder/team/app")));
    }
}
