//! Credential helpers that hang, or say too much.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use super::{registry_with_htpasswd, tool};
use crate::support::images::push_image;
use crate::support::{Registry, command, end, signal, start};

const GOOD: &str = r#"echo '{"Username":"user","Secret":"secret-word"}'"#;

/// A home with a helper, of which `verb` writes its process's number into the file `pid` and hangs.
struct Scene {
    folder: tempfile::TempDir,
    registry: Registry,
    path: String,
}

impl Scene {
    fn new(verb: &str) -> Self {
        let hangs = r#"echo $$ >"$HOME/pid.new"; mv "$HOME/pid.new" "$HOME/pid"; exec sleep 1000"#;
        Self::with(&format!("case $1 in {verb}) {hangs};; esac\n{GOOD}"))
    }

    fn with(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry_with_htpasswd(&folder);
        push_image(&registry, "app", "v1", "amd64");
        let helper = folder.path().join("docker-credential-test");
        std::fs::write(&helper, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(folder.path().join(".docker")).unwrap();
        std::fs::write(folder.path().join(".docker/config.json"), r#"{"credsStore":"test"}"#).unwrap();
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        Self { folder, registry, path }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(self.folder.path(), args);
        command.env("PATH", &self.path);
        command
    }

    /// The helper's process, once it runs.
    fn helper(&self) -> String {
        loop {
            if let Ok(pid) = std::fs::read_to_string(self.folder.path().join("pid")) {
                std::fs::remove_file(self.folder.path().join("pid")).unwrap();
                return pid.trim().to_owned();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Waits until a process has ended; one whose parent has not taken notice has ended as well.
fn wait_until_gone(pid: &str) {
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
    };
    for _ in 0..500 {
        if !is_there() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the helper {pid} still runs");
}

#[test]
fn a_helper_that_hangs_ends_with_the_run() {
    for (verb, words) in [
        ("store", &["login", "HOST"][..]),
        ("get", &["login", "HOST"]),
        ("erase", &["logout", "HOST"]),
        ("get", &["logout", "HOST"]),
        ("get", &["inspect", "HOST/app:v1"]),
        ("get", &["verify", "HOST/app:v1"]),
        ("get", &["copy", "oci:layout:v1", "HOST/new:v1"]),
    ] {
        let scene = Scene::new(verb);
        if words[0] == "copy" {
            let args = ["copy", &format!("{}/app:v1", scene.registry.host), "oci:layout:v1"];
            let args = [&args[..], &super::LOGIN].concat();
            assert_eq!(tool(&scene.folder, &args, &[], "").exit, 0);
        }
        let words: Vec<String> = words.iter().map(|word| word.replace("HOST", &scene.registry.host)).collect();
        let command = |more: &[&str]| {
            let args: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
            let mut command = scene.command(&args);
            if words[0] == "login" {
                command.env("MANIFEST_TOOL_USERNAME", "user").env("MANIFEST_TOOL_PASSWORD", "secret-word");
            }
            command
        };
        for (name, code) in [("INT", 130), ("TERM", 143)] {
            let child = start(command(&[]));
            let helper = scene.helper();
            signal(&child, name);
            let outcome = end(child);
            assert_eq!(outcome.exit, code, "{verb} {words:?}: {outcome:?}");
            assert!(outcome.stderr.contains("not done, interrupted"), "{verb} {words:?}: {outcome:?}");
            wait_until_gone(&helper);
        }
        let child = start(command(&["--deadline", "2s"]));
        let outcome = end(child);
        assert_eq!(outcome.exit, 124, "{verb} {words:?}: {outcome:?}");
        // On a machine that is busy the time may be over before the helper has begun.
        if let Ok(helper) = std::fs::read_to_string(scene.folder.path().join("pid")) {
            wait_until_gone(helper.trim());
        }
    }
}

#[test]
fn the_output_of_a_helper_is_bounded() {
    for script in [
        "head -c 1100000 /dev/zero",
        "head -c 1100000 /dev/zero; exec sleep 1000",
        "head -c 1100000 /dev/zero >&2; exit 1",
        "exec yes",
    ] {
        let scene = Scene::with(script);
        let host = &scene.registry.host;
        let outcome = end(start(scene.command(&["inspect", &format!("{host}/app:v1")])));
        assert!(outcome.exit == 1 && outcome.stderr.contains(" names, printed more than 1 MiB\n"), "{outcome:?}");
    }
    // It may print before it has read its input.
    let scene = Scene::with(&format!("head -c 500000 /dev/zero | tr '\\0' ' '\n{GOOD}"));
    let outcome = end(start(scene.command(&["inspect", &format!("{}/app:v1", scene.registry.host)])));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
}
