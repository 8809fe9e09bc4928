use std::fmt;

use crate::image::{Digest, Location};

/// How a blob got into the target repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobOutcome {
    /// The target already had the blob.
    Existing,
    /// The registry mounted the blob from another of its repositories (distribution-spec, "Mounting a blob from another
    /// repository").
    Mounted,
    /// The blob was uploaded.
    Uploaded,
}

/// A completed part of a push or copy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A blob, with its size in bytes.
    Blob(Digest, u64, BlobOutcome),
    /// A manifest that was pushed by digest.
    Manifest(Digest),
    /// A tag that was written.
    Tag(Location),
    /// A tag that already pointed at the digest and was not written.
    TagUnchanged(Location),
    /// A signature tag that was not copied, because the target's tag points at different signatures from the source's.
    TagKept(Location),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest, _, BlobOutcome::Existing) => write!(f, "blob {digest} exists"),
            Self::Blob(digest, _, BlobOutcome::Mounted) => write!(f, "mounted blob {digest}"),
            Self::Blob(digest, _, BlobOutcome::Uploaded) => write!(f, "uploaded blob {digest}"),
            Self::Manifest(digest) => write!(f, "pushed manifest {digest}"),
            Self::Tag(tag) => write!(f, "pushed {tag}"),
            Self::TagUnchanged(tag) => write!(f, "{tag} is up to date"),
            Self::TagKept(tag) => write!(f, "{tag} points at other signatures than the source's and was not changed"),
        }
    }
}
