//! `verify --platforms`: what an image or index must offer besides being complete.

use serde_json::{Value, json};

use super::VerifyFixture;
use crate::support::ScriptedServer;
use crate::support::images::OCI;

/// Returns the digest that a tag points at.
fn digest_of(fixture: &VerifyFixture, tag: &str) -> String {
    fixture.sandbox.registry.manifest("app", tag).unwrap().digest
}

/// Tags the image for linux/amd64 as `single`, and returns its digest.
fn tag_single_image(fixture: &VerifyFixture) -> String {
    let manifest = fixture.manifests[0].to_string();
    fixture.sandbox.registry.push_manifest("app", "single", OCI, manifest.as_bytes());
    fixture.entry_digest(0)
}

#[test]
fn an_index_must_have_exactly_the_required_platforms() {
    let fixture = VerifyFixture::new();
    let index = digest_of(&fixture, "v1");
    for (platforms, difference) in [
        ("linux/amd64,linux/arm64,linux/arm", None),
        ("linux/arm/v7,linux/arm64/v8,linux/amd64/v1", None),
        ("linux/amd64,linux/arm64", Some("not required: linux/arm/v7")),
        ("linux/amd64,linux/arm64,linux/arm,linux/s390x,linux/386", Some("no image for linux/s390x, linux/386")),
        ("linux/riscv64,linux/amd64", Some("no image for linux/riscv64; not required: linux/arm64/v8, linux/arm/v7")),
    ] {
        let finding = difference.map(|difference| format!("manifest {index}: platforms: {difference}"));
        fixture.assert_findings("v1", &["--platforms", platforms], &Vec::from_iter(finding));
    }
    // An image that is not complete counts, and is reported as well.
    fixture.remove_from_storage(&fixture.layer_digest(1, 1));
    let document =
        fixture.verify("v1", &["--platforms", "linux/amd64", "--platforms=linux/arm64", "--output", "json"]).exits(5);
    let findings = document.json()["images"][0]["findings"].take();
    let faults: Vec<&Value> = findings.as_array().unwrap().iter().map(|finding| &finding["fault"]).collect();
    assert_eq!(faults, ["platforms", "missing"], "{findings}");
    let (part, message) = ("manifest", "not required: linux/arm/v7");
    let expected = json!({"fault": "platforms", "platform": null, "manifest": index, "part": part, "digest": index, "message": message});
    assert_eq!(findings[0], expected);
}

#[test]
fn a_single_image_must_be_for_the_required_platform() {
    let fixture = VerifyFixture::new();
    let digest = tag_single_image(&fixture);
    fixture.assert_findings("single", &["--platforms", "linux/amd64"], &[]);
    let finding = "platforms: no image for linux/arm64; not required: linux/amd64";
    let finding = format!("linux/amd64 manifest {digest}: {finding}");
    fixture.assert_findings("single", &["--platforms", "linux/arm64"], &[finding]);
}

#[test]
fn a_platform_that_only_a_config_names_counts() {
    let fixture = VerifyFixture::new();
    fixture.push_changed_index("bare", |entries| {
        entries[1].as_object_mut().unwrap().remove("platform");
    });
    fixture.assert_findings("bare", &["--platforms", "linux/amd64,linux/arm64,linux/arm"], &[]);
    // If the config cannot be read, it may name the platform that is not found.
    let config = format!("/blobs/{}", fixture.config_digest(1));
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        request.line.contains(&config).then(|| (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()))
    });
    let image = format!("{}/app:bare", server.host);
    let verify = |platforms: &str| fixture.sandbox.run(&["verify", &image, "--platforms", platforms]);
    verify("linux/amd64,linux/arm64,linux/arm").fails(1, "cannot be checked completely");
    verify("linux/amd64,linux/arm64")
        .fails(5, "cannot be checked")
        .stdout_contains("platforms: not required: linux/arm/v7\n");
}

#[test]
fn invalid_requirements_are_a_usage_error() {
    let fixture = VerifyFixture::new();
    fixture.verify("v1", &["--platforms", "linux/amd64,arm64"]).fails(2, "invalid platform \"arm64\"");
}
