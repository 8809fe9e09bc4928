use super::error::Error;
use crate::image::{Location, TagPatterns};
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
    let patterns = TagPatterns::new(patterns);
    let unmatched = patterns.unmatched(&tags);
    if !unmatched.is_empty() {
        return Err(unreadable(StoreError::unsuitable(from, format!("no tag matches {}", unmatched.join(", ")))));
    }
    let mut selected: Vec<String> = tags.into_iter().filter(|tag| patterns.matches(tag)).collect();
    selected.sort_unstable();
    selected.dedup();
    Ok(selected)
}
