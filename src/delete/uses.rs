use std::collections::HashSet;

use futures_util::stream::{self, StreamExt as _};

use super::MAX_CONCURRENT;
use crate::image::{Digest, Location, Manifest, UntrustedText, media_type};
use crate::store::{self, Store};

/// The tags and indexes in a repository that use a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uses {
    /// The tags that point at it, sorted.
    pub tags: Vec<UntrustedText>,
    /// The tags of the indexes that list it, sorted.
    pub held_by: Vec<UntrustedText>,
}

impl Uses {
    /// Whether neither a tag nor an index uses the manifest.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.held_by.is_empty()
    }

    /// Whether only this tag uses the manifest; without a tag, whether the manifest is unused.
    pub(super) fn are_only(&self, tag: Option<&str>) -> bool {
        let tags: Vec<&str> = self.tags.iter().map(UntrustedText::as_str).collect();
        self.held_by.is_empty() && tags == Vec::from_iter(tag)
    }
}

/// Finds the uses of a manifest among all tags of its repository.
///
/// # Errors
/// The list of tags, or one of the tags, cannot be read, so that the result could be incomplete.
pub(super) async fn uses(store: &Store, at: &Location, digest: &Digest) -> Result<Uses, store::Error> {
    let all = store.every_tag(&at.without_name()).await?;
    let check = async |tag: UntrustedText| (tag_use(store, &at.with_tag(&tag), digest).await, tag);
    let mut checked = std::pin::pin!(stream::iter(all).map(check).buffer_unordered(MAX_CONCURRENT));
    let (mut uses, mut missing) = (Uses::default(), Vec::new());
    while let Some((tag_use, tag)) = checked.next().await {
        match tag_use {
            Ok(TagUse::PointsAt) => uses.tags.push(tag),
            Ok(TagUse::Lists) => uses.held_by.push(tag),
            Ok(TagUse::Unrelated) => {}
            Err(error) if error.is_missing() => missing.push((tag, error)),
            Err(error) => return Err(error),
        }
    }
    if !missing.is_empty() {
        // A tag that was deleted after it was listed is not a use. One that is still listed may be.
        let listed: HashSet<UntrustedText> = store.every_tag(&at.without_name()).await?.into_iter().collect();
        if let Some((_, error)) = missing.into_iter().find(|(tag, _)| listed.contains(tag)) {
            return Err(error);
        }
    }
    uses.tags.sort_unstable();
    uses.held_by.sort_unstable();
    Ok(uses)
}

/// How a tag uses a manifest.
enum TagUse {
    /// The tag points at the manifest.
    PointsAt,
    /// The tag points at an index that lists the manifest, directly or in a nested index.
    Lists,
    Unrelated,
}

/// Returns how a tag uses a manifest. Follows nested indexes.
async fn tag_use(store: &Store, tag: &Location, digest: &Digest) -> Result<TagUse, store::Error> {
    let fetched = match store.fetch_manifest(tag).await {
        // Neither an image nor an index; its digest may still match.
        Err(error) if error.is_of_other_type() => {
            return Ok(if store.digest(tag).await? == *digest { TagUse::PointsAt } else { TagUse::Unrelated });
        }
        fetched => fetched?,
    };
    if fetched.descriptor.digest == *digest {
        return Ok(TagUse::PointsAt);
    }
    let (mut next, mut seen) = (vec![fetched.manifest], HashSet::new());
    while let Some(manifest) = next.pop() {
        let Manifest::Index(index) = manifest else { continue };
        if index.manifests.iter().any(|entry| entry.digest == *digest) {
            return Ok(TagUse::Lists);
        }
        for entry in index.manifests.iter().filter(|entry| media_type::is_index(&entry.media_type)) {
            if !seen.insert(entry.digest.clone()) {
                continue;
            }
            match store.fetch_child(tag, entry).await {
                Ok(child) => next.push(child.manifest),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(TagUse::Unrelated)
}
