//! Conversions that would lose content, or change digests that must stay, fail before the target is written.

use super::*;
use crate::support::images::{push_attested_index, push_referrer};

impl Images {
    /// Runs a copy that must fail with these texts, and write nothing.
    #[track_caller]
    fn refuses(&self, args: &[&str], texts: &[&str]) {
        let before = self.sandbox.registry.snapshot();
        let outcome = self.copy(args);
        assert_eq!(outcome.exit, 1, "{args:?}: {outcome:?}");
        for text in texts {
            assert!(outcome.stderr.contains(text), "{args:?}: {text}: {}", outcome.stderr);
        }
        assert_eq!(self.sandbox.registry.snapshot(), before, "{args:?}");
    }
}

#[test]
fn everything_that_docker_cannot_hold_is_listed_before_anything_is_written() {
    let images = Images::new();
    let mut image = images.image(OCI, "amd64", &[layer("a", "+gzip"), layer("b", "+zstd")]);
    image["annotations"] = json!({"org.example": "x"});
    image["subject"] = images.push("subject", &images.image(OCI, "amd64", &[]));
    image["artifactType"] = "application/x".into();
    let entry = |mut entry: Value| {
        entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
        entry
    };
    let entries = [entry(images.push("image", &image))];
    let notes = json!({"org.opencontainers.image.source": "https://example.org"});
    images.push("v1", &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, "annotations": notes}));
    let all = [
        "cannot convert HOST/app:v1 to Docker's format, which cannot hold all of it",
        "it has annotations: org.example",
        "it has artifactType",
        "it has subject",
        "layer 2 is compressed with zstd",
        "it has annotations: org.opencontainers.image.source",
        "hint: add --drop-annotations to leave out annotations, and attestations",
        "hint: add --compress gzip or --decompress",
    ];
    let all: Vec<String> = all.iter().map(|text| images.sandbox.fill(text)).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    images.refuses(&["--format", "docker", "HOST/app:v1", "HOST/docker:v1"], &all);
    images.refuses(&["--format", "docker", "--dry-run", "HOST/app:v1", "HOST/docker:v1"], &all);
    let rest = ["it has artifactType", "it has subject"];
    let flags = ["--format", "docker", "--drop-annotations", "--compress", "gzip", "HOST/app:v1", "HOST/docker:v1"];
    images.refuses(&flags, &rest);
}

#[test]
fn annotations_and_attestations_are_left_out_on_request() {
    let images = Images::new();
    let attested = push_attested_index(&images.sandbox.registry, "app", "v1", "amd64");
    let convert = ["--format", "docker", "HOST/app:v1", "HOST/docker:v1"];
    images.refuses(&convert, &[&format!("entry {} is an attestation", attested.attestation)]);
    images.copy(&[&convert[..], &["--drop-annotations"]].concat()).success();
    let list = parsed(&images.manifest("HOST/docker:v1"));
    assert_eq!(list["manifests"].as_array().unwrap().len(), 1);
    images.verify("HOST/docker:v1");
    assert!(images.sandbox.registry.manifest("docker", &attested.attestation).is_none());
    // In OCI's format, an attestation keeps its layers and follows its image.
    images.copy(&["--compress", "gzip", "HOST/app:v1", "HOST/gzip:v1"]).success();
    let index = parsed(&images.manifest("HOST/gzip:v1"));
    let image = index["manifests"][0]["digest"].as_str().unwrap();
    assert_ne!(image, attested.image);
    assert_eq!(index["manifests"][1]["annotations"]["vnd.docker.reference.digest"], image);
    images.verify("HOST/gzip:v1");
}

#[test]
fn digests_that_must_stay_are_not_changed() {
    let images = Images::new();
    images.push_index();
    let changes = "the conversion changes digests, which must be preserved";
    for flags in [&["--format", "docker"][..], &["--compress", "zstd"], &["--decompress"]] {
        let before = images.sandbox.registry.requests(0).len();
        images.refuses(&[flags, &["--preserve-digests", "HOST/app:v1", "HOST/new:v1"]].concat(), &[changes]);
        let requests = images.sandbox.registry.requests(before);
        let blobs = requests.iter().filter(|request| request.contains("/blobs/")).count();
        assert!(blobs <= 2, "only the two configs were read: {requests:#?}");
    }
    for flags in [&["--format", "oci"][..], &["--compress", "gzip"], &["--platform", "linux/amd64"], &[]] {
        images.copy(&[flags, &["--preserve-digests", "HOST/app:v1", "HOST/new:v1"]].concat()).success();
    }
    let two = ["--preserve-digests", "--platform", "linux/amd64,linux/arm64", "HOST/app:v1", "HOST/new:v1"];
    images.copy(&two).success();
    let mut entry = images.push("386", &images.image(OCI, "386", &[layer("386", "+gzip")]));
    entry["platform"] = json!({"architecture": "386", "os": "linux"});
    let mut index = parsed(&images.manifest("HOST/app:v1"));
    index["manifests"].as_array_mut().unwrap().push(entry);
    images.push("v1", &index);
    images.refuses(&two, &["an index of only some platforms has another digest, which must be preserved"]);
}

#[test]
fn referrers_are_not_copied_to_other_digests() {
    let images = Images::new();
    images.push_index();
    let amd64 = images.sandbox.registry.manifest("app", "amd64").unwrap();
    let subject = descriptor(OCI, &amd64.digest, &amd64.bytes);
    push_referrer(&images.sandbox.registry, "app", &subject, "application/vnd.example");
    let refer = "its signatures and other referrers refer to digests that the conversion changes";
    images.refuses(&["--referrers", "--format", "docker", "HOST/app:amd64", "HOST/new:v1"], &[refer]);
    images.copy(&["--referrers", "--format", "oci", "HOST/app:amd64", "HOST/new:v1"]).success();
}

#[test]
fn flags_that_cannot_be_combined_are_usage_errors() {
    let images = Images::new();
    for (flags, text) in [
        (
            &["--compress", "lz4"][..],
            "must be gzip or zstd, with an optional level: gzip:1 to gzip:9, zstd:1 to zstd:19",
        ),
        (&["--compress", "zstd:22"], "zstd:1 to zstd:19"),
        (&["--compress", "gzip", "--decompress"], "--decompress"),
        (&["--format", "v2s2"], "docker, oci"),
        (&["--drop-annotations"], "--drop-annotations needs --format docker"),
        (&["--drop-annotations", "--format", "oci"], "--drop-annotations needs --format docker"),
    ] {
        let outcome = images.copy(&[flags, &["HOST/app:v1", "HOST/new:v1"]].concat());
        outcome.fails(2, text);
    }
}
