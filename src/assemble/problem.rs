use std::fmt;

use crate::image::{Location, Platform};
use crate::store::Error;

/// All sources that cannot be used.
#[derive(Debug)]
pub struct ResolveError {
    /// The index that was to be made.
    pub target: Location,
    /// Each source with its reason; never empty.
    pub problems: Vec<SourceProblem>,
}

/// One source that cannot be used.
#[derive(Debug)]
pub struct SourceProblem {
    /// The platform that was asked for; empty where none was.
    pub platform: Platform,
    /// Why it cannot be used.
    pub reason: SourceReason,
}

/// Why a source cannot be used.
#[derive(Debug, Clone)]
pub enum SourceReason {
    /// The registry's doing.
    Registry(Error),
    /// The source's own, with its reference.
    Unusable(String),
}

impl From<Error> for SourceReason {
    fn from(error: Error) -> Self {
        Self::Registry(error)
    }
}

impl fmt::Display for SourceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(error) => error.fmt(f),
            Self::Unusable(reason) => f.write_str(reason),
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
