//! Credential helpers that hang or print too much.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use super::run_without_leaks;
use crate::support::images::push_image;
use crate::support::{LOGIN, Registry, Sandbox, signal, spawn, wait};

const VALID: &str = r#"echo '{"Username":"user","Secret":"secret-word"}'"#;

/// A sandbox with the image `app:v1` in a registry that requires credentials, and a configured credential helper.
struct HelperFixture {
    sandbox: Sandbox,
    path: String,
}

impl HelperFixture {
    /// Creates a helper that hangs on `verb`, after it has written its process ID to the file `pid`.
    fn hanging_on(verb: &str) -> Self {
        let hang = r#"echo $$ >"$HOME/pid.new"; mv "$HOME/pid.new" "$HOME/pid"; exec sleep 1000"#;
        Self::with_script(&format!("case $1 in {verb}) {hang};; esac\n{VALID}"))
    }

    fn with_script(script: &str) -> Self {
        let sandbox = Sandbox::with_registry(Registry::with_htpasswd());
        push_image(&sandbox.registry, "app", "v1", "amd64");
        let helper = sandbox.write("docker-credential-test", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        sandbox.write(".docker/config.json", r#"{"credsStore":"test"}"#);
        let path = format!("{}:{}", sandbox.folder().display(), std::env::var("PATH").unwrap());
        Self { sandbox, path }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.command(args);
        command.env("PATH", &self.path);
        command
    }

    /// Waits until the helper runs, and returns its process ID.
    fn wait_for_helper(&self) -> String {
        let file = self.sandbox.path("pid");
        loop {
            if let Ok(pid) = std::fs::read_to_string(&file) {
                std::fs::remove_file(&file).unwrap();
                return pid.trim().to_owned();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Waits until a process has exited. A zombie counts as exited.
fn wait_for_exit(pid: &str) {
    let is_running = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
    };
    for _ in 0..500 {
        if !is_running() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the helper {pid} is still running");
}

#[test]
fn a_hanging_helper_is_killed_on_a_signal_and_at_the_deadline() {
    for (verb, args) in [
        ("store", &["login", "HOST"][..]),
        ("get", &["login", "HOST"]),
        ("erase", &["logout", "HOST"]),
        ("get", &["logout", "HOST"]),
        ("get", &["inspect", "HOST/app:v1"]),
        ("get", &["verify", "HOST/app:v1"]),
        ("get", &["copy", "oci:layout:v1", "HOST/new:v1"]),
    ] {
        let fixture = HelperFixture::hanging_on(verb);
        if args[0] == "copy" {
            let args = [&["copy", "HOST/app:v1", "oci:layout:v1"], &LOGIN[..]].concat();
            run_without_leaks(&fixture.sandbox, &args, &[], "").success();
        }
        let command = |more: &[&str]| {
            let mut command = fixture.command(&[args, more].concat());
            if args[0] == "login" {
                command.env("MANIFEST_TOOL_USERNAME", "user").env("MANIFEST_TOOL_PASSWORD", "secret-word");
            }
            command
        };
        for (name, code) in [("INT", 130), ("TERM", 143)] {
            let child = spawn(command(&[]));
            let helper = fixture.wait_for_helper();
            signal(&child, name);
            let outcome = wait(child);
            assert_eq!(outcome.exit, code, "{verb} {args:?}: {outcome:?}");
            assert!(outcome.stderr.contains("not completed: interrupted"), "{verb} {args:?}: {outcome:?}");
            wait_for_exit(&helper);
        }
        let child = spawn(command(&["--deadline", "2s"]));
        let outcome = wait(child);
        assert_eq!(outcome.exit, 124, "{verb} {args:?}: {outcome:?}");
        // On a busy machine, the deadline may pass before the helper has started.
        if let Ok(helper) = std::fs::read_to_string(fixture.sandbox.path("pid")) {
            wait_for_exit(helper.trim());
        }
    }
}

#[test]
fn a_helper_that_prints_more_than_1_mib_is_an_error() {
    for script in [
        "head -c 1100000 /dev/zero",
        "head -c 1100000 /dev/zero; exec sleep 1000",
        "head -c 1100000 /dev/zero >&2; exit 1",
        "exec yes",
    ] {
        let fixture = HelperFixture::with_script(script);
        let outcome = wait(spawn(fixture.command(&["inspect", "HOST/app:v1"])));
        outcome.fails(1, " names, printed more than 1 MiB\n");
    }
    // A helper may print less than the limit before it reads its input.
    let fixture = HelperFixture::with_script(&format!("head -c 500000 /dev/zero | tr '\\0' ' '\n{VALID}"));
    wait(spawn(fixture.command(&["inspect", "HOST/app:v1"]))).success();
}
