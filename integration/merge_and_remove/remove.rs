//! `remove` without other writers.

use serde_json::{Value, json};

use super::remove;
use crate::support::images::{OCI, push_image, push_image_with, push_index};
use crate::support::registry::sha256;
use crate::support::{Registry, Sandbox, Workspace};

/// Pushes `whole:v1`, an index of images for linux/arm/v5 and linux/arm/v6.
fn push_index_of_two_variants(registry: &Registry) {
    let image = |variant: &str| {
        let config = json!({"os": "linux", "architecture": "arm", "variant": variant}).to_string();
        let mut entry = push_image_with(registry, "whole", variant, config.as_bytes(), variant.as_bytes());
        entry["platform"] = json!({"os": "linux", "architecture": "arm", "variant": variant});
        entry
    };
    push_index(registry, "whole", "v1", &[image("v5"), image("v6")]);
}

#[test]
fn remove_refuses_an_ambiguous_platform_and_names_every_missing_entry() {
    let registry = Registry::start();
    push_index_of_two_variants(&registry);
    let before = registry.snapshot();
    remove(&registry.host, &["--platform", "linux/arm"])
        .fails(1, "it has 2 images for linux/arm; name one with --digest")
        .stdout_is("");
    remove(&registry.host, &["--platform", "linux/arm/v8,linux/s390x", "--digest", &sha256(b"")])
        .fails(1, "no entry for linux/arm/v8")
        .stderr_contains("no entry for linux/s390x")
        .stderr_contains("no entry with digest sha256:e3b0")
        .stdout_is("");
    assert_eq!(registry.snapshot(), before);
}

#[test]
fn remove_takes_the_exact_variant_and_refuses_a_single_image() {
    let registry = Registry::start();
    push_index_of_two_variants(&registry);
    remove(&registry.host, &["--platform", "linux/arm/v6"]).success();
    registry.push_manifest("whole", "v1", OCI, &registry.manifest("whole", "v6").unwrap().bytes);
    remove(&registry.host, &["--platform", "linux/arm"]).fails(1, "it is a single image, not an index").stdout_is("");
}

#[test]
fn remove_without_a_tag_or_a_valid_platform_is_a_usage_error() {
    let digest = sha256(b"");
    for (args, part) in [
        (&["r.example/a:1"][..], "--platform"),
        (&["r.example/a", "--platform", "linux/arm"], "has no tag"),
        (&[&format!("r.example/a@{digest}"), "--platform", "linux/arm"], "give a tag"),
        (&["r.example/a:1", "--platform", "arm"], "invalid platform"),
        (&["r.example/a:1", "--digest", "abc"], "invalid digest"),
        (&["r.example/a:1", "--digest", &digest, "--exit-code"], "--dry-run"),
    ] {
        Workspace::new().run(&[&["--plain-http", "remove"], args].concat()).fails(2, part);
    }
}

#[test]
fn remove_lists_the_changed_index_as_a_referrer_of_its_subject() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let subject = push_image(registry, "whole", "amd64", "amd64")["digest"].as_str().unwrap().to_owned();
    push_image(registry, "whole", "arm64", "arm64");
    let spec = indoc::formatdoc! {"
        image: HOST/whole:v1
        type: oci
        subject: {subject}
        platforms: [linux/amd64, linux/arm64]
        template: HOST/whole:ARCH
    "};
    sandbox.write("spec.yaml", &spec);
    sandbox.run(&["push", "from-spec", "spec.yaml"]).success();
    remove(&registry.host, &["--platform", "linux/arm64"]).success();
    let list = registry.manifest("whole", &subject.replace(':', "-")).unwrap();
    let list: Value = serde_json::from_slice(&list.bytes).unwrap();
    let referrers: Vec<&Value> = list["manifests"].as_array().unwrap().iter().map(|entry| &entry["digest"]).collect();
    assert_eq!(referrers.len(), 2);
    assert_eq!(referrers[1], &json!(registry.manifest("whole", "v1").unwrap().digest));
}
