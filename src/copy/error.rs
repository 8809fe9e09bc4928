use crate::image::{Location, UntrustedText};
use crate::store::{Error as StoreError, PublishError};

/// Why something was not copied, or not completely.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was to be copied cannot be read, or does not hold what was asked for.
    #[error("cannot copy {}", about(.from, .reason))]
    Source {
        /// What was to be copied.
        from: Box<Location>,
        /// Why.
        #[source]
        reason: Box<CopyProblem>,
    },
    /// Writing failed; the error says what was written before.
    #[error(transparent)]
    Publish(Box<PublishError>),
}

impl Error {
    pub(super) fn source(from: &Location, reason: CopyProblem) -> Self {
        Self::Source { from: Box::new(from.clone()), reason: Box::new(reason) }
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

/// Names the source before the reason, unless the reason begins with it.
fn about(from: &Location, reason: &CopyProblem) -> String {
    match reason {
        CopyProblem::Store(error) if error.subject() == from.to_string() => reason.to_string(),
        _ => format!("{from}: {reason}"),
    }
}

/// What is wrong with the source of a copy.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CopyProblem {
    /// The registry or layout failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not hold what was asked for.
    #[error("{0}")]
    Unusable(UntrustedText),
}
