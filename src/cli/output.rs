use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::render::{Body, Document};

/// The output of a command.
#[derive(Debug)]
pub(super) enum CommandOutput {
    /// Text to print on stdout in one piece, and the exit status.
    Results {
        /// The text, which is empty if the command has already printed its results.
        text: String,
        status: ExitStatus,
    },
    /// The command's help, because the subcommand is missing.
    Help,
}

impl CommandOutput {
    pub(super) fn new(text: String, status: ExitStatus) -> Self {
        Self::Results { text, status }
    }

    /// Returns the output of a command that has already printed its text: the document with `--output json`, else an
    /// empty string. Attaches the document to a failure.
    pub(super) fn document(
        console: &Console,
        body: Body,
        result: Result<ExitStatus, Failure>,
    ) -> Result<Self, Failure> {
        match result {
            Ok(status) if console.is_json() => Ok(Self::new(console.json(&Document::from(&body))?, status)),
            Ok(status) => Ok(Self::new(String::new(), status)),
            Err(failure) => Err(failure.with_document(body)),
        }
    }
}

impl From<String> for CommandOutput {
    fn from(text: String) -> Self {
        Self::new(text, ExitStatus::Done)
    }
}
