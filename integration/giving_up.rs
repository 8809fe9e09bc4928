//! One index whose parts fail in different ways: once one has failed for good, the others are not tried again.
//!
//! `Retry-After: 60` makes a second try impossible within a test, so that the number of requests shows who waited.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::images::push_image;
use crate::support::scripted::{Answer, Asked};
use crate::support::{Outcome, Registry, Scripted, manifest_tool};

const MINUTE: &str = "60";

fn registry() -> Registry {
    let registry = Registry::start();
    for (tag, architecture) in [("amd64", "amd64"), ("arm64", "arm64"), ("s390x", "s390x")] {
        push_image(&registry, "app", tag, architecture);
    }
    registry
}

fn is_get_of(asked: &Asked, tag: &str) -> bool {
    asked.line == format!("GET /v2/app/manifests/{tag}")
}

fn later(status: u16, seconds: &str) -> Option<Answer> {
    Some((status, vec![("Retry-After", seconds.to_owned())], vec![]))
}

fn count(front: &Scripted, of: impl Fn(&Asked) -> bool) -> usize {
    front.asked().iter().filter(|asked| of(asked)).count()
}

/// Pushes indexes, each of which is given as target, and its sources.
fn push(indexes: &[(String, &[String])], more: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let spec = |(target, sources): &(String, &[String])| {
        let sources: String = sources.iter().map(|source| format!("  - image: {source}\n")).collect();
        format!("image: {target}\nmanifests:\n{sources}")
    };
    std::fs::write(folder.path().join("spec.yaml"), indexes.iter().map(spec).collect::<Vec<_>>().join("---\n"))
        .unwrap();
    manifest_tool(folder.path(), &[&["--plain-http", "push", "from-spec", "spec.yaml"], more].concat())
}

#[test]
fn a_missing_source_ends_the_retries_of_the_others() {
    let registry = registry();
    // The second source is reached on another host, since a 429 holds back all requests to its host.
    for status in [500, 502, 503, 429] {
        let front = Scripted::before(&registry, move |asked| {
            is_get_of(asked, "arm64").then(|| later(status, MINUTE)).flatten()
        });
        let sources = [format!("{}/app:gone", registry.host), format!("{}/app:arm64", front.host)];
        let outcome = push(&[(format!("{}/app:v1", registry.host), &sources)], &[]);
        assert_eq!(outcome.exit, 1, "{outcome:?}");
        assert_eq!(count(&front, |asked| is_get_of(asked, "arm64")), 1, "{status}: {outcome:?}");
        assert!(outcome.stderr.contains("2 sources cannot be used"), "{outcome:?}");
        assert!(outcome.stderr.contains(&format!("{}/app:gone not found", registry.host)), "{outcome:?}");
        let said = format!("HTTP {status}); gave up after 1 try, as another part failed\n");
        assert!(outcome.stderr.contains(&said), "{outcome:?}");
    }
}

#[test]
fn every_failure_that_is_known_is_reported() {
    let registry = registry();
    let front = Scripted::before(&registry, |asked| if is_get_of(asked, "arm64") { later(500, MINUTE) } else { None });
    let (here, there) = (&registry.host, &front.host);
    let sources = [
        format!("{here}/app:gone"),
        format!("{there}/app:arm64"),
        format!("{there}/app:lost"),
        format!("{here}/app:amd64"),
    ];
    let outcome = push(&[(format!("{here}/app:v1"), &sources)], &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("3 sources cannot be used"), "{outcome:?}");
    for part in ["app:gone not found", "app:lost not found", "app:arm64: refused by the registry"] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
    }
    assert!(registry.manifest("app", "v1").is_none());
}

#[test]
fn requests_that_a_rate_limit_holds_back_are_not_sent() {
    let registry = registry();
    let front = Scripted::before(&registry, |_| later(429, MINUTE));
    let sources: Vec<String> = ["amd64", "arm64", "s390x"].map(|tag| format!("{}/app:{tag}", front.host)).into();
    let sources = [&sources[..], &[format!("{}/app:gone", registry.host)]].concat();
    let outcome = push(&[(format!("{}/app:v1", registry.host), &sources)], &["--concurrency", "1"]);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(front.asked().len() <= 3, "none was sent twice: {:?}", front.asked());
    assert!(outcome.stderr.contains("4 sources cannot be used") && outcome.stderr.contains("app:gone not found"));
    assert!(outcome.stderr.contains("as another part failed"), "{outcome:?}");
}

#[test]
fn a_source_that_is_skipped_ends_no_retries() {
    let registry = registry();
    let failed = AtomicBool::new(false);
    let front = Scripted::before(&registry, move |asked| {
        let is_first = is_get_of(asked, "arm64") && !failed.swap(true, Ordering::SeqCst);
        if is_first { later(500, "1") } else { None }
    });
    let sources = [format!("{}/app:gone", registry.host), format!("{}/app:arm64", front.host)];
    let outcome = push(&[(format!("{}/app:v1", registry.host), &sources)], &["--ignore-missing"]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(count(&front, |asked| is_get_of(asked, "arm64")), 2, "{outcome:?}");
}

/// The two indexes share the source that is tried again.
#[test]
fn an_index_that_fails_does_not_end_the_retries_of_another() {
    let registry = registry();
    let failed = AtomicBool::new(false);
    let front = Scripted::before(&registry, move |asked| {
        let is_first = is_get_of(asked, "arm64") && !failed.swap(true, Ordering::SeqCst);
        if is_first { later(500, "1") } else { None }
    });
    let shared = format!("{}/app:arm64", front.host);
    let (bad, good) =
        ([shared.clone(), format!("{}/app:gone", registry.host)], [shared, format!("{}/app:amd64", registry.host)]);
    let targets = ["bad", "good"].map(|tag| format!("{}/app:{tag}", registry.host));
    let [first, second] = targets;
    let outcome = push(&[(first, &bad), (second, &good)], &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("2 indexes: 1 done"), "{outcome:?}");
    assert!(registry.manifest("app", "good").is_some() && registry.manifest("app", "bad").is_none(), "{outcome:?}");
    assert_eq!(count(&front, |asked| is_get_of(asked, "arm64")), 2, "{outcome:?}");
}

#[test]
fn a_blob_that_is_refused_ends_the_retries_of_the_others() {
    let registry = registry();
    let blob = |tag: &str| {
        let manifest: serde_json::Value =
            serde_json::from_slice(&registry.manifest("app", tag).unwrap().bytes).unwrap();
        manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
    };
    let (refused, late) = (blob("amd64"), blob("arm64"));
    let is_put = |asked: &Asked, digest: &str| {
        asked.line.starts_with("PUT ") && asked.line.replace("%3A", ":").contains(&format!("digest={digest}"))
    };
    let (of_refused, of_late) = (refused.clone(), late.clone());
    let front = Scripted::before(&registry, move |asked| {
        if asked.line.starts_with("POST ") && asked.line.contains("mount=") {
            Some((405, vec![], vec![]))
        } else if is_put(asked, &of_refused) {
            Some((403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()))
        } else if is_put(asked, &of_late) {
            later(500, MINUTE)
        } else {
            None
        }
    });
    let sources = ["amd64", "arm64"].map(|tag| format!("{}/app:{tag}", front.host));
    let outcome = push(&[(format!("{}/other:v1", front.host), &sources)], &[]);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(count(&front, |asked| is_put(asked, &refused)) > 0);
    assert_eq!(count(&front, |asked| is_put(asked, &late)), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("DENIED"), "{outcome:?}");
    assert!(outcome.stderr.contains("HTTP 500); gave up after 1 try, as another part failed"), "{outcome:?}");
    assert!(registry.manifest("other", "v1").is_none());
}

#[test]
fn a_missing_source_ends_the_retries_of_a_token_service() {
    let registry = registry();
    let closed = Scripted::start(|asked, host| {
        let realm = format!("Bearer realm=\"http://{host}/token\",service=\"x\"");
        if asked.line.contains("/token") {
            (503, vec![("Retry-After", MINUTE.to_owned())], vec![])
        } else {
            (401, vec![("WWW-Authenticate", realm)], vec![])
        }
    });
    let sources = [format!("{}/app:gone", registry.host), format!("{}/app:arm64", closed.host)];
    let outcome = push(&[(format!("{}/app:v1", registry.host), &sources)], &[]);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert_eq!(count(&closed, |asked| asked.line.contains("/token")), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("2 sources cannot be used"), "{outcome:?}");
    assert!(outcome.stderr.contains("gave up after 1 try, as another part failed"), "{outcome:?}");
}

#[test]
fn a_blob_that_is_refused_ends_the_retries_of_a_copy() {
    const IMAGE: &str = concat!("oci:", env!("CARGO_MANIFEST_DIR"), "/examples/layouts/amd64");
    let registry = Registry::start();
    let is_put = |asked: &Asked| asked.line.starts_with("PUT /v2/app/blobs/");
    let first: std::sync::Mutex<Option<String>> = std::sync::Mutex::default();
    let front = Scripted::before(&registry, move |asked| {
        let digest = is_put(asked).then(|| asked.line.rsplit("digest=").next().unwrap().to_owned())?;
        let is_first = *first.lock().unwrap().get_or_insert_with(|| digest.clone()) == digest;
        if is_first { later(500, MINUTE) } else { Some((403, vec![], vec![])) }
    });
    let folder = tempfile::tempdir().unwrap();
    let target = format!("{}/app:v1", front.host);
    let outcome = manifest_tool(folder.path(), &["--plain-http", "copy", IMAGE, &target]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("gave up after 1 try, as another part failed"), "{outcome:?}");
    assert_eq!(count(&front, is_put), 2, "{outcome:?}");
}
