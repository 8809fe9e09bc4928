//! Says what was probably meant by an unknown command, flag or argument. Replaces clap's suggestions, which compare
//! words by another measure, know nothing about other programs, and suggest to pass any flag as a value.

use std::ffi::OsString;

use clap::Command;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::advice;
use super::argument_walk::{Place, find, unknown_letter};
use super::arguments::{known_words, parse_bool};
use super::hosts::HostsArg;
use super::registry_name::without_user;
use super::similar::similar;

/// What was probably meant by an unknown word.
enum Meant {
    Commands(Vec<String>),
    Flag(String),
    Tip(String),
}

/// Replaces the suggestions of a usage error. `args` are those that clap parsed, which start with the program.
pub(super) fn explain(mut error: clap::Error, args: &[OsString], root: &Command) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && value.split_once('@').is_some_and(|(user, host)| {
            user.contains(':') && !host.starts_with("sha256:") && !host.starts_with("sha512:")
        })
    {
        error.insert(ContextKind::InvalidValue, ContextValue::String(without_user(value)));
    }
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidValue => return explain_value(error),
        ErrorKind::TooManyValues => return explain_value_of_switch(error),
        _ => return error,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else { return error };
    let word = word.split(['=', ' ']).next().unwrap_or_default().to_owned();
    let place = find(root, args, |arg, path| is_word(arg, &word, path));
    let meant = meant(&word, kind, place.as_ref(), args, root);
    let had_flag = error.remove(ContextKind::SuggestedArg);
    error.remove(ContextKind::SuggestedSubcommand);
    error.remove(ContextKind::Suggested);
    let is_same =
        matches!((&had_flag, &meant), (Some(ContextValue::String(old)), Some(Meant::Flag(new))) if old == new);
    // The usage of a command includes the flag that clap suggests.
    if !is_same && (had_flag.is_some() || matches!(meant, Some(Meant::Tip(_)))) {
        error.remove(ContextKind::Usage);
    }
    match meant {
        Some(Meant::Commands(names)) => error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names)),
        Some(Meant::Flag(flag)) => error.insert(ContextKind::SuggestedArg, ContextValue::String(flag)),
        Some(Meant::Tip(tip)) => {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]))
        }
        None => None,
    };
    error
}

/// Says which possible value was probably meant.
fn explain_value(mut error: clap::Error) -> clap::Error {
    let (Some(ContextValue::String(value)), Some(ContextValue::Strings(possible))) =
        (error.get(ContextKind::InvalidValue), error.get(ContextKind::ValidValue))
    else {
        return error;
    };
    let meant = advice::of_value(value, possible);
    error.remove(ContextKind::SuggestedValue);
    if let Some(meant) = meant {
        error.insert(ContextKind::SuggestedValue, ContextValue::String(meant));
    }
    error
}

/// Says how to use a switch that was given a value, such as `--debug=yes`.
fn explain_value_of_switch(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = arg.split(['=', ' ']).next().unwrap_or_default();
    let tip = format!("use {flag}, or {flag}=false to turn it off");
    error.remove(ContextKind::Usage);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    error
}

/// Whether an argument is the unknown word of an error: itself, with a value, or one of several short flags.
fn is_word(arg: &str, word: &str, path: &[&Command]) -> bool {
    let is_long = arg.split_once('=').is_some_and(|(name, _)| name == word);
    let is_short =
        || unknown_letter(arg, path).is_some_and(|letter| word.strip_prefix('-') == Some(&*letter.to_string()));
    arg == word || is_long || is_short()
}

fn meant(
    word: &str,
    kind: ContextKind,
    place: Option<&Place<'_, '_>>,
    args: &[OsString],
    root: &Command,
) -> Option<Meant> {
    if let Some(tip) = long_dash(args, root) {
        return Some(Meant::Tip(tip));
    }
    let place = place?;
    if let Some(tip) = separated_value(word, place) {
        return Some(Meant::Tip(tip));
    }
    match kind {
        ContextKind::InvalidSubcommand => of_command(word, place),
        _ if word.starts_with('-') => of_flag(word, place, root),
        _ => None,
    }
}

/// Says that the value of the flag before a word must follow `=`.
fn separated_value(word: &str, place: &Place<'_, '_>) -> Option<String> {
    let flag = place.switch_before()?;
    let is_value =
        if flag.is_require_equals_set() { HostsArg::parse(word).is_ok() } else { parse_bool(word).is_some() };
    is_value.then(|| format!("use --{}={word}", flag.get_long().unwrap_or_default()))
}

/// Says that a flag starts with a dash that a word processor wrote.
fn long_dash(args: &[OsString], root: &Command) -> Option<String> {
    let words = known_words(root);
    args.iter().skip(1).filter_map(|arg| arg.to_str()).find_map(|arg| {
        let name = arg.trim_start_matches(['-', '\u{2010}', '\u{2013}', '\u{2014}', '\u{2212}']);
        let dashes = arg.strip_suffix(name).unwrap_or_default();
        let flag = name.split('=').next().unwrap_or_default();
        let is_flag = !dashes.is_ascii() && words.contains(flag);
        is_flag.then(|| format!("\"{dashes}{flag}\" starts with a long dash; did you mean \"--{flag}\"?"))
    })
}

fn of_command(word: &str, place: &Place<'_, '_>) -> Option<Meant> {
    let command = place.command()?;
    let tip = |tip: &str| Some(Meant::Tip(tip.to_owned()));
    if let Some(advice) = advice::of_command(word) {
        return tip(advice);
    }
    let names = command.get_subcommands().flat_map(|sub| std::iter::once(sub.get_name()).chain(sub.get_all_aliases()));
    let names = similar(word, names);
    if !names.is_empty() {
        return Some(Meant::Commands(names.into_iter().map(str::to_owned).collect()));
    }
    // A subcommand without its command, as in `manifest-tool from-spec app.yaml`.
    for parent in command.get_subcommands() {
        if let [only] = similar(word, parent.get_subcommands().map(Command::get_name))[..] {
            return tip(&format!("use {} {only}", parent.get_name()));
        }
    }
    if let Some(advice) = advice::of_similar_command(word) {
        return tip(advice);
    }
    let is_file = [".yaml", ".yml"].iter().any(|end| word.ends_with(end));
    match command.get_name() {
        "push" if is_file => tip(&format!("use from-spec {word}")),
        "push" if word.contains(['/', ':']) => tip("use from-images to create an index of images"),
        _ => None,
    }
}

fn of_flag(word: &str, place: &Place<'_, '_>, root: &Command) -> Option<Meant> {
    let command = place.command()?;
    let path: Vec<&str> = place.path.iter().skip(1).map(|command| command.get_name()).collect();
    if let Some(tip) = advice::of_flag(word, command.get_name()) {
        return Some(Meant::Tip(tip.to_owned()));
    }
    let mut owners = Vec::new();
    let name = word.strip_prefix("--").unwrap_or_default();
    owners_of(name, root, &mut Vec::new(), &mut owners);
    // A flag before the command that it belongs to.
    let is_below = |owner: &&Vec<&str>| {
        let below = owner.get(path.len()..).unwrap_or_default();
        owner.starts_with(&path) && !below.is_empty() && below.iter().all(|name| place.rest.contains(name))
    };
    if let Some(owner) = owners.iter().find(is_below) {
        return Some(Meant::Tip(format!("write --{name} after {}", owner.join(" "))));
    }
    if let Some(flag) = similar_flag(word, place) {
        return Some(Meant::Flag(flag));
    }
    let owners: Vec<String> = owners.iter().map(|owner| owner.join(" ")).collect();
    match owners.as_slice() {
        [] => None,
        [only] => Some(Meant::Tip(format!("--{name} is a flag of {only}"))),
        [first @ .., last] => Some(Meant::Tip(format!("--{name} is a flag of {} and {last}", first.join(", ")))),
    }
}

/// Returns the similar flag of a command. A short flag is similar to itself in the other letter case.
fn similar_flag(word: &str, place: &Place<'_, '_>) -> Option<String> {
    if let Some(name) = word.strip_prefix("--") {
        let names = place.flags().filter_map(|flag| flag.get_long()).chain(["help", "version"]);
        return match similar(name, names)[..] {
            [first, ..] => Some(format!("--{first}")),
            [] => None,
        };
    }
    let letter = word.chars().nth(1)?;
    let is_other = |short: &char| *short != letter && short.eq_ignore_ascii_case(&letter);
    place.flags().filter_map(|flag| flag.get_short()).find(is_other).map(|short| format!("-{short}"))
}

/// Collects the commands that have a long flag, each as its path. A flag that a command shares with its subcommands is
/// the command's.
fn owners_of<'c>(name: &str, command: &'c Command, path: &mut Vec<&'c str>, owners: &mut Vec<Vec<&'c str>>) {
    for sub in command.get_subcommands() {
        path.push(sub.get_name());
        if sub.get_arguments().any(|arg| arg.get_long() == Some(name)) {
            owners.push(path.clone());
        } else {
            owners_of(name, sub, path, owners);
        }
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::command;

    fn message(args: &[&str]) -> String {
        let args: Vec<OsString> = std::iter::once(&"manifest-tool").chain(args).map(Into::into).collect();
        let root = command();
        let error = root.clone().try_get_matches_from(&args).unwrap_err();
        explain(error, &args, &root).render().to_string()
    }

    #[test]
    fn an_unknown_word_gets_one_suggestion() {
        for (args, expected) in [
            (&["pushh"][..], "a similar subcommand exists: 'push'\n"),
            (&["coppy", "a", "b"], "a similar subcommand exists: 'copy'\n"),
            (&["push", "from-spce", "x"], "a similar subcommand exists: 'from-spec'\n"),
            (&["push", "spec", "x"], "a similar subcommand exists: 'from-spec'\n"),
            (&["from-spec", "x"], "tip: use push from-spec\n"),
            (&["push", "app.yaml"], "tip: use from-spec app.yaml\n"),
            (&["push", "r.io/a:1", "r.io/b:1"], "tip: use from-images to create an index of images\n"),
            (&["rm", "x"], "tip: use delete for a tag or manifest, or remove to take images out of an index\n"),
            (&["anotate", "x"], "tip: set platforms and annotations of images in a spec"),
            (&["copy", "a", "b", "--platforms=linux/amd64"], "a similar argument exists: '--platform'\n"),
            (&["push", "from-args", "--platform", "linux/amd64"], "a similar argument exists: '--platforms'\n"),
            (&["copy", "a", "b", "--dry_run"], "a similar argument exists: '--dry-run'\n"),
            (&["copy", "a", "b", "--tls-verify=false"], "tip: use --insecure to skip certificate checks"),
            (&["copy", "a", "b", "--src-tls-verify=false"], "tip: use --insecure=HOST to skip certificate checks"),
            (&["copy", "a", "b", "--dest-tls-verify=false"], "tip: use --insecure=HOST to skip certificate checks"),
            (&["copy", "a", "b", "--src-creds", "u:p"], "tip: use --source-username with --source-password-stdin\n"),
            (
                &["push", "--dest-creds=u:p", "from-spec", "x"],
                "tip: use --target-username with --target-password-stdin\n",
            ),
            (&["copy", "a", "b", "--src-username", "u"], "tip: use --source-username with --source-password-stdin\n"),
            (&["copy", "a", "b", "--dest-username", "u"], "tip: use --target-username with --target-password-stdin\n"),
            (&["copy", "a", "b", "--src-password", "p"], "tip: use --source-username with --source-password-stdin\n"),
            (&["copy", "a", "b", "--dest-password", "p"], "tip: use --target-username with --target-password-stdin\n"),
            (
                &["copy", "a", "b", "--source-password", "p"],
                "tip: use --source-username with --source-password-stdin\n",
            ),
            (&["copy", "a", "b", "--src-authfile", "f"], "tip: use --source-docker-cfg for the folder or file"),
            (&["copy", "a", "b", "--dest-authfile", "f"], "tip: use --target-docker-cfg for the folder or file"),
            (&["copy", "a", "b", "--authfile", "f"], "tip: use --docker-cfg for the folder or file"),
            (&["copy", "a", "b", "--creds", "u:p"], "tip: use --username with --password-stdin\n"),
            (&["inspect", "a", "--src-creds", "u:p"], "tip: use --username with --password-stdin\n"),
            (&["inspect", "a", "--source-username", "u"], "a similar argument exists: '--username'\n"),
            (&["copy", "a", "b", "--source-user", "u"], "a similar argument exists: '--source-username'\n"),
            (&["copy", "a", "--target", "b"], "tip: give the destination as an argument: copy SRC DST\n"),
            (&["push", "--target", "x", "from-args"], "tip: write --target after push from-args\n"),
            (&["copy", "a", "b", "--all"], "tip: copy copies whole indexes; --platform selects images\n"),
            (&["tags", "a", "--all"], "tip: tags lists every tag\n"),
            (&["verify", "a", "--os", "linux"], "tip: use --platforms OS/ARCH\n"),
            (&["inspect", "a", "--tag", "v1"], "tip: add the tag to the reference: HOST/REPOSITORY:TAG\n"),
            (&["query", "--dry-run", "a"], "tip: --dry-run is a flag of push, remove, sign, delete, copy and sync\n"),
            (&["inspect", "--template", "a"], "tip: --template is a flag of push from-args\n"),
            (&["--dry-run", "push", "from-spec", "x"], "tip: write --dry-run after push\n"),
            (&["push", "--template", "x", "from-args"], "tip: write --template after push from-args\n"),
            (&["--plain-http", "localhost:5000", "inspect", "a"], "tip: use --plain-http=localhost:5000\n"),
            (&["--debug", "true", "inspect", "a"], "tip: use --debug=true\n"),
            (&["lint", "--type", "OCI", "a"], "a similar value exists: 'oci'\n"),
            (&["lint", "--type", "list", "a"], "a similar value exists: 'docker'\n"),
            (&["lint", "--output", "txt", "a"], "a similar value exists: 'text'\n"),
            (&["completion", "zhs"], "a similar value exists: 'zsh'\n"),
            (&["completion", "bsh"], "a similar value exists: 'bash'\n"),
            (&["inspect", "--debug=yes", "a"], "tip: use --debug, or --debug=false to turn it off\n"),
            (&["inspect", "-U", "me", "a"], "a similar argument exists: '-u'\n"),
            (&["--debug", "pushh"], "a similar subcommand exists: 'push'\n"),
            (&["inspect", "-d", "a"], "a similar argument exists: '-D'\n"),
            (&["inspect", "-qv", "a"], "tip: use --debug to log every request\n"),
            (&["inspect", "\u{2014}raw", "a"], "starts with a long dash; did you mean \"--raw\"?\n"),
            (&["delete", "a", "--force"], "tip: use --yes to delete a manifest with all its tags\n"),
        ] {
            let message = message(args);
            assert!(message.contains(expected), "{args:?}: {message}");
            assert!(!message.contains("as a value"), "{args:?}: {message}");
            assert!(message.matches("tip: ").count() <= 1, "{args:?}: {message}");
        }
        for args in [
            &["inspect", "a", "--yaml"][..],
            &["inspect", "a", "--output", "yaml"],
            &["lint", "--type="],
            &["inspect", "a", "--layers", "b"],
            &["copy", "a", "b", "-X"],
        ] {
            assert!(!message(args).contains("tip:"), "{args:?}");
        }
    }
}
