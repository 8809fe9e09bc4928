//! The command line: clap's types, a file per command, and the one place that turns errors into messages, hints and
//! exit codes.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the room that talks")]

mod batch;
mod completion;
mod copy;
mod credentials;
mod dashes;
mod delete;
mod digest;
mod documents;
mod duration;
mod exit_status;
mod failure;
mod global;
mod hosts;
mod inspect;
mod lint;
mod login;
mod many;
mod probe;
mod prompt;
mod push;
mod query;
mod registry_name;
mod remove;
mod results;
mod schema;
mod secrets;
mod several;
mod signals;
mod specs;
mod tags;
mod talk;
mod verify;
mod work;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use exit_status::ExitStatus;
use failure::Failure;
use global::Global;
use results::Results;
use secrets::Secrets;

/// Put one multi-platform reference in front of images that were built per platform
#[derive(Debug, Parser)]
#[command(name = "manifest-tool", version, propagate_version = true, args_override_self = true)]
#[command(
    after_help = "Example:\n  manifest-tool push from-args --platforms linux/amd64,linux/arm64 \\\n      --template registry.example/app:v1-ARCH --target registry.example/app:v1"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Push(push::Push),
    Remove(remove::Remove),
    Inspect(inspect::Inspect),
    Query(query::Query),
    Tags(tags::Tags),
    Digest(digest::Digest),
    Verify(verify::Verify),
    Delete(delete::Delete),
    Copy(copy::Copy),
    Probe(probe::Probe),
    Lint(lint::Lint),
    Schema(schema::Schema),
    Completion(completion::Completion),
    Login(login::Login),
    Logout(login::Logout),
}

impl Command {
    fn name(&self) -> &'static str {
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
            Self::Tags(_) => "tags",
            Self::Verify(_) => "verify",
        }
    }

    /// Whether a subcommand of it is missing.
    fn is_incomplete(&self) -> bool {
        matches!(self, Self::Push(push) if !push.has_source())
    }

    fn run(self, global: &Global) -> Result<Results, Failure> {
        match self {
            Self::Completion(command) => Ok(command.run().into()),
            Self::Copy(command) => command.run(global),
            Self::Delete(command) => command.run(global),
            Self::Digest(command) => command.run(global),
            Self::Inspect(command) => command.run(global),
            Self::Lint(command) => command.run(global).map(Results::from),
            Self::Login(command) => command.run(global).map(Results::from),
            Self::Logout(command) => command.run(global).map(Results::from),
            Self::Probe(command) => command.run(global),
            Self::Push(command) => command.run(global),
            Self::Query(command) => command.run(global),
            Self::Remove(command) => command.run(global),
            Self::Schema(command) => Ok(command.run().into()),
            Self::Tags(command) => command.run(global),
            Self::Verify(command) => command.run(global),
        }
    }
}

/// The commands and their flags, for completions and man pages.
#[doc(hidden)]
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Windows gives the first thread of a process a megabyte, which a debug build needs more than.
const STACK: usize = 8 << 20;

/// Runs the command line of this process; gives its exit code.
pub fn main() -> ExitCode {
    match std::thread::Builder::new().name("main".into()).stack_size(STACK).spawn(run) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        Err(_) => run(),
    }
}

fn run() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let secrets = Secrets::new(&args, credentials::secret_values(), &dashes::known_words(&command()));
    let args = dashes::as_clap_has_it(args.into_iter(), &command());
    let parsed = command().try_get_matches_from(args).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        push::check_order(&matches).map_err(|failure| command().error(ErrorKind::UnknownArgument, failure))?;
        Ok(cli)
    });
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &secrets),
    };
    let missing = match &cli.command {
        None => Some(None),
        Some(chosen) => chosen.is_incomplete().then(|| Some(chosen.name())),
    };
    if let Some(of) = missing {
        // With credentials, the command was probably forgotten.
        if cli.global.has_credentials() {
            return refuse(&command().error(ErrorKind::MissingSubcommand, "a command is missing"), &secrets);
        }
        return help_of(of);
    }
    let Some(chosen) = cli.command else { return ExitStatus::Done.into() };
    let (name, is_json) = (chosen.name(), cli.global.is_json());
    let outcome = chosen.run(&cli.global);
    match outcome.and_then(|results| print(&results.text).map(|()| results.status)) {
        Ok(status) => status.into(),
        Err(failure) if failure.is_enough() => ExitStatus::Done.into(),
        Err(failure) => {
            let failure = failure.without(&secrets);
            talk::say(&failure);
            // Whoever reads stdout gets a document in any case; that it cannot be written is known already.
            if is_json {
                let _ = print(results::pretty(&failure.document(name)));
            }
            failure.status().into()
        }
    }
}

/// Prints the help of a command, as 2.2.1 does where no subcommand is named.
fn help_of(name: Option<&str>) -> ExitCode {
    let mut root = command();
    root.build();
    let found = match name {
        Some(name) => root.find_subcommand_mut(name),
        None => Some(&mut root),
    };
    let help = found.map(|command| command.render_help().to_string()).unwrap_or_default();
    print(help).map_or_else(|failure| failure.status().into(), |()| ExitStatus::Done.into())
}

/// Prints what clap has to say in place of a command: help, a version, or what is wrong with the command line.
fn refuse(error: &clap::Error, secrets: &Secrets) -> ExitCode {
    let text = error.render().to_string();
    let masked = secrets.mask_all(&text);
    if !error.use_stderr() || masked == text {
        error.exit();
    }
    talk::say(masked.trim_end());
    ExitStatus::Usage.into()
}

/// Prints a command's whole data. A reader that has seen enough, such as `head`, is no failure.
fn print(text: impl AsRef<str>) -> Result<(), Failure> {
    or_enough(print_for_reader(text))
}

/// Prints content as it is.
fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    or_enough(write_to_stdout(bytes))
}

fn or_enough(printed: Result<(), Failure>) -> Result<(), Failure> {
    printed.or_else(|failure| if failure.is_enough() { Ok(()) } else { Err(failure) })
}

/// As [`print`], for a command that does nothing but find out: it ends when its reader has seen enough.
fn print_for_reader(text: impl AsRef<str>) -> Result<(), Failure> {
    write_to_stdout(talk::scrubbed(text.as_ref()).as_bytes())
}

fn write_to_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let written = talk::aside(|| {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush())
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::enough(),
        _ => Failure::new(format!("cannot write to stdout: {error}")),
    })
}

/// Colours are for a terminal whose user did not ask for none (no-color.org).
fn colour() -> crate::output::Colour {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    if std::io::stdout().is_terminal() && !refused && !dumb {
        crate::output::Colour::Always
    } else {
        crate::output::Colour::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A newcomer finds an example under each command, and a line on each flag.
    #[test]
    fn help_of_everything() {
        fn check(command: &clap::Command) {
            let name = command.get_name();
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains("Example:\n  manifest-tool "), "{name} has no example");
            assert!(command.get_about().is_some(), "{name}");
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let is_line = !help.is_empty() && !help.contains('\n') && help.len() <= 150;
                assert!(is_line, "{name} {}: {help:?}", arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
        command().debug_assert();
    }
}
