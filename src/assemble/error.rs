use std::fmt;

use super::merge::SelectorProblem;
use crate::event::Warning;
use crate::image::{Location, Platform, UntrustedText};
use crate::store::{Error as StoreError, PublishError};

/// Why an index was not assembled, or not completely.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Sources that cannot be used. No manifest was written.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Sources that do not make an index together. No manifest was written.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// What the target holds cannot be read. No manifest was written.
    #[error(transparent)]
    Target(StoreError),
    /// Writing failed; the error says what was written before.
    #[error(transparent)]
    Publish(Box<PublishError>),
    /// Other writers kept writing over the tag, or changed it each time before it was written.
    #[error("{}", contended(*.times, .written))]
    Contended {
        /// How often it was written.
        times: u32,
        /// The tag, and what became of it; without errors.
        written: Box<PublishError>,
    },
    /// The tag was written, and other writers have put something there to which the change cannot be made.
    #[error("{error}\n  it was written, and then written over by others")]
    Unplanned {
        /// Why the change cannot be made again.
        #[source]
        error: Box<PlanError>,
        /// The tag, and what became of it; without errors.
        written: Box<PublishError>,
    },
}

fn contended(times: u32, written: &PublishError) -> String {
    let target = &written.target;
    let times = match times {
        0 => return format!("{target}: changed by others each time that it was to be written; run this again"),
        1 => "once".to_owned(),
        times => format!("{times} times"),
    };
    format!("{target}: written {times}, and written over by others each time; run this again when they are done")
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

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
    /// Selectors that do not stand for one image each.
    Selectors {
        /// The index that was to be changed.
        target: Location,
        /// What is wrong with them; never empty.
        problems: Vec<SelectorProblem>,
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
                (target, vec![format!("it would be a Docker manifest list, which has no {what}")])
            }
            Self::TooLong { target, size } => {
                (target, vec![format!("the index has {size} bytes, more than the 4 MiB that registries take")])
            }
            Self::Selectors { target, problems } => (target, problems.iter().map(ToString::to_string).collect()),
            Self::Unamendable { target, reasons } => (target, reasons.iter().map(ToString::to_string).collect()),
            Self::Strict { target, warnings } => (target, warnings.iter().map(ToString::to_string).collect()),
            Self::Unwritable { target, reason } => (target, vec![format!("cannot write the index: {reason}")]),
        };
        let is_change = matches!(self, Self::Unamendable { .. } | Self::Selectors { .. });
        let what = if is_change { "change" } else { "assemble" };
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
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SourceReason {
    /// The source's own manifest does not exist.
    #[error(transparent)]
    Missing(StoreError),
    /// It, or a part of it, cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it holds cannot be used; names the source.
    #[error("{0}")]
    Unusable(UntrustedText),
}

impl SourceReason {
    /// Whether the failure of another index, with which this one shares a source, is this one's as well.
    pub(super) fn counts(&self) -> bool {
        match self {
            Self::Missing(error) | Self::Store(error) => error.counts(),
            Self::Unusable(_) => true,
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

impl std::error::Error for ResolveError {
    /// The first of the problems that comes from a registry or layout.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.store_errors().next().map(|error| error as _)
    }
}

impl ResolveError {
    /// What registries and layouts said.
    pub fn store_errors(&self) -> impl Iterator<Item = &StoreError> {
        self.problems.iter().filter_map(|problem| match &problem.reason {
            SourceReason::Missing(error) | SourceReason::Store(error) => Some(error),
            SourceReason::Unusable(_) => None,
        })
    }

    /// Whether a source does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.store_errors().any(StoreError::is_missing)
    }
}
