//! Registries that want to be left alone, that fail or say nothing, and runs that are to end: nothing is asked for more
//! often than it must be, and nothing is left half done.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::faults::{Fault, Faulty};
use crate::support::images::push_image;
use crate::support::scene::{Scene, TAGS};
use crate::support::scripted::Asked;
use crate::support::token_service::closed;
use crate::support::{Outcome, Registry, Scripted, TokenService, command, end, manifest_tool, signal, start};

/// Longer than any test here may take: who waits for a server that says nothing does not come back.
const LONG: Duration = Duration::from_secs(25);

/// An end that did not wait for `LONG`; the grace for writes is 3 s.
const SOON: Duration = Duration::from_secs(12);

fn app() -> Registry {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    registry
}

/// So many indexes of one source, `app:n0` and on, in a file `many.yaml`; the words after `more` are of each.
fn write_specs(folder: &tempfile::TempDir, host: &str, count: usize, more: impl Fn(usize) -> String) {
    let spec = |n| format!("image: {host}/app:n{n}\n{}manifests: [{{image: \"{host}/app:amd64\"}}]\n", more(n));
    let specs: Vec<String> = (0..count).map(spec).collect();
    std::fs::write(folder.path().join("many.yaml"), specs.join("---\n")).unwrap();
}

fn push_many(host: &str, count: usize, more: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    write_specs(&folder, host, count, |_| String::new());
    manifest_tool(folder.path(), &[&["push", "from-spec", "many.yaml"], more].concat())
}

fn is_get_of_source(asked: &Asked) -> bool {
    asked.line == "GET /v2/app/manifests/amd64"
}

/// Says nothing for long, and then hangs up.
fn silent() -> Fault {
    std::thread::sleep(LONG);
    Fault::ResetBefore
}

/// What arrives before this front's answer is known to its client is refused as well: that is what was under way.
#[test]
fn a_rate_limit_holds_back_what_waits_for_room() {
    const PER_SECOND: usize = 16;
    const AT_ONCE: usize = 4;
    let registry = Registry::start();
    let platforms = ["386", "amd64", "arm64", "loong64", "mips", "mips64le", "mipsle", "ppc64le", "riscv64", "s390x"];
    for (n, architecture) in platforms.iter().cycle().take(30).enumerate() {
        push_image(&registry, "app", &format!("s{n}"), architecture);
    }
    // For each second since its own first request: those that were let in, and those that were refused.
    let seconds: Arc<Mutex<Vec<(Instant, usize, usize)>>> = Arc::default();
    let seen = Arc::clone(&seconds);
    let front = Scripted::before(&registry, move |_| {
        let mut seconds = seen.lock().unwrap();
        if seconds.last().is_none_or(|(began, ..)| began.elapsed() >= Duration::from_secs(1)) {
            seconds.push((Instant::now(), 0, 0));
        }
        let (_, passed, refused) = seconds.last_mut().unwrap();
        let is_refused = *passed >= PER_SECOND;
        *(if is_refused { refused } else { passed }) += 1;
        is_refused.then(|| (429, vec![("Retry-After", "1".to_owned())], vec![]))
    });
    let folder = tempfile::tempdir().unwrap();
    let sources = |of: usize| -> String {
        (10 * of..10 * of + 10).map(|n| format!("  - image: {}/app:s{n}\n", front.host)).collect()
    };
    let specs: Vec<String> =
        (0..3).map(|of| format!("image: {}/app:v{of}\nmanifests:\n{}", front.host, sources(of))).collect();
    std::fs::write(folder.path().join("three.yaml"), specs.join("---\n")).unwrap();
    let bound = AT_ONCE.to_string();
    let push = ["--plain-http", "--concurrency", &bound, "push", "from-spec", "three.yaml"];
    let outcome = manifest_tool(folder.path(), &push);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let counts: Vec<(usize, usize)> =
        seconds.lock().unwrap().iter().map(|(_, passed, refused)| (*passed, *refused)).collect();
    assert_eq!(
        counts.iter().map(|(passed, _)| passed).sum::<usize>(),
        30 + 30 + 2 * 3,
        "each was let in once: manifests, configs, and a look and a write for each tag"
    );
    assert!(counts.iter().any(|(_, refused)| *refused > 0), "{counts:?}");
    assert!(counts.iter().all(|(_, refused)| *refused <= AT_ONCE), "{counts:?}");
}

/// As some write it who mean "some time": it would use up all tries before anything got better.
#[test]
fn no_time_to_wait_does_not_spend_all_tries_at_once() {
    let registry = app();
    for (status, after) in [(503, "0"), (429, "0"), (503, "Sun, 06 Nov 1994 08:49:37 GMT")] {
        let front = Scripted::before(&registry, move |asked| {
            is_get_of_source(asked).then(|| (status, vec![("Retry-After", after.to_owned())], vec![]))
        });
        let began = Instant::now();
        let outcome = push_many(&front.host, 1, &["--plain-http", "--retries", "3"]);
        let took = began.elapsed();
        assert_eq!(outcome.exit, 1, "{outcome:?}");
        assert_eq!(front.asked().into_iter().filter(is_get_of_source).count(), 4, "{status} {after}");
        // 0.25 s, 0.5 s and 1 s, each up to half less.
        assert!(took >= Duration::from_millis(875), "{status} {after}: {took:?}");
    }
}

fn all_failed(outcome: &Outcome, count: usize) {
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{outcome:?}");
    let said = format!("error: {count} indexes: 0 done, 0 unchanged, {count} failed, 0 skipped\n");
    assert!(outcome.stderr.ends_with(&said), "{outcome:?}");
    assert_eq!(outcome.stderr.matches("error: cannot assemble ").count(), count, "{outcome:?}");
}

#[test]
fn indexes_that_wait_for_one_source_share_its_failure() {
    let registry = app();
    let front = Scripted::before(&registry, |asked| is_get_of_source(asked).then(|| (500, vec![], vec![])));
    let outcome = push_many(&front.host, 20, &["--plain-http", "--retries", "2", "--max-wait", "50ms"]);
    all_failed(&outcome, 20);
    assert_eq!(front.asked().into_iter().filter(is_get_of_source).count(), 3);
}

#[test]
fn requests_that_wait_for_one_token_share_its_failure() {
    let folder = tempfile::tempdir().unwrap();
    let service = TokenService::start(closed, 300, |_| Some((500, vec![], vec![])));
    let own = service.mint(&["app"]);
    let registry = Registry::start_with(&service.registry_config(folder.path()), Some(own));
    let login = ["--username", "user", "--password", "secret-word"];
    let bounds = ["--plain-http", "--retries", "2", "--max-wait", "50ms"];
    let outcome = push_many(&registry.host, 20, &[&bounds[..], &login].concat());
    all_failed(&outcome, 20);
    assert_eq!(service.token_requests().len(), 3);
}

/// Whether a loopback registry speaks TLS is found out by one, for all.
#[test]
fn requests_to_a_registry_that_is_not_there_share_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            silent.push(stream);
        }
    });
    let outcome = push_many(&host, 20, &["--retries", "2", "--timeout", "700ms", "--max-wait", "20ms"]);
    all_failed(&outcome, 20);
    // 20 looks and the source wait each time; one by one they would be 63.
    let opened = opened.load(Ordering::SeqCst);
    assert!((3..=6).contains(&opened), "{opened}");
}

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn a_stderr_that_takes_nothing_ends_nothing() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let failed = AtomicBool::new(false);
    let front = scene.front(move |asked| {
        let first = asked.puts(TAGS[0]) && !failed.swap(true, Ordering::SeqCst);
        first.then(|| Fault::Instead(503, vec![], ""))
    });
    let mut command = push_of(&front.host, &repository, &["--debug"]);
    let output = command.stderr(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(front.count(|asked| asked.puts(TAGS[0])), 2, "it was tried again");
    assert_eq!(scene.moved(&repository).unwrap(), [true; 3]);
}

/// What has begun comes to its end; nothing else begins.
#[test]
fn a_stdout_that_takes_nothing_leaves_no_index_half_done() {
    let (registry, folder) = (app(), tempfile::tempdir().unwrap());
    // So that many are under way when the first is done.
    let front = Scripted::before(&registry, |asked| {
        std::thread::sleep(Duration::from_millis(if asked.line.starts_with("PUT ") { 30 } else { 2 }));
        None
    });
    write_specs(&folder, &front.host, 60, |n| format!("tags: [n{n}a, n{n}b]\n"));
    let mut command = command(folder.path(), &["--plain-http", "push", "from-spec", "many.yaml"]);
    let output = command.stdin(Stdio::null()).stdout(full()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error: cannot write to stdout: "), "{stderr}");
    let written = |n: usize| ["", "a", "b"].map(|tag| registry.manifest("app", &format!("n{n}{tag}")).is_some());
    let whole: Vec<bool> = (0..60)
        .map(|n| match written(n) {
            [true, true, true] => true,
            [false, false, false] => false,
            partly => panic!("n{n}: {partly:?}\n{stderr}"),
        })
        .collect();
    let done = whole.iter().filter(|whole| **whole).count();
    assert!((1..60).contains(&done), "{done}");
    let told = format!("60 indexes: {done} done, 0 unchanged, 0 failed, {} skipped\n", 60 - done);
    assert!(stderr.contains(&told), "{done}: {stderr}");
}

fn push_of(host: &str, repository: &str, more: &[&str]) -> std::process::Command {
    let (template, target) = (format!("{host}/parts:ARCH"), format!("{host}/{repository}:{}", TAGS[0]));
    let tags = TAGS[1..].join(",");
    let push = ["--plain-http", "push", "from-args", "--platforms", "linux/amd64,linux/arm64", "--tags", &tags];
    let args = [&push[..], &["--template", &template, "--target", &target], more].concat();
    command(&std::env::temp_dir(), &args)
}

fn start_push(front: &Faulty, repository: &str, more: &[&str]) -> Child {
    start(push_of(&front.host, repository, more))
}

/// Sends it, and sees the run end before the server has anything to say.
fn ends_soon(child: Child, name: &str) -> Outcome {
    let began = Instant::now();
    signal(&child, name);
    let outcome = end(child);
    assert!(began.elapsed() < SOON, "{:?}: {outcome:?}", began.elapsed());
    outcome
}

/// Written, by its answer or without one; then the look stalls.
#[test]
fn a_signal_ends_a_look_that_stalls() {
    let scene = Scene::new();
    for answered in [true, false] {
        let repository = scene.new_target();
        let (behind, written) = (scene.registry.host.clone(), AtomicBool::new(false));
        let front = scene.front(move |asked| {
            if asked.puts(TAGS[0]) {
                written.store(true, Ordering::SeqCst);
                if !answered {
                    return Some(Fault::LostAnswer);
                }
                crate::support::scripted::forward(asked, &behind, "x");
                return Some(Fault::Instead(201, vec![], ""));
            }
            let is_look = asked.line.ends_with("/manifests/v1") && written.load(Ordering::SeqCst);
            is_look.then(silent)
        });
        let child = start_push(&front, &repository, &["--timeout", "20s", "--retries", "0"]);
        front.until_asked(2, |asked| asked.line == format!("HEAD /v2/{repository}/manifests/v1"));
        let outcome = ends_soon(child, "TERM");
        assert_eq!(outcome.exit, 143, "{outcome:?}");
        assert!(outcome.stderr.contains("; whether it was written is not known"), "{outcome:?}");
        scene.check_but(&repository, &outcome, Some(TAGS[0])).unwrap();
    }
}

/// Before it is known whether it speaks TLS, and after.
#[test]
fn login_ends_when_told_to_while_the_registry_is_silent() {
    let registry = Scripted::start(|_, _| {
        std::thread::sleep(LONG);
        (200, vec![], vec![])
    });
    for plain in [&["--plain-http"][..], &[]] {
        for (more, code) in [(&["--timeout", "20s"][..], 130), (&["--timeout", "20s", "--deadline", "500ms"], 124)] {
            let folder = tempfile::tempdir().unwrap();
            let login = ["login", &registry.host, "--username", "user", "--password", "secret-word"];
            let opened = registry.connections.load(Ordering::SeqCst);
            let began = Instant::now();
            let child = start(command(folder.path(), &[plain, &login, more].concat()));
            while registry.connections.load(Ordering::SeqCst) == opened {
                assert!(began.elapsed() < SOON);
                std::thread::sleep(Duration::from_millis(5));
            }
            let outcome = if code == 130 { ends_soon(child, "INT") } else { end(child) };
            assert!(outcome.exit == code && began.elapsed() < SOON, "{:?}: {outcome:?}", began.elapsed());
            assert!(outcome.stderr.contains(&format!("error: {}: not done, ", registry.host)), "{outcome:?}");
            assert!(!folder.path().join(".docker").exists(), "nothing is stored that was not checked");
        }
    }
}

/// Whichever they are, and whether or not the first was told of by then.
#[test]
fn a_second_signal_of_another_kind_does_not_wait() {
    let scene = Scene::new();
    for (first, second, code, apart) in [("INT", "TERM", 143, 100), ("TERM", "INT", 130, 600)] {
        let repository = scene.new_target();
        let front = scene.front(|asked| asked.puts(TAGS[0]).then(silent));
        let child = start_push(&front, &repository, &[]);
        front.until_asked(1, |asked| asked.puts(TAGS[0]));
        signal(&child, first);
        std::thread::sleep(Duration::from_millis(apart));
        signal(&child, second);
        let outcome = end(child);
        // Who waits for the write ends with the code of the first.
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (code, ""), "{outcome:?}");
        assert!(!outcome.stderr.contains("error: "), "{outcome:?}");
    }
}

/// Writes are held at the front until the signal was heard: then no other may come.
#[test]
fn a_signal_ends_a_run_of_many_indexes_between_writes() {
    const AT_ONCE: usize = 4;
    let (registry, folder) = (app(), tempfile::tempdir().unwrap());
    let open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&open);
    let is_held = |asked: &Asked| {
        let tag = asked.line.strip_prefix("PUT /v2/app/manifests/n")?;
        tag.trim_end_matches('x').parse().ok().filter(|n: &usize| *n >= 10)
    };
    let front = Faulty::before(&registry, Clone::clone, move |asked| {
        while is_held(asked).is_some() && !gate.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    });
    // The first ten have one tag and are done, or begun and held; of the others each has another.
    let tags = |n: usize| if n < 10 { String::new() } else { format!("tags: [n{n}x]\n") };
    write_specs(&folder, &front.host, 60, tags);
    let bound = AT_ONCE.to_string();
    let args = ["--plain-http", "--concurrency", &bound, "push", "from-spec", "many.yaml"];
    let mut child = start(command(folder.path(), &args));
    front.until_asked(AT_ONCE, |asked| is_held(asked).is_some());
    signal(&child, "TERM");
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("stopping; ") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let writes = |asked: &Asked| asked.line.starts_with("PUT ") || asked.line.starts_with("POST ");
    let before = front.count(writes);
    open.store(true, Ordering::SeqCst);
    stderr.read_to_string(&mut said).unwrap();
    let outcome = Outcome { stderr: said, ..end(child) };
    assert_eq!(outcome.exit, 143, "{outcome:?}");
    assert_eq!(front.count(writes), before, "no write begins");

    let told: Vec<(bool, bool)> = (0..60).map(|n| told_of(&outcome, &format!("{}/app:n{n}", front.host))).collect();
    for (n, told) in told.iter().enumerate() {
        let there = ["", "x"].map(|tag| registry.manifest("app", &format!("n{n}{tag}")).is_some());
        assert_eq!((there[0], there[1]), *told, "n{n}: {outcome:?}");
    }
    let done = outcome.stdout.lines().count();
    let failed = outcome.stderr.matches("error: cannot ").count();
    assert_eq!(done, 10, "the first: {outcome:?}");
    assert_eq!(told.iter().filter(|told| **told == (true, false)).count(), 10 + AT_ONCE, "and those that were held");
    let summary = format!("error: 60 indexes: 10 done, 0 unchanged, {failed} failed, {} skipped\n", 50 - failed);
    assert!(failed >= AT_ONCE && outcome.stderr.ends_with(&summary), "{outcome:?}");
}

/// Whether the index's own tag and its other one were written, by what was said of it on stdout or stderr.
fn told_of(outcome: &Outcome, target: &str) -> (bool, bool) {
    let is_done = outcome.stdout.lines().any(|line| line.ends_with(&format!(" {target}")));
    let states = outcome.stderr.lines().flat_map(|line| line.trim().split("; "));
    let written: Vec<&str> =
        states.filter_map(|state| state.strip_prefix("written: ")).flat_map(|tags| tags.split(", ")).collect();
    (is_done || written.contains(&target), written.contains(&format!("{target}x").as_str()))
}
