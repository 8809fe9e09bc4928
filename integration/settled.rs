//! What is said of a tag is so: whatever was lost on the way, nothing is called written, or not, that may be otherwise.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::faults::{Fault, Faulty};
use crate::support::images::push_image;
use crate::support::registry::sha256;
use crate::support::scene::{Scene, TAGS};
use crate::support::scripted::{Asked, forward};
use crate::support::{Outcome, Registry, Scripted, manifest_tool, push_from_args};

const NOT_FOUND: &str = r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;

fn push(front: &Faulty, repository: &str, more: &[&str]) -> Outcome {
    let (target, tags) = (format!("{repository}:{}", TAGS[0]), TAGS[1..].join(","));
    let bounds = ["--tags", &tags, "--retries", "2", "--timeout", "2s", "--max-wait", "50ms"];
    // What a test asks for counts.
    let bounds = bounds.chunks(2).filter(|bound| !more.contains(&bound[0])).flatten().copied();
    let args: Vec<&str> = bounds.chain(more.iter().copied()).collect();
    push_from_args(&front.host, "linux/amd64,linux/arm64", "parts:ARCH", &target, &args)
}

fn refusal(status: u16, code: &str) -> Fault {
    let body = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
    Fault::Instead(status, vec![("Content-Type", "application/json".into())], body.leak())
}

fn puts_manifest(asked: &Asked) -> bool {
    asked.line.starts_with("PUT ") && asked.line.contains("/manifests/")
}

fn puts_child(asked: &Asked) -> bool {
    puts_manifest(asked) && asked.line.contains("/manifests/sha256:")
}

fn puts_blob(asked: &Asked) -> bool {
    asked.line.starts_with("PUT ") && asked.line.contains("/blobs/uploads/")
}

/// What is answered once a manifest was written.
fn taken(asked: &Asked) -> Fault {
    Fault::Instead(201, vec![("Docker-Content-Digest", sha256(&asked.body))], "")
}

/// A failure after which nothing is written, and nothing is doubted.
fn nothing_was_written(scene: &Scene, repository: &str, outcome: &Outcome) {
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("no tag was written") && !outcome.stderr.contains("not known"), "{outcome:?}");
    scene.check(repository, outcome).unwrap();
    assert_eq!(scene.moved(repository).unwrap(), [false; 3]);
}

/// The registry did what was asked of it, and nothing comes that would say so.
#[test]
fn a_tag_whose_write_and_looks_are_lost_is_not_known() {
    let refused = || Fault::Instead(403, vec![], r#"{"errors":[{"code":"DENIED"}]}"#);
    for (case, fault, looks) in [
        ("for ever", None, Fault::ResetBefore),
        ("for ever, looks fail", None, Fault::Instead(500, vec![], "")),
        ("then 401", Some(refusal(401, "UNAUTHORIZED")), Fault::Instead(500, vec![], "")),
        ("then 403", Some(refused()), Fault::Instead(500, vec![], "")),
        ("then 404", Some(refusal(404, "NAME_UNKNOWN")), Fault::ResetBefore),
    ] {
        let scene = Scene::new();
        let repository = scene.new_target();
        let writes = AtomicUsize::new(0);
        let front = scene.front(move |asked| {
            if asked.puts(TAGS[0]) {
                let first = writes.fetch_add(1, Ordering::SeqCst) == 0;
                return Some(fault.clone().filter(|_| !first).unwrap_or(Fault::LostAnswer));
            }
            let is_look = asked.line.ends_with("/manifests/v1") && writes.load(Ordering::SeqCst) > 0;
            is_look.then(|| looks.clone())
        });
        let outcome = push(&front, &repository, &[]);
        assert_eq!(outcome.exit, 1, "{case}: {outcome:?}");
        let at = format!("{}/{repository}", front.host);
        let said = format!("\n  not written: {at}:v1.2, {at}:latest; not known: {at}:v1\n");
        assert!(outcome.stderr.contains(&said), "{case}: {outcome:?}");
        assert!(outcome.stderr.contains("whether it was written is not known"), "{case}: {outcome:?}");
        scene.check_but(&repository, &outcome, Some(TAGS[0])).unwrap();
        assert_eq!(scene.moved(&repository).unwrap(), [true, false, false], "{case}: it was written");
        assert_eq!(front.count(|asked| asked.puts(TAGS[1]) || asked.puts(TAGS[2])), 0, "{case}");
    }
}

/// A try whose answer was lost may still be carried out, after a look that finds the old one.
#[test]
fn a_look_that_finds_the_old_tag_does_not_settle_a_lost_answer() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let writes = AtomicUsize::new(0);
    let front = scene.front(move |asked| {
        let first = asked.puts(TAGS[0]).then(|| writes.fetch_add(1, Ordering::SeqCst) == 0)?;
        Some(if first { Fault::ResetBefore } else { refusal(403, "DENIED") })
    });
    let outcome = push(&front, &repository, &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("; not known: "), "{outcome:?}");
    scene.check_but(&repository, &outcome, Some(TAGS[0])).unwrap();
    assert_eq!(scene.moved(&repository).unwrap(), [false; 3]);
}

/// And one that finds the new one does.
#[test]
fn a_look_that_finds_the_new_tag_settles_a_lost_answer() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let writes = AtomicUsize::new(0);
    let front = scene.front(move |asked| {
        let first = asked.puts(TAGS[0]).then(|| writes.fetch_add(1, Ordering::SeqCst) == 0)?;
        Some(if first { Fault::LostAnswer } else { refusal(403, "DENIED") })
    });
    let outcome = push(&front, &repository, &[]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
}

#[test]
fn a_tag_that_was_refused_at_once_is_known() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let front = scene.front(|asked| asked.puts(TAGS[0]).then(|| refusal(403, "DENIED")));
    let outcome = push(&front, &repository, &[]);
    assert!(outcome.stderr.contains("HTTP 403; registry says: DENIED"), "{outcome:?}");
    nothing_was_written(&scene, &repository, &outcome);
    assert_eq!(front.count(|asked| asked.puts(TAGS[0])), 1);
}

/// The order is this program's doing: this registry would take an index without its children.
#[test]
fn no_tag_is_written_before_every_child() {
    let scene = Scene::new();
    for (what, most) in [("a child", 2), ("a blob", 1)] {
        let repository = scene.new_target();
        let front = scene.front(move |asked| match what {
            "a child" if puts_child(asked) => Some(refusal(403, "DENIED")),
            "a blob" if puts_blob(asked) => Some(refusal(403, "DENIED")),
            _ => puts_manifest(asked).then(|| taken(asked)),
        });
        let outcome = push(&front, &repository, &[]);
        nothing_was_written(&scene, &repository, &outcome);
        assert_eq!(front.count(|asked| TAGS.iter().any(|tag| asked.puts(tag))), 0, "{what}: no tag is asked for");
        assert!(front.count(puts_child) <= most, "{what}");
    }
}

/// Nothing was sent under the tag yet: there is nothing to doubt.
#[test]
fn a_child_that_does_not_read_back_says_nothing_of_the_tag() {
    let scene = Scene::new();
    for (status, body) in [(404, NOT_FOUND), (500, "")] {
        let repository = scene.new_target();
        let (written, of) = (AtomicBool::new(false), format!("/v2/{repository}/manifests/sha256:"));
        let front = scene.front(move |asked| {
            let is_put = puts_child(asked);
            written.fetch_or(is_put, Ordering::SeqCst);
            let is_look = !is_put && asked.line.contains(&of) && written.load(Ordering::SeqCst);
            let (status, body) = if is_put { (201, "") } else { (status, body) };
            let headers = vec![("Content-Type", "application/json".into())];
            (is_put || is_look).then_some(Fault::Instead(status, headers, body))
        });
        let outcome = push(&front, &repository, &["--retries", "1"]);
        nothing_was_written(&scene, &repository, &outcome);
        assert_eq!(front.count(|asked| asked.puts(TAGS[0])), 0, "{status}");
    }
}

/// As a proxy does that wants its users to sign in on a page.
#[test]
fn an_upload_that_is_sent_to_a_page_is_not_done() {
    let scene = Scene::new();
    for (what, status) in [("PUT", 301), ("PUT", 302), ("POST", 302), ("PUT", 304)] {
        let repository = scene.new_target();
        let front = scene.front(move |asked| {
            let opens = asked.line.starts_with("POST ") && asked.line.contains("/blobs/uploads/");
            let wanted = match what {
                "PUT" => puts_blob(asked),
                _ => opens && !asked.line.contains("?mount="),
            };
            if wanted {
                return Some(Fault::Instead(status, vec![("Location", "/page/to/sign/in".into())], ""));
            }
            // What came of it must not be left to the registry to find out.
            puts_manifest(asked).then(|| taken(asked))
        });
        let outcome = push(&front, &repository, &[]);
        nothing_was_written(&scene, &repository, &outcome);
        assert_eq!(front.count(puts_manifest), 0, "{what} {status}: nothing refers to the blob");
        assert_eq!(front.count(|asked| asked.line.contains("/page")), 0, "{what} {status}");
    }
}

/// A mount is one way to get a blob in place: sending it is the other.
#[test]
fn a_mount_that_is_sent_to_a_page_is_followed_by_an_upload() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let front = scene.front(|asked| {
        let page = || Fault::Instead(302, vec![("Location", "/page/to/sign/in".into())], "");
        asked.line.contains("?mount=").then(page)
    });
    let outcome = push(&front, &repository, &[]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    scene.check(&repository, &outcome).unwrap();
    assert_eq!(front.count(|asked| asked.line.contains("/page")), 0);
}

/// The session was forgotten, or its content got mixed up: there is another.
#[test]
fn an_upload_that_went_wrong_begins_anew() {
    let scene = Scene::new();
    for (status, code) in [
        (404, "BLOB_UPLOAD_UNKNOWN"),
        (400, "BLOB_UPLOAD_INVALID"),
        (400, "DIGEST_INVALID"),
        (400, "SIZE_INVALID"),
        (416, ""),
    ] {
        let repository = scene.new_target();
        let failed = AtomicBool::new(false);
        let front = scene.front(move |asked| {
            let fails = puts_blob(asked) && !failed.swap(true, Ordering::SeqCst);
            fails.then(|| refusal(status, code))
        });
        let outcome = push(&front, &repository, &[]);
        assert_eq!(outcome.exit, 0, "{status} {code}: {outcome:?}");
        scene.check(&repository, &outcome).unwrap();
        let sessions: Vec<String> =
            front.asked().into_iter().filter(puts_blob).map(|put| put.line.split('?').next().unwrap().into()).collect();
        assert_eq!(sessions.len(), 3, "{status} {code}: two layers, one of them twice");
        assert_eq!(sessions.iter().collect::<std::collections::HashSet<_>>().len(), 3, "each in its own session");
    }
}

/// These say that it is not, or not all, what the registry has.
#[test]
fn other_successes_are_no_content() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    for (part, status) in [("/manifests/amd64", 203), ("/manifests/amd64", 206), ("/blobs/", 203), ("/blobs/", 206)] {
        let behind = registry.host.clone();
        let front = Scripted::before(&registry, move |asked| {
            let wanted = asked.line.starts_with("GET ") && asked.line.contains(part);
            wanted.then(|| forward(asked, &behind, "x")).map(|(_, headers, body)| (status, headers, body))
        });
        let outcome = push_from_args(&front.host, "linux/amd64", "app:ARCH", "app:v1", &["--retries", "1"]);
        assert_eq!(outcome.exit, 1, "{part} {status}: {outcome:?}");
        let said = format!("answered with HTTP {status}, which is no content");
        assert!(outcome.stderr.contains(&said), "{part} {status}: {outcome:?}");
        assert!(front.asked().iter().all(|asked| !asked.line.starts_with("PUT ")), "{part} {status}");
    }
    assert!(registry.manifest("app", "v1").is_none());
}

/// The answer to a HEAD has no body that could speak of rights, so its 404 is checked with a GET.
#[test]
fn if_match_none_checks_a_404_to_a_head_with_a_get() {
    let scene = Scene::new();
    let denied = r#"{"errors":[{"code":"DENIED"}]}"#;
    for (method, body, code) in [("HEAD ", "", 3), ("", denied, 1)] {
        let repository = scene.new_target();
        let front = scene.front(move |asked| {
            let is_look = !asked.line.starts_with("PUT ") && asked.line.starts_with(method);
            (is_look && asked.line.ends_with("/manifests/v1")).then_some(Fault::Instead(404, vec![], body))
        });
        let outcome = push(&front, &repository, &["--if-match", "none"]);
        assert_eq!(outcome.exit, code, "{outcome:?}");
        scene.check(&repository, &outcome).unwrap();
        assert_eq!(scene.moved(&repository).unwrap(), [false; 3], "it is not overwritten");
        assert_eq!(front.count(|asked| asked.puts(TAGS[0])), 0);
    }
}

/// The condition is met by what is there already; that it is written all the same is what was asked for.
#[test]
fn force_writes_what_meets_the_condition() {
    let scene = Scene::new();
    let repository = scene.new_target();
    let old = scene.registry.manifest(&repository, TAGS[0]).unwrap().digest;
    assert_eq!(push(&scene.front(|_| None), &repository, &[]).exit, 0);
    let new = scene.registry.manifest(&repository, TAGS[0]).unwrap().digest;
    for (digest, force, writes) in [(&new, true, 1), (&old, true, 1), (&new, false, 0)] {
        let front = scene.front(|_| None);
        let args = [&["--if-match", digest.as_str()][..], if force { &["--force"] } else { &[] }].concat();
        let outcome = push(&front, &repository, &args);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        assert_eq!(front.count(|asked| asked.puts(TAGS[0])), writes, "{digest} {force}");
    }
}

/// 3 says that nothing was moved.
#[test]
fn the_exit_code_of_many_indexes_that_were_compared() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    push_image(&registry, "app", "arm64", "arm64");
    let (host, folder) = (registry.host.as_str(), tempfile::tempdir().unwrap());
    let push = |targets: [&str; 2], source: &str| {
        let specs =
            targets.map(|tag| format!("image: {host}/app:{tag}\nmanifests: [{{image: \"{host}/app:{source}\"}}]\n"));
        std::fs::write(folder.path().join("two.yaml"), specs.join("---\n")).unwrap();
        manifest_tool(folder.path(), &["--plain-http", "push", "--if-match", "none", "from-spec", "two.yaml"])
    };
    assert_eq!(push(["a", "b"], "amd64").exit, 0);
    let before = registry.snapshot();
    for (targets, source, code, told) in [
        (["a", "b"], "arm64", 3, "0 done, 0 unchanged, 2 failed"),
        (["a", "c"], "arm64", 1, "1 done, 0 unchanged, 1 failed"),
        // One that is there already is fine, and is no reason to say that nothing is.
        (["b", "c"], "arm64", 1, "0 done, 1 unchanged, 1 failed"),
    ] {
        let outcome = push(targets, source);
        assert_eq!(outcome.exit, code, "{targets:?}: {outcome:?}");
        assert!(outcome.stderr.contains(told), "{targets:?}: {outcome:?}");
        assert!(code == 1 || registry.snapshot() == before, "nothing was written");
    }
}
