use std::collections::HashSet;
use std::ffi::OsString;

use super::talk::say;

/// The Go program takes `-debug` for `--debug`. What is a whole long flag behind one dash is understood, with a note.
pub(super) fn with_two_dashes(args: impl Iterator<Item = OsString>, command: &clap::Command) -> Vec<OsString> {
    let mut names = HashSet::new();
    names_of(command, &mut names);
    let mut is_over = false;
    args.map(|arg| {
        is_over |= arg == "--";
        match arg.to_str().filter(|_| !is_over).and_then(|arg| long_flag(arg, &names)) {
            Some((flag, long)) => {
                say(format_args!("note: {flag} is written -{flag}"));
                long.into()
            }
            None => arg,
        }
    })
    .collect()
}

/// The flag with its one dash, and the whole argument with two.
fn long_flag<'a>(arg: &'a str, names: &HashSet<String>) -> Option<(&'a str, String)> {
    let name = arg.strip_prefix('-')?.split('=').next()?;
    let is_it = name.len() > 1 && names.contains(name);
    is_it.then(|| (arg.split('=').next().unwrap_or(arg), format!("-{arg}")))
}

fn names_of(command: &clap::Command, names: &mut HashSet<String>) {
    names.extend(command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)));
    names.extend(["help", "version"].map(str::to_owned));
    command.get_subcommands().for_each(|command| names_of(command, names));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash() {
        for (given, taken) in [
            (&["-debug", "inspect", "-raw", "a:1"][..], &["--debug", "inspect", "--raw", "a:1"][..]),
            (&["-username=u", "-platforms=a,b"], &["--username=u", "--platforms=a,b"]),
            (&["-u", "user", "-uuser", "-p", "word"], &["-u", "user", "-uuser", "-p", "word"]),
            (&["-", "-x", "--debug", "-debugger"], &["-", "-x", "--debug", "-debugger"]),
            (&["inspect", "--", "-debug"], &["inspect", "--", "-debug"]),
            (&["-help", "-version"], &["--help", "--version"]),
        ] {
            let args = given.iter().map(OsString::from);
            assert_eq!(with_two_dashes(args, &crate::cli::command()), taken, "{given:?}");
        }
    }
}
