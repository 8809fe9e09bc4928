//! Content that cannot be fetched: `verify` reports it as unchecked, not as a finding, and still reports the findings.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::VerifyFixture;
use crate::support::ScriptedServer;

#[test]
fn a_denied_blob_is_unchecked_and_does_not_hide_a_finding() {
    let fixture = VerifyFixture::new();
    let digest = fixture.layer_digest(0, 1);
    let blob = format!("/blobs/{digest}");
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        let denied = || (403, vec![], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec());
        request.line.contains(&blob).then(denied)
    });
    let image = format!("{}/app:v1", server.host);
    let verify = |args: &[&str]| fixture.sandbox.run(&[&["verify", &image], args].concat());
    verify(&[])
        .fails(1, "cannot be checked completely")
        .stderr_contains(&digest)
        .stdout_contains(": not wholly checked (");
    let report = verify(&["--output", "json"]).json();
    assert_eq!((&report["images"][0]["sound"], &report["error"]["exitCode"]), (&json!(false), &json!(1)), "{report}");
    fixture.remove_from_storage(&fixture.layer_digest(1, 1));
    verify(&[]).fails(5, "cannot be checked completely").stdout_contains("linux/arm64/v8 layer 2");
    fixture.sandbox.run(&["verify", &image.replace(":v1", ":none")]).fails(1, "app:none not found");
}

#[test]
fn a_deadline_ends_the_wait_for_a_retry() {
    let fixture = VerifyFixture::new();
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, |request| {
        request.line.contains("/blobs/").then(|| (503, vec![], vec![]))
    });
    let image = format!("{}/app:v1", server.host);
    for layers in [&[][..], &["--layers"]] {
        let args = ["--deadline", "700ms", "verify", &image];
        fixture.sandbox.run(&[&args[..], layers].concat()).exits(124);
    }
    // The reason for each unchecked reference is printed, whatever the outcome of the others.
    let absent = image.replace(":v1", ":none");
    fixture
        .sandbox
        .run(&["--retries", "0", "verify", &absent, &image])
        .fails(1, "cannot be checked completely")
        .stderr_contains("app:none not found")
        .stderr_contains("HTTP 503");
}

/// The registry redirects to a storage service that lost the layer.
#[test]
fn a_404_behind_a_redirect_is_a_missing_layer() {
    let fixture = VerifyFixture::new();
    let body = indoc::indoc! {r#"
        <?xml version="1.0"?>
        <Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"#};
    let storage = ScriptedServer::start(move |_, _| (404, vec![], body.into()));
    let digest = fixture.layer_digest(1, 1);
    let (blob, location) = (format!("/blobs/{digest}"), format!("http://{}/bucket/x", storage.host));
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        request.line.contains(&blob).then(|| (307, vec![("Location", location.clone())], vec![]))
    });
    for args in [&[][..], &["--layers"]] {
        let image = format!("{}/app:v1", server.host);
        let outcome = fixture.sandbox.run(&[&["--retries", "0", "verify", &image], args].concat());
        let finding = format!("  linux/arm64/v8 layer 2 {digest}: missing: not found\n");
        assert!(outcome.exit == 5 && outcome.stdout.ends_with(&finding), "{outcome:?}");
    }
}

#[test]
fn a_layer_that_is_corrupted_in_transit_once_is_fetched_again() {
    let fixture = VerifyFixture::new();
    let (digest, is_first) = (fixture.layer_digest(1, 1), AtomicBool::new(true));
    let mut bytes = std::fs::read(fixture.blob_file(&digest)).unwrap();
    bytes[20] ^= 1;
    let get_layer = format!("GET /v2/app/blobs/{digest}");
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        let corrupts = request.line == get_layer && is_first.swap(false, Ordering::SeqCst);
        corrupts.then(|| (200, vec![], bytes.clone()))
    });
    fixture.sandbox.run(&["verify", "--layers", &format!("{}/app:v1", server.host)]).success();
}
