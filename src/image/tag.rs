//! Tags of images.

/// Checks a tag: at most 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`.
///
/// # Errors
/// The tag is invalid. The message does not contain it.
pub fn check_tag(tag: &str) -> Result<(), TagError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    match tag.as_bytes() {
        [] => Err(TagError("the tag is empty")),
        bytes if bytes.len() > 128 => Err(TagError("the tag is longer than 128 characters")),
        [first, rest @ ..] if word(*first) && rest.iter().all(|&b| word(b) || b == b'.' || b == b'-') => Ok(()),
        _ => Err(TagError(
            "a tag may have only letters, digits, \"_\", \".\" and \"-\", and must not start with \".\" or \"-\"",
        )),
    }
}

/// The error for an invalid tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TagError(&'static str);

/// Returns the valid tag that an invalid one was probably meant to be: without quotes, blanks and a leading `:`, `.` or
/// `-`, and with `-` for characters that are common in versions and branches, as `docker/metadata-action` writes it.
#[must_use]
pub(crate) fn nearest_tag(text: &str) -> Option<String> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || "\"'`".contains(c)).trim_start_matches([':', '.', '-']);
    let tag: String = text.chars().map(|c| if "+/~".contains(c) { '-' } else { c }).collect();
    check_tag(&tag).is_ok().then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_tag_gets_a_suggestion() {
        for (text, meant) in [
            ("v1.0+build", Some("v1.0-build")),
            ("feature/x", Some("feature-x")),
            ("1.0~rc1", Some("1.0-rc1")),
            (":v1", Some("v1")),
            ("-v1", Some("v1")),
            (" v1 ", Some("v1")),
            ("\"v1\"", Some("v1")),
            ("v1 v2", None),
            ("v1,v2", None),
            ("$TAG", None),
            ("${TAG}", None),
            ("é", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(nearest_tag(text).as_deref(), meant, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_suggestion_is_a_valid_tag(text in ".*|[a-zA-Z0-9:+/~. -]{0,20}") {
            if let Some(tag) = nearest_tag(&text) {
                proptest::prop_assert!(check_tag(&tag).is_ok() && tag != text || check_tag(&text).is_ok(), "{}", tag);
            }
        }
    }
}
