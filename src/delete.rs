//! Deletes a tag, or a manifest with all its tags.

use std::collections::HashSet;
use std::fmt;

use futures_util::stream::{self, StreamExt as _};

use crate::image::{Digest, Location, Manifest, UntrustedText, media_type};
use crate::store::{self, Run, Store};

/// The maximum number of tags that are read concurrently.
const MAX_CONCURRENT: usize = 16;

/// The deleted tag or manifest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deleted {
    /// The tag, or the digest of the manifest if the manifest was deleted with all its tags.
    pub location: Location,
    /// The digest that the tag pointed at.
    pub digest: Digest,
    /// In a dry run for a registry's tag without [`DeleteOptions::with_every_tag`], the uses of its manifest, which
    /// matter if the registry cannot delete only the tag, or why they cannot be read. `None` otherwise.
    pub uses: Option<Result<Uses, store::Error>>,
}

/// Why a reference was not deleted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry or layout failed, or refused the request.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Other tags or indexes use the manifest, and [`DeleteOptions::with_every_tag`] is not set.
    #[error("{0}")]
    TakesMore(Box<TakesMore>),
}

/// A deletion that was refused because other tags or indexes use the manifest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TakesMore {
    /// The reference in the request.
    pub named: Location,
    /// The digest of the manifest that the request would delete.
    pub digest: Digest,
    /// Why the registry cannot delete only the tag; `None` if the request names a digest.
    pub refusal: Option<store::Error>,
    /// The tags and indexes that use the manifest, or why they cannot be listed.
    pub uses: Result<Uses, store::Error>,
}

/// The tags and indexes in a repository that use a manifest.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Uses {
    /// The tags that point at it, sorted.
    pub tags: Vec<UntrustedText>,
    /// The tags of the indexes that list it, sorted.
    pub held_by: Vec<UntrustedText>,
}

impl Uses {
    /// Whether only this tag uses the manifest; without a tag, whether the manifest is unused.
    fn are_only(&self, tag: Option<&str>) -> bool {
        let tags: Vec<&str> = self.tags.iter().map(UntrustedText::as_str).collect();
        self.held_by.is_empty() && tags == Vec::from_iter(tag)
    }
}

impl fmt::Display for TakesMore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { named, digest, refusal, uses } = self;
        write!(f, "{named}: not deleted")?;
        if let Some(refusal) = refusal {
            write!(f, ": cannot delete only the tag: {}", refusal.reason())?;
        }
        write!(f, "\n  deleting {digest} would delete ")?;
        match uses {
            Ok(Uses { tags, .. }) if tags.is_empty() => f.write_str("no tag")?,
            Ok(Uses { tags, .. }) => write!(f, "all its tags: {}", names(tags))?,
            Err(error) => write!(f, "all its tags, which cannot be listed: {error}")?,
        }
        match uses {
            Ok(Uses { held_by, .. }) if !held_by.is_empty() => {
                write!(f, "\n  and break the indexes that list it: {}", names(held_by))
            }
            _ => Ok(()),
        }
    }
}

fn names(tags: &[UntrustedText]) -> String {
    tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Options for [`delete`].
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Delete the manifest with all its tags if the registry cannot delete only the tag, or if the request names a
    /// digest. Defaults to false: a manifest that other tags or indexes use is [`Error::TakesMore`]. A manifest that only
    /// the tag in the request uses is always deleted.
    pub with_every_tag: bool,
    /// Return what would be deleted, without deleting; the registry may still refuse the deletion. Defaults to false.
    pub dry_run: bool,
}

/// Deletes a tag, or a manifest by digest. If the registry cannot delete only the tag, deletes the manifest, and with
/// it all its tags; see [`DeleteOptions::with_every_tag`].
///
/// ```
/// use manifest_tool::delete::{DeleteOptions, delete};
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let reference = "oci:examples/layouts/amd64:no-such-name".parse()?;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let deleted = runtime.block_on(delete(&store, &reference, &DeleteOptions::default()));
/// assert!(deleted.is_err(), "the layout does not have that name");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The reference does not exist, the registry does not support deletion, or [`Error::TakesMore`].
pub async fn delete(store: &Store, named: &Location, options: &DeleteOptions) -> Result<Deleted, Error> {
    let run = Run::new(store, options.dry_run);
    let resolved = store.digest(named).await?;
    // Delete the digest in the request, even if the registry reports another one for it.
    let digest = named.digest().cloned().unwrap_or(resolved);
    let mut refusal = None;
    if named.tag().is_some() && named.digest().is_none() {
        match run.delete(named).await {
            Ok(()) => {
                let may_need_more = options.dry_run && !options.with_every_tag && named.reference().is_some();
                let uses = if may_need_more { Some(uses(store, named, &digest).await) } else { None };
                return Ok(Deleted { location: named.clone(), digest, uses });
            }
            Err(error) if error.is_unsupported() => refusal = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let location = named.with_digest(digest.clone());
    if !options.with_every_tag {
        let uses = uses(store, named, &digest).await;
        if !uses.as_ref().is_ok_and(|uses| uses.are_only(named.tag())) {
            return Err(Error::TakesMore(Box::new(TakesMore { named: named.clone(), digest, refusal, uses })));
        }
    }
    run.delete(&location).await?;
    Ok(Deleted { location, digest, uses: None })
}

/// Finds the uses of a manifest among all tags of its repository.
///
/// # Errors
/// The list of tags, or one of the tags, cannot be read, so that the result could be incomplete.
async fn uses(store: &Store, at: &Location, digest: &Digest) -> Result<Uses, store::Error> {
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
