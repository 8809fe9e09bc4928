//! The program: parses the command line, runs a command and turns its result into output and an exit code.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use super::commands::{Cli, command};
use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::help::short_help;
use super::output::CommandOutput;
use super::secrets::ArgumentSecrets;
use super::session::Session;
use super::unknown_words::explain;
use super::{arguments, credentials, from_args};

/// Stack size of the main thread, in bytes. Windows gives the first thread 1 MiB, which is too small for a debug build.
const STACK: usize = 8 << 20;

/// Runs the command line of this process and returns its exit code.
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
    match parse(&normalized.args) {
        Ok(cli) => execute(cli, console),
        Err(error) => refuse_arguments(error, &normalized.args, &console),
    }
}

/// Prints the help that arguments ask for, or why they are invalid.
fn refuse_arguments(error: clap::Error, args: &[OsString], console: &Console) -> ExitStatus {
    let short = if error.kind() == ErrorKind::DisplayHelp { short_help(&command(), args) } else { None };
    match short {
        Some(mut command) => {
            // As for the whole help, a closed stdout is not a failure.
            let _ = command.print_help();
            ExitStatus::Done
        }
        None => refuse(&explain(error, args, &command()), console),
    }
}

fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    from_args::check_order(&matches).map_err(|message| command().error(ErrorKind::UnknownArgument, message))?;
    Ok(cli)
}

/// Runs the command and prints its results or its failure.
fn execute(cli: Cli, console: Console) -> ExitStatus {
    let Cli { global, command: chosen } = cli;
    let name = chosen.as_ref().map(|chosen| chosen.name());
    if global.output.is_of_lint() && name.is_some_and(|name| name != "lint") {
        let message = "only lint has --output github and --output sarif; other commands have text and json";
        return refuse(&command().error(ErrorKind::InvalidValue, message), &console);
    }
    let console = Arc::new(console.with_options(global.console_options()));
    let session = Session { global, console: Arc::clone(&console) };
    let output = chosen.map_or(Ok(CommandOutput::Help), |chosen| chosen.run(&session));
    let printed = output.and_then(|output| match output {
        // Credentials without a command: the user probably forgot the command.
        CommandOutput::Help if session.global.has_credentials() => {
            Ok(refuse(&command().error(ErrorKind::MissingSubcommand, "no command given"), &console))
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

/// Prints a failure. With `--output json` also prints it as a document, so that stdout always has one.
fn fail(console: &Console, command: &'static str, failure: Failure) -> ExitStatus {
    console.error(&failure);
    let failure = console.masked(failure);
    let status = failure.status();
    if console.is_json() {
        // Ignore a failure to write it: the command has already failed.
        let _ = console.json(&failure.document(command)).and_then(|json| console.data(json));
    }
    status
}

/// Returns the help of a command, which 2.2.1 prints if the subcommand is missing.
fn help_of(name: Option<&str>) -> String {
    let mut root = command();
    root.build();
    let command = match name {
        Some(name) => root.find_subcommand_mut(name),
        None => Some(&mut root),
    };
    command.map(|command| command.render_help().to_string()).unwrap_or_default()
}

/// Prints clap's message instead of running a command: help, the version or a usage error.
fn refuse(error: &clap::Error, console: &Console) -> ExitStatus {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.render().to_string();
    let masked = console.mask_usage(&text);
    if masked == text {
        // Let clap print it, in colours on a terminal. A failure to write to stderr changes nothing.
        let _ = error.print();
    } else {
        console.usage_error(masked.trim_end());
    }
    console.annotate_usage_error(&masked);
    ExitStatus::Usage
}
