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
}

/// Where events go.
pub type Reporter<'a> = &'a (dyn Fn(Event) + Sync);
