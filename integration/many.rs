//! Many indexes in one run.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::support::images::push_image;
use crate::support::{Outcome, Registry, Scripted, manifest_tool, manifest_tool_with_stdin};

fn spec(host: &str, target: &str, source: &str) -> String {
    format!("image: {host}/{target}\nmanifests: [{{image: \"{host}/{source}\"}}]\n")
}

fn registry() -> Registry {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    push_image(&registry, "app", "arm64", "arm64");
    registry
}

fn push(folder: &tempfile::TempDir, more: &[&str], stdin: &str) -> Outcome {
    let args = [&["--plain-http", "push", "from-spec"], more].concat();
    manifest_tool_with_stdin(folder.path(), &args, stdin)
}

#[test]
fn files_folders_documents_and_standard_input_in_the_order_given() {
    let (registry, folder) = (registry(), tempfile::tempdir().unwrap());
    let host = registry.host.as_str();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("specs")).unwrap();
    write("specs/b.yml", &spec(host, "app:b", "app:amd64"));
    write("specs/a.yaml", &spec(host, "app:a", "app:amd64"));
    write("specs/notes.txt", "not a spec");
    write("two.yaml", &format!("{}---\n{}", spec(host, "app:t1", "app:arm64"), spec(host, "app:t2", "app:amd64")));
    let outcome = push(&folder, &["two.yaml", "specs", "-"], &spec(host, "app:stdin", "app:arm64"));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let expected: String = ["t1", "t2", "a", "b", "stdin"]
        .iter()
        .map(|tag| {
            let found = registry.manifest("app", tag).unwrap();
            format!("Digest: {} {} {host}/app:{tag}\n", found.digest, found.bytes.len())
        })
        .collect();
    assert_eq!(outcome.stdout, expected);
    // A warning that is the same for several indexes is shown once.
    let (first, rest) = outcome.stderr.split_once('\n').unwrap();
    assert!(
        first.starts_with("warning: ") && first.ends_with("use --type auto (shown once for all indexes)"),
        "{outcome:?}"
    );
    assert_eq!(rest, "5 indexes: 5 done, 0 unchanged, 0 failed, 0 skipped\n");
    let quiet = push(&folder, &["--quiet", "two.yaml", "specs"], "");
    assert_eq!((quiet.exit, quiet.stderr.as_str()), (0, ""));
    let single = push(&folder, &["specs/a.yaml"], "");
    assert_eq!(single.stdout.split(' ').count(), 3, "a single index keeps the short line: {single:?}");
}

#[test]
fn all_faults_of_all_files_are_named_before_the_first_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::start(|_, _| (404, vec![], vec![]));
    let host = server.host.as_str();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    write("good.yaml", &spec(host, "app:a", "app:x"));
    write("bad.yaml", &format!("{}---\nimag: x\nmanifests: []\n", spec(host, "app:b", "app:x")));
    write("broken.yaml", "image: [");
    write("again.yaml", &format!("{}tags: [a]\n", spec(host, "app:c", "app:x")));
    write("twice.yaml", &format!("{0}---\n{0}", spec(host, "app:d", "app:x")));
    let paths = ["good.yaml", "bad.yaml", "broken.yaml", "gone.yaml", "empty", "again.yaml", "twice.yaml"];
    let outcome = push(&folder, &paths, "");
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{outcome:?}");
    for part in [
        "error: the specs are not usable\n",
        "bad.yaml:4:1: unknown key \"imag\" in a spec; did you mean \"image\"?\n",
        "bad.yaml:5:12: \"manifests\" is empty",
        "broken.yaml:",
        "cannot read gone.yaml: ",
        "empty holds no .yaml or .yml file\n",
        &format!("again.yaml: {host}/app:a is written by good.yaml as well\n"),
        &format!("twice.yaml: {host}/app:d is written by two indexes of it\n"),
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
    assert!(server.asked().is_empty());
}

#[test]
fn a_failing_index_does_not_stop_the_others_unless_told_to() {
    let (registry, folder) = (registry(), tempfile::tempdir().unwrap());
    let host = registry.host.as_str();
    let documents: Vec<String> =
        (0..100).map(|n| spec(host, &format!("app:n{n}"), if n == 3 { "app:gone" } else { "app:amd64" })).collect();
    std::fs::write(folder.path().join("many.yaml"), documents.join("---\n")).unwrap();
    let fast = push(&folder, &["--fail-fast", "many.yaml"], "");
    let summary = fast.stderr.lines().last().unwrap().to_owned();
    let numbers: Vec<usize> = summary.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert_eq!((fast.exit, numbers[0], numbers[3]), (1, 100, 1), "{summary}");
    assert!(numbers[4] > 40 && numbers[1] + numbers[3] + numbers[4] == 100, "what had begun is finished: {summary}");
    assert_eq!(fast.stdout.lines().count(), numbers[1]);
    assert!(registry.manifest("app", "n99").is_none());

    let all = push(&folder, &["many.yaml"], "");
    assert_eq!((all.exit, all.stdout.lines().count()), (1, 99));
    assert!(
        all.stderr.contains(&format!("error: cannot assemble {host}/app:n3: {host}/app:gone not found")),
        "{all:?}"
    );
    let done = 99 - numbers[1];
    let expected = format!("error: 100 indexes: {done} done, {} unchanged, 1 failed, 0 skipped\n", numbers[1]);
    assert!(all.stderr.ends_with(&expected), "{}", all.stderr);
}

/// A registry that slows everyone down who opens too much.
#[test]
fn requests_under_way_are_bounded() {
    let registry = registry();
    for (given, most) in [(&[][..], 16), (&["--concurrency", "3"], 3)] {
        // Requests under way now, and the most so far.
        let busy = std::sync::Arc::new((Mutex::new((0, 0)), Condvar::new()));
        let seen = std::sync::Arc::clone(&busy);
        let front = Scripted::before(&registry, move |_| {
            let (busy, changed) = &*seen;
            {
                let mut busy = busy.lock().unwrap();
                busy.0 += 1;
                busy.1 = busy.1.max(busy.0);
                changed.notify_all();
                // Held until as many are under way as may be, however slow this machine is.
                let is_short = |busy: &mut (usize, usize)| busy.1 < most;
                drop(changed.wait_timeout_while(busy, Duration::from_secs(20), is_short).unwrap());
            }
            std::thread::sleep(Duration::from_millis(5));
            busy.lock().unwrap().0 -= 1;
            None
        });
        let folder = tempfile::tempdir().unwrap();
        let documents: Vec<String> = (0..60).map(|n| spec(&front.host, &format!("app:c{n}"), "app:amd64")).collect();
        std::fs::write(folder.path().join("many.yaml"), documents.join("---\n")).unwrap();
        let outcome = push(&folder, &[given, &["many.yaml"]].concat(), "");
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        assert_eq!(busy.0.lock().unwrap().1, most, "{given:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let none = manifest_tool(folder.path(), &["inspect", "--concurrency", "0", "r.invalid/a:1"]);
    assert!(none.exit == 2 && none.stderr.contains("0 is not in 1..=1000"), "{none:?}");
}

/// A source's warning says which index it is about.
#[test]
fn a_skipped_source_names_its_index() {
    let (registry, folder) = (registry(), tempfile::tempdir().unwrap());
    let host = registry.host.as_str();
    let two = |tag: &str| {
        format!(
            "image: {host}/app:{tag}\nmanifests: [{{image: \"{host}/app:amd64\"}}, {{image: \"{host}/app:gone\"}}]\n"
        )
    };
    std::fs::write(folder.path().join("many.yaml"), format!("{}---\n{}", two("a"), two("b"))).unwrap();
    let outcome = push(&folder, &["--ignore-missing", "many.yaml"], "");
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    for tag in ["a", "b"] {
        let part = format!("warning: {host}/app:{tag}: skipped: {host}/app:gone not found");
        assert!(outcome.stderr.contains(&part), "{outcome:?}");
    }
    let asked = registry.requests(0).iter().filter(|line| line.ends_with("/app/manifests/gone")).count();
    assert_eq!(asked, 1, "that it is missing is known for the run");
}

/// On a terminal, which `script` makes, a line tells how far a long run is; it is gone at the end.
#[test]
fn a_terminal_shows_progress() {
    let (registry, folder) = (registry(), tempfile::tempdir().unwrap());
    let host = registry.host.as_str();
    // Slow enough for the line to be drawn.
    let front = Scripted::before(&registry, |_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        None
    });
    let documents: Vec<String> = (0..60).map(|n| spec(&front.host, &format!("app:p{n}"), "app:amd64")).collect();
    std::fs::write(folder.path().join("many.yaml"), documents.join("---\n")).unwrap();
    let shown = |more: &str| {
        let program = env!("CARGO_BIN_EXE_manifest-tool");
        let command = format!("stty cols 120; {program} --plain-http push --force {more} from-spec many.yaml");
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).current_dir(folder.path()).env("HOME", folder.path());
        let output = script.env("TERM", "xterm").stdin(std::process::Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let screen = shown("");
    assert!(screen.contains("/60 indexes") && screen.contains(" requests, 0 sent again"), "{screen}");
    assert!(screen.trim_end().ends_with("60 indexes: 60 done, 0 unchanged, 0 failed, 0 skipped"), "{screen}");
    assert_eq!(screen.matches("Digest: sha256:").count(), 60);
    for quiet in ["--no-progress", "--quiet"] {
        assert!(!shown(quiet).contains("/60 indexes"), "{quiet}");
    }
    assert!(registry.manifest("app", "p59").is_some(), "{host}");
}
