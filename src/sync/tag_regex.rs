use regex_lite::{Regex, RegexBuilder};

/// Maximum length of a pattern, in bytes.
const MAX_PATTERN: usize = 10 << 10;
/// Maximum length of a pattern in a message, in characters.
const MAX_SHOWN: usize = 200;
/// Maximum memory of a compiled pattern, in bytes. The time of a match is proportional to it.
const MAX_PROGRAM: usize = 1 << 20;

/// A regular expression that matches a tag if it matches any part of it, as in skopeo. `^` and `$` match its ends.
#[derive(Debug, Clone)]
pub(super) struct TagRegex(Regex);

impl TagRegex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The pattern is invalid, longer than 10 KiB, or takes more than 1 MiB of memory.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN {
            return Err(format!("the regular expression is longer than {} KiB", MAX_PATTERN >> 10));
        }
        let compiled = RegexBuilder::new(pattern).size_limit(MAX_PROGRAM).build();
        compiled.map(Self).map_err(|error| {
            let shown: String = pattern.chars().take(MAX_SHOWN).collect();
            let rest = if shown.len() < pattern.len() { "..." } else { "" };
            format!("\"{shown}{rest}\" is not a regular expression: {error}")
        })
    }

    pub(super) fn matches(&self, tag: &str) -> bool {
        self.0.is_match(tag)
    }

    pub(super) fn pattern(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_any_part_of_a_tag() {
        for (pattern, tag, is_match) in [
            ("1", "v1.2", true),
            ("^1", "v1.2", false),
            ("^v1\\.", "v1.2", true),
            ("^v1\\.", "v10.2", false),
            ("^[0-9]+\\.[0-9]+$", "3.12", true),
            ("^[0-9]+\\.[0-9]+$", "3.12-alpine", false),
            ("^\\d+$", "20240101", true),
            ("(?i)^ALPINE$", "alpine", true),
            ("^(?:a|b)$", "ab", false),
            ("", "anything", true),
        ] {
            assert_eq!(TagRegex::parse(pattern).unwrap().matches(tag), is_match, "{pattern} {tag}");
        }
    }

    #[test]
    fn invalid_and_too_large_patterns_are_refused() {
        for (pattern, reason) in [
            ("(".to_owned(), "\"(\" is not a regular expression: "),
            ("[a".to_owned(), "\"[a\" is not a regular expression: "),
            ("*".to_owned(), "\"*\" is not a regular expression: "),
            ("a".repeat(MAX_PATTERN + 1), "the regular expression is longer than 10 KiB"),
            ("((a{1000}){1000}){1000}".to_owned(), "is not a regular expression: "),
            ("(".repeat(5_000) + &")".repeat(5_000), "is not a regular expression: "),
        ] {
            let error = TagRegex::parse(&pattern).unwrap_err();
            assert!(error.contains(reason) && error.len() < 400, "{error:.500}");
        }
    }
}
