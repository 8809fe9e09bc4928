//! `schema` and `lint` agree about every spec, except for rules that a schema cannot express. Neither needs a registry.

mod invalid;
mod positions;
mod reports;
mod valid;
mod variables;

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{Outcome, manifest_tool, manifest_tool_with_stdin};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let outcome = manifest_tool(folder.path(), &["schema"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    assert_eq!(manifest_tool(folder.path(), &["schema", "--output", "json"]).stdout, outcome.stdout);
    outcome.json()
});

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&SCHEMA).unwrap());

/// The only entry of [`schema_errors`] for text that does not parse.
const INVALID_YAML: &str = "invalid YAML";

/// Returns the JSON pointers at which an editor would mark errors. Editors read YAML 1.2, where `yes` is a string.
fn schema_errors(text: &str) -> Vec<String> {
    match serde_saphyr::from_str_with_options::<Value>(text, serde_saphyr::options! { strict_booleans: true }) {
        Ok(spec) => VALIDATOR.iter_errors(&spec).map(|error| error.instance_path().to_string()).collect(),
        Err(_) => vec![INVALID_YAML.into()],
    }
}

fn run_lint(args: &[&str], text: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    manifest_tool_with_stdin(folder.path(), &[&["lint", "-"], args].concat(), text)
}

/// Runs `lint` on a spec without warnings: it prints either the spec on stdout or problems on stderr.
#[track_caller]
fn lint(args: &[&str], text: &str) -> Outcome {
    let outcome = run_lint(args, text);
    let silent = if outcome.exit == 0 { &outcome.stderr } else { &outcome.stdout };
    assert!(silent.is_empty() && [0, 1].contains(&outcome.exit), "{text}\n{outcome:?}");
    outcome
}

/// Asserts that both the schema and `lint` accept a spec.
#[track_caller]
fn assert_valid(args: &[&str], text: &str) {
    assert_eq!(schema_errors(text), [""; 0], "the schema rejects\n{text}");
    let outcome = lint(args, text);
    assert!(outcome.exit == 0, "{text}\n{outcome:?}");
}

/// Asserts that the schema rejects a spec at this path, and `lint` with this message.
#[track_caller]
fn assert_invalid(text: &str, path: &str, message: &str) {
    assert_schema_error(text, path);
    let outcome = lint(&[], text);
    assert!(outcome.exit == 1 && outcome.stderr.contains(message), "{text}\n{outcome:?}");
}

/// Asserts that the schema rejects a spec that 2.2.1 accepts, and that `lint` warns about it.
#[track_caller]
fn assert_warning(text: &str, path: &str, message: &str) {
    assert_schema_error(text, path);
    assert_lint_warns(text, message);
}

/// Asserts that `lint` warns about a spec that 2.2.1 accepts, by a rule that the schema cannot express.
#[track_caller]
fn assert_lint_warning(text: &str, message: &str) {
    assert_eq!(schema_errors(text), [""; 0], "the schema rejects it too, use assert_warning\n{text}");
    assert_lint_warns(text, message);
}

/// Asserts that `lint` rejects a spec by a rule that the schema cannot express.
#[track_caller]
fn assert_lint_error(args: &[&str], text: &str, message: &str) {
    assert_eq!(schema_errors(text), [""; 0], "the schema rejects it too, use assert_invalid\n{text}");
    let outcome = lint(args, text);
    assert!(outcome.exit == 1 && outcome.stderr.contains(message), "{text}\n{outcome:?}");
}

#[track_caller]
fn assert_schema_error(text: &str, path: &str) {
    let errors = schema_errors(text);
    assert!(errors.iter().any(|error| error == path), "the schema reports {errors:?}\n{text}");
}

/// Asserts that `lint` prints only warnings, and that they are errors with `--strict`.
#[track_caller]
fn assert_lint_warns(text: &str, message: &str) {
    let (outcome, strict) = (run_lint(&[], text), lint(&["--strict"], text));
    assert!(outcome.exit == 0 && outcome.stderr.contains(message), "{text}\n{outcome:?}");
    assert!(outcome.stderr.lines().all(|line| line.starts_with("warning: ")), "{text}\n{outcome:?}");
    assert!(strict.exit == 1 && strict.stderr.contains(message), "{text}\n{strict:?}");
}

/// Returns a minimal spec with further top-level lines, which start at line 3.
fn spec_with(lines: &str) -> String {
    format!("image: r.io/a:1\nmanifests: [{{image: r.io/b:1}}]\n{lines}\n")
}

/// Returns a minimal spec with further lines in its entry, which start at line 4.
fn spec_with_entry(lines: &str) -> String {
    format!("image: r.io/a:1\nmanifests:\n- image: r.io/b:1\n  {lines}\n")
}

fn spec_with_images(target: &str, source: &str) -> String {
    format!("image: {}\nmanifests: [{{image: {}}}]\n", json!(target), json!(source))
}

fn hex_digits(length: usize) -> String {
    "0a".repeat(length / 2)
}
