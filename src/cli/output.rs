use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::render::{Body, Document};

/// What a command hands to the program when it has done its part.
#[derive(Debug)]
pub(super) enum CommandOutput {
    /// Text for stdout, printed in one piece, and the exit status.
    Results {
        /// Empty if the command has printed its results already.
        text: String,
        status: ExitStatus,
    },
    /// A subcommand is missing: the program prints the command's help.
    Help,
}

impl CommandOutput {
    pub(super) fn new(text: String, status: ExitStatus) -> Self {
        Self::Results { text, status }
    }

    /// The output of a command that has printed its text: its document with `--output json`. A failure takes the document
    /// with it.
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
