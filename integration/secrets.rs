//! Usage errors show no password, wherever one stands on the command line.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::support::{Outcome, command, manifest_tool, run};

const SECRET: &str = "hunter2!x";

fn told(args: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), args);
    command.envs(environment.iter().copied());
    let outcome = run(command, "");
    let said = format!("{}{}", outcome.stdout, outcome.stderr).to_lowercase();
    assert!(!said.contains(SECRET), "{args:?} {environment:?}: {outcome:?}");
    outcome
}

#[test]
fn usage_errors_show_no_password() {
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
        let outcome = told(args, &[]);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{args:?}: {outcome:?}");
    }
    for args in
        [&[SECRET][..], &["inspect", image, SECRET], &["login", SECRET], &["inspect", image, "--retries", SECRET]]
    {
        let outcome = told(args, &[("MANIFEST_TOOL_USERNAME", "u"), ("MANIFEST_TOOL_PASSWORD", SECRET)]);
        assert_eq!(outcome.exit, 2, "{args:?}: {outcome:?}");
        told(args, &[("DOCKER_AUTH_CONFIG", SECRET)]);
    }
    let json = told(&["login", SECRET, "--output", "json"], &[("MANIFEST_TOOL_PASSWORD", SECRET)]);
    assert!(json.stdout.contains("****"), "{json:?}");
}

#[test]
fn a_usage_error_without_secrets_is_shown_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let plain = manifest_tool(folder.path(), &["inspct", "r.io/a:1"]);
    let with = told(&["inspct", "r.io/a:1", "--password", SECRET], &[]);
    assert_eq!((plain.exit, with.exit, &plain.stderr), (2, 2, &with.stderr));
    assert!(plain.stderr.starts_with("error: unrecognized subcommand 'inspct'\n"), "{plain:?}");
    let masked = told(&["--password", SECRET, SECRET], &[]);
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
