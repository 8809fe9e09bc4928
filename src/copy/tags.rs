use super::error::Error;
use crate::image::Location;
use crate::store::{Error as StoreError, Store};

/// Lists the tags of a repository that match any of the patterns, sorted. `*` matches any text and `?` matches one
/// character. A pattern without either is a tag, which must exist.
///
/// # Errors
/// The tags cannot be listed, or a pattern matches no tag.
pub async fn select_tags(store: &Store, from: &Location, patterns: &[String]) -> Result<Vec<String>, Error> {
    let unreadable = |reason: StoreError| Error::source(from, reason);
    let Some(repository) = from.reference() else {
        return Err(unreadable(StoreError::unsuitable(from, "tag patterns need a repository in a registry")));
    };
    let tags = store.client().tags(repository, usize::MAX).await.map_err(|error| unreadable(error.into()))?;
    let patterns: Vec<(&String, wildmatch::WildMatch)> =
        patterns.iter().map(|pattern| (pattern, wildmatch::WildMatch::new(pattern))).collect();
    let mut unmatched = patterns.iter().filter(|(_, pattern)| !tags.iter().any(|tag| pattern.matches(tag))).peekable();
    if unmatched.peek().is_some() {
        let names: Vec<&str> = unmatched.map(|(name, _)| name.as_str()).collect();
        return Err(unreadable(StoreError::unsuitable(from, format!("no tag matches {}", names.join(", ")))));
    }
    let mut selected: Vec<String> =
        tags.into_iter().filter(|tag| patterns.iter().any(|(_, pattern)| pattern.matches(tag))).collect();
    selected.sort_unstable();
    selected.dedup();
    Ok(selected)
}
