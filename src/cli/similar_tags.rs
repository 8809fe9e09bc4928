use super::similar::similar;
use crate::image::{NoTagMatches, UntrustedText};

/// The maximum number of tags that a hint names.
const MAX_NAMED: usize = 5;

/// Returns the hint for patterns that match no tag: the tags that are most similar to one of them, or else how to list
/// all tags. `None` for a repository without tags.
pub(super) fn similar_tags_hint(error: &NoTagMatches) -> Option<String> {
    let is_literal = |c: &char| !matches!(c, '*' | '?');
    let mut near: Vec<String> = Vec::new();
    for pattern in &error.patterns {
        let word: String = pattern.chars().filter(is_literal).collect();
        let tags = similar(&word, error.tags.iter().map(|tag| tag.as_str()));
        near.extend(tags.into_iter().map(|tag| UntrustedText::from(tag).to_string()));
    }
    near.dedup();
    near.truncate(MAX_NAMED);
    match near.as_slice() {
        [] if error.tags.is_empty() => None,
        [] => Some(format!("manifest-tool tags {} lists them", error.repository)),
        near => Some(format!("similar tags: {}", near.join(", "))),
    }
}
