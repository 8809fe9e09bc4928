use serde::Serialize;

/// Why something failed.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ErrorJson {
    pub(in crate::cli) message: String,
    pub(in crate::cli) hints: Vec<String>,
}

/// Why a command failed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct RunErrorJson {
    #[serde(flatten)]
    pub(in crate::cli) error: ErrorJson,
    pub(in crate::cli) exit_code: u8,
}

/// One of several references: the result of the command, or why it failed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(in crate::cli) enum Either<R, F = FailedJson> {
    Result(R),
    Failed(F),
}

/// A reference that a command failed on.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct FailedJson {
    /// The reference as the user wrote it.
    pub(in crate::cli) reference: String,
    pub(in crate::cli) error: ErrorJson,
}

impl ErrorJson {
    /// Why an archive was not written though its content was ready.
    pub(super) fn unwritten_archive() -> Self {
        let message = "the archive is not written, as not all of the run is done".into();
        Self { message, hints: Vec::new() }
    }
}
