//! Runs that end before they are done: killed, interrupted, out of time.

use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join;
use manifest_tool::event::{Event, Events};
use manifest_tool::image::{Descriptor, Digest, Reference};
use manifest_tool::registry::{CancelToken, Client, ClientConfig, CredentialSources, StopReason};
use serde_json::json;

use crate::archives::sound;
use crate::support::faults::{Fault, Faulty};
use crate::support::images::{OCI, OCI_INDEX, descriptor};
use crate::support::registry::sha256;
use crate::support::scene::{Scene, TAGS};
use crate::support::{Outcome, Scripted, command, end, manifest_tool, signal, start};

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

/// Waits for the end of a process, and kills it after two minutes: one that does not hear signals must not hang the tests.
fn end_or_kill(child: Child) -> Outcome {
    let (ended, wait) = mpsc::channel::<()>();
    let id = child.id().to_string();
    let killer = std::thread::spawn(move || {
        if wait.recv_timeout(Duration::from_secs(120)) == Err(mpsc::RecvTimeoutError::Timeout) {
            std::process::Command::new("kill").args(["-s", "KILL", &id]).status().unwrap();
        }
    });
    let outcome = end(child);
    drop(ended);
    killer.join().unwrap();
    outcome
}

/// Waits until something is so, as long as a process runs.
fn until(child: &mut Child, is_so: impl Fn(u32) -> bool) {
    while !is_so(child.id()) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(target_os = "linux")]
fn has_open(process: u32, path: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let path = std::fs::canonicalize(path).unwrap();
    open.flat_map(|open| std::fs::read_link(open.path())).any(|open| open == path)
}

fn write(layout: &Path, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
    for (name, bytes) in files {
        std::fs::create_dir_all(layout.join(&name).parent().unwrap()).unwrap();
        std::fs::write(layout.join(&name), bytes).unwrap();
    }
}

/// Starts a command in a folder, stops it when it has a file open, and gives its outcome.
#[cfg(target_os = "linux")]
fn stopped_with_open(folder: &Path, args: &[&str], open: &Path, name: &str) -> Outcome {
    let mut child = start(command(folder, args));
    until(&mut child, |process| has_open(process, open));
    signal(&child, name);
    end_or_kill(child)
}

/// The blob would take hours to hash: that the run ends at all shows that it was given up.
#[cfg(target_os = "linux")]
#[test]
fn a_stop_ends_the_hashing_of_a_blob_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = sound();
    let (size, digest) = (1_u64 << 40, sha256(b"a terabyte of zeros"));
    let config = &files[2].1;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &sha256(config), config),
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size}],
    })
    .to_string();
    let name = |digest: &str| format!("blobs/{}", digest.replacen(':', "/", 1));
    let entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
    files[1].1 = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).to_string().into_bytes();
    files[3] = (name(&sha256(manifest.as_bytes())), manifest.into_bytes());
    write(&folder.path().join("src"), files);
    write(&folder.path().join("out"), sound());
    let blob = folder.path().join("out").join(name(&digest));
    std::fs::File::create(&blob).unwrap().set_len(size).unwrap();
    let before = std::fs::read(folder.path().join("out/index.json")).unwrap();
    let copy = ["copy", "oci:src", "oci:out:v1"];
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let outcome = stopped_with_open(folder.path(), &copy, &blob, name);
        assert!(outcome.exit == code && outcome.stderr.contains("not done, interrupted"), "{outcome:?}");
    }
    let parts = ["--platforms", "linux/amd64", "--template", "oci:src", "--target", "oci:out:v1"];
    for args in [&copy[..], &[&["push", "from-args"], &parts[..]].concat()] {
        let outcome = end_or_kill(start(command(folder.path(), &[&["--deadline", "1s"], args].concat())));
        assert_eq!(outcome.exit, 124, "{outcome:?}");
    }
    assert!(before == std::fs::read(folder.path().join("out/index.json")).unwrap());
}

/// The lock is held for the whole test, so a run that waited for it would say that it is locked.
#[cfg(target_os = "linux")]
#[test]
fn a_stop_ends_the_wait_for_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("src"), sound());
    for name in ["fresh", "whole"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    write(&folder.path().join("whole"), sound());
    let packed = manifest_tool(folder.path(), &["copy", "oci:src", "oci-archive:a.tar:v1"]);
    assert_eq!(packed.exit, 0, "{packed:?}");
    let archive = std::fs::read(folder.path().join("a.tar")).unwrap();
    let runs: [(&str, &[&str]); 3] = [
        ("fresh", &["copy", "oci:src", "oci:fresh:v1"]),
        ("whole", &["copy", "oci:src", "oci:whole:v1"]),
        ("a.tar", &["delete", "oci-archive:a.tar:v1"]),
    ];
    for (locked, args) in runs {
        let path = folder.path().join(locked);
        let lock = std::fs::File::open(&path).unwrap();
        lock.lock().unwrap();
        let outcome = stopped_with_open(folder.path(), args, &path, "INT");
        assert!(outcome.exit == 130 && !outcome.stderr.contains("has locked"), "{locked}: {outcome:?}");
        let outcome = end_or_kill(start(command(folder.path(), &[&["--deadline", "1s"], args].concat())));
        assert!(outcome.exit == 124 && !outcome.stderr.contains("has locked"), "{locked}: {outcome:?}");
    }
    assert!(archive == std::fs::read(folder.path().join("a.tar")).unwrap());
    let left = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// All is done but the file for the digest: a FIFO that nobody reads.
#[cfg(unix)]
#[test]
fn a_stop_ends_the_wait_for_a_reader_of_results() {
    for (deadline, code) in [("1h", 130), ("1s", 124)] {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("src"), sound());
        let fifo = std::process::Command::new("mkfifo").arg(folder.path().join("fifo")).status().unwrap();
        assert!(fifo.success());
        let args = ["--deadline", deadline, "copy", "oci:src", "oci:out:v1", "--digest-file", "fifo"];
        let mut child = start(command(folder.path(), &args));
        if code == 130 {
            let index = folder.path().join("out/index.json");
            until(&mut child, |_| std::fs::read_to_string(&index).is_ok_and(|text| text.contains(r#""v1""#)));
            signal(&child, "INT");
        }
        let outcome = end_or_kill(child);
        assert_eq!(outcome.exit, code, "{outcome:?}");
    }
}

/// A request for a token that stalls, and the wait before one is sent again, end when the run is stopped, also where a write
/// needs the token.
#[test]
fn a_stop_ends_the_request_for_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    for (stalls, writes) in [(true, false), (true, true), (false, false), (false, true)] {
        let server = Scripted::start(move |asked, host| {
            if !asked.line.contains("/token") {
                let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\"");
                return (401, vec![("WWW-Authenticate", challenge)], vec![]);
            }
            if stalls {
                std::thread::sleep(Duration::from_secs(20));
            }
            (503, vec![("Retry-After", "30".into())], vec![])
        });
        let (stop, docker_config) = (CancelToken::default(), Some(folder.path().to_owned()));
        let credentials = CredentialSources { docker_config, ..CredentialSources::default() };
        let is_waiting = Arc::new(AtomicBool::new(false));
        let retry_seen = Arc::clone(&is_waiting);
        let events = Events::new(move |event| {
            retry_seen.fetch_or(matches!(event, Event::Retry { .. }), Ordering::Relaxed);
        });
        let client =
            Client::new(ClientConfig { cancel_token: stop.clone(), credentials, events, ..ClientConfig::default() });
        let (tag, bytes) = (format!("{}/app:v1", server.host).parse::<Reference>().unwrap(), Bytes::from_static(b"{}"));
        let tokens = || server.asked().iter().filter(|asked| asked.line.contains("/token")).count();
        let working = async {
            let descriptor = Descriptor { size: 2, ..Descriptor::new(OCI, Digest::sha256(&bytes)) };
            match writes {
                true => client.push_manifest(&tag, &descriptor, &bytes).await,
                false => client.fetch_manifest(&tag).await.map(drop),
            }
        };
        let stopping = async {
            let has_begun = || if stalls { tokens() > 0 } else { is_waiting.load(Ordering::Relaxed) };
            while !has_begun() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.cancel(StopReason::Signal(2));
            Instant::now()
        };
        let (outcome, stopped) = runtime.block_on(join(working, stopping));
        // The stalled answer takes 20 s, and the wait 30 s.
        assert!(stopped.elapsed() < Duration::from_secs(15), "{stalls} {writes}: {:?}", stopped.elapsed());
        let error = outcome.unwrap_err().to_string();
        let is_said = !stalls && writes; // what went wrong is worth more than that the run was stopped
        assert_eq!(error.contains("not done, interrupted"), !is_said, "{stalls} {writes}: {error}");
        assert_eq!(tokens(), 1, "{stalls} {writes}");
    }
}
