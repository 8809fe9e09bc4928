use std::fmt;

use crate::event::Warning;
use crate::image::{Location, Platform, UntrustedText};
use crate::store::Error;

/// Why resolved sources do not make an index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// Every source was skipped.
    Empty {
        /// The index that was to be made.
        target: Location,
    },
    /// Entries that a store could not choose between.
    SamePlatform {
        /// The index that was to be made.
        target: Location,
        /// The platform, and the two entries by source and digest, for each clash.
        clashes: Vec<(Platform, String, String)>,
    },
    /// A Docker manifest list has no place for something that the index is to have.
    NotDockers {
        /// The index that was to be made.
        target: Location,
        /// What that is.
        what: &'static str,
    },
    /// The index is longer than what registries take, 4 MiB.
    TooLong {
        /// The index that was to be made.
        target: Location,
        /// Bytes.
        size: u64,
    },
    /// What the target holds cannot be changed as asked for.
    Unamendable {
        /// The index that was to be changed.
        target: Location,
        /// Why; never empty.
        reasons: Vec<UntrustedText>,
    },
    /// What is likely to be a mistake was to be an error.
    Strict {
        /// The index that was to be made.
        target: Location,
        /// What that is; never empty.
        warnings: Vec<Warning>,
    },
    /// The index cannot be written as JSON.
    Unwritable {
        /// The index that was to be made.
        target: Location,
        /// Why.
        reason: UntrustedText,
    },
}

/// Pairs of entries for one platform that a message names.
const MAX_CLASHES: usize = 20;

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, reasons) = match self {
            Self::Empty { target } => (target, vec!["all sources are missing, there is nothing to push".to_owned()]),
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
            Self::NotDockers { target, what } => {
                let reason = format!("it would be a Docker manifest list, which has no {what}; with --type oci it has");
                (target, vec![reason])
            }
            Self::TooLong { target, size } => {
                (target, vec![format!("the index has {size} bytes, more than the 4 MiB that registries take")])
            }
            Self::Unamendable { target, reasons } => (target, reasons.iter().map(ToString::to_string).collect()),
            Self::Strict { target, warnings } => (target, warnings.iter().map(ToString::to_string).collect()),
            Self::Unwritable { target, reason } => (target, vec![format!("cannot write the index: {reason}")]),
        };
        let what = if matches!(self, Self::Unamendable { .. }) { "change" } else { "assemble" };
        write!(f, "cannot {what} {target}: {}", reasons.join("\n  "))
    }
}

impl std::error::Error for PlanError {}

/// All sources that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResolveError {
    /// The index that was to be made.
    pub target: Location,
    /// Each source with its reason; never empty.
    pub problems: Vec<SourceProblem>,
}

/// One source that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct SourceProblem {
    /// The platform that was asked for; empty where none was.
    pub platform: Platform,
    /// Why it cannot be used.
    pub reason: SourceReason,
}

/// Why a source cannot be used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SourceReason {
    /// The registry's doing.
    Registry(Error),
    /// The source's own, with its reference.
    Unusable(UntrustedText),
}

impl From<Error> for SourceReason {
    fn from(error: Error) -> Self {
        Self::Registry(error)
    }
}

impl SourceReason {
    /// Whether the failure of another index, with which this one shares a source, is this one's as well.
    pub(super) fn counts(&self) -> bool {
        match self {
            Self::Registry(error) => error.counts(),
            Self::Unusable(_) => true,
        }
    }
}

impl fmt::Display for SourceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(error) => error.fmt(f),
            Self::Unusable(reason) => reason.fmt(f),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot assemble {}: ", self.target)?;
        // What is so for several sources, such as a refused password, is said once.
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        for problem in &self.problems {
            let named = problem.platform != Platform::default();
            let platform = if named { problem.platform.to_string() } else { String::new() };
            let reason = problem.reason.to_string();
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, platforms)) => platforms.push(platform),
                None => reasons.push((reason, vec![platform])),
            }
        }
        let write = |f: &mut fmt::Formatter<'_>, reason: &str, platforms: &[String]| {
            let named: Vec<&str> =
                platforms.iter().map(String::as_str).filter(|platform| !platform.is_empty()).collect();
            if named.is_empty() { f.write_str(reason) } else { write!(f, "{}: {reason}", named.join(", ")) }
        };
        match (reasons.as_slice(), self.problems.len()) {
            ([(reason, platforms)], 1) => write(f, reason, platforms),
            ([(reason, _)], _) => f.write_str(reason),
            (reasons, count) => {
                write!(f, "{count} sources cannot be used")?;
                reasons.iter().try_for_each(|(reason, platforms)| {
                    f.write_str("\n  ")?;
                    write(f, reason, platforms)
                })
            }
        }
    }
}

impl std::error::Error for ResolveError {}

impl ResolveError {
    /// What registries said, for hints.
    pub fn registry_errors(&self) -> impl Iterator<Item = &Error> {
        self.problems.iter().filter_map(|problem| match &problem.reason {
            SourceReason::Registry(error) => Some(error),
            SourceReason::Unusable(_) => None,
        })
    }
}
