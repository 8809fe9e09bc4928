//! Usage errors show no password, regardless of its position on the command line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::support::{Outcome, Workspace, command, run};

const SECRET: &str = "hunter2!x";

/// Runs the program, and asserts that its output does not contain the secret.
fn run_without_leaks(args: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), args);
    command.envs(environment.iter().copied());
    let outcome = run(command, "");
    let output = format!("{}{}", outcome.stdout, outcome.stderr).to_lowercase();
    assert!(!output.contains(SECRET), "{args:?} {environment:?}: {outcome:?}");
    outcome
}

#[test]
fn usage_errors_show_no_password_at_any_position() {
    let image = "r.invalid/app:v1";
    for args in [
        &["--username", "u", "--password", SECRET][..],
        &["--username", "u", "-p", SECRET],
        &["--username", "u", &format!("-p{SECRET}")],
        &["--username", "u", &format!("-p={SECRET}"), "inspct"],
        &["--username", "u", &format!("--password={SECRET}"), "inspect"],
        &["--username", "u", "-password", SECRET, "inspect"],
        &["inspect", image, "--password", "a", "--password", SECRET, "--no-such-flag"],
        &["inspect", image, "-p", SECRET, "-p", SECRET, "--no-such-flag"],
        &["inspect", image, "--username", "--password", SECRET],
        &["--username", "--password", SECRET, "inspect", image],
        &["inspect", image, "--pasword", SECRET],
        &["inspect", image, &format!("--pasword={SECRET}")],
        &["--pasword", SECRET, "inspect", image],
        &["-pasword", SECRET, "inspect", image],
        &["inspect", image, "-pasword", SECRET],
        &["inspect", image, &format!("--password{SECRET}")],
        &["inspect", image, &format!("--password:{SECRET}")],
        &["inspect", image, "--Password", SECRET],
        &["inspect", image, "\u{2014}password", SECRET],
        &["login", "r.invalid", "--username", "u", "--password-stdin", SECRET],
        &["inspect", image, "--password", SECRET, "--timeout", SECRET],
        &["inspect", image, "--password", SECRET, "--retries", SECRET],
        &["inspect", image, "--password", SECRET, "--output", SECRET],
        &["inspect", image, "--password", SECRET, &format!("--{SECRET}")],
        &["inspect", image, "--username", "u", "--password", SECRET, &format!("--plain-http={SECRET}")],
        &["login", SECRET, "--username", "u", "--password", SECRET],
        &["push", "from-args", "--password", SECRET, "--platforms", SECRET],
        &["remove", image, "--password", SECRET, "--platform", SECRET],
        &[SECRET, "--password", SECRET],
        &["inspect", image, "--password", SECRET],
    ] {
        let outcome = run_without_leaks(args, &[]);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{args:?}: {outcome:?}");
    }
    for args in
        [&[SECRET][..], &["inspect", image, SECRET], &["login", SECRET], &["inspect", image, "--retries", SECRET]]
    {
        let outcome = run_without_leaks(args, &[("MANIFEST_TOOL_USERNAME", "u"), ("MANIFEST_TOOL_PASSWORD", SECRET)]);
        assert_eq!(outcome.exit, 2, "{args:?}: {outcome:?}");
        run_without_leaks(args, &[("DOCKER_AUTH_CONFIG", SECRET)]);
    }
    let json = run_without_leaks(&["login", SECRET, "--output", "json"], &[("MANIFEST_TOOL_PASSWORD", SECRET)]);
    assert!(json.stdout.contains("****"), "{json:?}");
}

#[test]
fn a_usage_error_without_secrets_is_not_masked() {
    let plain = Workspace::new().run(&["inspct", "r.io/a:1"]);
    let with_password = run_without_leaks(&["inspct", "r.io/a:1", "--password", SECRET], &[]);
    assert_eq!((plain.exit, with_password.exit, &plain.stderr), (2, 2, &with_password.stderr));
    assert!(plain.stderr.starts_with("error: unrecognized subcommand 'inspct'\n"), "{plain:?}");
    let masked = run_without_leaks(&["--password", SECRET, SECRET], &[]);
    assert!(masked.stderr.starts_with("error: unrecognized subcommand '****'\n"), "{masked:?}");
}

#[test]
fn a_password_that_is_not_utf_8_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    for first in ["--password", "--username", "inspect"] {
        let mut command = command(folder.path(), &[first]);
        command.arg(OsStr::from_bytes(b"hunter2\xff")).arg("--retries").arg(OsStr::from_bytes(b"hunter2\xff"));
        let outcome = run(command, "");
        assert_eq!(outcome.exit, 2, "{outcome:?}");
        assert!(first != "--password" || !outcome.stderr.contains("hunter2"), "{outcome:?}");
    }
}
