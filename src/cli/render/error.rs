use serde::Serialize;

use super::problem::ProblemReport;

/// An error: its message and hints.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ErrorJson {
    pub(in crate::cli) message: String,
    pub(in crate::cli) hints: Vec<String>,
    /// The problems, if the failure consists of problems or hit several references.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli) problems: Vec<ProblemReport>,
}

/// The error of a command, with the exit code.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct RunErrorJson {
    #[serde(flatten)]
    pub(in crate::cli) error: ErrorJson,
    pub(in crate::cli) exit_code: u8,
}

/// One of several references: its result or its error.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(in crate::cli) enum Either<R, F = FailedJson> {
    Result(R),
    Failed(F),
}

/// A reference that failed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct FailedJson {
    /// The reference as the user wrote it.
    pub(in crate::cli) reference: String,
    pub(in crate::cli) error: ErrorJson,
}

impl ErrorJson {
    /// Creates the error of an archive that was not written because another part of the run failed.
    pub(super) fn unwritten_archive() -> Self {
        let message = "the archive is not written: the run is incomplete".into();
        Self { message, hints: Vec::new(), problems: Vec::new() }
    }
}
