use std::fmt;

use super::merge::SelectorProblem;
use crate::event::Warning;
use crate::image::{Location, Platform, UntrustedText};
use crate::store::{Error as StoreError, PublishError};

/// Why assembling or writing an index failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Some sources cannot be used. No manifest was written.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The sources do not make a valid index. No manifest was written.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// The target cannot be read. No manifest was written.
    #[error(transparent)]
    Target(StoreError),
    /// Writing failed; the error lists what was written before.
    #[error(transparent)]
    Publish(Box<PublishError>),
    /// Other writers overwrote the tag after every write, or changed it before every write.
    #[error("{}", contended(*.times, .written))]
    Contended {
        /// How often the tag was written.
        times: u32,
        /// The outcome for the tags, without errors.
        written: Box<PublishError>,
    },
    /// The tag was written, but other writers replaced it with content to which the change cannot be applied.
    #[error("{error}\n  the tag was written, but other writers overwrote it")]
    Unplanned {
        /// Why the change cannot be applied again.
        #[source]
        error: Box<PlanError>,
        /// The outcome for the tags, without errors.
        written: Box<PublishError>,
    },
}

fn contended(times: u32, written: &PublishError) -> String {
    let target = &written.target;
    let times = match times {
        0 => return format!("{target}: not written: other writers changed it before each attempt; run this again"),
        1 => "once".to_owned(),
        times => format!("{times} times"),
    };
    format!("{target}: written {times}, but other writers overwrote it; run this again when they are done")
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

/// All sources that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResolveError {
    /// The target of the index.
    pub target: Location,
    /// Each source with its reason; never empty.
    pub problems: Vec<SourceProblem>,
}

/// One source that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct SourceProblem {
    /// The requested platform; empty if the spec names no platform.
    pub platform: Platform,
    /// Why the source cannot be used.
    pub reason: SourceReason,
}

/// Why a source cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SourceReason {
    /// The source's own manifest does not exist.
    #[error(transparent)]
    Missing(StoreError),
    /// The source, or a part of it, cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source's content cannot be used; the text names the source.
    #[error("{0}")]
    Unusable(UntrustedText),
}

impl SourceReason {
    /// Whether the failure of one index also applies to another index that shares the source.
    pub(super) fn is_shareable(&self) -> bool {
        match self {
            Self::Missing(error) | Self::Store(error) => error.is_shareable(),
            Self::Unusable(_) => true,
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot assemble {}: ", self.target)?;
        // Report a reason that several sources share only once, such as a refused password.
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        for problem in &self.problems {
            let named = problem.platform != Platform::default();
            let platform = if named { problem.platform.to_string() } else { String::new() };
            let reason = problem.reason.to_string();
            match reasons.iter_mut().find(|(other, _)| *other == reason) {
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
    /// Returns the first problem that comes from a registry or layout.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.store_errors().next().map(|error| error as _)
    }
}

impl ResolveError {
    /// Returns the errors of registries and layouts.
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
