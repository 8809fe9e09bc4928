//! Reports about tags are reliable: a tag is reported as written or not written only if that is certain.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::faults::{Fault, FaultProxy};
use crate::support::images::push_image;
use crate::support::push_fixture::{PushFixture, TAGS};
use crate::support::registry::sha256;
use crate::support::scripted_server::{ReceivedRequest, forward_request};
use crate::support::{Outcome, Registry, Sandbox, ScriptedServer, push_from_args};

const NOT_FOUND: &str = r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;

fn push(proxy: &FaultProxy, repository: &str, more: &[&str]) -> Outcome {
    let (target, tags) = (format!("{repository}:{}", TAGS[0]), TAGS[1..].join(","));
    let defaults = ["--tags", &tags, "--retries", "2", "--timeout", "2s", "--max-wait", "50ms"];
    // Flags in `more` replace the defaults.
    let defaults = defaults.chunks(2).filter(|flag| !more.contains(&flag[0])).flatten().copied();
    let args: Vec<&str> = defaults.chain(more.iter().copied()).collect();
    push_from_args(&proxy.host, "linux/amd64,linux/arm64", "parts:ARCH", &target, &args)
}

fn refusal(status: u16, code: &str) -> Fault {
    let body = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
    Fault::CannedResponse(status, vec![("Content-Type", "application/json".into())], body.leak())
}

fn puts_manifest(request: &ReceivedRequest) -> bool {
    request.line.starts_with("PUT ") && request.line.contains("/manifests/")
}

fn puts_child(request: &ReceivedRequest) -> bool {
    puts_manifest(request) && request.line.contains("/manifests/sha256:")
}

fn puts_blob(request: &ReceivedRequest) -> bool {
    request.line.starts_with("PUT ") && request.line.contains("/blobs/uploads/")
}

/// Responds to a PUT of a manifest with success, without storing it.
fn accepted(request: &ReceivedRequest) -> Fault {
    Fault::CannedResponse(201, vec![("Docker-Content-Digest", sha256(&request.body))], "")
}

/// Asserts a failure that wrote no tag and leaves no tag in an unknown state.
#[track_caller]
fn assert_no_tag_was_written(fixture: &PushFixture, repository: &str, outcome: &Outcome) {
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("no tag was written") && !outcome.stderr.contains("not known"), "{outcome:?}");
    fixture.check(repository, outcome).unwrap();
    assert_eq!(fixture.moved_tags(repository).unwrap(), [false; 3]);
}

/// The registry writes the tag, but the response is lost, and reading the tag back fails as well.
#[test]
fn a_tag_is_unknown_if_the_write_response_is_lost_and_it_cannot_be_read_back() {
    let denied = || Fault::CannedResponse(403, vec![], r#"{"errors":[{"code":"DENIED"}]}"#);
    for (case, later_writes, reads) in [
        ("every write is lost", None, Fault::ResetOnRequest),
        ("every write is lost, reads fail", None, Fault::CannedResponse(500, vec![], "")),
        ("lost, then 401", Some(refusal(401, "UNAUTHORIZED")), Fault::CannedResponse(500, vec![], "")),
        ("lost, then 403", Some(denied()), Fault::CannedResponse(500, vec![], "")),
        ("lost, then 404", Some(refusal(404, "NAME_UNKNOWN")), Fault::ResetOnRequest),
    ] {
        let fixture = PushFixture::new();
        let repository = fixture.new_target();
        let writes = AtomicUsize::new(0);
        let proxy = fixture.proxy(move |request| {
            if request.writes_manifest(TAGS[0]) {
                let first = writes.fetch_add(1, Ordering::SeqCst) == 0;
                return Some(later_writes.clone().filter(|_| !first).unwrap_or(Fault::LostResponse));
            }
            let is_read_back = request.line.ends_with("/manifests/v1") && writes.load(Ordering::SeqCst) > 0;
            is_read_back.then(|| reads.clone())
        });
        let outcome = push(&proxy, &repository, &[]);
        assert_eq!(outcome.exit, 1, "{case}: {outcome:?}");
        let target = format!("{}/{repository}", proxy.host);
        let states = format!("\n  not written: {target}:v1.2, {target}:latest; not known: {target}:v1\n");
        assert!(outcome.stderr.contains(&states), "{case}: {outcome:?}");
        assert!(outcome.stderr.contains("it is unknown whether the tag was written"), "{case}: {outcome:?}");
        fixture.check_except(&repository, &outcome, &[TAGS[0]]).unwrap();
        assert_eq!(
            fixture.moved_tags(&repository).unwrap(),
            [true, false, false],
            "{case}: the registry did not write v1"
        );
        assert_eq!(
            proxy.count(|request| request.writes_manifest(TAGS[1]) || request.writes_manifest(TAGS[2])),
            0,
            "{case}"
        );
    }
}

/// The registry may still process the lost request after the tag was read back.
#[test]
fn a_tag_is_unknown_after_a_lost_write_even_if_it_reads_back_unchanged() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let writes = AtomicUsize::new(0);
    let proxy = fixture.proxy(move |request| {
        let first = request.writes_manifest(TAGS[0]).then(|| writes.fetch_add(1, Ordering::SeqCst) == 0)?;
        Some(if first { Fault::ResetOnRequest } else { refusal(403, "DENIED") })
    });
    let outcome = push(&proxy, &repository, &[]).fails(1, "; not known: ");
    fixture.check_except(&repository, &outcome, &[TAGS[0]]).unwrap();
    assert_eq!(fixture.moved_tags(&repository).unwrap(), [false; 3]);
}

#[test]
fn a_tag_is_written_if_it_reads_back_as_the_new_index_after_a_lost_write() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let writes = AtomicUsize::new(0);
    let proxy = fixture.proxy(move |request| {
        let first = request.writes_manifest(TAGS[0]).then(|| writes.fetch_add(1, Ordering::SeqCst) == 0)?;
        Some(if first { Fault::LostResponse } else { refusal(403, "DENIED") })
    });
    let outcome = push(&proxy, &repository, &[]).success();
    fixture.check(&repository, &outcome).unwrap();
}

#[test]
fn a_tag_is_not_written_if_the_first_write_is_refused() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let proxy = fixture.proxy(|request| request.writes_manifest(TAGS[0]).then(|| refusal(403, "DENIED")));
    let outcome = push(&proxy, &repository, &[]);
    assert!(outcome.stderr.contains("HTTP 403; registry says: DENIED"), "{outcome:?}");
    assert_no_tag_was_written(&fixture, &repository, &outcome);
    assert_eq!(proxy.count(|request| request.writes_manifest(TAGS[0])), 1);
}

/// The registry of this test would accept an index without its children, so the order is up to the program.
#[test]
fn no_tag_is_written_before_every_child() {
    let fixture = PushFixture::new();
    for (refused, max_children) in [("child", 2), ("blob", 1)] {
        let repository = fixture.new_target();
        let proxy = fixture.proxy(move |request| match refused {
            "child" if puts_child(request) => Some(refusal(403, "DENIED")),
            "blob" if puts_blob(request) => Some(refusal(403, "DENIED")),
            _ => puts_manifest(request).then(|| accepted(request)),
        });
        let outcome = push(&proxy, &repository, &[]);
        assert_no_tag_was_written(&fixture, &repository, &outcome);
        assert_eq!(
            proxy.count(|request| TAGS.iter().any(|tag| request.writes_manifest(tag))),
            0,
            "{refused}: a tag was requested"
        );
        assert!(proxy.count(puts_child) <= max_children, "{refused}");
    }
}

/// A write of the tag was not sent, so its state is certain.
#[test]
fn a_tag_is_not_written_if_a_child_cannot_be_read_back() {
    let fixture = PushFixture::new();
    for (status, body) in [(404, NOT_FOUND), (500, "")] {
        let repository = fixture.new_target();
        let (written, children) = (AtomicBool::new(false), format!("/v2/{repository}/manifests/sha256:"));
        let proxy = fixture.proxy(move |request| {
            let is_put = puts_child(request);
            written.fetch_or(is_put, Ordering::SeqCst);
            let is_read_back = !is_put && request.line.contains(&children) && written.load(Ordering::SeqCst);
            let (status, body) = if is_put { (201, "") } else { (status, body) };
            let headers = vec![("Content-Type", "application/json".into())];
            (is_put || is_read_back).then_some(Fault::CannedResponse(status, headers, body))
        });
        let outcome = push(&proxy, &repository, &["--retries", "1"]);
        assert_no_tag_was_written(&fixture, &repository, &outcome);
        assert_eq!(proxy.count(|request| request.writes_manifest(TAGS[0])), 0, "{status}");
    }
}

/// Some proxies redirect unauthenticated users to a login page.
#[test]
fn an_upload_that_is_redirected_to_a_page_fails() {
    let fixture = PushFixture::new();
    for (method, status) in [("PUT", 301), ("PUT", 302), ("POST", 302), ("PUT", 304)] {
        let repository = fixture.new_target();
        let proxy = fixture.proxy(move |request| {
            let opens = request.line.starts_with("POST ") && request.line.contains("/blobs/uploads/");
            let is_redirected = match method {
                "PUT" => puts_blob(request),
                _ => opens && !request.line.contains("?mount="),
            };
            if is_redirected {
                return Some(Fault::CannedResponse(status, vec![("Location", "/page/to/sign/in".into())], ""));
            }
            // Accept manifests, so that the registry does not reveal the missing blob.
            puts_manifest(request).then(|| accepted(request))
        });
        let outcome = push(&proxy, &repository, &[]);
        assert_no_tag_was_written(&fixture, &repository, &outcome);
        assert_eq!(proxy.count(puts_manifest), 0, "{method} {status}: a manifest was pushed without its blob");
        assert_eq!(proxy.count(|request| request.line.contains("/page")), 0, "{method} {status}");
    }
}

#[test]
fn a_mount_that_is_redirected_to_a_page_falls_back_to_an_upload() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let proxy = fixture.proxy(|request| {
        let page = || Fault::CannedResponse(302, vec![("Location", "/page/to/sign/in".into())], "");
        request.line.contains("?mount=").then(page)
    });
    let outcome = push(&proxy, &repository, &[]).success();
    fixture.check(&repository, &outcome).unwrap();
    assert_eq!(proxy.count(|request| request.line.contains("/page")), 0);
}

/// The registry lost the session, or received corrupted content.
#[test]
fn a_failed_upload_is_retried_in_a_new_session() {
    let fixture = PushFixture::new();
    for (status, code) in [
        (404, "BLOB_UPLOAD_UNKNOWN"),
        (400, "BLOB_UPLOAD_INVALID"),
        (400, "DIGEST_INVALID"),
        (400, "SIZE_INVALID"),
        (416, ""),
    ] {
        let repository = fixture.new_target();
        let failed = AtomicBool::new(false);
        let proxy = fixture.proxy(move |request| {
            let fails = puts_blob(request) && !failed.swap(true, Ordering::SeqCst);
            fails.then(|| refusal(status, code))
        });
        let outcome = push(&proxy, &repository, &[]);
        assert_eq!(outcome.exit, 0, "{status} {code}: {outcome:?}");
        fixture.check(&repository, &outcome).unwrap();
        let sessions: Vec<String> = proxy
            .requests()
            .into_iter()
            .filter(puts_blob)
            .map(|put| put.line.split('?').next().unwrap().into())
            .collect();
        assert_eq!(sessions.len(), 3, "{status} {code}: two layers, one of them sent twice");
        assert_eq!(
            sessions.iter().collect::<std::collections::HashSet<_>>().len(),
            3,
            "{status} {code}: a session was reused"
        );
    }
}

/// 203 means that a proxy changed the content, and 206 that it is incomplete.
#[test]
fn a_source_is_rejected_if_its_status_is_203_or_206() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    for (endpoint, status) in [("/manifests/amd64", 203), ("/manifests/amd64", 206), ("/blobs/", 203), ("/blobs/", 206)]
    {
        let upstream = registry.host.clone();
        let proxy = ScriptedServer::in_front_of(&registry, move |request| {
            let matches = request.line.starts_with("GET ") && request.line.contains(endpoint);
            matches.then(|| forward_request(request, &upstream, "x")).map(|(_, headers, body)| (status, headers, body))
        });
        let outcome = push_from_args(&proxy.host, "linux/amd64", "app:ARCH", "app:v1", &["--retries", "1"]);
        assert_eq!(outcome.exit, 1, "{endpoint} {status}: {outcome:?}");
        let error = format!("answered with HTTP {status}, expected HTTP 200");
        assert!(outcome.stderr.contains(&error), "{endpoint} {status}: {outcome:?}");
        assert!(proxy.requests().iter().all(|request| !request.line.starts_with("PUT ")), "{endpoint} {status}");
    }
    assert!(registry.manifest("app", "v1").is_none());
}

/// The response to a HEAD has no body with an error code, so a 404 may also mean missing permissions.
#[test]
fn if_match_none_confirms_a_404_to_head_with_a_get() {
    let fixture = PushFixture::new();
    let denied = r#"{"errors":[{"code":"DENIED"}]}"#;
    for (method, body, code) in [("HEAD ", "", 3), ("", denied, 1)] {
        let repository = fixture.new_target();
        let proxy = fixture.proxy(move |request| {
            let is_read = !request.line.starts_with("PUT ") && request.line.starts_with(method);
            (is_read && request.line.ends_with("/manifests/v1")).then_some(Fault::CannedResponse(404, vec![], body))
        });
        let outcome = push(&proxy, &repository, &["--if-match", "none"]);
        assert_eq!(outcome.exit, code, "{outcome:?}");
        fixture.check(&repository, &outcome).unwrap();
        assert_eq!(fixture.moved_tags(&repository).unwrap(), [false; 3], "an existing tag was overwritten");
        assert_eq!(proxy.count(|request| request.writes_manifest(TAGS[0])), 0);
    }
}

/// The tag already points at the new index, which also satisfies the condition.
#[test]
fn force_writes_a_tag_that_already_satisfies_if_match() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let old = fixture.registry.manifest(&repository, TAGS[0]).unwrap().digest;
    push(&fixture.proxy(|_| None), &repository, &[]).success();
    let new = fixture.registry.manifest(&repository, TAGS[0]).unwrap().digest;
    for (digest, force, writes) in [(&new, true, 1), (&old, true, 1), (&new, false, 0)] {
        let proxy = fixture.proxy(|_| None);
        let args = [&["--if-match", digest.as_str()][..], if force { &["--force"] } else { &[] }].concat();
        push(&proxy, &repository, &args).success();
        assert_eq!(proxy.count(|request| request.writes_manifest(TAGS[0])), writes, "{digest} {force}");
    }
}

/// Exit code 3 means that no tag was moved.
#[test]
fn if_match_of_many_indexes_exits_with_3_only_if_none_was_written() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    push_image(&sandbox.registry, "app", "arm64", "arm64");
    let push = |targets: [&str; 2], source: &str| {
        let spec = |tag| format!("image: HOST/app:{tag}\nmanifests: [{{image: \"HOST/app:{source}\"}}]\n");
        sandbox.write("two.yaml", &targets.map(spec).join("---\n"));
        sandbox.run(&["push", "--if-match", "none", "from-spec", "two.yaml"])
    };
    push(["a", "b"], "amd64").success();
    let before = sandbox.registry.snapshot();
    for (targets, source, code, summary) in [
        (["a", "b"], "arm64", 3, "0 done, 0 unchanged, 2 failed"),
        (["a", "c"], "arm64", 1, "1 done, 0 unchanged, 1 failed"),
        // An unchanged index is a success, so the exit code is not 3.
        (["b", "c"], "arm64", 1, "0 done, 1 unchanged, 1 failed"),
    ] {
        push(targets, source).fails(code, summary);
        assert!(code == 1 || sandbox.registry.snapshot() == before, "the registry was changed");
    }
}
