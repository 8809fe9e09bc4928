//! Registries that lag behind, throttle, warn, or answer with unusual statuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{error_response, push};
use crate::support::faults::Fault;
use crate::support::push_fixture::{PushFixture, TAGS};
use crate::support::scripted_server::forward_request;

/// Replicas of a registry may not have the children yet when the index arrives.
#[test]
fn a_tag_write_is_retried_while_the_registry_does_not_know_the_children() {
    let codes = [(404, "MANIFEST_BLOB_UNKNOWN"), (400, "MANIFEST_BLOB_UNKNOWN"), (404, "BLOB_UNKNOWN")];
    for (status, code) in codes.into_iter().chain([(404, "MANIFEST_UNKNOWN"), (400, "")]) {
        let fixture = PushFixture::new();
        let repository = fixture.new_target();
        let count = AtomicUsize::new(0);
        let proxy = fixture.proxy(move |request| {
            let is_early = request.writes_manifest(TAGS[0]) && count.fetch_add(1, Ordering::SeqCst) < 2;
            is_early.then(|| {
                if code.is_empty() {
                    Fault::CannedResponse(status, vec![], "")
                } else {
                    error_response(status, code, "")
                }
            })
        });
        let outcome = push(&proxy, &repository, &[]).success();
        assert_eq!(outcome.stderr.matches("trying again in").count(), 2, "{outcome:?}");
        fixture.check(&repository, &outcome).unwrap();
    }
}

#[test]
fn a_registry_that_never_learns_of_the_children_is_an_error() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let proxy = fixture.proxy(|request| {
        request.writes_manifest(TAGS[0]).then(|| error_response(404, "MANIFEST_BLOB_UNKNOWN", "lost"))
    });
    let outcome = push(&proxy, &repository, &["--retries", "2"]).fails(1, "MANIFEST_BLOB_UNKNOWN: lost");
    fixture.check(&repository, &outcome).unwrap();
}

/// A registry may not serve a tag for a while after it was written.
#[test]
fn wait_returns_when_every_tag_reads_back() {
    let fixture = PushFixture::new();
    for (wait, expected) in [(true, 4), (false, 0)] {
        let repository = fixture.new_target();
        let (writes, checks) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&checks);
        let proxy = fixture.proxy(move |request| {
            writes.fetch_add(usize::from(request.writes_manifest(TAGS[2])), Ordering::SeqCst);
            let is_check = request.line.starts_with("HEAD ") && request.line.ends_with("/manifests/v1.2");
            if !is_check || writes.load(Ordering::SeqCst) == 0 {
                return None;
            }
            let is_early = counter.fetch_add(1, Ordering::SeqCst) < 3;
            is_early.then(|| error_response(404, "MANIFEST_UNKNOWN", "not yet"))
        });
        let outcome = push(&proxy, &repository, if wait { &["--wait"] } else { &[] }).success();
        assert_eq!(checks.load(Ordering::SeqCst), expected);
        fixture.check(&repository, &outcome).unwrap();
    }
}

#[test]
fn wait_fails_if_a_tag_never_reads_back() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let writes = AtomicUsize::new(0);
    let proxy = fixture.proxy(move |request| {
        writes.fetch_add(usize::from(request.writes_manifest(TAGS[2])), Ordering::SeqCst);
        let is_check = request.line.starts_with("HEAD ") && writes.load(Ordering::SeqCst) > 0;
        is_check.then(|| error_response(404, "MANIFEST_UNKNOWN", "not yet"))
    });
    let outcome = push(&proxy, &repository, &["--wait", "--retries", "1"]).fails(1, "does not have it");
    fixture.check(&repository, &outcome).unwrap();
}

#[test]
fn a_write_answered_without_a_digest_is_confirmed_by_a_head() {
    for (status, has_digest) in [(200, true), (201, true), (202, true), (204, true), (200, false), (201, false)] {
        let fixture = PushFixture::new();
        let repository = fixture.new_target();
        let (registry, target) = (fixture.registry.host.clone(), repository.clone());
        let proxy = fixture.proxy(move |request| {
            if !request.line.starts_with("PUT ") || !request.line.contains("/manifests/") {
                return None;
            }
            let response = forward_request(request, &registry, "x");
            assert!(response.0 == 201 && request.line.contains(&target));
            let digest = response.1.into_iter().find(|(name, _)| *name == "Docker-Content-Digest");
            // ECR sends no Location.
            Some(Fault::CannedResponse(status, digest.into_iter().filter(|_| has_digest).collect(), ""))
        });
        let outcome = push(&proxy, &repository, &[]).success();
        fixture.check(&repository, &outcome).unwrap();
        let mut requests = proxy.requests().into_iter().skip_while(|request| !request.writes_manifest(TAGS[0]));
        let checks = requests.by_ref().filter(|request| request.line.starts_with("HEAD ")).count();
        assert_eq!(checks, if has_digest { 0 } else { 3 }, "{status}");
    }
}

#[test]
fn a_201_for_a_write_that_the_registry_dropped_leaves_the_tag_unknown() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let proxy =
        fixture.proxy(|request| request.writes_manifest(TAGS[0]).then(|| Fault::CannedResponse(201, vec![], "")));
    let outcome = push(&proxy, &repository, &["--retries", "1"]).fails(1, "it is unknown whether the tag was written");
    fixture.check_except(&repository, &outcome, &[TAGS[0]]).unwrap();
}

#[test]
fn a_head_that_fails_or_has_no_digest_is_followed_by_a_get() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    push(&fixture.proxy(|_| None), &repository, &[]).success();
    for fault in [
        Fault::CannedResponse(401, vec![], ""),
        Fault::CannedResponse(403, vec![], ""),
        Fault::CannedResponse(405, vec![], ""),
        Fault::CannedResponse(200, vec![], ""),
        Fault::MissingHeaders,
    ] {
        let fault_text = format!("{fault:?}");
        let proxy = fixture.proxy(move |request| request.line.starts_with("HEAD ").then(|| fault.clone()));
        push(&proxy, &repository, &[]).success();
        let writes = proxy.requests().into_iter().filter(|request| request.line.starts_with('P')).count();
        assert_eq!(writes, 0, "{fault_text}: everything exists already");
    }
}

#[test]
fn a_429_delays_all_requests_to_the_host_and_is_reported_once() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let count = AtomicUsize::new(0);
    let proxy = fixture.proxy(move |request| {
        let is_first = request.line.contains("/parts/manifests/") && count.fetch_add(1, Ordering::SeqCst) == 0;
        is_first.then(|| {
            let headers = vec![("Retry-After", "1".into()), ("RateLimit-Limit", "100;w=21600".into())];
            Fault::CannedResponse(429, headers, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#)
        })
    });
    let start = Instant::now();
    let outcome = push(&proxy, &repository, &[]).success();
    assert!(start.elapsed() >= Duration::from_secs(1), "{outcome:?}");
    let warning = format!("warning: all requests to {} are paused: ", proxy.host);
    assert_eq!(outcome.stderr.matches(&warning).count(), 1, "{outcome:?}");
    outcome.stderr_contains("rate limit: 100 requests in 21600 s); trying again in 1.0 s (1 of 5)");
}

#[test]
fn a_retry_after_beyond_max_wait_is_an_error_with_a_hint() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let proxy = fixture.proxy(|request| {
        let headers = vec![("Retry-After", "3600".into()), ("RateLimit-Remaining", "0".into())];
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        request.line.contains("/parts/manifests/").then_some(Fault::CannedResponse(429, headers, body))
    });
    push(&proxy, &repository, &["--retries", "1", "--max-wait", "50ms"])
        .fails(1, "TOOMANYREQUESTS: slow down; rate limit: 0 requests left")
        .stderr_contains("hint: raise --max-wait");
}

/// Only code 299 is a message for users.
#[test]
fn a_warning_header_of_the_registry_is_printed_once() {
    let fixture = PushFixture::new();
    let proxy = fixture.proxy(|request| {
        let warning = vec![("Warning", "299 - \"moving soon\"".to_owned()), ("Warning", "199 - \"no\"".to_owned())];
        request.line.starts_with("HEAD ").then_some(Fault::CannedResponse(404, warning, ""))
    });
    for (args, count) in [(&[][..], 1), (&["--quiet"], 0)] {
        let outcome = push(&proxy, &fixture.new_target(), args).success().stderr_lacks("no\n");
        assert_eq!(outcome.stderr.matches("moving soon\n").count(), count, "{outcome:?}");
    }
}
