//! Rate limits, failing and unresponsive registries, and interrupted runs: the program sends no more requests than it
//! needs, and finishes or skips each index as a whole.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::faults::{Fault, FaultProxy};
use crate::support::images::push_image;
use crate::support::push_fixture::{PushFixture, TAGS, push_command};
use crate::support::scripted_server::{ReceivedRequest, forward_request};
use crate::support::token_service::authenticated_only;
use crate::support::{Outcome, Registry, ScriptedServer, TokenService, Workspace, signal, spawn, wait};

/// How long an unresponsive server waits: longer than any test may take.
const UNRESPONSIVE: Duration = Duration::from_secs(25);

/// The time in which an interrupted run must end. The grace period for writes is 3 s.
const SOON: Duration = Duration::from_secs(12);

fn registry_with_image() -> Registry {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    registry
}

/// Returns a workspace with `many.yaml`: the indexes `app:n0`, `app:n1` and so on, each of one source. `lines` returns
/// further lines for the spec with this number.
fn workspace_with_specs(host: &str, count: usize, lines: impl Fn(usize) -> String) -> Workspace {
    let workspace = Workspace::new().placeholder("HOST", host);
    let spec = |n| format!("image: HOST/app:n{n}\n{}manifests: [{{image: \"HOST/app:amd64\"}}]\n", lines(n));
    let specs: Vec<String> = (0..count).map(spec).collect();
    workspace.write("many.yaml", &specs.join("---\n"));
    workspace
}

fn push_many(host: &str, count: usize, more: &[&str]) -> Outcome {
    let workspace = workspace_with_specs(host, count, |_| String::new());
    workspace.run(&[&["push", "from-spec", "many.yaml"], more].concat())
}

fn reads_source(request: &ReceivedRequest) -> bool {
    request.line == "GET /v2/app/manifests/amd64"
}

/// Waits for a long time and then closes the connection.
fn unresponsive() -> Fault {
    std::thread::sleep(UNRESPONSIVE);
    Fault::ResetOnRequest
}

/// Only requests that were sent before the program received the first 429 may be refused as well.
#[test]
fn a_rate_limit_delays_all_further_requests() {
    const PER_SECOND: usize = 16;
    const CONCURRENCY: usize = 4;
    let registry = Registry::start();
    let platforms = ["386", "amd64", "arm64", "loong64", "mips", "mips64le", "mipsle", "ppc64le", "riscv64", "s390x"];
    for (n, architecture) in platforms.iter().cycle().take(30).enumerate() {
        push_image(&registry, "app", &format!("s{n}"), architecture);
    }
    // For each period of a second, which starts with a request: its start, and the numbers of passed and refused
    // requests.
    let seconds: Arc<Mutex<Vec<(Instant, usize, usize)>>> = Arc::default();
    let proxy_seconds = Arc::clone(&seconds);
    let proxy = ScriptedServer::in_front_of(&registry, move |_| {
        let mut seconds = proxy_seconds.lock().unwrap();
        if seconds.last().is_none_or(|(began, ..)| began.elapsed() >= Duration::from_secs(1)) {
            seconds.push((Instant::now(), 0, 0));
        }
        let (_, passed, refused) = seconds.last_mut().unwrap();
        let is_refused = *passed >= PER_SECOND;
        *(if is_refused { refused } else { passed }) += 1;
        is_refused.then(|| (429, vec![("Retry-After", "1".to_owned())], vec![]))
    });
    let workspace = Workspace::new().placeholder("HOST", &proxy.host);
    let sources = |index: usize| -> String {
        (10 * index..10 * index + 10).map(|n| format!("  - image: HOST/app:s{n}\n")).collect()
    };
    let specs: Vec<String> =
        (0..3).map(|index| format!("image: HOST/app:v{index}\nmanifests:\n{}", sources(index))).collect();
    workspace.write("three.yaml", &specs.join("---\n"));
    let concurrency = CONCURRENCY.to_string();
    workspace.run(&["--plain-http", "--concurrency", &concurrency, "push", "from-spec", "three.yaml"]).success();
    let counts: Vec<(usize, usize)> =
        seconds.lock().unwrap().iter().map(|(_, passed, refused)| (*passed, *refused)).collect();
    assert_eq!(
        counts.iter().map(|(passed, _)| passed).sum::<usize>(),
        30 + 30 + 2 * 3,
        "one read of each manifest and config, and one read and one write of each tag"
    );
    assert!(counts.iter().any(|(_, refused)| *refused > 0), "{counts:?}");
    assert!(counts.iter().all(|(_, refused)| *refused <= CONCURRENCY), "{counts:?}");
}

/// Some registries send a zero or a time in the past. The program then uses its own delays between retries.
#[test]
fn retry_after_without_a_delay_does_not_cause_immediate_retries() {
    let registry = registry_with_image();
    for (status, after) in [(503, "0"), (429, "0"), (503, "Sun, 06 Nov 1994 08:49:37 GMT")] {
        let proxy = ScriptedServer::in_front_of(&registry, move |request| {
            reads_source(request).then(|| (status, vec![("Retry-After", after.to_owned())], vec![]))
        });
        let began = Instant::now();
        push_many(&proxy.host, 1, &["--plain-http", "--retries", "3"]).exits(1);
        let duration = began.elapsed();
        assert_eq!(proxy.requests().into_iter().filter(reads_source).count(), 4, "{status} {after}");
        // The delays are 0.25 s, 0.5 s and 1 s, each up to half shorter at random.
        assert!(duration >= Duration::from_millis(875), "{status} {after}: {duration:?}");
    }
}

#[track_caller]
fn assert_all_failed(outcome: &Outcome, count: usize) {
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{outcome:?}");
    let summary = format!("error: {count} indexes: 0 done, 0 unchanged, {count} failed, 0 skipped\n");
    assert!(outcome.stderr.ends_with(&summary), "{outcome:?}");
    let printed = |part: &str| outcome.stderr.matches(part).count();
    assert_eq!(printed("error: cannot assemble ") + printed(": same cause as "), count, "{outcome:?}");
}

#[test]
fn indexes_that_wait_for_one_source_share_its_failure() {
    let registry = registry_with_image();
    let proxy = ScriptedServer::in_front_of(&registry, |request| reads_source(request).then(|| (500, vec![], vec![])));
    let outcome = push_many(&proxy.host, 20, &["--plain-http", "--retries", "2", "--max-wait", "50ms"]);
    assert_all_failed(&outcome, 20);
    assert_eq!(proxy.requests().into_iter().filter(reads_source).count(), 3);
}

#[test]
fn requests_that_wait_for_one_token_share_its_failure() {
    let folder = tempfile::tempdir().unwrap();
    let service = TokenService::start(authenticated_only, 300, |_| Some((500, vec![], vec![])));
    let token = service.mint(&["app"]);
    let registry = Registry::start_with(&service.registry_config(folder.path()), Some(token));
    let login = ["--username", "user", "--password", "secret-word"];
    let limits = ["--plain-http", "--retries", "2", "--max-wait", "50ms"];
    let outcome = push_many(&registry.host, 20, &[&limits[..], &login].concat());
    assert_all_failed(&outcome, 20);
    assert_eq!(service.token_requests().len(), 3);
}

/// One request detects for all others whether a loopback registry uses TLS.
#[test]
fn requests_to_an_unresponsive_registry_share_the_failed_tls_detection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            open.push(stream);
        }
    });
    let outcome = push_many(&host, 20, &["--retries", "2", "--timeout", "700ms", "--max-wait", "20ms"]);
    assert_all_failed(&outcome, 20);
    // Each try reads 20 tags and the source: 63 connections if the requests did not share the detection.
    let opened = opened.load(Ordering::SeqCst);
    assert!((3..=6).contains(&opened), "{opened}");
}

/// A device on which every write fails.
fn full_device() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_push_succeeds_if_stderr_cannot_be_written() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let failed = AtomicBool::new(false);
    let proxy = fixture.proxy(move |request| {
        let first = request.writes_manifest(TAGS[0]) && !failed.swap(true, Ordering::SeqCst);
        first.then(|| Fault::CannedResponse(503, vec![], ""))
    });
    let mut command = push_command(&proxy.host, &repository, &["--debug"]);
    let output = command.stderr(full_device()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(proxy.count(|request| request.writes_manifest(TAGS[0])), 2, "the write was not retried");
    assert_eq!(fixture.moved_tags(&repository).unwrap(), [true; 3]);
}

/// Indexes in progress are finished, and the others are skipped.
#[test]
fn a_push_whose_stdout_cannot_be_written_leaves_no_incomplete_index() {
    let registry = registry_with_image();
    // Slow writes, so that many indexes are in progress when the first is done.
    let proxy = ScriptedServer::in_front_of(&registry, |request| {
        std::thread::sleep(Duration::from_millis(if request.line.starts_with("PUT ") { 30 } else { 2 }));
        None
    });
    let workspace = workspace_with_specs(&proxy.host, 60, |n| format!("tags: [n{n}a, n{n}b]\n"));
    let mut command = workspace.command(&["--plain-http", "push", "from-spec", "many.yaml"]);
    let output = command.stdin(Stdio::null()).stdout(full_device()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: cannot write to stdout: "), "{stderr}");
    let written = |n: usize| ["", "a", "b"].map(|tag| registry.manifest("app", &format!("n{n}{tag}")).is_some());
    let complete: Vec<bool> = (0..60)
        .map(|n| match written(n) {
            [true, true, true] => true,
            [false, false, false] => false,
            tags => panic!("n{n} is incomplete: {tags:?}\n{stderr}"),
        })
        .collect();
    let done = complete.iter().filter(|complete| **complete).count();
    assert!((1..60).contains(&done), "{done}");
    let summary = format!("60 indexes: {done} done, 0 unchanged, 0 failed, {} skipped\n", 60 - done);
    assert!(stderr.contains(&summary), "{done}: {stderr}");
}

fn spawn_push(proxy: &FaultProxy, repository: &str, more: &[&str]) -> Child {
    spawn(push_command(&proxy.host, repository, more))
}

/// Sends a signal, and asserts that the run ends long before the unresponsive server closes the connection.
fn signal_ends_run(child: Child, name: &str) -> Outcome {
    let began = Instant::now();
    signal(&child, name);
    let outcome = wait(child);
    assert!(began.elapsed() < SOON, "{:?}: {outcome:?}", began.elapsed());
    outcome
}

/// The tag is written, with or without a response to the write, and reading it back stalls.
#[test]
fn a_signal_ends_a_stalled_read_back_of_a_tag() {
    let fixture = PushFixture::new();
    for has_response in [true, false] {
        let repository = fixture.new_target();
        let (upstream, written) = (fixture.registry.host.clone(), AtomicBool::new(false));
        let proxy = fixture.proxy(move |request| {
            if request.writes_manifest(TAGS[0]) {
                written.store(true, Ordering::SeqCst);
                if !has_response {
                    return Some(Fault::LostResponse);
                }
                forward_request(request, &upstream, "x");
                return Some(Fault::CannedResponse(201, vec![], ""));
            }
            let is_read_back = request.line.ends_with("/manifests/v1") && written.load(Ordering::SeqCst);
            is_read_back.then(unresponsive)
        });
        let child = spawn_push(&proxy, &repository, &["--timeout", "20s", "--retries", "0"]);
        proxy.wait_for_requests(2, |request| request.line == format!("HEAD /v2/{repository}/manifests/v1"));
        let outcome = signal_ends_run(child, "TERM").fails(143, "; it is unknown whether the tag was written");
        fixture.check_except(&repository, &outcome, &[TAGS[0]]).unwrap();
    }
}

/// With and without TLS detection.
#[test]
fn a_signal_or_deadline_ends_a_login_at_an_unresponsive_registry() {
    let registry = ScriptedServer::start(|_, _| {
        std::thread::sleep(UNRESPONSIVE);
        (200, vec![], vec![])
    });
    for plain in [&["--plain-http"][..], &[]] {
        for (more, code) in [(&["--timeout", "20s"][..], 130), (&["--timeout", "20s", "--deadline", "500ms"], 124)] {
            let workspace = Workspace::new();
            let login = ["login", &registry.host, "--username", "user", "--password", "secret-word"];
            let opened = registry.connections.load(Ordering::SeqCst);
            let began = Instant::now();
            let child = spawn(workspace.command(&[plain, &login, more].concat()));
            while registry.connections.load(Ordering::SeqCst) == opened {
                assert!(began.elapsed() < SOON);
                std::thread::sleep(Duration::from_millis(5));
            }
            let outcome = if code == 130 { signal_ends_run(child, "INT") } else { wait(child) };
            assert!(outcome.exit == code && began.elapsed() < SOON, "{:?}: {outcome:?}", began.elapsed());
            assert!(outcome.stderr.contains(&format!("error: {}: not completed: ", registry.host)), "{outcome:?}");
            assert!(!workspace.path(".docker").exists(), "unverified credentials were stored");
        }
    }
}

/// For each order of the signals, and whether or not the program has reported the first one yet.
#[test]
fn a_second_signal_of_another_kind_ends_the_push_immediately() {
    let fixture = PushFixture::new();
    for (first, second, code, interval) in [("INT", "TERM", 143, 100), ("TERM", "INT", 130, 600)] {
        let repository = fixture.new_target();
        let proxy = fixture.proxy(|request| request.writes_manifest(TAGS[0]).then(unresponsive));
        let child = spawn_push(&proxy, &repository, &[]);
        proxy.wait_for_requests(1, |request| request.writes_manifest(TAGS[0]));
        signal(&child, first);
        std::thread::sleep(Duration::from_millis(interval));
        signal(&child, second);
        let outcome = wait(child);
        // A run that waits for the write would exit with the code of the first signal.
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (code, ""), "{outcome:?}");
        assert!(!outcome.stderr.contains("error: "), "{outcome:?}");
    }
}

/// The proxy holds writes until the program has reported the signal. After that, no other write may arrive.
#[test]
fn a_signal_ends_a_run_of_many_indexes_between_writes() {
    const CONCURRENCY: usize = 4;
    let registry = registry_with_image();
    let is_open = Arc::new(AtomicBool::new(false));
    let proxy_is_open = Arc::clone(&is_open);
    let is_held = |request: &ReceivedRequest| {
        let tag = request.line.strip_prefix("PUT /v2/app/manifests/n")?;
        tag.trim_end_matches('x').parse().ok().filter(|n: &usize| *n >= 10)
    };
    let proxy = FaultProxy::in_front_of(&registry, Clone::clone, move |request| {
        while is_held(request).is_some() && !proxy_is_open.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    });
    // The first ten indexes have one tag and are not held. All later indexes have a second tag and are held.
    let tags = |n: usize| if n < 10 { String::new() } else { format!("tags: [n{n}x]\n") };
    let workspace = workspace_with_specs(&proxy.host, 60, tags);
    let concurrency = CONCURRENCY.to_string();
    let args = ["--plain-http", "--concurrency", &concurrency, "push", "from-spec", "many.yaml"];
    let mut child = spawn(workspace.command(&args));
    proxy.wait_for_requests(CONCURRENCY, |request| is_held(request).is_some());
    signal(&child, "TERM");
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut stderr = String::new();
    while !stderr.contains("stopping; ") {
        assert!(reader.read_line(&mut stderr).unwrap() > 0, "{stderr}");
    }
    let writes = |request: &ReceivedRequest| request.line.starts_with("PUT ") || request.line.starts_with("POST ");
    let before = proxy.count(writes);
    is_open.store(true, Ordering::SeqCst);
    reader.read_to_string(&mut stderr).unwrap();
    let outcome = Outcome { stderr, ..wait(child) }.exits(143);
    assert_eq!(proxy.count(writes), before, "a write began after the signal");

    let reported: Vec<(bool, bool)> =
        (0..60).map(|n| reported_tags(&outcome, &format!("{}/app:n{n}", proxy.host))).collect();
    for (n, reported) in reported.iter().enumerate() {
        let written = ["", "x"].map(|tag| registry.manifest("app", &format!("n{n}{tag}")).is_some());
        assert_eq!((written[0], written[1]), *reported, "n{n}: {outcome:?}");
    }
    let done = outcome.stdout.lines().count();
    let failed = outcome.stderr.matches("error: cannot ").count();
    assert_eq!(done, 10, "the first ten indexes: {outcome:?}");
    let with_first_tag = reported.iter().filter(|tags| **tags == (true, false)).count();
    assert_eq!(with_first_tag, 10 + CONCURRENCY, "the first ten indexes and the held ones");
    let summary = format!("error: 60 indexes: 10 done, 0 unchanged, {failed} failed, {} skipped\n", 50 - failed);
    assert!(failed >= CONCURRENCY && outcome.stderr.ends_with(&summary), "{outcome:?}");
}

/// Returns whether stdout or stderr reports the target of an index and its second tag as written.
fn reported_tags(outcome: &Outcome, target: &str) -> (bool, bool) {
    let is_done = outcome.stdout.lines().any(|line| line.ends_with(&format!(" {target}")));
    let states = outcome.stderr.lines().flat_map(|line| line.trim().split("; "));
    let written: Vec<&str> =
        states.filter_map(|state| state.strip_prefix("written: ")).flat_map(|tags| tags.split(", ")).collect();
    (is_done || written.contains(&target), written.contains(&format!("{target}x").as_str()))
}
