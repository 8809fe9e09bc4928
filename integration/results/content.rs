//! The pushed index: warnings about it, its size limit, its subject, and its attestations.

use std::process::Command;

use serde_json::{Value, json};

use super::{ResultsFixture, result_document};
use crate::support::images::{DOCKER, push_image, push_image_with};
use crate::support::registry::sha256;
use crate::support::{Registry, Sandbox, push_from_args};

/// Pushes images `parts:ARCH` whose configs or types make an index of them questionable.
fn push_questionable_images(registry: &Registry) {
    push_image(registry, "parts", "amd64", "amd64");
    let push_windows_image = |tag: &str| {
        let config = json!({"os": "windows", "architecture": tag, "os.version": ""}).to_string();
        push_image_with(registry, "parts", tag, config.as_bytes(), tag.as_bytes());
    };
    push_windows_image("arm64");
    push_windows_image("386");
    let config = json!({"os": "linux", "architecture": "s390x"}).to_string();
    let config = json!({
        "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(),
        "digest": registry.push_blob("parts", config.as_bytes()),
    });
    let docker = json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": []}).to_string();
    registry.push_manifest("parts", "s390x", DOCKER, docker.as_bytes());
}

#[test]
fn strict_turns_warnings_into_errors_and_quiet_hides_them() {
    let registry = Registry::start();
    push_questionable_images(&registry);
    for (platforms, part) in [
        (
            "linux/386,linux/s390x",
            "/parts:386: its entry is for linux/386, but the image's config is for windows/386 (sha256:",
        ),
        (
            "windows/386,windows/arm64",
            "2 Windows entries have no os.version, which Windows uses to choose an image: sha256:",
        ),
        ("linux/amd64,linux/s390x", "the index lists 1 Docker and 1 OCI images, a mix that some registries refuse"),
    ] {
        let manifests =
            || registry.snapshot().into_iter().filter(|line| line.contains("/_manifests/")).collect::<Vec<_>>();
        let before = manifests();
        let push = |args: &[&str]| {
            let args = [&["--type", "oci"], args].concat();
            push_from_args(&registry.host, platforms, "parts:ARCH", "whole:v1", &args)
        };
        push(&["--strict"]).fails(1, part).stderr_contains("cannot assemble");
        assert_eq!(manifests(), before, "{platforms}");
        let outcome = push(&["--output", "json"]).success().stderr_contains("warning: ").stderr_contains(part);
        let warnings = result_document(&outcome)["indexes"][0]["warnings"].clone();
        assert!(
            warnings.as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains(part)),
            "{warnings}"
        );
        let quiet = push(&["--quiet"]);
        assert_eq!((quiet.exit, &*quiet.stderr), (0, ""));
    }
}

#[test]
fn only_strict_compares_the_platforms_of_a_source_index_with_its_configs() {
    let registry = Registry::start();
    push_questionable_images(&registry);
    push_from_args(&registry.host, "linux/386", "parts:ARCH", "whole:wrong", &["--type", "oci"]);
    let push = |args: &[&str]| {
        let args = [&["--type", "oci"], args].concat();
        push_from_args(&registry.host, "linux/386", "whole:wrong", "whole:v2", &args)
    };
    let mark = registry.requests(0).len();
    assert_eq!(push(&["--dry-run"]).stderr, "");
    assert!(!registry.requests(mark).iter().any(|line| line.contains("/blobs/")), "no config is read");
    push(&["--strict"]).stderr_contains("the image's config is for windows/386");
}

#[test]
fn an_index_larger_than_4_mib_is_not_pushed() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "parts", "amd64", "amd64");
    let spec = indoc::formatdoc! {"
        image: HOST/whole:v1
        manifests: [{{image: \"HOST/parts:amd64\"}}]
        type: oci
        annotations: {{long: {annotation}}}
        ",
        annotation = "x".repeat(4 << 20),
    };
    sandbox.write("spec.yaml", &spec);
    sandbox.run(&["push", "from-spec", "spec.yaml"]).fails(1, "more than the 4 MiB that registries accept");
    assert!(sandbox.registry.manifest("whole", "v1").is_none());
}

#[test]
fn an_index_with_a_subject_is_listed_as_its_referrer() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let subject = push_image(registry, "whole", "subject", "amd64");
    let subject = subject["digest"].as_str().unwrap();
    for (tag, reference) in [("tag", "HOST/whole:subject"), ("digest", subject)] {
        let spec = indoc::formatdoc! {"
            image: HOST/whole:{tag}
            type: oci
            artifactType: application/vnd.example.bundle
            annotations: {{k: {tag}}}
            subject: {reference}
            manifests: [{{image: \"HOST/whole:subject\", annotations: {{e: f}}}}]
        "};
        sandbox.write("spec.yaml", &spec);
        sandbox.run(&["push", "from-spec", "spec.yaml"]).success();
        let pushed = registry.manifest("whole", tag).unwrap();
        let index: Value = serde_json::from_slice(&pushed.bytes).unwrap();
        assert_eq!(index["subject"]["digest"], subject);
        assert_eq!(
            (&index["artifactType"], &index["manifests"][0]["annotations"]["e"]),
            (&json!("application/vnd.example.bundle"), &json!("f"))
        );
        let list = registry.manifest("whole", &subject.replace(':', "-")).unwrap();
        let list: Value = serde_json::from_slice(&list.bytes).unwrap();
        let last = list["manifests"].as_array().unwrap().last().unwrap();
        assert_eq!(last["digest"], pushed.digest);
        assert_eq!((&last["artifactType"], &last["annotations"]["k"]), (&index["artifactType"], &json!(tag)));
    }
    let spec = sandbox.read("spec.yaml").replace(subject, &sha256(b"no such manifest"));
    sandbox.write("spec.yaml", &spec);
    sandbox.run(&["push", "from-spec", "spec.yaml"]).fails(1, "not found");
}

/// `skopeo` reads both indexes.
#[test]
fn attestations_that_are_dropped_are_neither_listed_nor_copied() {
    let fixture = ResultsFixture::new();
    let sandbox = &fixture.sandbox;
    for (attestations, entries) in [("drop", 1), ("keep", 2)] {
        let spec = indoc::formatdoc! {"
            image: HOST/bare:{attestations}
            attestations: {attestations}
            template: HOST/parts:ARCH
            platforms: [linux/arm64]
            type: ${{TYPE}}
        "};
        sandbox.write("spec.yaml", &spec);
        let push = ["push", "from-spec", "spec.yaml", "--env"];
        // TYPE is not set.
        sandbox.run(&push).exits(1);
        sandbox.run(&[&push[..], &["--set", "TYPE=oci"]].concat()).success();
        let pushed = sandbox.registry.manifest("bare", attestations).unwrap();
        let index: Value = serde_json::from_slice(&pushed.bytes).unwrap();
        assert_eq!(index["manifests"].as_array().unwrap().len(), entries);
        let attestation = sandbox.registry.manifest("bare", fixture.digest("ATTESTATION"));
        assert_eq!(attestation.is_some(), entries == 2);
        let source = sandbox.fill(&format!("docker://HOST/bare:{attestations}"));
        let raw = Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", &source]).output().unwrap();
        assert_eq!(raw.stdout, pushed.bytes);
    }
}
