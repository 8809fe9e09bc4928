use std::fmt;

use crate::image::{Location, Platform, UntrustedText};
use crate::store::{CauseGroup, Error as StoreError, Hit, by_cause, lines};

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
    /// The source. `None` if the problem is not one of a single source.
    pub source: Option<Location>,
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
    /// The source's content cannot be used.
    #[error("{text}{}", .suggestion.iter().map(|meant| format!("; did you mean {meant}?")).collect::<String>())]
    Unusable {
        /// Why it cannot be used; the text starts with the source.
        text: UntrustedText,
        /// The platform that was probably meant, if the platform is unknown.
        suggestion: Option<UntrustedText>,
    },
}

impl SourceReason {
    /// Whether the failure of one index also applies to another index that shares the source.
    pub(super) fn is_shareable(&self) -> bool {
        match self {
            Self::Missing(error) | Self::Store(error) => error.is_shareable(),
            Self::Unusable { .. } => true,
        }
    }
}

impl SourceProblem {
    /// Returns the platform that was probably meant, if the platform is unknown.
    #[must_use]
    pub fn suggestion(&self) -> Option<&UntrustedText> {
        match &self.reason {
            SourceReason::Unusable { suggestion, .. } => suggestion.as_ref(),
            SourceReason::Missing(_) | SourceReason::Store(_) => None,
        }
    }

    /// Returns the message without the suggestion. It starts with the platform, if the spec names one.
    #[must_use]
    pub fn message(&self) -> String {
        self.with_platform(match &self.reason {
            SourceReason::Unusable { text, .. } => text.to_string(),
            reason => reason.to_string(),
        })
    }

    fn with_platform(&self, text: String) -> String {
        let platform = &self.platform;
        if *platform == Platform::default() { text } else { format!("{platform}: {text}") }
    }

    /// Returns the problem for a list of problems. Its message starts with the platform, if the spec names one.
    pub(crate) fn hit(&self) -> Hit {
        let source = self.source.as_ref().map(ToString::to_string).unwrap_or_default();
        let Hit { cause, name, message } = match &self.reason {
            SourceReason::Missing(error) | SourceReason::Store(error) => error.hit(source),
            SourceReason::Unusable { text, suggestion } => {
                let meant = suggestion.iter().map(|meant| format!("; did you mean {meant}?"));
                let text = text.to_string();
                let cause = text.strip_prefix(&source).unwrap_or(&text).trim_start_matches([':', ' ']);
                let cause = std::iter::once(cause.to_owned()).chain(meant).collect();
                Hit { cause, name: source, message: self.reason.to_string() }
            }
        };
        Hit { cause, name: self.with_platform(name), message: self.with_platform(message) }
    }
}

impl ResolveError {
    /// Returns the problems, grouped by cause.
    pub(crate) fn by_cause(&self) -> Vec<CauseGroup> {
        by_cause(self.problems.iter().map(SourceProblem::hit))
    }

    /// Returns the first line of the message: the only problem, or the number of problems and the cause that all share.
    pub(crate) fn headline(&self) -> String {
        let Self { target, .. } = self;
        let groups = self.by_cause();
        let count: usize = groups.iter().map(Vec::len).sum();
        match (groups.as_slice(), self.problems.as_slice()) {
            ([group], [only, ..]) if group.len() == 1 => {
                format!("cannot assemble {target}: {}", only.with_platform(only.reason.to_string()))
            }
            ([group], _) => {
                let cause = group.first().map(|hit| hit.cause.as_str()).unwrap_or_default();
                format!("cannot assemble {target}: {count} sources cannot be used: {cause}")
            }
            _ => format!("cannot assemble {target}: {count} sources cannot be used"),
        }
    }

    /// Returns the lines after the first one: the problems, or the sources if they share a cause.
    pub(crate) fn details(&self) -> Vec<String> {
        match self.by_cause().as_slice() {
            [group] if group.len() == 1 => Vec::new(),
            [group] => group.iter().map(|hit| hit.name.clone()).collect(),
            groups => lines(groups),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        self.details().iter().try_for_each(|line| write!(f, "\n  {line}"))
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
            SourceReason::Unusable { .. } => None,
        })
    }

    /// Whether a source does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.store_errors().any(StoreError::is_missing)
    }
}
