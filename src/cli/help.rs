//! The short help of `-h`. clap prints the whole help for `--help`.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::argument_walk::{find, unknown_letter};
use super::commands::{MAX_WIDTH, VERSION};
use super::global::HEADING;

/// The end of the short help, instead of examples.
const MORE: &str = "Global options include --output json, --quiet, --debug and --plain-http.
Use --help for all options and examples.";

/// Returns the command whose short help a command line asks for: the first help flag is `-h`.
pub(super) fn short_help(root: &Command, args: &[OsString]) -> Option<Command> {
    let place = find(root, args, |arg, path| arg == "--help" || unknown_letter(arg, path) == Some('h'))?;
    if place.word == "--help" {
        return None;
    }
    let (command, parents) = place.path.split_last()?;
    let names: Vec<&str> = place.path.iter().map(|command| command.get_name()).collect();
    // Build only this command: building every command takes longer than the rest of the run.
    let globals = parents.iter().flat_map(|parent| parent.get_arguments()).filter(|arg| arg.is_global_set());
    // A command may have its own form of a global flag, such as --output of lint.
    let is_own = |arg: &&Arg| command.get_arguments().any(|own| own.get_id() == arg.get_id());
    let globals = globals.filter(|arg| !is_own(arg));
    let mut whole = (*command).clone().args(globals).version(VERSION).bin_name(names.join(" "));
    // Without the hidden flags, clap would leave out `[OPTIONS]`.
    let usage = whole.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let is_global = |arg: &Arg| arg.get_help_heading() == Some(HEADING);
    let short = whole.mut_args(|arg| if is_global(&arg) { arg.hide(true) } else { arg });
    Some(short.override_usage(usage).after_help(MORE).max_term_width(MAX_WIDTH))
}
