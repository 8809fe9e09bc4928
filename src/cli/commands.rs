//! The commands and their flags.

use clap::{CommandFactory as _, Parser, Subcommand};

use super::failure::Failure;
use super::global::Global;
use super::output::CommandOutput;
use super::session::Session;
use super::{
    completion, copy, delete, digest, inspect, lint, login, probe, push, query, remove, schema, sign, sync, tags,
    verify,
};

/// The version of the program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Maximum width of the help, in columns.
pub(super) const MAX_WIDTH: usize = 100;

/// Publish multi-platform images: assemble, inspect, copy and check image indexes
#[derive(Debug, Parser)]
#[command(name = "manifest-tool", version, propagate_version = true, args_override_self = true, max_term_width = MAX_WIDTH)]
#[command(
    after_help = "Environment:\n  MANIFEST_TOOL_USERNAME  User name for the target's registry\n  MANIFEST_TOOL_PASSWORD  Password for the target's registry\n  MANIFEST_TOOL_REGISTRY  The only registry to use these two for\n  MANIFEST_TOOL_SOURCE_USERNAME, MANIFEST_TOOL_SOURCE_PASSWORD,\n  MANIFEST_TOOL_TARGET_USERNAME, MANIFEST_TOOL_TARGET_PASSWORD\n                          For one side of push, copy and sync\n\nExample:\n  manifest-tool push from-args --platforms linux/amd64,linux/arm64 \\\n      --template registry.example/app:v1-ARCH --target registry.example/app:v1"
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Push(push::Push),
    Remove(remove::Remove),
    Inspect(inspect::Inspect),
    Query(query::Query),
    #[command(visible_alias = "ls")]
    Tags(tags::Tags),
    Digest(digest::Digest),
    Verify(verify::Verify),
    Sign(sign::Sign),
    Delete(delete::Delete),
    #[command(visible_alias = "cp")]
    Copy(copy::Copy),
    Sync(sync::Sync),
    Probe(probe::Probe),
    Lint(lint::Lint),
    Schema(schema::Schema),
    Completion(completion::Completion),
    Login(login::Login),
    Logout(login::Logout),
}

impl Command {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Completion(_) => "completion",
            Self::Copy(_) => "copy",
            Self::Delete(_) => "delete",
            Self::Digest(_) => "digest",
            Self::Inspect(_) => "inspect",
            Self::Lint(_) => "lint",
            Self::Login(_) => "login",
            Self::Logout(_) => "logout",
            Self::Probe(_) => "probe",
            Self::Push(_) => "push",
            Self::Query(_) => "query",
            Self::Remove(_) => "remove",
            Self::Schema(_) => "schema",
            Self::Sign(_) => "sign",
            Self::Sync(_) => "sync",
            Self::Tags(_) => "tags",
            Self::Verify(_) => "verify",
        }
    }

    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        match self {
            Self::Completion(completion) => Ok(completion.run(command()).into()),
            Self::Copy(command) => command.run(session),
            Self::Delete(command) => command.run(session),
            Self::Digest(command) => command.run(session),
            Self::Inspect(command) => command.run(session),
            Self::Lint(command) => command.run(session),
            Self::Login(command) => command.run(session),
            Self::Logout(command) => command.run(session),
            Self::Probe(command) => command.run(session),
            Self::Push(command) => command.run(session),
            Self::Query(command) => command.run(session),
            Self::Remove(command) => command.run(session),
            Self::Schema(command) => command.run(session),
            Self::Sign(command) => command.run(session),
            Self::Sync(command) => command.run(session),
            Self::Tags(command) => command.run(session),
            Self::Verify(command) => command.run(session),
        }
    }
}

/// Returns the definition of the command line, for completions and man pages.
#[doc(hidden)]
#[must_use]
pub fn command() -> clap::Command {
    // Only lint shows and completes the formats that only it has. clap keeps the flag of a command that has the name of a
    // global one; the values are parsed alike, so that the flag may also precede the command.
    Cli::command().mut_subcommand("lint", |lint| lint.arg(lint::output_flag()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_an_example_and_every_flag_a_line_of_help() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains("Example:\n  manifest-tool "), "{name} has no example");
            assert!(command.get_about().is_some(), "{name}");
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let is_line = !help.is_empty() && !help.contains('\n') && help.len() <= 150;
                assert!(is_line && !help.ends_with('.'), "{name} {}: {help:?}", arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
        command().debug_assert();
    }
}
