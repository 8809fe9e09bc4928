use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

/// Arguments in the syntax of clap.
pub(super) struct Normalized {
    pub(super) args: Vec<OsString>,
    /// One line for the user about each argument that was rewritten.
    pub(super) notes: Vec<String>,
}

/// Rewrites arguments that the Go program accepts to the syntax of clap: `-debug` to `--debug`, with a note; `-v` and
/// `version` to `--version`; and a switch with a value, such as `--raw=true` or `--raw=f`, to `--raw` or no flag. The last value of
/// a switch wins. The value of a flag that takes any text, such as `--password`, is not changed.
pub(super) fn normalize(args: impl Iterator<Item = OsString>, command: &clap::Command) -> Normalized {
    let mut flags = HashMap::from(["help", "version"].map(|name| (name.to_owned(), true)));
    flags_of(command, &mut flags);
    let with_any_text = names(command, clap::Arg::is_allow_hyphen_values_set);
    let with_equals = names(command, clap::Arg::is_require_equals_set);
    let (mut after_separator, mut is_value) = (false, false);
    let (mut normalized, mut notes) = (Vec::<Argument>::new(), Vec::new());
    for (index, arg) in args.enumerate() {
        let is_text = std::mem::take(&mut is_value);
        after_separator |= !is_text && arg == "--";
        let Some(text) = arg.to_str().filter(|_| !is_text && !after_separator && index > 0) else {
            normalized.push(Argument { arg, is_flag: false, is_movable: false });
            continue;
        };
        let is_version = index == 1 && ["-v", "version"].contains(&text);
        let text = if is_version { "--version" } else { text };
        match long_flag(text, &flags, &mut notes) {
            Flag::Off(flag) => normalized.retain(|earlier| !earlier.is_flag || *earlier.arg != *flag),
            Flag::On(flag) => {
                is_value = with_any_text.contains(&flag);
                let is_movable = flag.split('=').next().is_some_and(|flag| with_equals.contains(flag));
                normalized.push(Argument { arg: flag.into(), is_flag: true, is_movable });
            }
        }
    }
    Normalized { args: move_values_to_front(normalized), notes }
}

/// An argument in the syntax of clap.
struct Argument {
    arg: OsString,
    /// Whether this is a flag, as opposed to a flag's value.
    is_flag: bool,
    /// Whether the value is attached with `=`, so that the argument can be moved.
    is_movable: bool,
}

/// The replacement for an argument.
enum Flag {
    /// Replace it with this argument.
    On(String),
    /// Drop it, and earlier uses of this flag.
    Off(String),
}

/// Parses a boolean in every form that Go's `strconv.ParseBool` accepts.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Moves flags with values attached by `=` to the front if the arguments have more than one: if a flag is given both
/// before and after the command, clap uses only the values on one side.
fn move_values_to_front(args: Vec<Argument>) -> Vec<OsString> {
    let is_moved = args.iter().filter(|arg| arg.is_movable).count() > 1;
    let (moved, mut rest): (Vec<_>, Vec<_>) = args.into_iter().partition(|arg| is_moved && arg.is_movable);
    let program = 1.min(rest.len());
    rest.splice(program..program, moved);
    rest.into_iter().map(|argument| argument.arg).collect()
}

/// Collects the names, including dashes, of flags that match a predicate.
fn names(command: &clap::Command, matches: impl Fn(&clap::Arg) -> bool) -> HashSet<String> {
    let args = command.get_arguments().filter(|arg| matches(arg));
    args.flat_map(|arg| {
        let (long, short) = (arg.get_long().map(|name| format!("--{name}")), arg.get_short().map(|c| format!("-{c}")));
        [long, short].into_iter().flatten()
    })
    .collect()
}

/// Collects the long flags, without dashes, of a command and its subcommands, and the names of the subcommands.
pub(super) fn known_words(command: &clap::Command) -> HashSet<String> {
    let mut flags = HashMap::new();
    flags_of(command, &mut flags);
    let mut names: HashSet<String> = flags.into_keys().collect();
    names.extend(command.get_subcommands().map(|command| command.get_name().to_owned()));
    names
}

/// Rewrites a known flag to two dashes, with a note if it had one dash, and removes the value of a switch.
fn long_flag(arg: &str, flags: &HashMap<String, bool>, notes: &mut Vec<String>) -> Flag {
    let (flag, value) = arg.split_once('=').map_or((arg, None), |(flag, value)| (flag, Some(value)));
    let name = flag.trim_start_matches('-');
    let dashes = flag.len() - name.len();
    let Some(is_switch) = flags.get(name).filter(|_| name.len() > 1 && (1..=2).contains(&dashes)) else {
        return Flag::On(arg.to_owned());
    };
    if dashes == 1 {
        notes.push(format!("use -{flag} instead of {flag}"));
    }
    match (value, value.and_then(parse_bool)) {
        (Some(_), Some(true)) if *is_switch => Flag::On(format!("--{name}")),
        (Some(_), Some(false)) if *is_switch => Flag::Off(format!("--{name}")),
        (Some(value), _) => Flag::On(format!("--{name}={value}")),
        (None, _) => Flag::On(format!("--{name}")),
    }
}

/// Collects the long flags of a command and its subcommands, and whether each flag is a switch in all of them.
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
    fn go_style_arguments_are_normalized_for_clap() {
        for (args, expected) in [
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
            let all = std::iter::once("manifest-tool").chain(args.iter().copied()).map(OsString::from);
            let normalized = normalize(all, &crate::cli::command());
            assert_eq!(normalized.args.get(1..).unwrap(), expected, "{args:?}");
        }
    }
}
