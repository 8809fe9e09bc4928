//! Selects tags by patterns.

use std::fmt;

use wildmatch::WildMatch;

use super::referrers_tag::subject_of_tag;
use super::{Location, UntrustedText};

/// Patterns of tags. `*` matches any text and `?` matches one character; a pattern without either is a tag.
pub(crate) struct TagPatterns(Vec<(String, WildMatch)>);

/// The error for patterns that match no tag of a repository or layout.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NoTagMatches {
    /// The repository or layout.
    pub repository: Location,
    /// The patterns that match no tag.
    pub patterns: Vec<UntrustedText>,
    /// All tags of the repository.
    pub tags: Vec<UntrustedText>,
}

impl fmt::Display for NoTagMatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, patterns, tags } = self;
        let patterns: Vec<String> = patterns.iter().map(|pattern| format!("\"{pattern}\"")).collect();
        write!(f, "no tag of {repository} matches {}: it has ", patterns.join(", "))?;
        match tags.len() {
            0 => f.write_str("no tags"),
            1 => f.write_str("1 tag"),
            count => write!(f, "{count} tags"),
        }
    }
}

impl std::error::Error for NoTagMatches {}

impl TagPatterns {
    pub(crate) fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| (pattern.clone(), WildMatch::new(pattern))).collect())
    }

    /// Whether any of the patterns matches a tag.
    pub(crate) fn matches(&self, tag: &str) -> bool {
        self.0.iter().any(|(_, pattern)| pattern.matches(tag))
    }

    /// Whether any of the patterns selects a tag for a change or a check. A tag that stores the referrers or signatures of
    /// another manifest is selected only by a pattern that starts with `sha256-` or `sha512-`, because it belongs to that
    /// manifest: `*` does not select it.
    pub(crate) fn selects(&self, tag: &str) -> bool {
        let Some(subject) = subject_of_tag(tag) else { return self.matches(tag) };
        // The algorithm and the hyphen.
        let prefix = subject.get(..7).unwrap_or(subject);
        self.0.iter().any(|(text, pattern)| text.starts_with(prefix) && pattern.matches(tag))
    }

    /// Checks that each pattern matches at least one tag of a repository.
    ///
    /// # Errors
    /// Some patterns match none.
    pub(crate) fn check<'t>(
        &self,
        repository: &Location,
        tags: impl Iterator<Item = &'t UntrustedText>,
    ) -> Result<(), Box<NoTagMatches>> {
        let tags: Vec<&UntrustedText> = tags.collect();
        let patterns = self.unmatched(&tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>());
        if patterns.is_empty() {
            return Ok(());
        }
        let patterns = patterns.into_iter().map(UntrustedText::from).collect();
        let tags = tags.into_iter().cloned().collect();
        Err(Box::new(NoTagMatches { repository: repository.clone(), patterns, tags }))
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
        assert!(both.selects("v1.0") && !both.selects("latest"));
        assert_eq!(both.unmatched(&["v1.0", "latest"]), ["v9*", "edge"]);
    }
    #[test]
    fn patterns_without_a_tag_are_named_with_the_number_of_tags() {
        let repository = "r.io/app".parse().unwrap();
        let check = |patterns: &[&str], tags: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.into()).collect();
            let tags: Vec<UntrustedText> = tags.iter().map(|&tag| tag.into()).collect();
            TagPatterns::new(&patterns).check(&repository, tags.iter()).map_err(|error| error.to_string())
        };
        assert_eq!(check(&["v*", "edge"], &["edge", "v1"]), Ok(()));
        for (tags, count) in [(&[][..], "no tags"), (&["a"], "1 tag"), (&["a", "b"], "2 tags")] {
            let message = format!("no tag of r.io/app matches \"v*\", \"\": it has {count}");
            assert_eq!(check(&["v*", ""], tags), Err(message), "{tags:?}");
        }
    }

    #[test]
    fn tags_of_referrers_and_signatures_are_selected_only_by_their_prefix() {
        let hex = "a".repeat(64);
        for (pattern, tag, is_selected) in [
            ("*", format!("sha256-{hex}"), false),
            ("s*", format!("sha256-{hex}.sig"), false),
            ("*.sig", format!("sha256-{hex}.sig"), false),
            ("sha512-*", format!("sha256-{hex}.sig"), false),
            ("sha256-*", format!("sha256-{hex}.sig"), true),
            ("sha256-*.sig", format!("sha256-{hex}"), false),
            ("sha512-*", format!("sha512-{hex}"), true),
            (&format!("sha256-{hex}"), format!("sha256-{hex}"), true),
            ("*", "sha256-abc".to_owned(), true),
            ("*.sig", "v1.sig".to_owned(), true),
        ] {
            let patterns = TagPatterns::new(&[pattern.to_owned()]);
            assert_eq!(patterns.selects(&tag), is_selected, "{pattern} {tag}");
        }
    }
}
