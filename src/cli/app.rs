//! The program: reads the command line, runs a command and turns its outcome into output and an exit code.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use super::commands::{Cli, command};
use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::secrets::ArgumentSecrets;
use super::session::Session;
use super::{arguments, credentials, from_args};

/// Windows gives the first thread of a process a megabyte, which a debug build needs more than.
const STACK: usize = 8 << 20;

/// Runs the command line of this process; gives its exit code.
pub fn main() -> ExitCode {
    let status = match std::thread::Builder::new().name("main".into()).stack_size(STACK).spawn(run) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        Err(_) => run(),
    };
    status.into()
}

fn run() -> ExitStatus {
    let args: Vec<OsString> = std::env::args_os().collect();
    let secrets = ArgumentSecrets::new(&args, credentials::secret_values(), &arguments::known_words(&command()));
    let console = Console::new(secrets);
    let normalized = arguments::normalize(args.into_iter(), &command());
    normalized.notes.iter().for_each(|note| console.note(note));
    match parse(normalized.args) {
        Ok(cli) => execute(cli, console),
        Err(error) => refuse(&error, &console),
    }
}

fn parse(args: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    from_args::check_order(&matches).map_err(|message| command().error(ErrorKind::UnknownArgument, message))?;
    Ok(cli)
}

/// Runs the command, and prints its results or why it failed.
fn execute(cli: Cli, console: Console) -> ExitStatus {
    let Cli { global, command: chosen } = cli;
    let console = Arc::new(console.with_options(global.console_options()));
    let session = Session { global, console: Arc::clone(&console) };
    let name = chosen.as_ref().map(|chosen| chosen.name());
    let output = chosen.map_or(Ok(CommandOutput::Help), |chosen| chosen.run(&session));
    let printed = output.and_then(|output| match output {
        // With credentials, the command was probably forgotten.
        CommandOutput::Help if session.global.has_credentials() => {
            Ok(refuse(&command().error(ErrorKind::MissingSubcommand, "a command is missing"), &console))
        }
        CommandOutput::Help => console.data(help_of(name)).map(|()| ExitStatus::Done),
        CommandOutput::Results { text, status } => console.data(text).map(|()| status),
    });
    match printed {
        Ok(status) => status,
        Err(failure) if failure.is_stdout_closed() => ExitStatus::Done,
        Err(failure) => fail(&console, name.unwrap_or_default(), failure),
    }
}

/// Prints a failure; with `--output json` also as a document, so that whatever reads stdout gets one in any case.
fn fail(console: &Console, command: &'static str, failure: Failure) -> ExitStatus {
    let failure = console.masked(failure);
    console.line(&failure);
    let status = failure.status();
    if console.is_json() {
        // A failure to write it adds nothing: the command has failed already.
        let _ = console.json(&failure.document(command)).and_then(|json| console.data(json));
    }
    status
}

/// The help of a command, which 2.2.1 prints if no subcommand is named.
fn help_of(name: Option<&str>) -> String {
    let mut root = command();
    root.build();
    let found = match name {
        Some(name) => root.find_subcommand_mut(name),
        None => Some(&mut root),
    };
    found.map(|command| command.render_help().to_string()).unwrap_or_default()
}

/// Prints what clap has to say in place of a command: help, a version, or what is wrong with the command line.
fn refuse(error: &clap::Error, console: &Console) -> ExitStatus {
    let text = error.render().to_string();
    let masked = console.mask_usage(&text);
    if !error.use_stderr() || masked == text {
        error.exit();
    }
    console.line(masked.trim_end());
    ExitStatus::Usage
}
