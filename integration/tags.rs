//! Tags: immutable ones, other writers, registries that lag, answers of every kind to a write.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::faults::{Fault, Faulty};
use crate::support::registry::sha256;
use crate::support::scene::{Scene, TAGS};
use crate::support::scripted::Asked;
use crate::support::{Outcome, push_from_args};

fn push(front: &Faulty, repository: &str, more: &[&str]) -> Outcome {
    let (target, tags) = (format!("{repository}:{}", TAGS[0]), TAGS[1..].join(","));
    let args = [&["--tags", &tags][..], more].concat();
    push_from_args(&front.host, "linux/amd64,linux/arm64", "parts:ARCH", &target, &args)
}

fn instead(status: u16, code: &str, message: &str) -> Fault {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#);
    Fault::Instead(status, vec![("Content-Type", "application/json".into())], body.leak())
}

fn digest_of(scene: &Scene, repository: &str, tag: &str) -> String {
    scene.registry.manifest(repository, tag).unwrap().digest
}

#[test]
fn an_immutable_tag_with_another_digest_names_both() {
    for (status, code, message) in [
        (412, "PRECONDITION", "Failed to process request due to 'v1' configured as immutable."),
        (400, "TAG_INVALID", "The image tag 'v1' already exists and cannot be overwritten because it is immutable."),
        (403, "DENIED", "Tag v1 is immutable"),
    ] {
        let scene = Scene::new();
        let repository = scene.new_target();
        let front = scene.front(move |asked| asked.puts(TAGS[0]).then(|| instead(status, code, message)));
        let outcome = push(&front, &repository, &[]);
        let old = digest_of(&scene, &repository, TAGS[0]);
        let asked = front.asked();
        let wanted = sha256(&asked.iter().find(|asked| asked.puts(TAGS[0])).unwrap().body);
        let part = format!(
            "/{repository}:v1 points at {old} and the registry does not let it move to {wanted} \
             (PUT /v2/{repository}/manifests/v1: HTTP {status}; registry says: {code}: {message})"
        );
        assert!(outcome.exit == 1 && outcome.stderr.contains(&part), "{outcome:?}\n{part}");
        assert!(outcome.stderr.contains("no tag was written\nhint: push to another tag"), "{outcome:?}");
        assert_eq!(asked.iter().filter(|asked| asked.puts(TAGS[0])).count(), 1, "it is not tried again");
        scene.check(&repository, &outcome).unwrap();
    }
}

#[test]
fn an_immutable_tag_with_the_same_digest_is_success() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let immutable = |asked: &Asked| asked.puts(TAGS[0]).then(|| instead(400, "TAG_INVALID", "immutable"));
    assert_eq!(push(&scene.front(|_| None), &repository, &[]).exit, 0);
    let front = scene.front(immutable);
    assert_eq!(push(&front, &repository, &[]).exit, 0);
    assert!(!front.asked().iter().any(|asked| asked.puts(TAGS[0])), "it is not written");
    // Written although it points there, and refused: it points there all the same.
    let front = scene.front(immutable);
    let outcome = push(&front, &repository, &["--force"]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(front.asked().iter().any(|asked| asked.puts(TAGS[0])));
}

#[test]
fn if_match_guards_against_another_writer() {
    let scene = Scene::new();
    let wrong = sha256(b"another");
    for (expected, code) in [("none", 3), (wrong.as_str(), 3), ("OLD", 0)] {
        let repository = scene.new_target();
        let old = digest_of(&scene, &repository, TAGS[0]);
        let front = scene.front(|_| None);
        let outcome = push(&front, &repository, &["--if-match", &expected.replace("OLD", &old)]);
        assert_eq!(outcome.exit, code, "{expected}: {outcome:?}");
        scene.check(&repository, &outcome).unwrap();
        if code == 3 {
            let expected = expected.replace("none", "nothing");
            let part = format!("/{repository}:v1 points at {old}, and was to point at {expected}: not written");
            assert!(outcome.stderr.contains(&part), "{outcome:?}");
            let written = format!("PUT /v2/{repository}/manifests");
            assert_eq!(front.count(|asked| asked.line.starts_with(&written)), 0, "not even a child");
        }
        // What is there already is as good.
        if code == 0 {
            assert_eq!(push(&front, &repository, &["--if-match", &old]).exit, 0);
        }
    }
    // A tag that is not there.
    for (expected, code) in [("none", 0), (wrong.as_str(), 3)] {
        let target = format!("new{code}:v1");
        let host = &scene.registry.host;
        let outcome = push_from_args(host, "linux/amd64", "parts:ARCH", &target, &["--if-match", expected]);
        assert_eq!(outcome.exit, code, "{outcome:?}");
        assert!(code == 0 || outcome.stderr.contains("points at nothing, and was to point at sha256:"), "{outcome:?}");
    }
}

/// Between the first look and the write another one wrote: the look just before the write finds it.
#[test]
fn if_match_looks_again_just_before_the_write() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let old = digest_of(&scene, &repository, TAGS[0]);
    let other = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"b"}}"#;
    let (host, of) = (scene.registry.host.clone(), repository.clone());
    let front = scene.front(move |asked| {
        if asked.line.starts_with("PUT ") && asked.line.contains("/manifests/sha256:") {
            let url = format!("http://{host}/v2/{of}/manifests/{}", TAGS[0]);
            let media_type = "application/vnd.oci.image.index.v1+json";
            ureq::put(url).header("Content-Type", media_type).send(&other[..]).unwrap();
        }
        None
    });
    let outcome = push(&front, &repository, &["--if-match", &old]);
    assert_eq!(outcome.exit, 3, "{outcome:?}");
    assert_eq!(digest_of(&scene, &repository, TAGS[0]), sha256(other), "the other's is left alone");
    assert!(outcome.stderr.contains(&sha256(other)) && outcome.stderr.contains("no tag was written"), "{outcome:?}");
    let front = scene.front(|_| None);
    assert_eq!(push(&front, &repository, &[]).exit, 0, "without it the last one wins");
}

#[test]
fn if_match_is_usage_where_it_makes_no_sense() {
    let scene = Scene::new();
    let front = scene.front(|_| None);
    let outcome = push(&front, "x", &["--if-match", "latest"]);
    assert!(outcome.exit == 2 && outcome.stderr.contains("; or none"), "{outcome:?}");
}

/// What was just written is not known everywhere at once: the registry says so, and says otherwise a moment later.
#[test]
fn a_registry_that_lags() {
    let codes = [(404, "MANIFEST_BLOB_UNKNOWN"), (400, "MANIFEST_BLOB_UNKNOWN"), (404, "BLOB_UNKNOWN")];
    for (status, code) in codes.into_iter().chain([(404, "MANIFEST_UNKNOWN"), (400, "")]) {
        let scene = Scene::new();
        let repository = scene.new_target();
        let count = AtomicUsize::new(0);
        let front = scene.front(move |asked| {
            let early = asked.puts(TAGS[0]) && count.fetch_add(1, Ordering::SeqCst) < 2;
            early.then(|| if code.is_empty() { Fault::Instead(status, vec![], "") } else { instead(status, code, "") })
        });
        let outcome = push(&front, &repository, &[]);
        assert_eq!(outcome.exit, 0, "{status} {code}: {outcome:?}");
        assert_eq!(outcome.stderr.matches("trying again in").count(), 2, "{outcome:?}");
        scene.check(&repository, &outcome).unwrap();
    }
    // For ever: it ends, and says why.
    let scene = Scene::new();
    let repository = scene.new_target();
    let front = scene.front(|asked| asked.puts(TAGS[0]).then(|| instead(404, "MANIFEST_BLOB_UNKNOWN", "lost")));
    let outcome = push(&front, &repository, &["--retries", "2"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("MANIFEST_BLOB_UNKNOWN: lost"), "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
}

/// Tags that cannot be read for a while after they were written.
#[test]
fn wait_returns_when_every_tag_reads_back() {
    let scene = Scene::new();
    for (wait, expected) in [(true, 4), (false, 0)] {
        let repository = scene.new_target();
        let (written, looked) = (AtomicUsize::new(0), std::sync::Arc::new(AtomicUsize::new(0)));
        let looks = std::sync::Arc::clone(&looked);
        let front = scene.front(move |asked| {
            written.fetch_add(usize::from(asked.puts(TAGS[2])), Ordering::SeqCst);
            let late = asked.line.starts_with("HEAD ") && asked.line.ends_with("/manifests/v1.2");
            if !late || written.load(Ordering::SeqCst) == 0 {
                return None;
            }
            let first = looks.fetch_add(1, Ordering::SeqCst) < 3;
            first.then(|| instead(404, "MANIFEST_UNKNOWN", "not yet"))
        });
        let outcome = push(&front, &repository, if wait { &["--wait"] } else { &[] });
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        assert_eq!(looked.load(Ordering::SeqCst), expected, "looks after the write");
        scene.check(&repository, &outcome).unwrap();
    }
    // One that never does.
    let repository = scene.new_target();
    let written = AtomicUsize::new(0);
    let front = scene.front(move |asked| {
        written.fetch_add(usize::from(asked.puts(TAGS[2])), Ordering::SeqCst);
        let late = asked.line.starts_with("HEAD ") && written.load(Ordering::SeqCst) > 0;
        late.then(|| instead(404, "MANIFEST_UNKNOWN", "not yet"))
    });
    let outcome = push(&front, &repository, &["--wait", "--retries", "1"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("does not have it"), "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
}

/// All of these say that a manifest is written, if the registry then has it.
#[test]
fn every_success_of_a_write() {
    for (status, headers) in [(200, true), (201, true), (202, true), (204, true), (200, false), (201, false)] {
        let scene = Scene::new();
        let repository = scene.new_target();
        let (behind, of) = (scene.registry.host.clone(), repository.clone());
        let front = scene.front(move |asked| {
            if !asked.line.starts_with("PUT ") || !asked.line.contains("/manifests/") {
                return None;
            }
            let answer = crate::support::scripted::forward(asked, &behind, "x");
            assert!(answer.0 == 201 && asked.line.contains(&of));
            let digest = answer.1.into_iter().find(|(name, _)| *name == "Docker-Content-Digest");
            // Never with a Location, as with ECR.
            Some(Fault::Instead(status, digest.into_iter().filter(|_| headers).collect(), ""))
        });
        let outcome = push(&front, &repository, &[]);
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        scene.check(&repository, &outcome).unwrap();
        let mut asked = front.asked().into_iter().skip_while(|asked| !asked.puts(TAGS[0]));
        let looks = asked.by_ref().filter(|asked| asked.line.starts_with("HEAD ")).count();
        assert_eq!(looks, if headers { 0 } else { 3 }, "{status}: confirmed where the answer has no digest");
    }
}

/// An answer that says that it is done, from a registry that did nothing.
#[test]
fn a_write_that_is_not_one() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let front = scene.front(|asked| asked.puts(TAGS[0]).then(|| Fault::Instead(201, vec![], "")));
    let outcome = push(&front, &repository, &["--retries", "1"]);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("whether it was written is not known"), "{outcome:?}");
    scene.check_but(&repository, &outcome, Some(TAGS[0])).unwrap();
}

/// A HEAD may be answered in all these ways: the manifest itself tells then.
#[test]
fn every_answer_to_a_head() {
    let scene = Scene::new();
    let repository = scene.new_target();
    assert_eq!(push(&scene.front(|_| None), &repository, &[]).exit, 0);
    for fault in [
        Fault::Instead(401, vec![], ""),
        Fault::Instead(403, vec![], ""),
        Fault::Instead(405, vec![], ""),
        Fault::Instead(200, vec![], ""),
        Fault::NoHeaders,
    ] {
        let shown = format!("{fault:?}");
        let front = scene.front(move |asked| asked.line.starts_with("HEAD ").then(|| fault.clone()));
        let outcome = push(&front, &repository, &[]);
        assert_eq!(outcome.exit, 0, "{shown}: {outcome:?}");
        let writes = front.asked().into_iter().filter(|asked| asked.line.starts_with('P')).count();
        assert_eq!(writes, 0, "{shown}: all is known to be there");
    }
}

/// One answer of 429 makes every request to the host wait, and is told of once.
#[test]
fn the_whole_host_waits() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let count = AtomicUsize::new(0);
    let front = scene.front(move |asked| {
        let first = asked.line.contains("/parts/manifests/") && count.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| {
            let headers = vec![("Retry-After", "1".into()), ("RateLimit-Limit", "100;w=21600".into())];
            Fault::Instead(429, headers, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#)
        })
    });
    let began = Instant::now();
    let outcome = push(&front, &repository, &[]);
    assert!(outcome.exit == 0 && began.elapsed() >= Duration::from_secs(1), "{outcome:?}");
    let said = format!("warning: all requests to {} wait: ", front.host);
    assert_eq!(outcome.stderr.matches(&said).count(), 1, "{outcome:?}");
    assert!(
        outcome.stderr.contains("rate limit: 100 requests in 21600 s); trying again in 1.0 s (1 of 5)"),
        "{outcome:?}"
    );
    // For ever, and with less patience than the registry asks for.
    let repository = scene.new_target();
    let front = scene.front(|asked| {
        let headers = vec![("Retry-After", "3600".into()), ("RateLimit-Remaining", "0".into())];
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        asked.line.contains("/parts/manifests/").then_some(Fault::Instead(429, headers, body))
    });
    let outcome = push(&front, &repository, &["--retries", "1", "--max-wait", "50ms"]);
    assert!(
        outcome.exit == 1 && outcome.stderr.contains("TOOMANYREQUESTS: slow down; rate limit: 0 requests left"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("hint: --max-wait waits longer"), "{outcome:?}");
}

/// What a registry has to say is said once.
#[test]
fn warnings_of_a_registry() {
    let scene = Scene::new();
    let front = scene.front(|asked| {
        let warning = vec![("Warning", "299 - \"moving soon\"".to_owned()), ("Warning", "199 - \"no\"".to_owned())];
        asked.line.starts_with("HEAD ").then_some(Fault::Instead(404, warning, ""))
    });
    for (more, count) in [(&[][..], 1), (&["--quiet"], 0)] {
        let outcome = push(&front, &scene.new_target(), more);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        assert_eq!(outcome.stderr.matches("moving soon\n").count(), count, "{outcome:?}");
        assert!(!outcome.stderr.contains("no\n"), "{outcome:?}");
    }
}

/// The warnings of a push that a registry answered with another digest than what it wrote.
fn wrong_headers(outcome: &Outcome) -> Vec<&str> {
    outcome.stderr.lines().filter(|line| line.contains(": the registry answered with digest ")).collect()
}

/// The header of an answer to a write is wrong: what was written is read, and is the manifest.
#[test]
fn a_wrong_digest_header_is_a_warning_where_the_content_is_right() {
    let scene = Scene::new();
    // On the write alone, and on reads as well.
    for everywhere in [false, true] {
        let repository = scene.new_target();
        let front = scene.front(move |asked| {
            let is_tag = asked.puts(TAGS[0]) || (everywhere && asked.line.ends_with("/manifests/v1"));
            (is_tag && !asked.line.starts_with("HEAD ")).then_some(Fault::WrongDigest)
        });
        let outcome = push(&front, &repository, &[]);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        scene.check(&repository, &outcome).unwrap();
        let [warning] = wrong_headers(&outcome)[..] else { panic!("{outcome:?}") };
        let (named, held) = (sha256(b"another"), digest_of(&scene, &repository, TAGS[0]));
        assert!(warning.contains(&named) && warning.contains(&held) && warning.contains(":v1: "), "{warning}");
        let read = format!("GET /v2/{repository}/manifests/");
        assert_eq!(front.count(|asked| asked.line.starts_with(&read)), 1, "only what was answered wrongly is read");
    }
    // A child, by its digest.
    let repository = scene.new_target();
    let front = scene.front(|asked| {
        let is_child = asked.line.starts_with("PUT ") && asked.line.contains("/manifests/sha256:");
        is_child.then_some(Fault::WrongDigest)
    });
    let outcome = push(&front, &repository, &[]);
    assert_eq!((outcome.exit, wrong_headers(&outcome).len()), (0, 2), "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
}

/// What was written cannot be read at once, or is still what was there before.
#[test]
fn content_is_read_again_while_a_registry_lags() {
    let scene = Scene::new();
    let old = scene.new_target();
    let before = scene.registry.manifest(&old, TAGS[0]).unwrap().bytes;
    let before: &'static str = String::from_utf8(before).unwrap().leak();
    for late in [
        Fault::Instead(404, vec![], ""),
        Fault::Instead(200, vec![("Content-Type", crate::support::images::OCI_INDEX.into())], before),
    ] {
        let repository = scene.new_target();
        let reads = AtomicUsize::new(0);
        let front = scene.front(move |asked| {
            let is_read = asked.line.starts_with("GET ") && asked.line.ends_with("/manifests/v1");
            if is_read && reads.fetch_add(1, Ordering::SeqCst) < 2 {
                return Some(late.clone());
            }
            asked.puts(TAGS[0]).then_some(Fault::WrongDigest)
        });
        let outcome = push(&front, &repository, &[]);
        assert_eq!((outcome.exit, wrong_headers(&outcome).len()), (0, 1), "{outcome:?}");
        scene.check(&repository, &outcome).unwrap();
    }
}

/// The registry names another digest, and holds other content.
#[test]
fn other_content_than_was_written_is_an_error() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let old = digest_of(&scene, &repository, TAGS[0]);
    let header = vec![("Docker-Content-Digest", old.clone())];
    let front = scene.front(move |asked| asked.puts(TAGS[0]).then(|| Fault::Instead(201, header.clone(), "")));
    let outcome = push(&front, &repository, &["--retries", "1"]);
    let wanted = sha256(&front.asked().iter().find(|asked| asked.puts(TAGS[0])).unwrap().body);
    assert_eq!((outcome.exit, wrong_headers(&outcome).len()), (1, 0), "{outcome:?}");
    assert!(outcome.stderr.contains(&old) && outcome.stderr.contains(&wanted), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("not known: {}/{repository}:v1", front.host)), "{outcome:?}");
    scene.check_but(&repository, &outcome, Some(TAGS[0])).unwrap();
    // A child, by its digest: no tag is written.
    let repository = scene.new_target();
    let header = vec![("Docker-Content-Digest", sha256(b"another"))];
    let front = scene.front(move |asked| match asked.line.split_once("/manifests/sha256:") {
        Some((verb, _)) if verb.starts_with("PUT ") => Some(Fault::Instead(201, header.clone(), "")),
        Some((verb, _)) if verb.starts_with("GET /v2/target") => Some(Fault::Instead(200, vec![], "other")),
        _ => None,
    });
    let outcome = push(&front, &repository, &["--retries", "1"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains(&sha256(b"other")), "{outcome:?}");
    assert!(outcome.stderr.contains("no tag was written"), "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
}
