use std::fmt;

use crate::image::{Digest, Location};

/// How a blob came to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobOutcome {
    /// The target had it.
    Existing,
    /// The registry took it from another of its repositories (distribution-spec, "Mounting a blob from another
    /// repository").
    Mounted,
    /// It was sent.
    Uploaded,
}

/// A part of a target that is in place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A blob, with its size in bytes.
    Blob(Digest, u64, BlobOutcome),
    /// A manifest that was pushed by digest.
    Manifest(Digest),
    /// A tag that was written.
    Tag(Location),
    /// A tag that had the digest already; it is not written.
    TagUnchanged(Location),
    /// A tag of signatures that holds others at the target than at the source; it is kept.
    TagKept(Location),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest, _, BlobOutcome::Existing) => write!(f, "blob {digest} is there"),
            Self::Blob(digest, _, BlobOutcome::Mounted) => write!(f, "mounted blob {digest}"),
            Self::Blob(digest, _, BlobOutcome::Uploaded) => write!(f, "sent blob {digest}"),
            Self::Manifest(digest) => write!(f, "pushed manifest {digest}"),
            Self::Tag(tag) => write!(f, "pushed {tag}"),
            Self::TagUnchanged(tag) => write!(f, "{tag} is up to date"),
            Self::TagKept(tag) => write!(f, "{tag} holds other signatures than the source's, and is left as it is"),
        }
    }
}
