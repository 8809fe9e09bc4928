//! Runs of many indexes: divided among jobs, resumed from a report, and measured at 10,000 indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::Instant;

use serde_json::Value;

use crate::support::images::push_image;
use crate::support::{Outcome, Registry, Sandbox, ScriptedServer, Workspace, run_with_peak_memory};

/// Returns a spec of one source at `HOST`.
fn spec(target: &str, source: &str) -> String {
    format!("image: HOST/app:{target}\nmanifests: [{{image: \"HOST/app:{source}\"}}]\n")
}

/// A registry with two images, and a folder `specs` with a file for each of these targets.
fn sandbox_with_specs(targets: &[String]) -> Sandbox {
    let sandbox = Sandbox::new();
    for architecture in ["amd64", "arm64"] {
        push_image(&sandbox.registry, "app", architecture, architecture);
    }
    for (n, target) in targets.iter().enumerate() {
        sandbox.write(&format!("specs/{n:03}.yaml"), &spec(target, "amd64"));
    }
    sandbox
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("v{n}")).collect()
}

fn push(workspace: &Workspace, args: &[&str]) -> Outcome {
    workspace.run(&[&["push", "from-spec"], args].concat())
}

/// Returns the tags in the lines `Digest: DIGEST SIZE HOST/app:TAG`.
fn pushed_tags(outcome: &Outcome) -> BTreeSet<String> {
    outcome.stdout.lines().map(|line| line.rsplit_once(':').unwrap().1.to_owned()).collect()
}

/// Returns the tags of each part of a run.
fn parts(workspace: &Workspace, count: usize, paths: &[&str]) -> Vec<BTreeSet<String>> {
    let part = |number: usize| {
        let shard = format!("{number}/{count}");
        pushed_tags(&push(workspace, &[&["--shard", &shard], paths].concat()).success())
    };
    (1..=count).map(part).collect()
}

#[test]
fn the_parts_of_a_run_are_disjoint_and_complete_whatever_the_order_of_files() {
    let targets = numbered(20);
    let sandbox = sandbox_with_specs(&targets);
    let first = parts(&sandbox, 3, &["specs"]);
    assert_eq!(first.iter().map(BTreeSet::len).sum::<usize>(), 20, "{first:?}");
    let all: BTreeSet<String> = first.iter().flatten().cloned().collect();
    assert_eq!(all, targets.iter().cloned().collect());
    assert!(first.iter().all(|part| !part.is_empty()), "{first:?}");
    // Another order of files, and a new index, move no index to another part.
    sandbox.write("a.yaml", &spec("new", "arm64"));
    let mut files: Vec<String> = (0..20).rev().map(|n| format!("specs/{n:03}.yaml")).collect();
    files.insert(7, "a.yaml".into());
    let second = parts(&sandbox, 3, &files.iter().map(String::as_str).collect::<Vec<_>>());
    for (first, second) in first.iter().zip(&second) {
        let second: BTreeSet<String> = second.iter().filter(|tag| *tag != "new").cloned().collect();
        assert_eq!(*first, second);
    }
}

#[test]
fn a_part_says_how_many_indexes_it_has_and_names_its_only_target() {
    let sandbox = sandbox_with_specs(&numbered(2));
    let outcomes = ["1/4", "2/4", "3/4", "4/4"].map(|shard| push(&sandbox, &["--shard", shard, "specs"]).success());
    let counts = outcomes.each_ref().map(|outcome| outcome.stdout.lines().count());
    assert_eq!(counts.iter().sum::<usize>(), 2);
    for (number, (outcome, count)) in outcomes.iter().zip(counts).enumerate() {
        let line = format!("part {} of 4: {count} of 2 indexes\n", number + 1);
        assert!(outcome.stderr.contains(&line), "{outcome:?}");
        assert!(outcome.stdout.lines().all(|line| line.contains("/app:v")), "a single index is named too: {outcome:?}");
    }
    let quiet = push(&sandbox, &["-q", "--shard", "1/4", "specs"]).success();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn an_empty_part_is_a_success_with_an_empty_document() {
    let sandbox = sandbox_with_specs(&numbered(1));
    let outcomes: Vec<Outcome> = ["1/2", "2/2"]
        .iter()
        .map(|shard| {
            push(&sandbox, &["--shard", shard, "-o", "json", "--metadata-file", "out.json", "specs"]).success()
        })
        .collect();
    let empty: Vec<&Outcome> =
        outcomes.iter().filter(|outcome| outcome.json()["indexes"].as_array().unwrap().is_empty()).collect();
    assert_eq!(empty.len(), 1, "{outcomes:?}");
    assert!(empty[0].stderr.ends_with(": 0 of 1 indexes\n"), "{:?}", empty[0]);
    let metadata: Value = serde_json::from_str(&sandbox.read("out.json")).unwrap();
    assert_eq!(metadata, outcomes[1].json());
}

#[test]
fn two_indexes_that_write_one_tag_are_found_in_every_part() {
    let sandbox = sandbox_with_specs(&numbered(6));
    sandbox.write("specs/more.yaml", &(spec("other", "amd64") + "tags: [v3]\n"));
    for shard in ["1/3", "2/3", "3/3"] {
        let outcome = push(&sandbox, &["--shard", shard, "specs"]);
        outcome.fails(1, "/app:v3 is also written by specs/003.yaml");
    }
    assert!(sandbox.registry.manifest("app", "v0").is_none());
}

#[test]
fn a_wrong_part_is_a_usage_error() {
    let server = ScriptedServer::start(|_, _| (404, vec![], vec![]));
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    workspace.write("spec.yaml", &spec("a", "x"));
    for (shard, error) in [
        ("0/5", "the 5 parts are 1/5 to 5/5"),
        ("6/5", "the 5 parts are 1/5 to 5/5"),
        ("a/b", "expected PART/PARTS, such as 2/5 for the second of five parts"),
        ("", "expected PART/PARTS"),
        ("3", "expected PART/PARTS"),
    ] {
        push(&workspace, &["--shard", shard, "spec.yaml"]).fails(2, error);
    }
    assert!(server.requests().is_empty());
}

/// Returns the lines of a report, by their first reference.
fn report_lines(workspace: &Workspace, file: &str) -> BTreeMap<String, Value> {
    let text = workspace.read(file);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["references"][0].as_str().unwrap().to_owned(), line)).collect()
}

#[test]
fn a_report_lists_finished_indexes_and_resume_skips_them() {
    let sandbox = sandbox_with_specs(&numbered(3));
    sandbox.write("specs/000.yaml", &(spec("v0", "amd64") + "tags: [latest]\n"));
    sandbox.write("specs/bad.yaml", &spec("bad", "missing"));
    let args = ["--report", "done.jsonl", "--resume", "done.jsonl", "specs"];
    push(&sandbox, &args).exits(1);
    let lines = report_lines(&sandbox, "done.jsonl");
    assert_eq!(lines.len(), 3, "{lines:?}");
    let first = &lines[&sandbox.fill("HOST/app:v0")];
    let stored = sandbox.registry.manifest("app", "v0").unwrap();
    let expected = serde_json::json!({
        "version": 1,
        "references": [sandbox.fill("HOST/app:v0"), sandbox.fill("HOST/app:latest")],
        "digest": stored.digest,
        "size": stored.bytes.len(),
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "changed": true,
    });
    assert_eq!(*first, expected);

    // The second run reads no tag of a finished index, and appends only what it finishes itself.
    sandbox.write("specs/bad.yaml", &spec("bad", "arm64"));
    let mark = sandbox.registry.all_requests();
    let outcome = push(&sandbox, &args).success();
    let requests = sandbox.registry.requests(mark);
    assert!(
        requests.iter().all(|request| !request.contains("/manifests/v") && !request.contains("latest")),
        "{requests:?}"
    );
    assert_eq!(outcome.stdout.lines().count(), 4, "skipped indexes are in the output: {outcome:?}");
    assert!(outcome.stderr.ends_with("4 indexes: 1 done, 3 unchanged, 0 failed, 0 skipped\n"), "{outcome:?}");
    assert_eq!(sandbox.read("done.jsonl").lines().count(), 4);

    // An index whose sources changed is pushed again.
    push_image(&sandbox.registry, "app", "amd64", "arm64");
    let outcome = push(&sandbox, &args).success();
    assert!(outcome.stderr.ends_with("4 indexes: 3 done, 1 unchanged, 0 failed, 0 skipped\n"), "{outcome:?}");
    assert_eq!(sandbox.read("done.jsonl").lines().count(), 7);
    let skipped = push(&sandbox, &args).success();
    assert!(skipped.stderr.ends_with("4 indexes: 0 done, 4 unchanged, 0 failed, 0 skipped\n"), "{skipped:?}");

    // Another file gets the lines of skipped indexes too, so that it is complete.
    push(&sandbox, &["--report", "new.jsonl", "--resume", "done.jsonl", "specs"]).success();
    assert_eq!(report_lines(&sandbox, "new.jsonl").len(), 4);
}

#[test]
fn an_index_with_a_new_tag_is_pushed_again() {
    let sandbox = sandbox_with_specs(&numbered(1));
    push(&sandbox, &["--report", "done.jsonl", "specs"]).success();
    sandbox.write("specs/000.yaml", &(spec("v0", "amd64") + "tags: [latest]\n"));
    push(&sandbox, &["--resume", "done.jsonl", "specs"]).success();
    assert!(sandbox.registry.manifest("app", "latest").is_some());
}

#[test]
fn resume_in_a_dry_run_writes_nothing_and_report_is_refused() {
    let sandbox = sandbox_with_specs(&numbered(2));
    push(&sandbox, &["--report", "done.jsonl", "specs/000.yaml"]).success();
    let before = sandbox.read("done.jsonl");
    let outcome = push(&sandbox, &["--dry-run", "--resume", "done.jsonl", "specs"]).success();
    assert!(outcome.stderr.contains("2 indexes: 1 would change, 1 unchanged"), "{outcome:?}");
    assert_eq!(sandbox.read("done.jsonl"), before);
    push(&sandbox, &["--dry-run", "--report", "done.jsonl", "specs"])
        .fails(2, "--report cannot be used with --dry-run");
}

#[test]
fn a_file_that_is_no_report_is_an_error_before_the_first_request() {
    let server = ScriptedServer::start(|_, _| (404, vec![], vec![]));
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    workspace.write("spec.yaml", &spec("a", "x"));
    workspace.write("future.jsonl", "{\"version\":2,\"references\":[]}\n");
    workspace.write("other.txt", "hello\n");
    std::fs::create_dir(workspace.path("folder")).unwrap();
    for (flag, file, error) in [
        ("--resume", "future.jsonl", "future.jsonl:1: the report has version 2, but this program knows only version 1"),
        ("--report", "future.jsonl", "future.jsonl:1: the report has version 2, but this program knows only version 1"),
        ("--resume", "other.txt", "other.txt:1: not a line of a report that --report has written"),
        ("--report", "other.txt", "other.txt:1: not a line of a report that --report has written"),
        ("--resume", "gone.jsonl", "cannot read gone.jsonl: No such file or directory"),
        ("--resume", "folder", "cannot read folder: Is a directory"),
        ("--report", "folder", "cannot write folder: it is a folder, not a regular file"),
        ("--report", "/dev/null", "cannot write /dev/null: it is a device, not a regular file"),
        ("--report", "none/x.jsonl", "cannot write none/x.jsonl: No such file or directory"),
    ] {
        push(&workspace, &[flag, file, "spec.yaml"]).fails(1, error);
    }
    assert_eq!(workspace.read("other.txt"), "hello\n");
    assert!(server.requests().is_empty());
}

const SOURCES: usize = 40;
const SOURCES_PER_INDEX: usize = 10;
/// Platforms that differ within an index.
const PLATFORMS: [&str; SOURCES_PER_INDEX] =
    ["386", "amd64", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x"];

/// A registry with 40 images and the 4 indexes of 10 of them each. A server in front of it answers that every tag of the
/// repository `whole` points at one of these indexes.
struct LargeRun {
    _registry: Registry,
    server: ScriptedServer,
    workspace: Workspace,
}

impl LargeRun {
    fn new() -> Self {
        let registry = Registry::start();
        for source in 0..SOURCES {
            let architecture = PLATFORMS[source % SOURCES_PER_INDEX];
            push_image(&registry, "parts", &format!("s{source}"), architecture);
        }
        let workspace = Workspace::new().flags(&["--plain-http"]);
        let specs: Vec<String> =
            (0..SOURCES / SOURCES_PER_INDEX).map(|group| Self::spec(&registry.host, "g", group)).collect();
        workspace.write("groups.yaml", &specs.join("---\n"));
        push(&workspace, &["groups.yaml"]).success();
        let groups = specs.len();
        let indexes: Vec<_> =
            (0..groups).map(|group| registry.manifest("whole", &format!("g{group}")).unwrap()).collect();
        let heads: Vec<(String, usize)> = indexes.into_iter().map(|index| (index.digest, index.bytes.len())).collect();
        let server = ScriptedServer::in_front_of(&registry, move |request| {
            let number: usize = request.line.strip_prefix("HEAD /v2/whole/manifests/t")?.parse().unwrap();
            let (digest, length) = &heads[number % groups];
            let headers = vec![("Docker-Content-Digest", digest.clone()), ("Content-Length", length.to_string())];
            Some((200, headers, vec![]))
        });
        Self { _registry: registry, server, workspace }
    }

    fn spec(host: &str, prefix: &str, number: usize) -> String {
        let first = number * SOURCES_PER_INDEX % SOURCES;
        let sources = (first..first + SOURCES_PER_INDEX).map(|source| format!("  - image: {host}/parts:s{source}\n"));
        format!("image: {host}/whole:{prefix}{number}\nmanifests:\n{}", sources.collect::<String>())
    }

    /// Pushes `count` unchanged indexes. Returns the number of requests and the peak memory in kB.
    fn run(&self, count: usize) -> (usize, u64) {
        let specs: Vec<String> = (0..count).map(|number| Self::spec(&self.server.host, "t", number)).collect();
        for (number, specs) in specs.chunks(1_000).enumerate() {
            self.workspace.write(&format!("specs{count}/{number}.yaml"), &specs.join("---\n"));
        }
        let before = self.server.requests().len();
        let started = Instant::now();
        let command = self.workspace.command(&["push", "from-spec", &format!("specs{count}")]);
        let (outcome, memory) = run_with_peak_memory(command);
        let outcome = outcome.success();
        let summary = format!("{count} indexes: 0 done, {count} unchanged, 0 failed, 0 skipped\n");
        assert!(outcome.stderr.ends_with(&summary), "{}", outcome.stderr);
        let requests = self.server.requests().len() - before;
        let seconds = started.elapsed().as_secs_f64();
        // Writes to stdout directly, because the test harness captures the output of `println!`.
        let figures = format!("{requests} requests, {} MB, {seconds:.1} s", memory / 1_000);
        let written = writeln!(std::io::stdout(), "{count} unchanged indexes: {figures}");
        written.unwrap();
        (requests, memory)
    }
}

#[test]
fn ten_thousand_unchanged_indexes_take_two_requests_each_and_little_memory() {
    let run = LargeRun::new();
    for count in [100, 1_000, 10_000] {
        let (requests, memory) = run.run(count);
        // The manifest and the config of each source, a look for it in the target's repository, and each tag.
        assert!(requests <= 3 * SOURCES + count, "{requests}");
        assert!(memory < 100_000, "{memory}");
    }
}
