//! Deleting a tag, or a manifest with every tag of it.

use std::collections::HashSet;
use std::fmt;

use futures_util::stream::{self, StreamExt as _};

use crate::image::{Digest, Location, Manifest, UntrustedText, media_type};
use crate::store::{self, Run, Store};

/// Tags looked at at once.
const MAX_CONCURRENT: usize = 16;

/// What was deleted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deleted {
    /// The tag, or by its digest the manifest, with every tag of it.
    pub location: Location,
    /// What the tag pointed at.
    pub digest: Digest,
}

/// Why nothing was deleted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry's or layout's doing.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// More would be deleted than was named, and [`DeleteOptions::with_every_tag`] is not set.
    #[error("{0}")]
    TakesMore(Box<TakesMore>),
}

/// What deleting a manifest takes along.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TakesMore {
    /// What was to be deleted.
    pub named: Location,
    /// The manifest that would go.
    pub digest: Digest,
    /// Why the tag alone cannot be deleted; nothing where a digest was named.
    pub refusal: Option<store::Error>,
    /// Where else it is used, or why that cannot be told.
    pub uses: Result<Uses, store::Error>,
}

/// Where a manifest is used in its repository.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Uses {
    /// The tags that point at it, sorted.
    pub tags: Vec<UntrustedText>,
    /// The tags of indexes that hold it, sorted.
    pub held_by: Vec<UntrustedText>,
}

impl fmt::Display for TakesMore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { named, digest, refusal, uses } = self;
        write!(f, "{named}: not deleted")?;
        if let Some(refusal) = refusal {
            write!(f, ": the tag alone cannot be, {}", refusal.reason())?;
        }
        write!(f, "\n  deleting {digest} would take ")?;
        match uses {
            Ok(Uses { tags, .. }) if tags.is_empty() => f.write_str("no tag")?,
            Ok(Uses { tags, .. }) => write!(f, "every tag of it: {}", names(tags))?,
            Err(error) => write!(f, "every tag of it; which these are cannot be told: {error}")?,
        }
        match uses {
            Ok(Uses { held_by, .. }) if !held_by.is_empty() => {
                write!(f, "\n  and break the indexes that hold it: {}", names(held_by))
            }
            _ => Ok(()),
        }
    }
}

fn names(tags: &[UntrustedText]) -> String {
    tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Delete the manifest with every tag of it, where the tag by itself cannot be deleted or a digest is named. Defaults
    /// to false: what other tags or indexes use is an error.
    pub with_every_tag: bool,
    /// Delete nothing. Defaults to false. The result says what would be deleted if the registry deletes it.
    pub dry_run: bool,
}

/// Deletes what a reference names. A tag is deleted by itself where the registry does that. Where it does not, and for a
/// digest, the manifest is deleted, which deletes all its tags; see [`DeleteOptions::with_every_tag`].
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
/// The reference does not exist, the registry does not delete, or [`Error::TakesMore`].
pub async fn delete(store: &Store, named: &Location, options: &DeleteOptions) -> Result<Deleted, Error> {
    let run = Run::new(store, options.dry_run);
    let found = store.digest(named).await?;
    // What was named is what goes, whatever a registry says of it.
    let digest = named.digest().cloned().unwrap_or(found);
    let mut refusal = None;
    if named.tag().is_some() && named.digest().is_none() {
        match run.delete(named).await {
            Ok(()) => return Ok(Deleted { location: named.clone(), digest }),
            Err(error) if error.is_unsupported() => refusal = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let location = named.with_digest(digest.clone());
    if !options.with_every_tag {
        let uses = uses(store, named, &digest).await;
        let is_free = uses.as_ref().is_ok_and(|uses| uses.tags.is_empty() && uses.held_by.is_empty());
        if refusal.is_some() || !is_free {
            return Err(Error::TakesMore(Box::new(TakesMore { named: named.clone(), digest, refusal, uses })));
        }
    }
    run.delete(&location).await?;
    Ok(Deleted { location, digest })
}

/// Looks at all tags of a repository.
///
/// # Errors
/// The list of tags, or one of the tags, cannot be read, so that a use may have been missed.
async fn uses(store: &Store, at: &Location, digest: &Digest) -> Result<Uses, store::Error> {
    let all = store.every_tag(&at.without_name()).await?;
    let look = async |tag: UntrustedText| (use_of(store, &at.with_tag(&tag), digest).await, tag);
    let mut looked = std::pin::pin!(stream::iter(all).map(look).buffer_unordered(MAX_CONCURRENT));
    let mut uses = Uses::default();
    while let Some((found, tag)) = looked.next().await {
        match found {
            Ok(Use::Is) => uses.tags.push(tag),
            Ok(Use::Holds) => uses.held_by.push(tag),
            Ok(Use::Not) => {}
            // Listed, and gone.
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    uses.tags.sort_unstable();
    uses.held_by.sort_unstable();
    Ok(uses)
}

/// What a tag has to do with a manifest.
enum Use {
    Is,
    Holds,
    Not,
}

/// Looks at a tag, and at the indexes in its index.
async fn use_of(store: &Store, tag: &Location, digest: &Digest) -> Result<Use, store::Error> {
    let found = match store.fetch_manifest(tag).await {
        // It cannot be read as an image or index, and may still be the one.
        Err(error) if error.is_of_other_type() => {
            return Ok(if store.digest(tag).await? == *digest { Use::Is } else { Use::Not });
        }
        found => found?,
    };
    if found.descriptor.digest == *digest {
        return Ok(Use::Is);
    }
    let (mut next, mut seen) = (vec![found.manifest], HashSet::new());
    while let Some(manifest) = next.pop() {
        let Manifest::Index(index) = manifest else { continue };
        if index.manifests.iter().any(|entry| entry.digest == *digest) {
            return Ok(Use::Holds);
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
    Ok(Use::Not)
}
