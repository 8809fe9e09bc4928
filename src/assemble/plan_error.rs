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

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, reasons) = match self {
            Self::Empty { target } => (target, vec!["all sources are missing, so the index would be empty".to_owned()]),
            Self::SamePlatform { target, clashes } => {
                let clash = |(platform, first, second): &(Platform, String, String)| {
                    format!("two entries for platform {platform}: {first} and {second}")
                };
                let mut reasons: Vec<String> = clashes.iter().take(MAX_CLASHES).map(clash).collect();
                if clashes.len() > MAX_CLASHES {
                    reasons.push(format!("and {} more such pairs", clashes.len() - MAX_CLASHES));
                }
                (target, reasons)
            }
            Self::NoEntry { target, platforms } => {
                let platforms: Vec<String> = platforms.iter().map(ToString::to_string).collect();
                (target, vec![format!("an annotation is for {}, but no image is", platforms.join(", "))])
            }
            Self::UnsupportedByDocker { target, field } => {
                (target, vec![format!("a Docker manifest list cannot have the field {field}")])
            }
            Self::TooLong { target, size } => {
                (target, vec![format!("the index has {size} bytes, more than the 4 MiB that registries accept")])
            }
            Self::Selectors { target, problems } => (target, problems.iter().map(ToString::to_string).collect()),
            Self::Unamendable { target, reasons } => (target, reasons.iter().map(ToString::to_string).collect()),
            Self::Strict { target, warnings } => (target, warnings.iter().map(ToString::to_string).collect()),
            Self::Unwritable { target, reason } => (target, vec![format!("cannot encode the index: {reason}")]),
        };
        let is_change = matches!(self, Self::Unamendable { .. } | Self::Selectors { .. });
        let action = if is_change { "change" } else { "assemble" };
        write!(f, "cannot {action} {target}: {}", reasons.join("\n  "))
    }
}

impl std::error::Error for PlanError {}
