//! Annotations with a level, in the syntax of `docker buildx build --annotation`: `LEVEL[PLATFORM],...:KEY=VALUE`.

use crate::image::Platform;

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
}
