//! `verify --platforms` and `verify --referrer`: what an image or index must offer besides being complete.

use serde_json::{Value, json};

use super::VerifyFixture;
use crate::support::ScriptedServer;
use crate::support::images::{OCI, push_index, push_referrer};

const SBOM: &str = "application/spdx+json";
const SIGNATURE: &str = "application/vnd.example.signature.v1";

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
fn every_image_must_have_a_referrer_of_each_required_type() {
    let fixture = VerifyFixture::new();
    let registry = &fixture.sandbox.registry;
    let finding = |entry: usize, types: &str| {
        let platform = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"][entry];
        format!("{platform} manifest {}: referrer: no referrer of type {types}", fixture.entry_digest(entry))
    };
    let (sbom, both) = (["--referrer", SBOM], ["--referrer", SBOM, "--referrer", SIGNATURE]);
    fixture.assert_findings("v1", &sbom, &[0, 1, 2].map(|entry| finding(entry, SBOM)));
    for entry in &fixture.entries[..2] {
        push_referrer(registry, "app", entry, SBOM);
    }
    push_referrer(registry, "app", &fixture.entries[0], SIGNATURE);
    fixture.assert_findings("v1", &sbom, &[finding(2, SBOM)]);
    let types = format!("{SBOM}, {SIGNATURE}");
    fixture.assert_findings("v1", &both, &[finding(1, SIGNATURE), finding(2, &types)]);
    push_referrer(registry, "app", &fixture.entries[2], SBOM);
    let mark = registry.requests(0).len();
    fixture.assert_findings("v1", &sbom, &[]);
    let asked: Vec<String> = registry.requests(mark).into_iter().filter(|line| line.contains("/referrers/")).collect();
    assert_eq!(asked.len(), 3, "neither the index nor the attestation needs referrers: {asked:?}");
    // An image that is listed repeatedly is asked for once.
    push_index(registry, "app", "many", &vec![fixture.entries[0].clone(); 100]);
    let mark = registry.requests(0).len();
    fixture.assert_findings("many", &both, &[]);
    let asked = registry.requests(mark).into_iter().filter(|line| line.contains("/referrers/")).count();
    assert_eq!(asked, 1);
    let document = fixture.verify("v1", &["--referrer", SIGNATURE, "--output", "json"]).exits(5).json();
    let found = &document["images"][0]["findings"][0];
    assert_eq!(
        (&found["fault"], &found["platform"]["architecture"]),
        (&json!("referrer"), &json!("arm64")),
        "{document}"
    );
}

/// A list without artifact types is not enough, so the referrers are read.
#[test]
fn a_referrer_that_is_listed_without_its_type_is_read() {
    let fixture = VerifyFixture::new();
    let registry = &fixture.sandbox.registry;
    let digest = tag_single_image(&fixture);
    let mut listed = push_referrer(registry, "app", &fixture.entries[0], SBOM);
    listed.as_object_mut().unwrap().remove("artifactType");
    push_index(registry, "app", &digest.replace(':', "-"), &[listed]);
    fixture.assert_findings("single", &["--referrer", SBOM], &[]);
    let finding = format!("linux/amd64 manifest {digest}: referrer: no referrer of type {SIGNATURE}");
    fixture.assert_findings("single", &["--referrer", SIGNATURE], &[finding]);
}

#[test]
fn referrers_are_found_in_layouts_and_archives() {
    let fixture = VerifyFixture::new();
    let sandbox = &fixture.sandbox;
    for entry in &fixture.entries[..3] {
        push_referrer(&sandbox.registry, "app", entry, SBOM);
    }
    for (to, exit) in [("oci:signed:v1", 0), ("oci-archive:signed.tar:v1", 0), ("oci:plain:v1", 5)] {
        let referrers: &[&str] = if exit == 0 { &["--referrers"] } else { &[] };
        sandbox.run(&[&["copy", "HOST/app:v1", to], referrers].concat()).success();
        sandbox.run(&["verify", "--referrer", SBOM, to]).exits(exit);
    }
    let index = sandbox.read("signed/index.json").replace("artifactType", "x-type");
    sandbox.write("signed/index.json", &index);
    sandbox.run(&["verify", "--referrer", SBOM, "oci:signed:v1"]).success();
    sandbox.run(&["verify", "--referrer", SIGNATURE, "oci:signed:v1"]).exits(5);
}

#[test]
fn an_artifact_needs_referrers_only_if_the_reference_points_at_it() {
    let fixture = VerifyFixture::new();
    let registry = &fixture.sandbox.registry;
    let artifact = push_referrer(registry, "app", &fixture.entries[0], SBOM);
    push_index(registry, "app", "mixed", &[fixture.entries[0].clone(), artifact.clone()]);
    fixture.assert_findings("mixed", &["--referrer", SBOM], &[]);
    let reference = format!("HOST/app@{}", artifact["digest"].as_str().unwrap());
    let verify = || fixture.sandbox.run(&["verify", "--referrer", SIGNATURE, &reference]);
    verify().exits(5).stdout_contains(&format!(": referrer: no referrer of type {SIGNATURE}\n"));
    push_referrer(registry, "app", &artifact, SIGNATURE);
    verify().success();
}

#[test]
fn referrers_that_cannot_be_listed_are_unchecked() {
    let fixture = VerifyFixture::new();
    push_referrer(&fixture.sandbox.registry, "app", &fixture.entries[0], SBOM);
    let path = format!("/referrers/{}", fixture.entry_digest(1));
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        request.line.contains(&path).then(|| (500, vec![], vec![]))
    });
    let image = format!("{}/app:v1", server.host);
    let verify = |args: &[&str]| fixture.sandbox.run(&[&["--retries", "0", "verify", &image], args].concat());
    verify(&[]).success();
    let outcome = verify(&["--referrer", SBOM]).fails(5, "cannot be checked completely").stderr_contains("HTTP 500");
    assert_eq!(outcome.stdout.matches("referrer: ").count(), 1, "only linux/arm/v7 certainly lacks it: {outcome:?}");
    push_referrer(&fixture.sandbox.registry, "app", &fixture.entries[2], SBOM);
    verify(&["--referrer", SBOM]).fails(1, "cannot be checked completely").stdout_contains(": not wholly checked (");
}

#[test]
fn invalid_requirements_are_a_usage_error() {
    let fixture = VerifyFixture::new();
    fixture.verify("v1", &["--platforms", "linux/amd64,arm64"]).fails(2, "invalid platform \"arm64\"");
    for referrer in ["", "signature", "application/a b"] {
        fixture.verify("v1", &["--referrer", referrer]).fails(2, "expected an artifact type, such as");
    }
}
