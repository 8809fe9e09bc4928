use std::fmt;
use std::time::Duration;

use crate::image::Location;

/// What a push or copy is doing, with counts for a progress display. A dry run reports the phases that it predicts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The sources of an index are fetched and checked.
    Resolving {
        /// The number of sources that are resolved or have failed.
        done: usize,
        /// The number of all sources.
        total: usize,
    },
    /// More blobs were found that the target needs. It may already have them.
    BlobsFound {
        /// The number of blobs.
        count: usize,
        /// Their total size in bytes.
        bytes: u64,
    },
    /// One of the found blobs is at the target.
    BlobDone {
        /// Its size in bytes.
        bytes: u64,
    },
    /// The manifests of images are pushed.
    Manifests {
        /// The number of manifests that are at the target.
        done: usize,
        /// The number of all manifests to push.
        total: usize,
    },
    /// A tag is about to be written.
    WritingTag {
        /// The tag.
        tag: Location,
        /// Its number, from 1.
        number: usize,
        /// The number of all tags.
        total: usize,
    },
    /// Several tags are about to be written in one request.
    WritingTags {
        /// The number of tags.
        tags: usize,
    },
    /// The target is checked for changes of other writers after a wait.
    Settling {
        /// The wait.
        time: Duration,
    },
    /// The written tags are read until they resolve to the new digest.
    ReadingBack {
        /// The number of tags.
        tags: usize,
    },
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolving { done, total } => write!(f, "resolved {done} of {total} images"),
            Self::BlobsFound { count, bytes } => write!(f, "{count} blobs to copy, {bytes} bytes"),
            Self::BlobDone { bytes } => write!(f, "a blob of {bytes} bytes is at the target"),
            Self::Manifests { done, total } => write!(f, "pushed {done} of {total} manifests"),
            Self::WritingTag { tag, number, total } => write!(f, "writing {tag} ({number} of {total})"),
            Self::WritingTags { tags } => write!(f, "writing {tags} tags in one request"),
            Self::Settling { time } => write!(f, "checking for other writers in {:.1} s", time.as_secs_f64()),
            Self::ReadingBack { tags } => write!(f, "waiting until {tags} tags resolve to the new digest"),
        }
    }
}
