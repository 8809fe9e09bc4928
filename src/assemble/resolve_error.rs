use std::fmt;

use crate::image::{Location, Platform, UntrustedText};
use crate::store::Error as StoreError;

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
