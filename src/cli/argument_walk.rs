//! Follows a command line to a word of it, to find the command that the word belongs to.

use std::ffi::OsString;

use clap::{Arg, Command};

/// A word of a command line, with its place.
pub(super) struct Place<'c, 'a> {
    /// The command that the word belongs to, after its parents.
    pub(super) path: Vec<&'c Command>,
    pub(super) word: &'a str,
    /// The argument before the word.
    pub(super) previous: Option<&'a str>,
    /// The arguments after the word.
    pub(super) rest: Vec<&'a str>,
}

impl<'c> Place<'c, '_> {
    /// Returns the command.
    pub(super) fn command(&self) -> Option<&'c Command> {
        self.path.last().copied()
    }

    /// Returns the flags that the command accepts: its own, and the global ones of its parents.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'c Arg> {
        flags(&self.path)
    }

    /// Returns the flag before the word, if it takes no value, or takes one only after `=`.
    pub(super) fn switch_before(&self) -> Option<&'c Arg> {
        let name = self.previous?.strip_prefix("--")?;
        self.flags().find(|flag| flag.get_long() == Some(name) && !takes_next(flag))
    }
}

/// Finds the first argument that `is_sought` accepts, which is not the value of a flag. The arguments start with the
/// program.
pub(super) fn find<'c, 'a>(
    root: &'c Command,
    args: &'a [OsString],
    is_sought: impl Fn(&str, &[&'c Command]) -> bool,
) -> Option<Place<'c, 'a>> {
    let args: Vec<&str> = args.iter().skip(1).map(|arg| arg.to_str().unwrap_or_default()).collect();
    let (mut path, mut is_value) = (vec![root], false);
    for (at, arg) in args.iter().enumerate() {
        if std::mem::take(&mut is_value) {
            continue;
        }
        if *arg == "--" {
            return None;
        }
        if is_sought(arg, &path) {
            let previous = at.checked_sub(1).and_then(|at| args.get(at).copied());
            return Some(Place { path, word: arg, previous, rest: args.get(at + 1..).unwrap_or_default().to_vec() });
        }
        match arg.strip_prefix('-') {
            Some(_) => is_value = last_flag(arg, &path).is_some_and(takes_next),
            None => path.extend(path.last().and_then(|command| command.find_subcommand(arg))),
        }
    }
    None
}

fn flags<'c>(path: &[&'c Command]) -> impl Iterator<Item = &'c Arg> {
    let own = path.last().copied().into_iter().flat_map(Command::get_arguments);
    let parents = path.split_last().map_or(&[][..], |(_, parents)| parents).to_vec();
    own.chain(parents.into_iter().flat_map(Command::get_arguments).filter(|arg| arg.is_global_set()))
        .filter(|arg| arg.get_long().is_some() || arg.get_short().is_some())
}

/// Returns the flag to which the next argument may belong: a long one, or the last of several short ones.
fn last_flag<'c>(arg: &str, path: &[&'c Command]) -> Option<&'c Arg> {
    match arg.strip_prefix("--") {
        Some(name) => flags(path).find(|flag| flag.get_long() == Some(name)),
        None => Some(short_flags(arg, path)).filter(|(_, rest)| rest.is_empty())?.0,
    }
}

/// Reads the letters of an argument such as `-qo`, up to a flag that takes the rest as its value. Returns the last flag
/// and the rest.
fn short_flags<'c, 'a>(arg: &'a str, path: &[&'c Command]) -> (Option<&'c Arg>, &'a str) {
    let (mut last, mut rest) = (None, arg.strip_prefix('-').unwrap_or_default());
    while let Some(letter) = rest.chars().next().filter(|_| !last.is_some_and(takes_next)) {
        let Some(flag) = flags(path).find(|flag| flag.get_short() == Some(letter)) else { break };
        (last, rest) = (Some(flag), rest.get(letter.len_utf8()..).unwrap_or_default());
    }
    (last, rest)
}

/// Returns the first letter of an argument such as `-qx` that is not a flag or part of a flag's value.
pub(super) fn unknown_letter(arg: &str, path: &[&Command]) -> Option<char> {
    let (last, rest) = short_flags(arg, path);
    let is_value = arg.starts_with("--") || last.is_some_and(takes_next);
    rest.chars().next().filter(|_| !is_value)
}

/// Whether the argument after a flag is its value.
fn takes_next(flag: &Arg) -> bool {
    flag.get_action().takes_values() && !flag.is_require_equals_set()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::command;

    fn names(args: &[&str], sought: &str) -> Option<Vec<String>> {
        let args: Vec<OsString> = std::iter::once(&"manifest-tool").chain(args).map(Into::into).collect();
        let root = command();
        let place = find(&root, &args, |arg, _| arg == sought)?;
        Some(place.path.iter().skip(1).map(|command| command.get_name().to_owned()).collect())
    }

    #[test]
    fn the_command_of_a_word_is_found() {
        for (args, expected) in [
            (&["X"][..], Some(&[][..])),
            (&["push", "X"], Some(&["push"])),
            (&["--type", "oci", "push", "--plain-http", "from-args", "-D", "X"], Some(&["push", "from-args"])),
            (&["-u", "push", "ls", "X"], Some(&["tags"])),
            (&["-upush", "cp", "X"], Some(&["copy"])),
            (&["-qo", "push", "X", "inspect"], Some(&[])),
            (&["--output=json", "inspect", "copy", "X"], Some(&["inspect"])),
            (&["-uX", "-p", "push", "copy", "X"], Some(&["copy"])),
            (&["-u", "X"], None),
            (&["inspect", "--", "X"], None),
        ] {
            let expected = expected.map(|names| names.iter().map(ToString::to_string).collect());
            assert_eq!(names(args, "X"), expected, "{args:?}");
        }
    }

    #[test]
    fn the_unknown_letter_of_short_flags_is_found() {
        let root = command();
        for (arg, letter) in [
            ("-x", Some('x')),
            ("-qx", Some('x')),
            ("-q", None),
            ("-ux", None),
            ("-", None),
            ("--x", None),
            ("x", None),
        ] {
            assert_eq!(unknown_letter(arg, &[&root]), letter, "{arg}");
        }
    }
}
