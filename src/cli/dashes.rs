use std::collections::HashMap;
use std::ffi::OsString;

use super::talk::say;

/// What the Go program takes, as clap does: `-debug` for `--debug`, with a note, `-v` for `--version`, and `--raw=true` or
/// `--raw=false` for a flag that has no value.
pub(super) fn as_clap_has_it(args: impl Iterator<Item = OsString>, command: &clap::Command) -> Vec<OsString> {
    let mut flags = HashMap::from(["help", "version"].map(|name| (name.to_owned(), true)));
    flags_of(command, &mut flags);
    let mut is_over = false;
    args.enumerate()
        .filter_map(|(place, arg)| {
            is_over |= arg == "--";
            let Some(text) = arg.to_str().filter(|_| !is_over && place > 0) else { return Some(arg) };
            let text = if (place, text) == (1, "-v") { "--version" } else { text };
            long_flag(text, &flags).map(OsString::from)
        })
        .collect()
}

/// The argument with two dashes where it is a known flag with one; nothing where it is one that is said to be off.
fn long_flag(arg: &str, flags: &HashMap<String, bool>) -> Option<String> {
    let (flag, value) = arg.split_once('=').map_or((arg, None), |(flag, value)| (flag, Some(value)));
    let name = flag.trim_start_matches('-');
    let dashes = flag.len() - name.len();
    let Some(is_switch) = flags.get(name).filter(|_| name.len() > 1 && (1..=2).contains(&dashes)) else {
        return Some(arg.to_owned());
    };
    if dashes == 1 {
        say(format_args!("note: {flag} is written -{flag}"));
    }
    match value {
        Some("true") if *is_switch => Some(format!("--{name}")),
        Some("false") if *is_switch => None,
        Some(value) => Some(format!("--{name}={value}")),
        None => Some(format!("--{name}")),
    }
}

/// The long flags of a command and of those below it, and whether each is one without a value in all of them.
fn flags_of(command: &clap::Command, flags: &mut HashMap<String, bool>) {
    for arg in command.get_arguments() {
        let is_switch = !arg.get_action().takes_values();
        if let Some(name) = arg.get_long() {
            flags.entry(name.to_owned()).and_modify(|all| *all &= is_switch).or_insert(is_switch);
        }
    }
    command.get_subcommands().for_each(|command| flags_of(command, flags));
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
            (&["-v"], &["--version"]),
            (&["inspect", "-v"], &["inspect", "-v"]),
            (
                &["--insecure=true", "-debug=false", "push", "--ignore-missing=true"],
                &["--insecure", "push", "--ignore-missing"],
            ),
            (
                &["--annotations=false", "--insecure=no", "--retries=false"],
                &["--annotations=false", "--insecure=no", "--retries=false"],
            ),
        ] {
            let args = std::iter::once("manifest-tool").chain(given.iter().copied()).map(OsString::from);
            let out = as_clap_has_it(args, &crate::cli::command());
            assert_eq!(out.get(1..).unwrap(), taken, "{given:?}");
        }
    }
}
