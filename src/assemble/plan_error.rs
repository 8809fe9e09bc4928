use std::fmt;

use super::merge::SelectorProblem;
use crate::event::Warning;
use crate::image::{Location, Platform, UntrustedText};

/// Why an index cannot be made from resolved sources.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// Every source was skipped.
    Empty {
        /// The target of the index.
        target: Location,
    },
    /// Several entries are for the same platform, so clients could not choose between them.
    SamePlatform {
        /// The target of the index.
        target: Location,
        /// The platform, and the two entries by source and digest, for each clash.
        clashes: Vec<(Platform, String, String)>,
    },
    /// Annotations are for platforms that no image of the index is for.
    NoEntry {
        /// The target of the index.
        target: Location,
        /// The platforms; never empty.
        platforms: Vec<Platform>,
    },
    /// The index needs a field that Docker manifest lists do not have.
    UnsupportedByDocker {
        /// The target of the index.
        target: Location,
        /// The name of the field.
        field: &'static str,
    },
    /// The index is larger than the 4 MiB that registries accept.
    TooLong {
        /// The target of the index.
        target: Location,
        /// The size of the index in bytes.
        size: u64,
    },
    /// Some selectors do not match exactly one image.
    Selectors {
        /// The target of the index.
        target: Location,
        /// The problem of each such selector; never empty.
        problems: Vec<SelectorProblem>,
    },
    /// The target's content does not allow the requested change.
    Unamendable {
        /// The target of the index.
        target: Location,
        /// Why the change is not possible; never empty.
        reasons: Vec<UntrustedText>,
    },
    /// The index has warnings, and [`PushOptions::strict`](super::PushOptions::strict) is set.
    Strict {
        /// The target of the index.
        target: Location,
        /// The warnings; never empty.
        warnings: Vec<Warning>,
    },
    /// The index cannot be encoded as JSON.
    Unwritable {
        /// The target of the index.
        target: Location,
        /// Why the encoding failed.
        reason: UntrustedText,
    },
}

/// The maximum number of pairs of entries for one platform that a message lists.
const MAX_CLASHES: usize = 20;

impl PlanError {
    /// Returns the start of the message, before the reasons.
    pub(crate) fn prefix(&self) -> String {
        let (action, target) = match self {
            Self::Unamendable { target, .. } | Self::Selectors { target, .. } => ("change", target),
            Self::Empty { target }
            | Self::SamePlatform { target, .. }
            | Self::NoEntry { target, .. }
            | Self::UnsupportedByDocker { target, .. }
            | Self::TooLong { target, .. }
            | Self::Strict { target, .. }
            | Self::Unwritable { target, .. } => ("assemble", target),
        };
        format!("cannot {action} {target}: ")
    }

    /// Returns the reasons, a line each.
    pub(crate) fn reasons(&self) -> Vec<String> {
        match self {
            Self::Empty { .. } => vec!["all sources are missing, so the index would be empty".to_owned()],
            Self::SamePlatform { clashes, .. } => {
                let clash = |(platform, first, second): &(Platform, String, String)| {
                    format!("two entries for platform {platform}: {first} and {second}")
                };
                let mut reasons: Vec<String> = clashes.iter().take(MAX_CLASHES).map(clash).collect();
                if clashes.len() > MAX_CLASHES {
                    reasons.push(format!("and {} more such pairs", clashes.len() - MAX_CLASHES));
                }
                reasons
            }
            Self::NoEntry { platforms, .. } => {
                let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
                vec![format!("an annotation is for {}, but no image is", platforms.join(", "))]
            }
            Self::UnsupportedByDocker { field, .. } => {
                vec![format!("a Docker manifest list cannot have the field {field}")]
            }
            Self::TooLong { size, .. } => {
                vec![format!("the index has {size} bytes, more than the 4 MiB that registries accept")]
            }
            Self::Selectors { problems, .. } => problems.iter().map(ToString::to_string).collect(),
            Self::Unamendable { reasons, .. } => reasons.iter().map(ToString::to_string).collect(),
            Self::Strict { warnings, .. } => warnings.iter().map(ToString::to_string).collect(),
            Self::Unwritable { reason, .. } => vec![format!("cannot encode the index: {reason}")],
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prefix(), self.reasons().join("\n  "))
    }
}

impl std::error::Error for PlanError {}
