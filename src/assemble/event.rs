use std::fmt;

use super::check::Warning;
use super::outcome::Skipped;
use crate::image::{Digest, Location};
use crate::store::Step;

/// Something that happened on the way, for whoever shows it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A source does not exist and is left out.
    Skipped(Skipped),
    /// Something is likely to be a mistake.
    Warning(Warning),
    /// A source's manifest is fetched and verified.
    Resolved {
        /// Where it is.
        reference: Location,
        /// What it is.
        digest: Digest,
    },
    /// Something that the index refers to came to be in its place.
    Placed(Step),
    /// The target's tag is not what it was, or was to be, and the change is made to what it holds now.
    StartedOver(Location),
}

/// Where events go.
pub type Reporter<'a> = &'a (dyn Fn(Event) + Sync);

impl Event {
    /// Whether the user is to hear of it in any case.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Skipped(_) | Self::Warning(_) | Self::StartedOver(_))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(Skipped { platform: Some(platform), reason, .. }) => {
                write!(f, "{platform}: skipped: {reason}")
            }
            Self::Skipped(Skipped { platform: None, reason, .. }) => write!(f, "skipped: {reason}"),
            Self::Warning(warning) => warning.fmt(f),
            Self::Resolved { reference, digest } => write!(f, "{reference} is {digest}"),
            Self::Placed(step) => step.fmt(f),
            Self::StartedOver(target) => {
                write!(f, "{target} changed meanwhile; starting over from what it holds now")
            }
        }
    }
}

impl From<Step> for Event {
    fn from(step: Step) -> Self {
        Self::Placed(step)
    }
}
