//! Progress lines on a terminal: what they say, that they never wrap, and that they disappear.

use std::time::Duration;

use crate::support::images::{push_image, push_image_with};
use crate::support::terminal::TerminalOutcome;
use crate::support::{Registry, Sandbox, ScriptedServer, Workspace};

/// Returns a server that forwards every request to the registry after a second, long enough to draw each phase.
fn slow(registry: &Registry) -> ScriptedServer {
    ScriptedServer::in_front_of(registry, |_| {
        std::thread::sleep(Duration::from_secs(1));
        None
    })
}

fn workspace(server: &ScriptedServer) -> Workspace {
    Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host)
}

#[track_caller]
fn assert_shows(outcome: &TerminalOutcome, line: &str) {
    let frames = outcome.frames();
    assert!(frames.iter().any(|frame| frame.lines().any(|shown| shown.ends_with(line))), "{line}: {frames:#?}");
}

#[test]
fn a_push_shows_each_phase_in_one_line_that_fits() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    push_image(&registry, "app", "arm64", "arm64");
    let server = slow(&registry);
    let args = ["push", "--force", "from-images", "-t", "HOST/app:v1", "--tags", "a-long-tag-to-be-cut-off,v1.2"];
    let args = [&args[..], &["HOST/app:amd64", "HOST/app:arm64"]].concat();
    for (columns, writing) in
        [(80, "writing tag a-long-tag-to-be-cut-off (2 of 3)"), (30, "writing tag a-long-tag-to-…")]
    {
        let outcome = workspace(&server).run_with_stderr_on_terminal(columns, &args);
        assert_eq!(outcome.exit, 0, "{}", outcome.output);
        assert_shows(&outcome, "resolving 0 of 2 images");
        assert_shows(&outcome, writing);
        assert_shows(&outcome, "writing tag v1.2 (3 of 3)");
        let frames = outcome.frames();
        let is_wide = |frame: &String| frame.lines().any(|line| line.chars().count() >= columns.into());
        // The line about the result may wrap.
        assert!(!frames.iter().filter(|frame| !frame.starts_with("pushed ")).any(is_wide), "{frames:#?}");
        assert!(outcome.stdout.starts_with("Digest: sha256:"), "{}", outcome.stdout);
        assert!(!outcome.screen().contains("writing"), "{}", outcome.screen());
    }
}

#[test]
fn reading_commands_show_what_they_read() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let server = slow(&registry);
    let workspace = workspace(&server);
    for (args, line) in [
        (&["inspect", "HOST/app:v1"][..], "reading HOST/app:v1"),
        (&["tags", "HOST/app"], "reading the tags of HOST/app"),
        (&["verify", "HOST/app:v1"], "verifying HOST/app:v1"),
        (&["delete", "HOST/app:v9"], "deleting HOST/app:v9"),
    ] {
        let outcome = workspace.run_in_terminal(100, args);
        assert_shows(&outcome, &workspace.fill(line));
        assert!(!outcome.screen().contains(&workspace.fill(line)), "{}", outcome.screen());
    }
    let outcome = workspace.run_in_terminal(100, &["query", "HOST/app:v1", "HOST/app:v1"]);
    assert!(outcome.frames().iter().any(|frame| frame.contains("reading 0 of 2 references, ")), "{}", outcome.output);
}

/// The server takes 100 ms for each MiB of a blob.
#[test]
fn a_copy_shows_each_blob_and_their_total() {
    let registry = Registry::start();
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    push_image_with(&registry, "parts", "amd64", config, &vec![7; 16 << 20]);
    let server = ScriptedServer::in_front_of(&registry, |request| {
        request.line.contains("?mount=").then(|| (405, vec![], vec![]))
    });
    let args = ["copy", "HOST/parts:amd64", "HOST/whole:v1"];
    let outcome = workspace(&server).run_in_terminal(120, &args);
    assert_eq!(outcome.exit, 0, "{}", outcome.output);
    let frames = outcome.frames();
    let total = |frame: &String| frame.contains(" of 2 blobs, ") && frame.contains(" of 16 MiB");
    let blob = |frame: &String| frame.contains("] ") && frame.contains("sha256:");
    assert!(frames.iter().any(total) && frames.iter().any(blob), "{frames:#?}");
    assert_eq!(outcome.screen().matches("Digest: sha256:").count(), 1, "{}", outcome.screen());
}

#[test]
fn a_wait_that_the_registry_asks_for_is_shown() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let answered = std::sync::atomic::AtomicBool::new(false);
    let server = ScriptedServer::in_front_of(&registry, move |request| {
        let is_first =
            request.line.contains("/manifests/") && !answered.swap(true, std::sync::atomic::Ordering::SeqCst);
        is_first.then(|| (429, vec![("Retry-After", "2".to_owned())], vec![]))
    });
    let outcome = workspace(&server).run_in_terminal(100, &["inspect", "HOST/app:v1"]);
    assert_eq!(outcome.exit, 0, "{}", outcome.output);
    assert_shows(&outcome, &format!("waiting 2 s: {} asks for it", server.host));
}

#[test]
fn ctrl_c_removes_the_lines_and_keeps_the_report() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let server = ScriptedServer::in_front_of(&registry, |_| {
        std::thread::sleep(Duration::from_secs(60));
        None
    });
    let workspace = workspace(&server);
    let outcome = workspace.interrupt_in_terminal(100, 2, &["inspect", "HOST/app:v1"]);
    assert_shows(&outcome, &workspace.fill("reading HOST/app:v1"));
    let screen = outcome.screen();
    assert!(screen.contains("error: ") && !screen.contains("reading "), "{screen}");
}

#[test]
fn quiet_runs_dumb_terminals_and_no_progress_have_no_progress_lines() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let server = slow(&registry);
    let quiet = workspace(&server).run_with_stderr_on_terminal(80, &["-q", "inspect", "HOST/app:v1"]);
    let hidden = workspace(&server).run_with_stderr_on_terminal(80, &["verify", "--no-progress", "HOST/app:v1"]);
    for outcome in [quiet, hidden] {
        assert_eq!(outcome.exit, 0);
        assert!(!outcome.output.contains('\x1b') && !outcome.output.contains("ing "), "{:?}", outcome.output);
    }
}

#[test]
fn a_log_has_no_control_characters() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let copied = sandbox.run(&["copy", "HOST/app:v1", "HOST/other:v1"]).success();
    assert_eq!(copied.stderr, "");
    assert!(!copied.stdout.contains('\x1b'), "{copied:?}");
}
