//! `verify --tags`: many tags of a repository, with each blob checked once.

use serde_json::{Value, json};

use super::VerifyFixture;
use crate::support::images::{OCI, push_index, push_referrer};
use crate::support::{Outcome, ScriptedServer};

/// Adds tags to the fixture: `v2` is an index of two images of `v1`, `v3` has the digest of `v1`, and `v1-amd64` is an
/// image of `v1`.
fn fixture_with_tags() -> VerifyFixture {
    let fixture = VerifyFixture::new();
    let registry = &fixture.sandbox.registry;
    fixture.push_changed_index("v2", |entries| {
        entries.remove(0);
        entries.truncate(2);
    });
    push_index(registry, "app", "v3", &fixture.entries);
    registry.push_manifest("app", "v1-amd64", OCI, fixture.manifests[0].to_string().as_bytes());
    fixture
}

fn verify_tags(fixture: &VerifyFixture, args: &[&str]) -> Outcome {
    fixture.sandbox.run(&[&["--retries", "0", "verify", "HOST/app"], args].concat())
}

/// Returns the requests since `mark`, and asserts that none was sent twice.
#[track_caller]
fn distinct_requests(fixture: &VerifyFixture, mark: usize) -> Vec<String> {
    let requests = fixture.sandbox.registry.requests(mark);
    let mut distinct = requests.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), requests.len(), "{requests:#?}");
    requests
}

#[test]
fn content_that_tags_share_is_checked_once() {
    let fixture = fixture_with_tags();
    let registry = &fixture.sandbox.registry;
    for (flags, method) in [(&[][..], "HEAD"), (&["--layers"], "GET")] {
        let mark = registry.requests(0).len();
        let outcome = verify_tags(&fixture, &[&["--tags", "v*"], flags].concat()).success();
        let verdicts: Vec<&str> = outcome.stdout.lines().map(|line| line.split(" (").next().unwrap()).collect();
        let expected =
            ["v1-amd64", "v1", "v2", "v3"].map(|tag| fixture.sandbox.fill(&format!("HOST/app:{tag}: sound")));
        assert_eq!(verdicts, expected);
        assert_eq!(outcome.stderr, "4 tags: 4 sound, 0 unsound, 0 not wholly checked, 0 unreadable\n");
        let requests = distinct_requests(&fixture, mark);
        let layers = (0..3).flat_map(|image| (0..3).map(move |layer| (image, layer)));
        for (image, layer) in layers {
            let request = format!("{method} /v2/app/blobs/{}", fixture.layer_digest(image, layer));
            assert_eq!(requests.iter().filter(|line| **line == request).count(), 1, "{request}: {requests:#?}");
        }
        // A config is read for each of four manifests; all images share one layer.
        let blobs = requests.iter().filter(|line| line.contains("/blobs/")).count();
        assert_eq!(blobs, 4 + 1 + 3 * 2 + 1, "{requests:#?}");
    }
    // References given one by one share content too.
    let mark = registry.requests(0).len();
    fixture.sandbox.run(&["verify", "HOST/app:v1", "HOST/app:v2", "HOST/app:v3"]).success();
    distinct_requests(&fixture, mark);
}

#[test]
fn a_shared_defect_is_found_once_and_reported_for_each_tag() {
    let fixture = fixture_with_tags();
    let registry = &fixture.sandbox.registry;
    let missing = fixture.layer_digest(1, 1);
    fixture.remove_from_storage(&missing);
    let mark = registry.requests(0).len();
    let outcome = verify_tags(&fixture, &["--tags", "v*"]).exits(5);
    let finding = format!("  linux/arm64/v8 layer 2 {missing}: missing: not found\n");
    assert_eq!(outcome.stdout.matches(&finding).count(), 3, "{outcome:?}");
    assert_eq!(outcome.stderr, "4 tags: 1 sound, 3 unsound, 0 not wholly checked, 0 unreadable\n");
    distinct_requests(&fixture, mark);
    let document = verify_tags(&fixture, &["--tags", "v*", "--output", "json"]).exits(5).json();
    let sound: Vec<&Value> = document["images"].as_array().unwrap().iter().map(|image| &image["sound"]).collect();
    assert_eq!(sound, [&json!(true), &json!(false), &json!(false), &json!(false)]);
    assert_eq!(document["images"][2]["reference"], fixture.sandbox.fill("HOST/app:v2"));

    // Corrupt content is read again, because it may have been damaged in transit.
    let fixture = fixture_with_tags();
    let shared = fixture.layer_digest(0, 0);
    fixture.flip_bit(&shared);
    let mark = fixture.sandbox.registry.requests(0).len();
    let outcome = verify_tags(&fixture, &["--tags", "v*", "--layers"]).exits(5);
    assert_eq!(outcome.stdout.matches(&format!("layer 1 {shared}: content: ")).count(), 3 + 2 + 3 + 1, "{outcome:?}");
    let requests = fixture.sandbox.registry.requests(mark);
    assert_eq!(requests.iter().filter(|line| line.ends_with(&shared)).count(), 2, "{requests:#?}");
}

#[test]
fn a_missing_image_is_requested_once_for_all_indexes_that_list_it() {
    let fixture = fixture_with_tags();
    fixture.remove_from_storage(&fixture.entry_digest(2));
    let mark = fixture.sandbox.registry.requests(0).len();
    let outcome = verify_tags(&fixture, &["--tags", "v?"]).exits(5);
    assert_eq!(outcome.stdout.matches(": missing: not found\n").count(), 3, "{outcome:?}");
    distinct_requests(&fixture, mark);
}

#[test]
fn an_unreadable_tag_is_counted_and_does_not_hide_the_others() {
    let fixture = fixture_with_tags();
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, |request| {
        let denied = br#"{"errors":[{"code":"DENIED","message":"no"}]}"#;
        request.line.ends_with("/manifests/v2").then(|| (403, vec![], denied.to_vec()))
    });
    let repository = format!("{}/app", server.host);
    let verify = || fixture.sandbox.run(&["--retries", "0", "verify", "--tags", "v*", &repository]);
    let outcome = verify().fails(1, "error: 1 of 4 references cannot be read\n");
    assert_eq!(outcome.stdout.matches(": sound (").count(), 3, "{outcome:?}");
    outcome.stderr_contains("4 tags: 3 sound, 0 unsound, 0 not wholly checked, 1 unreadable\n");
    fixture.remove_from_storage(&fixture.layer_digest(0, 1));
    verify().fails(5, "4 tags: 0 sound, 3 unsound, 0 not wholly checked, 1 unreadable\n");
}

/// Only defects are remembered. A blob that could not be checked is requested for each tag, and may be readable then.
#[test]
fn content_that_could_not_be_checked_is_requested_for_the_next_tag() {
    let fixture = fixture_with_tags();
    let blob = format!("/blobs/{}", fixture.layer_digest(1, 1));
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        request.line.ends_with(&blob).then(|| (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()))
    });
    let repository = format!("{}/app", server.host);
    let outcome = fixture.sandbox.run(&["--retries", "0", "verify", "--tags", "v?", &repository]);
    let outcome = outcome.fails(1, "3 tags: 0 sound, 0 unsound, 3 not wholly checked, 0 unreadable\n");
    assert_eq!(outcome.stdout.matches(": not wholly checked (").count(), 3, "{outcome:?}");
}

#[test]
fn tags_of_signatures_and_referrers_are_verified_only_if_a_pattern_names_them() {
    let fixture = VerifyFixture::new();
    let registry = &fixture.sandbox.registry;
    push_referrer(registry, "app", &fixture.entries[0], "application/spdx+json");
    let why = "referrers or signatures of other manifests, which need a pattern that starts with sha256- or sha512-\n";
    let outcome = verify_tags(&fixture, &["--tags", "*"]).success();
    let note =
        format!("note: 1 tag not verified: {why}1 tag: 1 sound, 0 unsound, 0 not wholly checked, 0 unreadable\n");
    assert_eq!((outcome.stdout.lines().count(), outcome.stderr), (1, note));
    verify_tags(&fixture, &["--tags", "s*"])
        .fails(1, &fixture.sandbox.fill("no tag of HOST/app is verified: it has only 1 matching tag: referrers"))
        .stdout_is("");
    let named = verify_tags(&fixture, &["--tags", "sha256-*,v1"]).success();
    assert_eq!(named.stdout.lines().count(), 2, "{named:?}");
}

#[test]
fn patterns_without_a_match_and_references_beside_tags_are_errors() {
    let fixture = VerifyFixture::new();
    let message =
        "error: no tag of HOST/app matches \"x*\": it has 1 tag\nhint: manifest-tool tags HOST/app lists them\n";
    let outcome = verify_tags(&fixture, &["--tags", "v*,x*"]);
    assert_eq!((outcome.exit, &*outcome.stdout, outcome.stderr), (1, "", fixture.sandbox.fill(message)));
    for (args, part) in [
        (&["--tags", "v*", "HOST/app:v1"][..], "with --tags, give only the repository; did you mean \"HOST/app\"?"),
        (&["--tags", "v*", "HOST/app", "HOST/app"], "--tags takes one repository, but 2 arguments were given"),
        (&["--tags", "v*"], "<IMAGE>"),
        (&["HOST/app"], "has no tag or digest"),
    ] {
        fixture.sandbox.run(&[&["verify"], args].concat()).fails(2, &fixture.sandbox.fill(part)).stdout_is("");
    }
}

#[test]
fn names_in_a_layout_are_verified() {
    let fixture = fixture_with_tags();
    let sandbox = &fixture.sandbox;
    for tag in ["v1", "v2"] {
        sandbox.run(&["copy", &format!("HOST/app:{tag}"), &format!("oci:out:{tag}")]).success();
    }
    let outcome = sandbox.run(&["verify", "--layers", "--tags", "*", "oci:out"]).success();
    assert!(outcome.stdout.starts_with("oci:out:v1: sound (") && outcome.stdout.contains("\noci:out:v2: sound ("));
    std::fs::remove_file(sandbox.path("out/blobs").join(fixture.layer_digest(2, 1).replace(':', "/"))).unwrap();
    let summary = "2 tags: 0 sound, 2 unsound, 0 not wholly checked, 0 unreadable\n";
    sandbox.run(&["verify", "--tags", "v?", "oci:out"]).fails(5, summary);
}
