//! The number of requests, and images with many referrers and signatures.

use serde_json::{Value, json};

use super::{BUNDLE, SignedFixture, key};
use crate::support::ScriptedServer;
use crate::support::images::{OCI, OCI_INDEX};
use crate::support::registry::sha256;

/// Returns list entries of manifests that do not exist.
fn entries(count: usize, artifact_type: &str) -> Vec<Value> {
    let entry = |number: usize| {
        let digest = sha256(number.to_string().as_bytes());
        json!({"mediaType": OCI, "digest": digest, "size": 500, "artifactType": artifact_type})
    };
    (0..count).map(entry).collect()
}

/// Starts a server in front of the registry that lists further referrers of the index, after or before the existing ones.
/// docker-registry refuses a list of manifests that do not exist.
fn list(fixture: &SignedFixture, more: Vec<Value>, are_first: bool) -> ScriptedServer {
    let existing = fixture.referrers(fixture.digest(0));
    let all = if are_first { [more, existing].concat() } else { [existing, more].concat() };
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": all}).to_string().into_bytes();
    let path = format!("/manifests/{}", fixture.digest(0).replace(':', "-"));
    ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        let headers = vec![("Content-Type", OCI_INDEX.to_owned())];
        (request.line.starts_with("GET") && request.line.ends_with(&path)).then(|| (200, headers, list.clone()))
    })
}

#[test]
fn the_referrers_of_an_image_are_listed_once() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &["--recursive"]).success();
    for manifest in 1..3 {
        fixture.attach(&fixture.manifests[manifest], "application/spdx+json", &[], &json!({}));
    }
    let mark = fixture.sandbox.registry.requests(0).len();
    fixture.verify("p256.pub", &["--signatures", "--referrer", "application/spdx+json"]).success();
    let requests = fixture.sandbox.registry.requests(mark);
    let count = |part: &str| requests.iter().filter(|request| request.contains(part)).count();
    assert_eq!(count("/referrers/"), 3, "{requests:?}");
    for manifest in 0..3 {
        let tag = fixture.digest(manifest).replace(':', "-");
        assert_eq!(
            (count(&format!("/manifests/{tag}.sig")), count(&format!("/manifests/{tag}"))),
            (1, 2),
            "{requests:?}"
        );
    }
    // A repeated run for two references of one image reads its signatures once.
    let mark = fixture.sandbox.registry.requests(0).len();
    let index = format!("HOST/app@{}", fixture.digest(0));
    fixture.verify("p256.pub", &[&index]).success();
    let requests = fixture.sandbox.registry.requests(mark);
    assert_eq!(requests.iter().filter(|request| request.contains("/referrers/")).count(), 3, "{requests:?}");
}

#[test]
fn a_thousand_referrers_of_another_type_are_not_read() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &["--recursive"]).success();
    let server = list(&fixture, entries(1000, "application/spdx+json"), true);
    let image = format!("{}/app:v1", server.host);
    fixture.sandbox.run(&["verify", "--key", &key("p256.pub"), &image]).success();
    let requests = server.requests().len();
    assert!(requests < 40, "{requests}");
}

#[test]
fn more_signatures_than_the_limit_leave_an_image_unchecked() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &["--recursive"]).success();
    // The valid signature is the first.
    let server = list(&fixture, entries(1000, BUNDLE), false);
    let image = format!("{}/app:v1", server.host);
    let run = |args: &[&str]| fixture.sandbox.run(&[args, &[&*image]].concat());
    run(&["verify", "--key", &key("p256.pub")]).success();
    let limit = "it has more than 100 signatures; the others are not read";
    run(&["verify", "--key", &key("p256.pub"), "--signatures"]).fails(1, limit);
    let before = server.requests().len();
    run(&["verify", "--key", &key("rsa.pub")]).fails(5, limit).stdout_contains("2 findings");
    let requests = server.requests().len() - before;
    assert!(requests < 150, "{requests}");
    run(&["verify", "--signatures"]).fails(1, limit);
    run(&["sign", "--key", &key("rsa.key")]).fails(1, limit);
}
