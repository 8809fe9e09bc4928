//! Runs that end before they are done: killed, interrupted, out of time.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::faults::{Fault, Faulty};
use crate::support::scene::{Scene, TAGS};
use crate::support::{command, end, signal, start};

fn args(host: &str, repository: &str) -> Vec<String> {
    let (template, target) = (format!("{host}/parts:ARCH"), format!("{host}/{repository}:{}", TAGS[0]));
    let tags = TAGS[1..].join(",");
    let push = ["--plain-http", "push", "from-args", "--platforms", "linux/amd64,linux/arm64", "--tags", &tags];
    push.into_iter().chain(["--template", &template, "--target", &target]).map(str::to_owned).collect()
}

fn push(host: &str, repository: &str, more: &[&str]) -> Child {
    let args = args(host, repository);
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    start(command(&std::env::temp_dir(), &args))
}

/// Every request takes a few milliseconds, so that there is time to be killed in.
fn slow(scene: &Scene) -> Faulty {
    scene.front(|_| {
        std::thread::sleep(Duration::from_millis(3));
        None
    })
}

#[test]
fn killed_at_fifty_moments() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let began = Instant::now();
    let outcome = end(push(&slow(&scene).host, &repository, &[]));
    let whole = began.elapsed();
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let seed = fastrand::get_seed();
    let (mut killed, mut partly) = (0, 0);
    for _ in 0..50 {
        let repository = scene.new_target();
        let front = slow(&scene);
        let mut child = push(&front.host, &repository, &[]);
        std::thread::sleep(whole.mul_f64(fastrand::f64()));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let moved = scene.moved(&repository).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        partly += usize::from(moved.contains(&true) && moved.contains(&false));
        let again = end(push(&front.host, &repository, &[]));
        assert_eq!(again.exit, 0, "seed {seed}: {again:?}");
        scene.check(&repository, &again).unwrap();
    }
    assert!(killed >= 10, "{killed} of 50 were killed before they were done ({partly} between two tags)");
}

/// Between two tags: the write that is under way comes to its end, and the report says which moved.
#[test]
fn a_signal_stops_between_writes() {
    let scene = Scene::new();
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let repository = scene.new_target();
        let front = scene.front(|asked| {
            if asked.puts(TAGS[0]) {
                std::thread::sleep(Duration::from_millis(600));
            }
            None
        });
        let child = push(&front.host, &repository, &[]);
        front.until_asked(1, |asked| asked.puts(TAGS[0]));
        signal(&child, name);
        let outcome = end(child);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (code, ""), "{outcome:?}");
        assert!(outcome.stderr.contains("stopping; a write that is under way"), "{outcome:?}");
        let said = format!("written: {0}/{repository}:v1; not written: {0}/{repository}:v1.2", front.host);
        assert!(outcome.stderr.contains(&said) && outcome.stderr.contains("not done, interrupted"), "{outcome:?}");
        scene.check(&repository, &outcome).unwrap();
        assert_eq!(scene.moved(&repository).unwrap(), [true, false, false]);
    }
}

/// While sources are read nothing is written at all.
#[test]
fn a_signal_ends_reads_at_once() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let front = scene.front(|asked| asked.line.contains("/parts/manifests/amd64").then_some(Fault::Stall));
    let child = push(&front.host, &repository, &[]);
    front.until_asked(1, |asked| asked.line.contains("/parts/manifests/amd64"));
    let began = Instant::now();
    signal(&child, "INT");
    let outcome = end(child);
    assert_eq!(outcome.exit, 130, "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "it did not wait for the answer");
    assert!(outcome.stderr.contains("not done, interrupted") && !outcome.stderr.contains("stopping"), "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
}

/// The answer to the write does not come in the time that it has: the tag is looked at.
#[test]
fn a_signal_during_a_write_that_stalls() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let front = scene.front(|asked| asked.puts(TAGS[0]).then_some(Fault::Stall));
    let child = push(&front.host, &repository, &[]);
    front.until_asked(1, |asked| asked.puts(TAGS[0]));
    signal(&child, "TERM");
    let outcome = end(child);
    assert_eq!(outcome.exit, 143, "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("written: {}/{repository}:v1; not written", front.host)), "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
    assert_eq!(scene.moved(&repository).unwrap(), [true, false, false]);
}

#[test]
fn a_second_signal_does_not_wait() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let front = scene.front(|asked| asked.puts(TAGS[0]).then_some(Fault::Stall));
    let child = push(&front.host, &repository, &[]);
    front.until_asked(1, |asked| asked.puts(TAGS[0]));
    let began = Instant::now();
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let outcome = end(child);
    assert_eq!(outcome.exit, 130, "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_deadline_ends_the_run() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let busy = Fault::Instead(503, vec![("Retry-After", "30".into())], "");
    let front = scene.front(move |asked| asked.puts(TAGS[1]).then_some(busy.clone()));
    let began = Instant::now();
    let outcome = end(push(&front.host, &repository, &["--deadline", "1.5s"]));
    assert_eq!(outcome.exit, 124, "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "30 s were asked for");
    assert!(outcome.stderr.contains(&format!("written: {}/{repository}:v1; not written", front.host)), "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
    assert_eq!(scene.moved(&repository).unwrap(), [true, false, false]);
}
