//! Annotations on a command line: as 2.2.1 takes them, `KEY=VALUE,...`, and with a level, in the syntax of
//! `docker buildx build --annotation`: `LEVEL[PLATFORM],...:KEY=VALUE`.

use crate::image::{Annotations, Platform, UntrustedText};

/// What an annotation belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Level {
    /// The index itself.
    Index,
    /// The entries for a platform, or all of them.
    Entries(Option<Platform>),
    /// A manifest or the descriptor of the index, which a push does not write.
    Unwritable,
}

/// Parses an annotation into its levels, key and value. Without a level, it belongs to the index. The value is
/// everything after the first `=`.
pub(super) fn leveled(text: &str) -> Result<(Vec<Level>, &str, &str), String> {
    let invalid = || format!("invalid annotation \"{text}\": expected [LEVEL:]KEY=VALUE");
    let (name, value) = text.split_once('=').ok_or_else(invalid)?;
    // As in buildx, a colon ends the levels; a key with a colon needs a level before it.
    let (levels, key) = match name.split_once(':') {
        Some((levels, key)) => {
            let levels: Result<_, _> = levels.split(',').map(level).collect();
            (levels.map_err(|reason| format!("invalid annotation \"{text}\": {reason}"))?, key)
        }
        None => (vec![Level::Index], name),
    };
    let key = key.trim();
    if key.is_empty() { Err(invalid()) } else { Ok((levels, key, value)) }
}

/// Parses a level, with or without a platform.
fn level(text: &str) -> Result<Level, String> {
    let (name, platform) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((name, platform)) => (name, Some(platform)),
        None => (text, None),
    };
    if !["index", "index-descriptor", "manifest", "manifest-descriptor"].contains(&name) {
        return Err(format!("the level \"{name}\" is not known; expected index or manifest-descriptor"));
    }
    let platform = platform.map(|platform| platform.parse().map_err(|error| format!("{error}"))).transpose()?;
    match (name, platform) {
        ("index" | "index-descriptor", Some(_)) => Err(format!("the level {name} has no platform")),
        ("index", None) => Ok(Level::Index),
        ("manifest-descriptor", platform) => Ok(Level::Entries(platform)),
        _ => Ok(Level::Unwritable),
    }
}

/// Parses `KEY=VALUE` arguments. One argument may contain several pairs, separated by commas.
///
/// If every part between commas has exactly one `=`, each is a trimmed pair, as in 2.2.1. Version 2.2.1 rejects all
/// other arguments. Here, values may contain commas and `=`: a comma separates pairs only before another `KEY=`.
///
/// # Errors
/// A pair has no key or no `=`.
pub fn parse_annotations(arguments: &[String]) -> Result<Annotations, AnnotationError> {
    let mut annotations = Annotations::new();
    for pair in arguments.iter().flat_map(|argument| pairs(argument)) {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                annotations.insert(key.into(), value.into());
            }
            _ => return Err(AnnotationError(pair.into())),
        }
    }
    Ok(annotations)
}

/// Splits an argument into pairs.
fn pairs(argument: &str) -> Vec<String> {
    let is_plain = |part: &str| part.matches('=').count() == 1;
    let starts_pair =
        |part: &str| part.trim_start().split_once('=').is_some_and(|(key, _)| !key.is_empty() && !key.contains(' '));
    let parts = argument.split(',');
    // An empty part is a pair without a key, as in 2.2.1. It may come from an empty shell variable.
    if parts.clone().all(is_plain) || parts.clone().any(|part| part.trim().is_empty()) {
        return parts.map(|part| part.trim().to_owned()).collect();
    }
    let mut pairs: Vec<String> = Vec::new();
    for part in parts {
        match pairs.last_mut() {
            Some(last) if !starts_pair(part) => {
                last.push(',');
                last.push_str(part);
            }
            _ => pairs.push(part.to_owned()),
        }
    }
    pairs.into_iter().map(|pair| pair.trim().to_owned()).collect()
}

/// The error for an argument that is not an annotation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid annotation \"{0}\": expected KEY=VALUE")]
pub struct AnnotationError(UntrustedText);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_parsed_as_buildx_does() {
        let arm: Platform = "linux/arm/v7".parse().unwrap();
        for (text, levels, key, value) in [
            ("a=b", vec![Level::Index], "a", "b"),
            ("a=b=c, d: e", vec![Level::Index], "a", "b=c, d: e"),
            ("a=", vec![Level::Index], "a", ""),
            ("index:a=b", vec![Level::Index], "a", "b"),
            ("manifest-descriptor:a=b", vec![Level::Entries(None)], "a", "b"),
            ("manifest-descriptor[linux/arm/v7]:a=b", vec![Level::Entries(Some(arm))], "a", "b"),
            ("index,manifest-descriptor:a=b", vec![Level::Index, Level::Entries(None)], "a", "b"),
            ("index,manifest:a=b", vec![Level::Index, Level::Unwritable], "a", "b"),
            ("manifest[linux/amd64]:a=b", vec![Level::Unwritable], "a", "b"),
            ("index-descriptor:a=b", vec![Level::Unwritable], "a", "b"),
            ("index:com.example:a=b", vec![Level::Index], "com.example:a", "b"),
            ("index: a =b", vec![Level::Index], "a", "b"),
        ] {
            assert_eq!(leveled(text), Ok((levels, key, value)), "{text}");
        }
    }

    #[test]
    fn an_annotation_without_a_key_or_with_an_invalid_platform_is_refused() {
        for (text, part) in [
            ("a", "expected [LEVEL:]KEY=VALUE"),
            ("=b", "expected [LEVEL:]KEY=VALUE"),
            ("index:=b", "expected [LEVEL:]KEY=VALUE"),
            ("", "expected [LEVEL:]KEY=VALUE"),
            ("manifest-descriptor[linux]:a=b", "invalid platform \"linux\""),
            ("index[linux/amd64]:a=b", "the level index has no platform"),
            ("com.example:a=b", "the level \"com.example\" is not known; expected index or manifest-descriptor"),
            ("index,other:a=b", "the level \"other\" is not known"),
            ("index,:a=b", "the level \"\" is not known"),
            ("Index:a=b", "the level \"Index\" is not known"),
            (":a=b", "the level \"\" is not known"),
            ("manifest-descriptor[linux/amd64:a=b", "the level \"manifest-descriptor[linux/amd64\" is not known"),
        ] {
            let error = leveled(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn annotations_are_split_at_commas_before_keys() {
        let parse = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
            parse_annotations(&arguments)
                .map(|map| map.into_iter().map(|(k, v)| [k.as_str(), v.as_str()].join("|")).collect::<Vec<_>>())
        };
        assert_eq!(parse(&["a=b", "c=d"]).unwrap(), ["a|b", "c|d"]);
        assert_eq!(parse(&["a=b,c=d"]).unwrap(), ["a|b", "c|d"]);
        assert_eq!(parse(&["url=https://x/?q=1&r=2"]).unwrap(), ["url|https://x/?q=1&r=2"]);
        assert_eq!(parse(&["title=Hello, world"]).unwrap(), ["title|Hello, world"]);
        // Same results as 2.2.1, verified by running it.
        assert_eq!(parse(&["a=b, c=d"]).unwrap(), ["a|b", "c|d"]);
        assert_eq!(parse(&[" a=b , c = d "]).unwrap(), ["a|b", "c | d"]);
        assert_eq!(parse(&["title=a, b = c"]).unwrap(), ["b | c", "title|a"]);
        assert_eq!(parse(&["a=, b="]).unwrap(), ["a|", "b|"]);
        // 2.2.1 rejects these.
        assert_eq!(parse(&["title=Hello, world, url=x"]).unwrap(), ["title|Hello, world", "url|x"]);
        assert_eq!(parse(&["title=one, two three = four, five"]).unwrap(), ["title|one, two three = four, five"]);
        assert_eq!(parse(&["url=x?a=1, b=2"]).unwrap(), ["b|2", "url|x?a=1"]);
        assert_eq!(parse(&["a="]).unwrap(), ["a|"]);
        for invalid in ["novalue", "=x", "a=b,", "a=b, ", "a=b,,c=d", ""] {
            assert!(parse(&[invalid]).is_err(), "{invalid}");
        }
    }

    proptest::proptest! {
        #[test]
        fn simple_annotations_are_parsed_unchanged(pairs in proptest::collection::btree_map("[^=,\\s]{1,9}", "[^,\\s]{0,9}", 0..5)) {
            let arguments: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            proptest::prop_assert_eq!(parse_annotations(&arguments), Ok(pairs));
        }
    }
}
