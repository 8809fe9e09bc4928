//! Immutable tags and `--if-match`.

use serde_json::json;

use super::{digest_of, error_response, push};
use crate::support::images::OCI_INDEX;
use crate::support::push_fixture::{PushFixture, TAGS};
use crate::support::push_from_args;
use crate::support::registry::sha256;
use crate::support::scripted_server::ReceivedRequest;

#[test]
fn an_immutable_tag_with_another_digest_is_an_error_that_names_both_digests() {
    for (status, code, message) in [
        (412, "PRECONDITION", "Failed to process request due to 'v1' configured as immutable."),
        (400, "TAG_INVALID", "The image tag 'v1' already exists and cannot be overwritten because it is immutable."),
        (403, "DENIED", "Tag v1 is immutable"),
    ] {
        let fixture = PushFixture::new();
        let repository = fixture.new_target();
        let proxy = fixture
            .proxy(move |request| request.writes_manifest(TAGS[0]).then(|| error_response(status, code, message)));
        let old = digest_of(&fixture, &repository, TAGS[0]);
        let outcome = push(&proxy, &repository, &[]);
        let requests = proxy.requests();
        let new = sha256(&requests.iter().find(|request| request.writes_manifest(TAGS[0])).unwrap().body);
        let part = format!(
            "/{repository}:v1 points at {old} and the registry refuses to move it to {new} \
             (PUT /v2/{repository}/manifests/v1: HTTP {status}; registry says: {code}: {message})"
        );
        let outcome = outcome.fails(1, &part).stderr_contains("no tag was written\nhint: push to another tag");
        assert_eq!(requests.iter().filter(|request| request.writes_manifest(TAGS[0])).count(), 1, "no retry");
        fixture.check(&repository, &outcome).unwrap();
    }
}

#[test]
fn an_immutable_tag_with_the_same_digest_is_a_success() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let immutable = |request: &ReceivedRequest| {
        request.writes_manifest(TAGS[0]).then(|| error_response(400, "TAG_INVALID", "immutable"))
    };
    push(&fixture.proxy(|_| None), &repository, &[]).success();
    let proxy = fixture.proxy(immutable);
    push(&proxy, &repository, &[]).success();
    assert!(!proxy.requests().iter().any(|request| request.writes_manifest(TAGS[0])), "no write");
    // `--force` writes the tag. The registry refuses, but the tag already points at the index.
    let proxy = fixture.proxy(immutable);
    push(&proxy, &repository, &["--force"]).success();
    assert!(proxy.requests().iter().any(|request| request.writes_manifest(TAGS[0])));
}

#[test]
fn if_match_writes_nothing_if_the_tag_points_elsewhere() {
    let fixture = PushFixture::new();
    let other = sha256(b"another");
    for (expected, code) in [("none", 3), (other.as_str(), 3), ("OLD", 0)] {
        let repository = fixture.new_target();
        let old = digest_of(&fixture, &repository, TAGS[0]);
        let proxy = fixture.proxy(|_| None);
        let outcome = push(&proxy, &repository, &["--if-match", &expected.replace("OLD", &old)]).exits(code);
        fixture.check(&repository, &outcome).unwrap();
        if code == 3 {
            let expected = if expected == "none" { "not exist".to_owned() } else { format!("point at {expected}") };
            let part = format!("/{repository}:v1 points at {old}, but must {expected}: not written");
            outcome.stderr_contains(&part);
            let manifest_write = format!("PUT /v2/{repository}/manifests");
            assert_eq!(
                proxy.count(|request| request.line.starts_with(&manifest_write)),
                0,
                "no child is pushed either"
            );
        }
        // The tag now points at the new index, so a repetition succeeds.
        if code == 0 {
            push(&proxy, &repository, &["--if-match", &old]).success();
        }
    }
    // The tag does not exist.
    for (expected, code) in [("none", 0), (other.as_str(), 3)] {
        let target = format!("new{code}:v1");
        let host = &fixture.registry.host;
        let outcome = push_from_args(host, "linux/amd64", "parts:ARCH", &target, &["--if-match", expected]).exits(code);
        assert!(code == 0 || outcome.stderr.contains("does not exist, but must point at sha256:"), "{outcome:?}");
    }
}

/// Another writer moves the tag between the first check and the write.
#[test]
fn if_match_checks_again_just_before_the_write() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let old = digest_of(&fixture, &repository, TAGS[0]);
    let other = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"a": "b"}});
    let other = other.to_string().into_bytes();
    let other_digest = sha256(&other);
    let url = format!("http://{}/v2/{repository}/manifests/{}", fixture.registry.host, TAGS[0]);
    let proxy = fixture.proxy(move |request| {
        if request.line.starts_with("PUT ") && request.line.contains("/manifests/sha256:") {
            ureq::put(&url).header("Content-Type", OCI_INDEX).send(&other[..]).unwrap();
        }
        None
    });
    push(&proxy, &repository, &["--if-match", &old]).fails(3, "no tag was written").stderr_contains(&other_digest);
    assert_eq!(digest_of(&fixture, &repository, TAGS[0]), other_digest);
    // Without --if-match the last writer wins.
    push(&fixture.proxy(|_| None), &repository, &[]).success();
}

#[test]
fn if_match_with_a_tag_is_a_usage_error() {
    let fixture = PushFixture::new();
    push(&fixture.proxy(|_| None), "x", &["--if-match", "latest"]).fails(2, "; expected a digest or none");
}
