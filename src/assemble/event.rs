use std::fmt;

use crate::image::{Digest, Reference};

/// Something that happened on the way, for whoever shows it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A source does not exist and is left out.
    SkippedMissing {
        /// The platform asked for, where one was.
        platform: Option<String>,
        /// What the registry said.
        reason: String,
    },
    /// A source's manifest is fetched and verified.
    Resolved {
        /// Where it is.
        reference: Reference,
        /// What it is.
        digest: Digest,
    },
    /// A blob is in the target's repository.
    BlobPlaced {
        /// Which one.
        digest: Digest,
        /// Whether it was mounted; else it was sent.
        mounted: bool,
    },
    /// A child manifest is in the target's repository.
    ChildPushed {
        /// Which one.
        digest: Digest,
    },
    /// A tag points at the index.
    TagPushed {
        /// The tag with its repository.
        reference: Reference,
    },
    /// A tag pointed at the index before; it is not written.
    TagUnchanged {
        /// The tag with its repository.
        reference: Reference,
    },
}

/// Where events go.
pub type Reporter<'a> = &'a (dyn Fn(Event) + Sync);

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkippedMissing { platform: Some(platform), reason } => write!(f, "{platform}: skipped: {reason}"),
            Self::SkippedMissing { platform: None, reason } => write!(f, "skipped: {reason}"),
            Self::Resolved { reference, digest } => write!(f, "{reference} is {digest}"),
            Self::BlobPlaced { digest, mounted: true } => write!(f, "mounted blob {digest}"),
            Self::BlobPlaced { digest, mounted: false } => {
                write!(f, "sent blob {digest}, which the registry did not mount")
            }
            Self::ChildPushed { digest } => write!(f, "pushed manifest {digest}"),
            Self::TagPushed { reference } => write!(f, "pushed {reference}"),
            Self::TagUnchanged { reference } => write!(f, "{reference} points at the index already"),
        }
    }
}
