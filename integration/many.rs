//! Pushing many indexes in one run.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use indoc::indoc;

use crate::support::images::push_image;
use crate::support::{Outcome, Sandbox, ScriptedServer, Workspace};

/// Returns a spec of one source at `HOST`.
fn spec(target: &str, source: &str) -> String {
    format!("image: HOST/app:{target}\nmanifests: [{{image: \"HOST/app:{source}\"}}]\n")
}

/// Returns `count` specs as one YAML stream, with the targets `PREFIX0`, `PREFIX1` and so on.
fn numbered_specs(count: usize, prefix: &str) -> String {
    let specs: Vec<String> = (0..count).map(|n| spec(&format!("{prefix}{n}"), "amd64")).collect();
    specs.join("---\n")
}

fn sandbox_with_images() -> Sandbox {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    push_image(&sandbox.registry, "app", "arm64", "arm64");
    sandbox
}

fn push(workspace: &Workspace, more: &[&str]) -> Outcome {
    workspace.run(&[&["push", "from-spec"], more].concat())
}

#[test]
fn specs_are_pushed_in_the_order_of_files_folders_documents_and_stdin() {
    let sandbox = sandbox_with_images();
    sandbox.write("specs/b.yml", &spec("b", "amd64"));
    sandbox.write("specs/a.yaml", &spec("a", "amd64"));
    sandbox.write("specs/notes.txt", "not a spec");
    sandbox.write("two.yaml", &format!("{}---\n{}", spec("t1", "arm64"), spec("t2", "amd64")));
    let args = ["push", "from-spec", "two.yaml", "specs", "-"];
    let outcome = sandbox.run_with_stdin(&args, &spec("stdin", "arm64")).success();
    let expected: String = ["t1", "t2", "a", "b", "stdin"]
        .iter()
        .map(|tag| {
            let index = sandbox.registry.manifest("app", tag).unwrap();
            sandbox.fill(&format!("Digest: {} {} HOST/app:{tag}\n", index.digest, index.bytes.len()))
        })
        .collect();
    assert_eq!(outcome.stdout, expected);
    // A warning that applies to several indexes is shown once.
    let (first, rest) = outcome.stderr.split_once('\n').unwrap();
    assert!(
        first.starts_with("warning: ") && first.ends_with("use --type auto (shown once for all indexes)"),
        "{outcome:?}"
    );
    assert_eq!(rest, "5 indexes: 5 done, 0 unchanged, 0 failed, 0 skipped\n");
    let quiet = push(&sandbox, &["--quiet", "two.yaml", "specs"]);
    assert_eq!((quiet.exit, quiet.stderr.as_str()), (0, ""));
    let single = push(&sandbox, &["specs/a.yaml"]);
    assert_eq!(single.stdout.split(' ').count(), 3, "the line of a single index has no reference: {single:?}");
}

#[test]
fn all_problems_of_all_files_are_reported_before_the_first_request() {
    let server = ScriptedServer::start(|_, _| (404, vec![], vec![]));
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    std::fs::create_dir(workspace.path("empty")).unwrap();
    workspace.write("good.yaml", &spec("a", "x"));
    workspace.write("bad.yaml", &format!("{}---\nimag: x\nmanifests: []\n", spec("b", "x")));
    workspace.write("broken.yaml", "image: [");
    workspace.write("again.yaml", &format!("{}tags: [a]\n", spec("c", "x")));
    workspace.write("twice.yaml", &format!("{0}---\n{0}", spec("d", "x")));
    let paths = ["good.yaml", "bad.yaml", "broken.yaml", "gone.yaml", "empty", "again.yaml", "twice.yaml"];
    let outcome = push(&workspace, &paths);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{outcome:?}");
    for part in [
        "error: 8 problems found\n",
        "bad.yaml:4:1: unknown key \"imag\" in a spec; did you mean \"image\"?\n",
        "bad.yaml:5:12: \"manifests\" is empty",
        "broken.yaml:",
        "cannot read gone.yaml: ",
        "empty contains no .yaml or .yml file\n",
        "again.yaml: HOST/app:a is also written by good.yaml\n",
        "twice.yaml: HOST/app:d is written by two of its indexes\n",
    ] {
        assert!(outcome.stderr.contains(&workspace.fill(part)), "{part}: {}", outcome.stderr);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_failing_index_stops_the_others_only_with_fail_fast() {
    let sandbox = sandbox_with_images();
    let documents: Vec<String> =
        (0..100).map(|n| spec(&format!("n{n}"), if n == 3 { "gone" } else { "amd64" })).collect();
    sandbox.write("many.yaml", &documents.join("---\n"));
    let fast = push(&sandbox, &["--fail-fast", "many.yaml"]);
    let summary = fast.stderr.lines().last().unwrap().to_owned();
    let numbers: Vec<usize> = summary.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert_eq!((fast.exit, numbers[0], numbers[3]), (1, 100, 1), "{summary}");
    assert!(
        numbers[4] > 40 && numbers[1] + numbers[3] + numbers[4] == 100,
        "indexes in progress are finished: {summary}"
    );
    assert_eq!(fast.stdout.lines().count(), numbers[1]);
    assert!(sandbox.registry.manifest("app", "n99").is_none());

    let all = push(&sandbox, &["many.yaml"]);
    assert_eq!((all.exit, all.stdout.lines().count()), (1, 99));
    let error = sandbox.fill("error: cannot assemble HOST/app:n3: HOST/app:gone not found");
    assert!(all.stderr.contains(&error), "{all:?}");
    let done = 99 - numbers[1];
    let expected = format!("error: 100 indexes: {done} done, {} unchanged, 1 failed, 0 skipped\n", numbers[1]);
    assert!(all.stderr.ends_with(&expected), "{}", all.stderr);
}

/// Some registries throttle clients with many concurrent requests.
#[test]
fn concurrent_requests_are_limited() {
    let sandbox = sandbox_with_images();
    for (flags, limit) in [(&[][..], 16), (&["--concurrency", "3"], 3)] {
        // The number of current requests, and its maximum so far.
        let counts = std::sync::Arc::new((Mutex::new((0, 0)), Condvar::new()));
        let proxy_counts = std::sync::Arc::clone(&counts);
        let proxy = ScriptedServer::in_front_of(&sandbox.registry, move |_| {
            let (counts, changed) = &*proxy_counts;
            {
                let mut counts = counts.lock().unwrap();
                counts.0 += 1;
                counts.1 = counts.1.max(counts.0);
                changed.notify_all();
                // Hold each request until the limit is reached, so that the test does not depend on timing.
                let is_below_limit = |counts: &mut (usize, usize)| counts.1 < limit;
                drop(changed.wait_timeout_while(counts, Duration::from_secs(20), is_below_limit).unwrap());
            }
            std::thread::sleep(Duration::from_millis(5));
            counts.lock().unwrap().0 -= 1;
            None
        });
        let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &proxy.host);
        workspace.write("many.yaml", &numbered_specs(60, "c"));
        push(&workspace, &[flags, &["many.yaml"]].concat()).success();
        assert_eq!(counts.0.lock().unwrap().1, limit, "{flags:?}");
    }
    sandbox.run(&["inspect", "--concurrency", "0", "r.invalid/a:1"]).fails(2, "0 is not in 1..=1000");
}

#[test]
fn the_warning_about_a_skipped_source_names_its_index() {
    let sandbox = sandbox_with_images();
    sandbox.write(
        "many.yaml",
        indoc! {"
            image: HOST/app:a
            manifests: [{image: HOST/app:amd64}, {image: HOST/app:gone}]
            ---
            image: HOST/app:b
            manifests: [{image: HOST/app:amd64}, {image: HOST/app:gone}]
        "},
    );
    let outcome = push(&sandbox, &["--ignore-missing", "many.yaml"]).success();
    for tag in ["a", "b"] {
        let warning = sandbox.fill(&format!("warning: HOST/app:{tag}: skipped: HOST/app:gone not found"));
        assert!(outcome.stderr.contains(&warning), "{outcome:?}");
    }
    let requests = sandbox.registry.requests(0).iter().filter(|line| line.ends_with("/app/manifests/gone")).count();
    assert_eq!(requests, 1, "the run requests a missing source once");
}

/// `script` provides a terminal. A progress line is drawn during the run and removed at its end.
#[test]
fn a_terminal_shows_progress() {
    let sandbox = sandbox_with_images();
    // Slow enough for the line to be drawn.
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, |_| {
        std::thread::sleep(Duration::from_millis(20));
        None
    });
    let workspace = Workspace::new().placeholder("HOST", &proxy.host);
    workspace.write("many.yaml", &numbered_specs(60, "p"));
    let screen_with = |flag: &str| {
        let program = env!("CARGO_BIN_EXE_manifest-tool");
        let command = format!("stty cols 120; {program} --plain-http push --force {flag} from-spec many.yaml");
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).current_dir(workspace.folder()).env("HOME", workspace.folder());
        let output = script.env("TERM", "xterm").stdin(std::process::Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let screen = screen_with("");
    assert!(screen.contains(" of 60 indexes, ") && screen.contains(" requests, "), "{screen}");
    assert!(screen.trim_end().ends_with("60 indexes: 60 done, 0 unchanged, 0 failed, 0 skipped"), "{screen}");
    assert_eq!(screen.matches("Digest: sha256:").count(), 60);
    for quiet in ["--no-progress", "--quiet"] {
        assert!(!screen_with(quiet).contains(" of 60 indexes"), "{quiet}");
    }
    assert!(sandbox.registry.manifest("app", "p59").is_some());
}
