//! Generates the pages in `docs/reference/cli/` from the flags. `UPDATE_SNAPSHOTS=1` writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Arg, Command};

use super::markdown::root;

const FOLDER: &str = "docs/reference/cli";
const GLOBAL: &str = "Global options";

/// Returns each command and subcommand, by a name such as `push from-images`.
fn commands() -> Vec<(String, Command)> {
    let mut commands = Vec::new();
    let mut root = manifest_tool::cli::command();
    root.build();
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = command.get_name();
        commands.push((name.to_owned(), command.clone()));
        let subcommands = command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help");
        commands
            .extend(subcommands.map(|subcommand| (format!("{name} {}", subcommand.get_name()), subcommand.clone())));
    }
    commands
}

fn file_name(name: &str) -> String {
    format!("{}.md", name.replace(' ', "-"))
}

/// Escapes what Markdown would take for markup in running text.
fn escape(text: &str) -> String {
    let escaped = ['\\', '*', '_', '<', '[', '|'];
    text.chars().flat_map(|c| escaped.contains(&c).then_some('\\').into_iter().chain([c])).collect()
}

/// Formats words of a help text that are written on a command line, such as `--tags` and `oci:FOLDER[:NAME]`, as code.
fn with_code(text: &str) -> String {
    let format = |word: &str| {
        let core = word.trim_end_matches([',', '.', ';', ':', ')']).trim_start_matches('(');
        let is_flag = core.starts_with('-') && core.len() > 1;
        let is_form = core.len() > 1 && core.contains(['[', '_', '*', '$', ':', '/', '@', '|']);
        match is_flag || is_form {
            true => word.replacen(core, &format!("`{}`", core.replace('|', "\\|")), 1),
            false => escape(word),
        }
    };
    let line = |line: &str| line.split(' ').map(format).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns an argument as it is written on a command line: `` `-t`, `--target <REF>` ``.
fn invocation(arg: &Arg) -> String {
    let values: Vec<String> =
        arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect();
    let takes_values = arg.get_action().takes_values();
    let (values, is_optional) = (values.join(" "), arg.get_num_args().is_some_and(|range| range.min_values() == 0));
    let values = match (takes_values, is_optional, arg.is_require_equals_set()) {
        (false, ..) => String::new(),
        (true, true, true) => format!("[={values}]"),
        (true, true, false) => format!(" [{values}]"),
        (true, false, _) => format!(" {values}"),
    };
    if arg.is_positional() {
        return format!("`{}`", values.trim());
    }
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let long = arg.get_long().map(|long| format!("`--{long}{values}`")).unwrap_or_default();
    short + &long
}

fn describe(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    // Defaults that depend on other flags are part of the text.
    let (help, default) = help.split_once(" [default: ").unwrap_or((&help, ""));
    let mut text = with_code(help);
    let takes_values = arg.get_action().takes_values();
    let defaults = arg.get_default_values().iter().filter(|value| takes_values && !value.is_empty());
    let defaults: Vec<String> = defaults.map(|value| format!("`{}`", value.to_string_lossy())).collect();
    // Values that only completion offers are hidden from the help.
    let possible = arg.get_possible_values();
    let possible =
        possible.iter().filter(|value| takes_values && !arg.is_hide_possible_values_set() && !value.is_hide_set());
    let possible: Vec<String> = possible.map(|value| format!("`{}`", value.get_name())).collect();
    if !possible.is_empty() {
        let _ = write!(text, ". One of {}", possible.join(", "));
    }
    if !defaults.is_empty() {
        let _ = write!(text, ". Default: {}", defaults.join(", "));
    }
    match default.trim_end_matches(']') {
        "" => text + ".",
        "see below" => text + ". The default is explained above.",
        default => format!("{text}. Default: `{default}`."),
    }
}

/// Returns a table for each heading of the help.
fn tables(command: &Command, with_global: bool) -> String {
    let mut groups: BTreeMap<(u8, String), Vec<&Arg>> = BTreeMap::new();
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let heading = arg.get_help_heading();
        let (order, heading) = match heading {
            _ if arg.is_positional() => (0, "Arguments"),
            None => (1, "Options"),
            Some(GLOBAL) => (3, GLOBAL),
            Some(heading) => (2, heading),
        };
        let is_help = matches!(arg.get_id().as_str(), "help" | "version");
        let is_own_global = heading == GLOBAL && (!arg.is_global_set() && command.get_name() == "lint");
        if !is_help && (heading != GLOBAL || with_global || is_own_global) {
            groups.entry((order, heading.to_owned())).or_default().push(arg);
        }
    }
    let mut text = String::new();
    for ((_, heading), args) in groups {
        let _ = writeln!(
            text,
            "\n## {heading}\n\n| {} | |\n|---|---|",
            if heading == "Arguments" { "argument" } else { "flag" }
        );
        for arg in args {
            let _ = writeln!(text, "| {} | {} |", invocation(arg).replace('|', "\\|"), describe(arg));
        }
    }
    text
}

/// Returns the text after the options: paragraphs, then the examples. Only `schema` has text below its examples, the
/// last line of which is YAML.
fn notes_and_examples(command: &Command) -> String {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples) = after.split_once("Example:\n").unwrap_or((&after, ""));
    let lines: Vec<&str> = examples.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    let examples = lines.join("\n");
    let (examples, below) = examples.split_once("\n\n").unwrap_or((&examples, ""));
    let mut text = String::new();
    if !notes.trim().is_empty() {
        let _ = writeln!(text, "\n{}", with_code(notes.trim()));
    }
    let _ = writeln!(text, "\n## Examples\n\n```sh\n{examples}\n```");
    if let Some((sentence, line)) = below.split_once('\n') {
        let _ = writeln!(text, "\n{sentence}\n\n```yaml\n{line}\n```");
    }
    text
}

fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

fn page(name: &str, command: &Command) -> String {
    let mut text = format!("# manifest-tool {name}\n\n{}.\n", with_code(&command.get_about().unwrap().to_string()));
    let _ = writeln!(text, "\n```text\n{}\n```", usage(command));
    text += &notes_and_examples(command);
    let subcommands: Vec<&Command> =
        command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help").collect();
    if !subcommands.is_empty() {
        let _ = writeln!(text, "\n## Commands\n\n| command | |\n|---|---|");
        for subcommand in subcommands {
            let full = format!("{name} {}", subcommand.get_name());
            let _ = writeln!(
                text,
                "| [{full}]({}) | {}. |",
                file_name(&full),
                escape(&subcommand.get_about().unwrap().to_string())
            );
        }
    }
    text += &tables(command, false);
    text += "\nEvery command also has the [global options](README.md#global-options).\n";
    text
}

fn overview() -> String {
    let root = manifest_tool::cli::command();
    let mut text = "# Commands\n\nEach page lists the flags of one command. The pages are generated from the program, \
                    so they are the text of `--help`.\n\n| command | |\n|---|---|\n"
        .to_owned();
    for (name, command) in commands() {
        let about = escape(&command.get_about().unwrap().to_string());
        let _ = writeln!(text, "| [{name}]({}) | {about}. |", file_name(&name));
    }
    text += "\nFlags may stand before or after the command. `-h` prints a short help, `--help` everything.\n";
    text + &tables(&root, true)
}

#[test]
fn the_pages_of_commands_are_up_to_date() {
    let mut expected: BTreeMap<String, String> = BTreeMap::from([("README.md".to_owned(), overview())]);
    expected.extend(commands().iter().map(|(name, command)| (file_name(name), page(name, command))));
    let folder = root().join(FOLDER);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in &expected {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<String> = entries.collect();
    found.sort();
    assert_eq!(found, expected.keys().cloned().collect::<Vec<_>>());
    for (name, text) in expected {
        let stored = std::fs::read_to_string(folder.join(&name)).unwrap();
        assert_eq!(stored, text, "{FOLDER}/{name} is stale: run the test with UPDATE_SNAPSHOTS=1");
    }
}
