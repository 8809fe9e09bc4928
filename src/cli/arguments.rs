use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

/// Arguments in clap's form.
pub(super) struct Normalized {
    pub(super) args: Vec<OsString>,
    /// What the user should know about arguments that were rewritten, a line each.
    pub(super) notes: Vec<String>,
}

/// Puts arguments into clap's form where the Go program takes others: `-debug` for `--debug`, with a note, `-v` for
/// `--version`, and `--raw=true` or `--raw=f` for a flag that has no value; the last of several counts. The value of a
/// flag that takes any text, such as `--password`, is not changed.
pub(super) fn normalize(args: impl Iterator<Item = OsString>, command: &clap::Command) -> Normalized {
    let mut flags = HashMap::from(["help", "version"].map(|name| (name.to_owned(), true)));
    flags_of(command, &mut flags);
    let any_text = names(command, clap::Arg::is_allow_hyphen_values_set);
    let with_equals = names(command, clap::Arg::is_require_equals_set);
    let (mut is_over, mut is_value) = (false, false);
    let (mut taken, mut notes) = (Vec::<Argument>::new(), Vec::new());
    for (place, arg) in args.enumerate() {
        let is_text = std::mem::take(&mut is_value);
        is_over |= !is_text && arg == "--";
        let Some(text) = arg.to_str().filter(|_| !is_text && !is_over && place > 0) else {
            taken.push(Argument { arg, is_flag: false, is_movable: false });
            continue;
        };
        let text = if (place, text) == (1, "-v") { "--version" } else { text };
        match long_flag(text, &flags, &mut notes) {
            Flag::Off(flag) => taken.retain(|earlier| !earlier.is_flag || *earlier.arg != *flag),
            Flag::On(flag) => {
                is_value = any_text.contains(&flag);
                let is_movable = flag.split('=').next().is_some_and(|flag| with_equals.contains(flag));
                taken.push(Argument { arg: flag.into(), is_flag: true, is_movable });
            }
        }
    }
    Normalized { args: gathered(taken), notes }
}

/// An argument in clap's form.
struct Argument {
    arg: OsString,
    /// Whether it is a flag, and not the value of one.
    is_flag: bool,
    /// Whether its value follows a `=`, so that it can be moved.
    is_movable: bool,
}

/// What an argument is replaced by.
enum Flag {
    /// This argument.
    On(String),
    /// None, and this flag does not count where it was given before.
    Off(String),
}

/// Reads a boolean value in any form that Go's `strconv.ParseBool` reads.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Moves flags whose value follows a `=` to the front if there is more than one: clap uses only the values on one side of
/// the command if a flag is given on both.
fn gathered(args: Vec<Argument>) -> Vec<OsString> {
    let is_moved = args.iter().filter(|arg| arg.is_movable).count() > 1;
    let (moved, mut rest): (Vec<_>, Vec<_>) = args.into_iter().partition(|arg| is_moved && arg.is_movable);
    let program = 1.min(rest.len());
    rest.splice(program..program, moved);
    rest.into_iter().map(|taken| taken.arg).collect()
}

/// Collects the names of flags of a certain kind, with their dashes.
fn names(command: &clap::Command, is_of_kind: impl Fn(&clap::Arg) -> bool) -> HashSet<String> {
    let args = command.get_arguments().filter(|arg| is_of_kind(arg));
    args.flat_map(|arg| {
        let (long, short) = (arg.get_long().map(|name| format!("--{name}")), arg.get_short().map(|c| format!("-{c}")));
        [long, short].into_iter().flatten()
    })
    .collect()
}

/// Collects the long flags of a command and its subcommands, without dashes, and the names of the subcommands.
pub(super) fn known_words(command: &clap::Command) -> HashSet<String> {
    let mut flags = HashMap::new();
    flags_of(command, &mut flags);
    let mut names: HashSet<String> = flags.into_keys().collect();
    names.extend(command.get_subcommands().map(|command| command.get_name().to_owned()));
    names
}

/// Gives a known flag two dashes, with a note if it had one, and takes the value away from a switch.
fn long_flag(arg: &str, flags: &HashMap<String, bool>, notes: &mut Vec<String>) -> Flag {
    let (flag, value) = arg.split_once('=').map_or((arg, None), |(flag, value)| (flag, Some(value)));
    let name = flag.trim_start_matches('-');
    let dashes = flag.len() - name.len();
    let Some(is_switch) = flags.get(name).filter(|_| name.len() > 1 && (1..=2).contains(&dashes)) else {
        return Flag::On(arg.to_owned());
    };
    if dashes == 1 {
        notes.push(format!("{flag} is written -{flag}"));
    }
    match (value, value.and_then(parse_bool)) {
        (Some(_), Some(true)) if *is_switch => Flag::On(format!("--{name}")),
        (Some(_), Some(false)) if *is_switch => Flag::Off(format!("--{name}")),
        (Some(value), _) => Flag::On(format!("--{name}={value}")),
        (None, _) => Flag::On(format!("--{name}")),
    }
}

/// Collects the long flags of a command and its subcommands, and whether each is a switch in all of them.
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
    fn arguments_of_the_go_program_become_those_of_clap() {
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
                &["--insecure=true", "push", "--ignore-missing"],
            ),
            (&["-plain-http=r.io,s.io", "-plain-http"], &["--plain-http=r.io,s.io", "--plain-http"]),
            (
                &["--plain-http=r.io", "inspect", "a:1", "--plain-http", "-u", "--insecure", "--", "--insecure"],
                &["--plain-http=r.io", "--plain-http", "inspect", "a:1", "-u", "--insecure", "--", "--insecure"],
            ),
            (&["inspect", "--plain-http=r.io", "a:1"], &["inspect", "--plain-http=r.io", "a:1"]),
            (&["--password", "-debug", "-debug"], &["--password", "-debug", "--debug"]),
            (
                &["-password", "--raw=false", "-p", "--", "-debug"],
                &["--password", "--raw=false", "-p", "--", "--debug"],
            ),
            (&["-u", "-username", "-username=-debug"], &["-u", "-username", "--username=-debug"]),
            (&["-p", "-v"], &["-p", "-v"]),
            (
                &["--insecure=1", "-debug=T", "push", "--ignore-missing=True", "--strict=t", "--append=TRUE"],
                &["--insecure=1", "--debug", "push", "--ignore-missing", "--strict", "--append"],
            ),
            (&["--debug", "inspect", "--debug=0", "--raw=F", "--expand-config=FALSE"], &["inspect"]),
            (&["--debug=f", "inspect", "--debug"], &["inspect", "--debug"]),
            (&["--password", "--debug", "--debug=false", "push"], &["--password", "--debug", "push"]),
            (&["--debug=yes", "--raw=2", "--raw="], &["--debug=yes", "--raw=2", "--raw="]),
            (
                &["--annotations=false", "--insecure=no", "--retries=false"],
                &["--annotations=false", "--insecure=no", "--retries=false"],
            ),
        ] {
            let args = std::iter::once("manifest-tool").chain(given.iter().copied()).map(OsString::from);
            let out = normalize(args, &crate::cli::command());
            assert_eq!(out.args.get(1..).unwrap(), taken, "{given:?}");
        }
    }
}
