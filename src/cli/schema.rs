use clap::Args;

use super::failure::Failure;
use super::output::CommandOutput;
use super::session::Session;
use crate::spec;

/// Print the JSON Schema of specs, for editors
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool schema >spec.schema.json\n\nThen start each spec with this line:\n  # yaml-language-server: $schema=spec.schema.json"
)]
pub(super) struct Schema {}

impl Schema {
    #[allow(clippy::unused_self, reason = "same signature as every command")]
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        session.console.json(&spec::schema()).map(CommandOutput::from)
    }
}
