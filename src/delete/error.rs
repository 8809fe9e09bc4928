use std::fmt;

use super::uses::Uses;
use crate::image::{Digest, Location, NoTagMatches, UntrustedText};
use crate::store;

/// Why a reference was not deleted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry or layout failed, or refused the request.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Other tags or indexes use the manifest, and [`DeleteOptions::with_every_tag`](super::DeleteOptions::with_every_tag) is not set.
    #[error("{0}")]
    TakesMore(Box<TakesMore>),
    /// A pattern matches no tag of the repository. Nothing is deleted.
    #[error(transparent)]
    NoTagMatches(#[from] Box<NoTagMatches>),
    /// The rules keep the newest versions, but tags that match are not versions. Nothing is deleted.
    #[error("{0}")]
    NotVersions(Box<NotVersions>),
}

/// Tags that cannot be ordered by version.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NotVersions {
    /// The repository or layout.
    pub repository: Location,
    /// The tags that are not versions.
    pub tags: Vec<UntrustedText>,
}

impl fmt::Display for NotVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_NAMED: usize = 5;
        let Self { repository, tags } = self;
        let named = tags.get(..MAX_NAMED).unwrap_or(tags);
        write!(f, "{repository}: the newest versions cannot be kept, because these tags are not versions: ")?;
        f.write_str(&names(named))?;
        match tags.len() - named.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
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
