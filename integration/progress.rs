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

/// Only a person at a terminal reads these lines; stdout stays the same.
#[test]
fn a_line_at_the_terminal_says_what_was_done() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    push_image(&sandbox.registry, "app", "arm64", "arm64");
    let push =
        ["push", "from-images", "-t", "HOST/app:v1", "--tags", "v1.2,latest", "HOST/app:amd64", "HOST/app:arm64"];
    let both = "linux/amd64, linux/arm64";
    for (args, line) in [
        (&push[..], format!("pushed HOST/app:v1 (also v1.2, latest): {both}")),
        (&push, format!("unchanged: HOST/app:v1 (also v1.2, latest): {both}")),
        (
            &["copy", "HOST/app:v1", "HOST/new:v1", "--tags", "1"],
            format!("copied HOST/app:v1 to HOST/new:v1 (also 1): {both}"),
        ),
        (&["copy", "HOST/app:amd64", "HOST/new:amd64"], "copied HOST/app:amd64 to HOST/new:amd64".into()),
        (
            &["remove", "HOST/app:v1", "--platform", "linux/arm64", "--settle", "1ms"],
            "removed linux/arm64 from HOST/app:v1: linux/amd64".into(),
        ),
        (&["delete", "--yes", "HOST/new:1"], "deleted HOST/new:1, with its manifest sha256:".into()),
    ] {
        let outcome = sandbox.run_with_stderr_on_terminal(200, args);
        let screen = outcome.screen();
        let last = screen.lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with(&sandbox.fill(&line)), "{line}: {screen}");
        assert!(outcome.stdout.starts_with("D"), "{}", outcome.stdout);
        let quiet = sandbox.run_with_stderr_on_terminal(200, &[args, &["-q"]].concat());
        assert_eq!(quiet.screen().matches("pushed ").count(), 0, "{}", quiet.screen());
    }
    sandbox.run(&push).success().stderr_lacks("pushed");
}

#[test]
fn a_json_log_has_a_line_per_index_of_a_batch() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    let spec = |n: u32| format!("---\nimage: HOST/app:v{n}\nmanifests: [{{image: 'HOST/app:amd64'}}]\n");
    sandbox.write("many.yaml", &(0..3).map(spec).collect::<String>());
    let args = ["push", "--type", "oci", "from-spec", "many.yaml", "--output", "json"];
    let expected = "pushed HOST/app:v0: linux/amd64\npushed HOST/app:v1: linux/amd64\npushed HOST/app:v2: \
                    linux/amd64\n3 indexes: 3 done, 0 unchanged, 0 failed, 0 skipped\n";
    assert_eq!(sandbox.run(&args).success().stderr, sandbox.fill(expected));
}

#[test]
fn a_plan_at_a_terminal_has_colours() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    let args = ["push", "--dry-run", "from-images", "-t", "HOST/app:v1", "HOST/app:amd64"];
    let plan = sandbox.run_in_terminal(200, &args);
    assert!(plan.output.contains("  \x1b[32m+ created   \x1b[0m "), "{:?}", plan.output);
    assert!(plan.screen().ends_with("plan: 1 tag to create"), "{}", plan.screen());
    let without = Sandbox::with_registry(sandbox.registry).with(|workspace| workspace.env("NO_COLOR", "1"));
    let plan = without.run_in_terminal(200, &args);
    assert!(!plan.output.contains("\x1b[32m"), "{:?}", plan.output);
}
