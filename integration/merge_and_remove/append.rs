//! `push --append` without other writers.

use std::process::Command;

use serde_json::{Value, json};

use super::{append, architectures, assert_skopeo_copies, entries, index_at, push, registry_with_parts, remove};
use crate::support::Sandbox;
use crate::support::images::{AttestedIndex, OCI_INDEX, push_attested_index, push_image, push_image_with, push_index};
use crate::support::registry::sha256;

#[test]
fn append_and_remove_change_an_image_with_its_attestation_and_keep_the_rest() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let [amd64, arm64] = ["amd64", "arm64"]
        .map(|architecture| push_attested_index(registry, "whole", &format!("old-{architecture}"), architecture));
    let spec = indoc::formatdoc! {"
        image: HOST/whole:v1
        type: oci
        annotations: {{kept: a, changed: b}}
        manifests:
        - image: HOST/whole@{amd64}
        - image: HOST/whole@{arm64}
        ",
        amd64 = amd64.index,
        arm64 = arm64.index,
    };
    sandbox.write("spec.yaml", &spec);
    sandbox.run(&["push", "from-spec", "spec.yaml"]).success();
    let entries_of = |attested: &AttestedIndex, architecture: &str| {
        let (image, attestation) = (attested.image.clone(), attested.attestation.clone());
        [(architecture.to_owned(), image.clone()), (image, attestation)]
    };
    let [image, attestation] = entries_of(&amd64, "amd64");
    let [other_image, other_attestation] = entries_of(&arm64, "arm64");
    assert_eq!(entries(registry, "v1"), [image, other_image.clone(), attestation, other_attestation.clone()]);
    assert_skopeo_copies(registry, "v1");

    // The new image for amd64 has its own attestation. The one for s390x is additional.
    push_image(registry, "parts", "s390x", "s390x");
    let new = push_attested_index(registry, "whole", "new", "amd64");
    let spec = indoc::indoc! {"
        image: HOST/whole:v1
        append: true
        annotations: {changed: c}
        manifests:
        - image: HOST/parts:s390x
        - image: HOST/whole:new
    "};
    sandbox.write("more.yaml", spec);
    sandbox.run(&["push", "from-spec", "more.yaml"]).success();
    let [image, attestation] = entries_of(&new, "amd64");
    let s390x = ("s390x".to_owned(), registry.manifest("parts", "s390x").unwrap().digest);
    let expected = [image, other_image.clone(), s390x.clone(), other_attestation, attestation];
    assert_eq!(entries(registry, "v1"), expected);
    // The type stays, and so do annotations that the new spec does not set.
    let index = index_at(registry, "v1");
    let annotations = json!({"kept": "a", "changed": "c"});
    assert_eq!((&index["mediaType"], &index["annotations"]), (&json!(OCI_INDEX), &annotations));
    assert_skopeo_copies(registry, "v1");

    // An empty variant means no variant: pipelines produce it from OS/ARCH/VARIANT.
    remove(&registry.host, &["--platform", "linux/amd64/", "--digest", &arm64.attestation]).success();
    assert_eq!(entries(registry, "v1"), [other_image, s390x.clone()]);
    assert_eq!(index_at(registry, "v1")["annotations"], annotations);
    assert_skopeo_copies(registry, "v1");
    remove(&registry.host, &["--digest", &arm64.image]).success();
    assert_eq!(entries(registry, "v1"), [s390x]);
    remove(&registry.host, &["--platform", "linux/s390x"])
        .fails(1, "no image would be left; delete the tag")
        .stdout_is("");
}

#[test]
fn append_creates_a_missing_index_and_does_not_rewrite_an_equal_one() {
    let registry = registry_with_parts(&["amd64"]);
    // The default type is a Docker manifest list, as without --append.
    append(&registry.host, "linux/amd64", &[]).success();
    let created = registry.manifest("whole", "v1").unwrap();
    assert!(created.media_type.contains("manifest.list.v2"), "{}", created.media_type);
    // An index that differs only in JSON formatting counts as equal.
    let compact = serde_json::from_slice::<Value>(&created.bytes).unwrap().to_string();
    registry.push_manifest("whole", "v1", &created.media_type, compact.as_bytes());
    let mark = registry.requests(0).len();
    append(&registry.host, "linux/amd64", &[]).success().stdout_is(&format!(
        "Digest: {} {}\n",
        sha256(compact.as_bytes()),
        compact.len()
    ));
    let requests = registry.requests(mark);
    assert!(requests.iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")), "{requests:?}");
}

#[test]
fn append_to_a_single_image_makes_an_index_of_both() {
    let registry = registry_with_parts(&["amd64"]);
    push_image(&registry, "whole", "v1", "arm64");
    append(&registry.host, "linux/amd64", &[]).success();
    assert_eq!(architectures(&registry, "v1"), ["arm64", "amd64"]);
    assert_eq!(index_at(&registry, "v1")["mediaType"], OCI_INDEX);
    append(&registry.host, "linux/amd64", &["--type", "docker"]).success();
    assert!(index_at(&registry, "v1")["mediaType"].as_str().unwrap().contains("manifest.list.v2"));
}

#[test]
fn settle_without_append_is_a_usage_error() {
    push("r.example", "linux/amd64", &["--settle", "1s"]).fails(2, "--settle requires --append");
}

#[test]
fn append_and_remove_change_layouts_and_refuse_archives() {
    let sandbox = Sandbox::new();
    for architecture in ["amd64", "arm64", "s390x"] {
        push_image(&sandbox.registry, "parts", architecture, architecture);
    }
    let push = |platforms: &str, target: &str, args: &[&str]| {
        let from_args = ["from-args", "--platforms", platforms, "--template", "HOST/parts:ARCH", "--target", target];
        sandbox.run(&[&["push", "--type", "oci"], args, &from_args].concat())
    };
    push("linux/amd64,linux/arm64", "oci:built:v1", &[]).success();
    push("linux/s390x", "oci:built:v1", &["--append", "--settle", "10ms"]).success();
    sandbox.run(&["remove", "oci:built:v1", "--platform", "linux/arm64", "--settle", "10ms"]).success();
    let document = sandbox.run(&["inspect", "oci:built:v1", "--output", "json"]).json();
    let entries = document["entries"].as_array().unwrap().iter();
    let architectures: Vec<&Value> = entries.map(|entry| &entry["platform"]["architecture"]).collect();
    assert_eq!(architectures, ["amd64", "s390x"]);
    let mut skopeo = Command::new("skopeo");
    let raw = skopeo.args(["inspect", "--raw", "oci:built:v1"]).current_dir(sandbox.folder()).output().unwrap();
    assert_eq!(document["digest"], sha256(&raw.stdout));

    push("linux/amd64", "oci-archive:a.tar:v1", &["--append"]).fails(2, "cannot append to an archive").stdout_is("");
    sandbox
        .run(&["remove", "oci-archive:a.tar:v1", "--platform", "linux/amd64"])
        .fails(2, "cannot be changed in place");
}

/// An entry for such an image would have no platform.
#[test]
fn append_refuses_a_single_image_whose_platform_is_unknown_and_push_replaces_it() {
    let registry = registry_with_parts(&["arm64"]);
    push_image_with(&registry, "whole", "v1", b"{}", b"layer");
    let before = registry.manifest("whole", "v1").unwrap().digest;
    append(&registry.host, "linux/arm64", &[]).fails(1, "it is a single image of unknown platform").stdout_is("");
    assert_eq!(registry.manifest("whole", "v1").unwrap().digest, before);
    push(&registry.host, "linux/arm64", &[]).success();
}

/// Annotations that mark an attestation do not count if the entry names a platform.
#[test]
fn an_entry_that_names_a_platform_is_kept_replaced_and_removed_as_an_image() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let attested = push_attested_index(registry, "whole", "source", "amd64");
    let mut source = index_at(registry, "source")["manifests"].as_array().unwrap().clone();
    let mut annotated = push_image(registry, "whole", "arm64", "arm64");
    annotated["platform"] = json!({"architecture": "arm64", "os": "linux"});
    annotated["annotations"] = source[1]["annotations"].clone();
    let arm64 = annotated["digest"].as_str().unwrap().to_owned();
    source.push(annotated);
    push_index(registry, "whole", "source", &source);
    let digests = || -> Vec<String> { entries(registry, "v1").into_iter().map(|(_, digest)| digest).collect() };

    let push = |attestations: &str| {
        let spec = indoc::formatdoc! {"
            image: HOST/whole:v1
            type: oci
            attestations: {attestations}
            manifests:
            - image: HOST/whole:source
        "};
        sandbox.write("spec.yaml", &spec);
        sandbox.run(&["push", "from-spec", "spec.yaml"]).success();
    };
    push("keep");
    assert_eq!(digests(), [&attested.image, &arm64, &attested.attestation].map(String::as_str));
    push("drop");
    assert_eq!(digests(), [&attested.image, &arm64].map(String::as_str));

    push("keep");
    let config = json!({"os": "linux", "architecture": "arm64"}).to_string();
    let new = push_image_with(registry, "parts", "arm64", config.as_bytes(), b"another layer");
    append(&registry.host, "linux/arm64", &[]).success();
    assert_eq!(digests(), [&*attested.image, new["digest"].as_str().unwrap(), &*attested.attestation], "replaced");

    push("keep");
    remove(&registry.host, &["--platform", "linux/arm64"]).success();
    assert_eq!(digests(), [&*attested.image, &*attested.attestation], "removed");
}
