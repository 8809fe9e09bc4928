use std::fmt;

use crate::image::{Digest, Location};
use crate::store::Step;

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
        reference: Location,
        /// What it is.
        digest: Digest,
    },
    /// Something that the index refers to came to be in its place.
    Placed(Step),
}

/// Where events go.
pub type Reporter<'a> = &'a (dyn Fn(Event) + Sync);

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SkippedMissing { platform: Some(platform), reason } => write!(f, "{platform}: skipped: {reason}"),
            Self::SkippedMissing { platform: None, reason } => write!(f, "skipped: {reason}"),
            Self::Resolved { reference, digest } => write!(f, "{reference} is {digest}"),
            Self::Placed(step) => step.fmt(f),
        }
    }
}

impl From<Step> for Event {
    fn from(step: Step) -> Self {
        Self::Placed(step)
    }
}
