//! Selects tags by patterns.

use wildmatch::WildMatch;

/// Patterns of tags. `*` matches any text and `?` matches one character; a pattern without either is a tag.
pub(crate) struct TagPatterns(Vec<(String, WildMatch)>);

impl TagPatterns {
    pub(crate) fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| (pattern.clone(), WildMatch::new(pattern))).collect())
    }

    /// Whether any of the patterns matches a tag.
    pub(crate) fn matches(&self, tag: &str) -> bool {
        self.0.iter().any(|(_, pattern)| pattern.matches(tag))
    }

    /// Returns the patterns that match none of these tags.
    pub(crate) fn unmatched<T: AsRef<str>>(&self, tags: &[T]) -> Vec<&str> {
        let is_unmatched = |pattern: &WildMatch| !tags.iter().any(|tag| pattern.matches(tag.as_ref()));
        self.0.iter().filter(|(_, pattern)| is_unmatched(pattern)).map(|(text, _)| text.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_tags() {
        let patterns = |all: &[&str]| TagPatterns::new(&all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
        for (pattern, tag, is_match) in [
            ("v1.*", "v1.2", true),
            ("v1.*", "v1", false),
            ("v1.?", "v1.10", false),
            ("*", "", true),
            ("", "v1", false),
            ("v1", "v1.2", false),
            ("V1", "v1", false),
            ("*-rc*", "1.0-rc.1", true),
        ] {
            assert_eq!(patterns(&[pattern]).matches(tag), is_match, "{pattern} {tag}");
        }
        let both = patterns(&["v1.*", "v9*", "edge"]);
        assert!(both.matches("v1.0") && both.matches("edge") && !both.matches("latest"));
        assert_eq!(both.unmatched(&["v1.0", "latest"]), ["v9*", "edge"]);
    }
}
