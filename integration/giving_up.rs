//! Retries of an index whose parts fail in different ways: after one permanent failure the other parts are not retried.
//!
//! `Retry-After: 60` leaves no time for a retry, so the number of requests shows whether the program gave up.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::images::push_image;
use crate::support::scripted_server::{ReceivedRequest, Response};
use crate::support::{Outcome, Sandbox, ScriptedServer};

const MINUTE: &str = "60";

fn sandbox_with_images() -> Sandbox {
    let sandbox = Sandbox::new();
    for (tag, architecture) in [("amd64", "amd64"), ("arm64", "arm64"), ("s390x", "s390x")] {
        push_image(&sandbox.registry, "app", tag, architecture);
    }
    sandbox
}

fn reads_manifest(request: &ReceivedRequest, tag: &str) -> bool {
    request.line == format!("GET /v2/app/manifests/{tag}")
}

fn retry_after(status: u16, seconds: &str) -> Option<Response> {
    Some((status, vec![("Retry-After", seconds.to_owned())], vec![]))
}

fn count(proxy: &ScriptedServer, of: impl Fn(&ReceivedRequest) -> bool) -> usize {
    proxy.requests().iter().filter(|request| of(request)).count()
}

/// Pushes indexes, each a target and its sources. `HOST` is the registry, `PROXY` the server in front of it.
fn push(sandbox: &Sandbox, proxy: &ScriptedServer, indexes: &[(&str, &[&str])], more: &[&str]) -> Outcome {
    let spec = |(target, sources): &(&str, &[&str])| {
        let sources: String = sources.iter().map(|source| format!("  - image: {source}\n")).collect();
        format!("image: {target}\nmanifests:\n{sources}").replace("PROXY", &proxy.host)
    };
    sandbox.write("spec.yaml", &indexes.iter().map(spec).collect::<Vec<_>>().join("---\n"));
    sandbox.run(&[&["push", "from-spec", "spec.yaml"], more].concat())
}

#[test]
fn a_missing_source_ends_the_retries_of_the_others() {
    let sandbox = sandbox_with_images();
    // The second source is reached on another host, since a 429 holds back all requests to its host.
    for status in [500, 502, 503, 429] {
        let proxy = ScriptedServer::in_front_of(&sandbox.registry, move |request| {
            reads_manifest(request, "arm64").then(|| retry_after(status, MINUTE)).flatten()
        });
        let indexes: [(&str, &[&str]); 1] = [("HOST/app:v1", &["HOST/app:gone", "PROXY/app:arm64"])];
        let outcome = push(&sandbox, &proxy, &indexes, &[]).fails(1, "2 sources cannot be used");
        assert_eq!(count(&proxy, |request| reads_manifest(request, "arm64")), 1, "{status}: {outcome:?}");
        assert!(outcome.stderr.contains(&format!("{}/app:gone not found", sandbox.registry.host)), "{outcome:?}");
        let gave_up = format!("HTTP {status}); gave up after 1 try because another part failed\n");
        assert!(outcome.stderr.contains(&gave_up), "{outcome:?}");
    }
}

#[test]
fn every_known_failure_is_reported() {
    let sandbox = sandbox_with_images();
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, |request| {
        reads_manifest(request, "arm64").then(|| retry_after(500, MINUTE)).flatten()
    });
    let sources: &[&str] = &["HOST/app:gone", "PROXY/app:arm64", "PROXY/app:lost", "HOST/app:amd64"];
    let outcome = push(&sandbox, &proxy, &[("HOST/app:v1", sources)], &[]).fails(1, "3 sources cannot be used");
    let missing = "\n  not found (HTTP 404; registry says: MANIFEST_UNKNOWN: manifest unknown)\n    HOST/app:gone\n    PROXY/app:lost\n";
    let missing = sandbox.fill(missing).replace("PROXY", &proxy.host);
    for part in [missing.as_str(), "app:arm64: refused by the registry"] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
    }
    assert!(sandbox.registry.manifest("app", "v1").is_none());
}

#[test]
fn requests_delayed_by_a_rate_limit_are_dropped_after_a_permanent_failure() {
    let sandbox = sandbox_with_images();
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, |_| retry_after(429, MINUTE));
    let sources: &[&str] = &["PROXY/app:amd64", "PROXY/app:arm64", "PROXY/app:s390x", "HOST/app:gone"];
    let outcome = push(&sandbox, &proxy, &[("HOST/app:v1", sources)], &["--concurrency", "1"]);
    let outcome = outcome.fails(1, "4 sources cannot be used");
    assert!(proxy.requests().len() <= 3, "a request was retried: {:?}", proxy.requests());
    assert!(outcome.stderr.contains("app:gone not found"), "{outcome:?}");
    assert!(outcome.stderr.contains("because another part failed"), "{outcome:?}");
}

#[test]
fn a_skipped_source_does_not_end_the_retries_of_the_others() {
    let sandbox = sandbox_with_images();
    let failed = AtomicBool::new(false);
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, move |request| {
        let is_first = reads_manifest(request, "arm64") && !failed.swap(true, Ordering::SeqCst);
        if is_first { retry_after(500, "1") } else { None }
    });
    let indexes: [(&str, &[&str]); 1] = [("HOST/app:v1", &["HOST/app:gone", "PROXY/app:arm64"])];
    let outcome = push(&sandbox, &proxy, &indexes, &["--ignore-missing"]).success();
    assert_eq!(count(&proxy, |request| reads_manifest(request, "arm64")), 2, "{outcome:?}");
}

/// The two indexes share the source that is retried.
#[test]
fn a_failed_index_does_not_end_the_retries_of_another() {
    let sandbox = sandbox_with_images();
    let failed = AtomicBool::new(false);
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, move |request| {
        let is_first = reads_manifest(request, "arm64") && !failed.swap(true, Ordering::SeqCst);
        if is_first { retry_after(500, "1") } else { None }
    });
    let indexes: [(&str, &[&str]); 2] = [
        ("HOST/app:incomplete", &["PROXY/app:arm64", "HOST/app:gone"]),
        ("HOST/app:complete", &["PROXY/app:arm64", "HOST/app:amd64"]),
    ];
    let outcome = push(&sandbox, &proxy, &indexes, &[]).fails(1, "2 indexes: 1 done");
    assert!(sandbox.registry.manifest("app", "complete").is_some(), "{outcome:?}");
    assert!(sandbox.registry.manifest("app", "incomplete").is_none(), "{outcome:?}");
    assert_eq!(count(&proxy, |request| reads_manifest(request, "arm64")), 2, "{outcome:?}");
}

#[test]
fn a_refused_blob_ends_the_retries_of_the_others() {
    let sandbox = sandbox_with_images();
    let layer = |tag: &str| {
        let bytes = sandbox.registry.manifest("app", tag).unwrap().bytes;
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
    };
    let (refused, retried) = (layer("amd64"), layer("arm64"));
    let is_put = |request: &ReceivedRequest, digest: &str| {
        request.line.starts_with("PUT ") && request.line.replace("%3A", ":").contains(&format!("digest={digest}"))
    };
    let (refused_digest, retried_digest) = (refused.clone(), retried.clone());
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, move |request| {
        if request.line.starts_with("POST ") && request.line.contains("mount=") {
            Some((405, vec![], vec![]))
        } else if is_put(request, &refused_digest) {
            Some((403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()))
        } else if is_put(request, &retried_digest) {
            retry_after(500, MINUTE)
        } else {
            None
        }
    });
    let indexes: [(&str, &[&str]); 1] = [("PROXY/other:v1", &["PROXY/app:amd64", "PROXY/app:arm64"])];
    let outcome = push(&sandbox, &proxy, &indexes, &[]).fails(1, "DENIED");
    assert!(count(&proxy, |request| is_put(request, &refused)) > 0);
    assert_eq!(count(&proxy, |request| is_put(request, &retried)), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("HTTP 500); gave up after 1 try because another part failed"), "{outcome:?}");
    assert!(sandbox.registry.manifest("other", "v1").is_none());
}

#[test]
fn a_missing_source_ends_the_retries_of_a_token_service() {
    let sandbox = sandbox_with_images();
    let proxy = ScriptedServer::start(|request, host| {
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"x\"");
        if request.line.contains("/token") {
            (503, vec![("Retry-After", MINUTE.to_owned())], vec![])
        } else {
            (401, vec![("WWW-Authenticate", challenge)], vec![])
        }
    });
    let indexes: [(&str, &[&str]); 1] = [("HOST/app:v1", &["HOST/app:gone", "PROXY/app:arm64"])];
    let outcome = push(&sandbox, &proxy, &indexes, &[]).fails(1, "2 sources cannot be used");
    assert_eq!(count(&proxy, |request| request.line.contains("/token")), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("gave up after 1 try because another part failed"), "{outcome:?}");
}

#[test]
fn a_refused_blob_ends_the_retries_of_a_copy() {
    const IMAGE: &str = concat!("oci:", env!("CARGO_MANIFEST_DIR"), "/examples/layouts/amd64");
    let sandbox = Sandbox::new();
    let is_put = |request: &ReceivedRequest| request.line.starts_with("PUT /v2/app/blobs/");
    let first: std::sync::Mutex<Option<String>> = std::sync::Mutex::default();
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, move |request| {
        let digest = is_put(request).then(|| request.line.rsplit("digest=").next().unwrap().to_owned())?;
        let is_first = *first.lock().unwrap().get_or_insert_with(|| digest.clone()) == digest;
        if is_first { retry_after(500, MINUTE) } else { Some((403, vec![], vec![])) }
    });
    let copy = sandbox.run(&["copy", IMAGE, &format!("{}/app:v1", proxy.host)]);
    let outcome = copy.fails(1, "gave up after 1 try because another part failed");
    assert_eq!(count(&proxy, is_put), 2, "{outcome:?}");
}
