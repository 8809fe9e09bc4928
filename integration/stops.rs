//! Runs that are killed, interrupted by a signal, or stopped by a deadline.

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

use crate::support::faults::{Fault, FaultProxy};
use crate::support::images::{OCI, OCI_INDEX, descriptor};
use crate::support::layouts::{blob_path, valid_layout, write_files, write_valid_layout};
use crate::support::push_fixture::{PushFixture, TAGS, push_command};
use crate::support::registry::sha256;
use crate::support::{Outcome, ScriptedServer, Workspace, signal, spawn, wait};

fn spawn_push(proxy: &FaultProxy, repository: &str, more: &[&str]) -> Child {
    spawn(push_command(&proxy.host, repository, more))
}

/// Starts a proxy that delays every request by a few milliseconds, so that a push can be killed at any of them.
fn slow_proxy(fixture: &PushFixture) -> FaultProxy {
    fixture.proxy(|_| {
        std::thread::sleep(Duration::from_millis(3));
        None
    })
}

#[test]
fn a_push_killed_at_fifty_random_moments_leaves_complete_indexes_and_can_be_repeated() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let began = Instant::now();
    wait(spawn_push(&slow_proxy(&fixture), &repository, &[])).success();
    let duration = began.elapsed();
    let seed = fastrand::get_seed();
    let (mut killed, mut killed_between_tags) = (0, 0);
    for _ in 0..50 {
        let repository = fixture.new_target();
        let proxy = slow_proxy(&fixture);
        let mut child = spawn_push(&proxy, &repository, &[]);
        std::thread::sleep(duration.mul_f64(fastrand::f64()));
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
        let moved = fixture.moved_tags(&repository).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        killed_between_tags += usize::from(moved.contains(&true) && moved.contains(&false));
        let again = wait(spawn_push(&proxy, &repository, &[]));
        assert_eq!(again.exit, 0, "seed {seed}: {again:?}");
        fixture.check(&repository, &again).unwrap();
    }
    assert!(killed >= 10, "only {killed} of 50 were killed before they ended ({killed_between_tags} between two tags)");
}

/// The write in progress is finished, and the report names the tags that moved.
#[test]
fn a_signal_stops_a_push_between_two_tags() {
    let fixture = PushFixture::new();
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let repository = fixture.new_target();
        let proxy = fixture.proxy(|request| {
            if request.writes_manifest(TAGS[0]) {
                std::thread::sleep(Duration::from_millis(600));
            }
            None
        });
        let child = spawn_push(&proxy, &repository, &[]);
        proxy.wait_for_requests(1, |request| request.writes_manifest(TAGS[0]));
        signal(&child, name);
        let outcome = wait(child);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (code, ""), "{outcome:?}");
        assert!(outcome.stderr.contains("stopping; a write in progress"), "{outcome:?}");
        let states = format!("written: {0}/{repository}:v1; not written: {0}/{repository}:v1.2", proxy.host);
        assert!(
            outcome.stderr.contains(&states) && outcome.stderr.contains("not completed: interrupted"),
            "{outcome:?}"
        );
        fixture.check(&repository, &outcome).unwrap();
        assert_eq!(fixture.moved_tags(&repository).unwrap(), [true, false, false]);
    }
}

/// A push writes only after it has read all sources, so a signal during a read needs no grace period.
#[test]
fn a_signal_during_a_read_ends_the_push_immediately() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let proxy = fixture.proxy(|request| request.line.contains("/parts/manifests/amd64").then_some(Fault::Stall));
    let child = spawn_push(&proxy, &repository, &[]);
    proxy.wait_for_requests(1, |request| request.line.contains("/parts/manifests/amd64"));
    let began = Instant::now();
    signal(&child, "INT");
    let outcome = wait(child);
    assert_eq!(outcome.exit, 130, "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "the push waited for the response");
    assert!(
        outcome.stderr.contains("not completed: interrupted") && !outcome.stderr.contains("stopping"),
        "{outcome:?}"
    );
    fixture.check(&repository, &outcome).unwrap();
}

/// The response does not arrive within the grace period, so the tag is read back.
#[test]
fn a_signal_during_a_stalled_write_reads_the_tag_back() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let proxy = fixture.proxy(|request| request.writes_manifest(TAGS[0]).then_some(Fault::Stall));
    let child = spawn_push(&proxy, &repository, &[]);
    proxy.wait_for_requests(1, |request| request.writes_manifest(TAGS[0]));
    signal(&child, "TERM");
    let outcome = wait(child);
    assert_eq!(outcome.exit, 143, "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("written: {}/{repository}:v1; not written", proxy.host)), "{outcome:?}");
    fixture.check(&repository, &outcome).unwrap();
    assert_eq!(fixture.moved_tags(&repository).unwrap(), [true, false, false]);
}

#[test]
fn a_second_signal_ends_the_push_immediately() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let proxy = fixture.proxy(|request| request.writes_manifest(TAGS[0]).then_some(Fault::Stall));
    let child = spawn_push(&proxy, &repository, &[]);
    proxy.wait_for_requests(1, |request| request.writes_manifest(TAGS[0]));
    let began = Instant::now();
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let outcome = wait(child);
    assert_eq!(outcome.exit, 130, "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_deadline_ends_the_wait_for_a_retry() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let busy = Fault::CannedResponse(503, vec![("Retry-After", "30".into())], "");
    let proxy = fixture.proxy(move |request| request.writes_manifest(TAGS[1]).then_some(busy.clone()));
    let began = Instant::now();
    let outcome = wait(spawn_push(&proxy, &repository, &["--deadline", "1.5s"]));
    assert_eq!(outcome.exit, 124, "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "the push waited for the 30 s of Retry-After");
    assert!(outcome.stderr.contains(&format!("written: {}/{repository}:v1; not written", proxy.host)), "{outcome:?}");
    fixture.check(&repository, &outcome).unwrap();
    assert_eq!(fixture.moved_tags(&repository).unwrap(), [true, false, false]);
}

/// Waits until a process exits, and kills it after two minutes so that an ignored signal cannot block the tests.
fn wait_or_kill(child: Child) -> Outcome {
    let (ended, timeout) = mpsc::channel::<()>();
    let id = child.id().to_string();
    let killer = std::thread::spawn(move || {
        if timeout.recv_timeout(Duration::from_secs(120)) == Err(mpsc::RecvTimeoutError::Timeout) {
            std::process::Command::new("kill").args(["-s", "KILL", &id]).status().unwrap();
        }
    });
    let outcome = wait(child);
    drop(ended);
    killer.join().unwrap();
    outcome
}

/// Waits until a condition on the process id holds. Fails if the process ends before that.
fn wait_until(child: &mut Child, condition: impl Fn(u32) -> bool) {
    while !condition(child.id()) {
        assert!(child.try_wait().unwrap().is_none(), "the process has ended");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(target_os = "linux")]
fn has_open(process: u32, path: &Path) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let path = std::fs::canonicalize(path).unwrap();
    descriptors.flat_map(|descriptor| std::fs::read_link(descriptor.path())).any(|open| open == path)
}

/// Starts the program, sends a signal once it has a file open, and waits until it exits.
#[cfg(target_os = "linux")]
fn signal_when_open(workspace: &Workspace, args: &[&str], file: &Path, name: &str) -> Outcome {
    let mut child = spawn(workspace.command(args));
    wait_until(&mut child, |process| has_open(process, file));
    signal(&child, name);
    wait_or_kill(child)
}

/// Hashing the blob would take hours, so the test passes only if hashing is interrupted.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_or_deadline_interrupts_the_hashing_of_an_existing_blob() {
    let workspace = Workspace::new();
    let mut files = valid_layout();
    let (size, digest) = (1_u64 << 40, sha256(b"a terabyte of zeros"));
    let config = &files[2].1;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &sha256(config), config),
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size}],
    })
    .to_string();
    let entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
    files[1].1 = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).to_string().into_bytes();
    files[3] = (blob_path(&sha256(manifest.as_bytes())), manifest.into_bytes());
    write_files(&workspace.path("src"), files);
    write_valid_layout(&workspace.path("out"));
    let blob = workspace.path("out").join(blob_path(&digest));
    std::fs::File::create(&blob).unwrap().set_len(size).unwrap();
    let before = workspace.read("out/index.json");
    let copy = ["copy", "oci:src", "oci:out:v1"];
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        signal_when_open(&workspace, &copy, &blob, name).fails(code, "not completed: interrupted");
    }
    let parts = ["--platforms", "linux/amd64", "--template", "oci:src", "--target", "oci:out:v1"];
    for args in [&copy[..], &[&["push", "from-args"], &parts[..]].concat()] {
        wait_or_kill(spawn(workspace.command(&[&["--deadline", "1s"], args].concat()))).exits(124);
    }
    assert_eq!(workspace.read("out/index.json"), before);
}

/// The test holds the lock until the end, so a run that does not stop reports that the layout or archive is locked.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_or_deadline_ends_the_wait_for_a_lock() {
    let workspace = Workspace::new();
    write_valid_layout(&workspace.path("src"));
    std::fs::create_dir(workspace.path("empty")).unwrap();
    write_valid_layout(&workspace.path("existing"));
    workspace.run(&["copy", "oci:src", "oci-archive:a.tar:v1"]).success();
    let archive = std::fs::read(workspace.path("a.tar")).unwrap();
    let runs: [(&str, &[&str]); 3] = [
        ("empty", &["copy", "oci:src", "oci:empty:v1"]),
        ("existing", &["copy", "oci:src", "oci:existing:v1"]),
        ("a.tar", &["delete", "oci-archive:a.tar:v1"]),
    ];
    for (locked, args) in runs {
        let path = workspace.path(locked);
        let lock = std::fs::File::open(&path).unwrap();
        lock.lock().unwrap();
        let outcome = signal_when_open(&workspace, args, &path, "INT");
        assert!(outcome.exit == 130 && !outcome.stderr.contains("held the lock"), "{locked}: {outcome:?}");
        let outcome = wait_or_kill(spawn(workspace.command(&[&["--deadline", "1s"], args].concat())));
        assert!(outcome.exit == 124 && !outcome.stderr.contains("held the lock"), "{locked}: {outcome:?}");
    }
    assert!(archive == std::fs::read(workspace.path("a.tar")).unwrap());
    let names = std::fs::read_dir(workspace.folder()).unwrap().flatten().map(|entry| entry.file_name());
    let temporary: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(temporary.is_empty(), "{temporary:?}");
}

/// The copy is complete except for the digest file, a FIFO without a reader.
#[cfg(unix)]
#[test]
fn a_signal_or_deadline_ends_the_wait_for_a_reader_of_the_digest_file() {
    for (deadline, code) in [("1h", 130), ("1s", 124)] {
        let workspace = Workspace::new();
        write_valid_layout(&workspace.path("src"));
        let fifo = std::process::Command::new("mkfifo").arg(workspace.path("fifo")).status().unwrap();
        assert!(fifo.success());
        let args = ["--deadline", deadline, "copy", "oci:src", "oci:out:v1", "--digest-file", "fifo"];
        let mut child = spawn(workspace.command(&args));
        if code == 130 {
            let index = workspace.path("out/index.json");
            wait_until(&mut child, |_| std::fs::read_to_string(&index).is_ok_and(|text| text.contains(r#""v1""#)));
            signal(&child, "INT");
        }
        wait_or_kill(child).exits(code);
    }
}

/// A cancelled client ends a stalled token request and the wait before its retry, even if a write needs the token.
#[test]
fn cancelling_a_client_ends_its_token_request() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    for (stalls, writes) in [(true, false), (true, true), (false, false), (false, true)] {
        let server = ScriptedServer::start(move |request, host| {
            if !request.line.contains("/token") {
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
        let tokens = || server.requests().iter().filter(|request| request.line.contains("/token")).count();
        let operation = async {
            let descriptor = Descriptor { size: 2, ..Descriptor::new(OCI, Digest::sha256(&bytes)) };
            match writes {
                true => client.push_manifest(&tag, &descriptor, &bytes).await,
                false => client.fetch_manifest(&tag).await.map(drop),
            }
        };
        let cancellation = async {
            let has_begun = || if stalls { tokens() > 0 } else { is_waiting.load(Ordering::Relaxed) };
            while !has_begun() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.cancel(StopReason::Signal(2));
            Instant::now()
        };
        let (outcome, stopped) = runtime.block_on(join(operation, cancellation));
        // The stalled response takes 20 s, and the wait for the retry 30 s.
        assert!(stopped.elapsed() < Duration::from_secs(15), "{stalls} {writes}: {:?}", stopped.elapsed());
        let error = outcome.unwrap_err().to_string();
        // A write that already failed reports that failure instead of the interruption.
        let reports_failure = !stalls && writes;
        assert_eq!(error.contains("not completed: interrupted"), !reports_failure, "{stalls} {writes}: {error}");
        assert_eq!(tokens(), 1, "{stalls} {writes}");
    }
}
