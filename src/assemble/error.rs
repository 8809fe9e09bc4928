use std::fmt;

use super::plan_error::PlanError;
use super::report::TargetReport;
use super::resolve_error::ResolveError;
use crate::store::{Error as StoreError, PublishError, TagOutcome};

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
    /// No tag was written at this target, because another target failed before any tag was written.
    #[error("{}: no tag was written, because another target failed", .0.target)]
    Withheld(Box<PublishError>),
    /// Some of several targets failed.
    #[error(transparent)]
    Targets(Box<TargetsError>),
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
        0 => "not written: other writers changed it before each attempt; run this again".to_owned(),
        1 => format!("written once, {OVERWRITTEN}"),
        times => format!("written {times} times, {OVERWRITTEN}"),
    };
    // Extra tags that were written before the target changed again.
    let unknown = written.tags.iter().filter(|tag| tag.location != *target && tag.outcome == TagOutcome::Unknown);
    let unknown: Vec<String> = unknown.map(|tag| tag.location.to_string()).collect();
    let unknown = if unknown.is_empty() { String::new() } else { format!("\n  not known: {}", unknown.join(", ")) };
    format!("{target}: {times}{unknown}")
}

const OVERWRITTEN: &str = "but other writers overwrote it; run this again when they are done";

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl From<TargetsError> for Error {
    fn from(error: TargetsError) -> Self {
        Self::Targets(Box::new(error))
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

/// The failure of some of several targets.
#[derive(Debug)]
#[non_exhaustive]
pub struct TargetsError {
    /// The outcome for each target, in order. At least one failed.
    pub outcomes: Vec<Result<TargetReport, Error>>,
}

impl TargetsError {
    /// Returns the errors of the targets that failed by themselves.
    pub fn errors(&self) -> impl Iterator<Item = &Error> {
        let errors = self.outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        errors.filter(|error| !matches!(error, Error::Withheld(_)))
    }

    /// Returns the message, with the errors as `text` describes them.
    pub(crate) fn message(&self, text: impl Fn(&Error) -> String) -> String {
        let summary = self.summary();
        let mut lines: Vec<String> = self.errors().map(text).collect();
        if summary == NOTHING_WRITTEN {
            for line in &mut lines {
                if let Some(shorter) = line.strip_suffix("\n  no tag was written") {
                    *line = shorter.to_owned();
                }
            }
        }
        lines.push(format!("  {summary}"));
        lines.join("\n")
    }

    /// Whether a tag was written at any target.
    pub(crate) fn has_written(&self) -> bool {
        !self.outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(Error::wrote_nothing))
    }

    /// Returns which of the targets were pushed.
    fn summary(&self) -> String {
        let reports = || self.outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
        if !self.has_written() {
            return NOTHING_WRITTEN.into();
        }
        let withheld = self.outcomes.iter().filter_map(|outcome| match outcome {
            Err(Error::Withheld(error)) => Some(error.target.to_string()),
            _ => None,
        });
        let lists = [
            ("pushed", reports().map(|report| report.plan.target.to_string()).collect::<Vec<_>>()),
            ("not written", withheld.collect()),
        ];
        let lists = lists.iter().filter(|(_, targets)| !targets.is_empty());
        let lists: Vec<String> = lists.map(|(what, targets)| format!("{what}: {}", targets.join(", "))).collect();
        if lists.is_empty() { "no target was pushed completely".into() } else { lists.join("; ") }
    }
}

const NOTHING_WRITTEN: &str = "no tag was written at any target";

impl Error {
    /// Whether no tag was written.
    fn wrote_nothing(&self) -> bool {
        match self {
            Self::Resolve(_) | Self::Plan(_) | Self::Target(_) => true,
            Self::Publish(error) | Self::Withheld(error) => {
                error.tags.iter().all(|tag| tag.outcome == TagOutcome::Failed)
            }
            Self::Contended { .. } | Self::Unplanned { .. } | Self::Targets(_) => false,
        }
    }
}

impl fmt::Display for TargetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(ToString::to_string))
    }
}

impl std::error::Error for TargetsError {
    /// Returns the first error.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.errors().next().map(|error| error as _)
    }
}
