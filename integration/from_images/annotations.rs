//! Annotations: with levels, from labels, and where a Docker list cannot have them.

use serde_json::{Value, json};

use super::{Fixture, index};
use crate::support::images::{push_image_with, push_index};
use crate::support::{Registry, Sandbox};

const TITLE: &str = "org.opencontainers.image.title";

/// Pushes an image with these labels.
fn push_labeled(registry: &Registry, architecture: &str, labels: &Value) -> Value {
    let config = json!({"os": "linux", "architecture": architecture, "config": {"Labels": labels}}).to_string();
    push_image_with(registry, "app", architecture, config.as_bytes(), architecture.as_bytes())
}

#[test]
fn annotations_belong_to_the_index_or_to_entries() {
    let fixture = Fixture::new();
    let all = [
        ("--annotation", "a=1, with = and spaces"),
        ("--annotation", "index:b=2"),
        ("--annotation", "manifest-descriptor:c=3"),
        ("--annotation", "manifest-descriptor[linux/arm64]:d=4"),
        ("--annotation", "index,manifest-descriptor:e=5"),
        ("--annotations", "f=6,g=7"),
    ];
    let flags: Vec<&str> = all.iter().flat_map(|(flag, value)| [*flag, *value]).collect();
    fixture.push(&[&["-t", "HOST/parts:v1", "HOST/parts:amd64", "HOST/parts:arm64"], &flags[..]].concat()).success();
    let pushed = index(fixture.registry(), "parts", "v1");
    let of_index = json!({"a": "1, with = and spaces", "b": "2", "e": "5", "f": "6", "g": "7"});
    assert_eq!(pushed["annotations"], of_index);
    assert_eq!(pushed["manifests"][0]["annotations"], json!({"c": "3", "e": "5"}));
    assert_eq!(pushed["manifests"][1]["annotations"], json!({"c": "3", "d": "4", "e": "5"}));
    let template = ["push", "--type", "oci", "from-args", "--platforms", "linux/amd64,linux/arm64", "--template"];
    let args = [&template[..], &["HOST/parts:ARCH", "--target", "HOST/parts:v2"], &flags].concat();
    fixture.sandbox.run(&args).success();
    assert_eq!(index(fixture.registry(), "parts", "v2"), pushed);
}

#[test]
fn annotations_that_cannot_be_written_are_reported() {
    let fixture = Fixture::new();
    let before = fixture.registry().snapshot();
    let args = ["-t", "HOST/parts:v1", "HOST/parts:amd64", "--annotation"];
    let push = |annotation: &str| fixture.push(&[&args[..], &[annotation]].concat());
    push("nothing").fails(2, "invalid annotation \"nothing\": expected [LEVEL:]KEY=VALUE");
    push("index[linux/amd64]:a=b").fails(2, "the level index has no platform");
    push("manifest-desriptor:a=b").fails(2, "the level \"manifest-desriptor\" is not known");
    push("manifest-descriptor[linux/s390x]:a=b").fails(1, "an annotation is for linux/s390x, but no image is");
    fixture.push_with(&["--type", "docker"], &[&args[..], &["a=b"]].concat()).fails(2, "a Docker manifest list has no");
    assert_eq!(fixture.registry().snapshot(), before);
    push("manifest:a=b").success().stderr_contains("1 annotation of level manifest or index-descriptor is ignored");
    assert!(index(fixture.registry(), "parts", "v1")["annotations"].is_null());
}

#[test]
fn labels_that_all_images_share_become_annotations() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let labels = |own: &str| {
        json!({
            TITLE: "app", "org.opencontainers.image.licenses": "MIT", "built.for": own,
            "org.opencontainers.image.ref.name": "x", "org.opencontainers.image.base.name": "debian",
            "org.opencontainers.image.base.digest": "sha256:0",
        })
    };
    for architecture in ["amd64", "arm64"] {
        push_labeled(registry, architecture, &labels(architecture));
    }
    let push = |flags: &[&str], target: &str| {
        let args = ["from-images", "-t", target, "HOST/app:amd64", "HOST/app:arm64"];
        sandbox.run(&[&["push"], flags, &args].concat()).success()
    };
    push(&[], "HOST/app:plain");
    assert!(index(registry, "app", "plain")["annotations"].is_null());
    let before = registry.requests(0).len();
    push(&["--annotations-from-labels"], "HOST/app:v1");
    let with_labels = registry.requests(before).len();
    let before = registry.requests(0).len();
    push(&[], "HOST/app:again");
    assert_eq!(with_labels, registry.requests(before).len(), "labels need no request");
    let expected = json!({TITLE: "app", "org.opencontainers.image.licenses": "MIT"});
    assert_eq!(index(registry, "app", "v1")["annotations"], expected);
    let spec = "image: HOST/app:spec\ntype: oci\nannotationsFrom: labels\nannotations: {org.opencontainers.image.title: mine}\nmanifests: [{image: HOST/app:amd64}, {image: HOST/app:arm64}]\n";
    sandbox.run_with_stdin(&["push", "from-spec", "-"], spec).success();
    let expected = json!({TITLE: "mine", "org.opencontainers.image.licenses": "MIT"});
    assert_eq!(index(registry, "app", "spec")["annotations"], expected);
}

#[test]
fn labels_add_nothing_to_an_index_with_other_images() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    for (architecture, version) in [("amd64", "1"), ("arm64", "2")] {
        push_labeled(registry, architecture, &json!({TITLE: "app", "version": version, "only": architecture}));
    }
    let push = |image: &str| {
        let flags = ["push", "--append", "--settle", "1ms", "--annotations-from-labels", "from-images"];
        sandbox.run(&[&flags[..], &["-t", "HOST/app:v1", image]].concat()).success()
    };
    push("HOST/app:amd64");
    let before = index(registry, "app", "v1")["annotations"].clone();
    assert_eq!(before, json!({TITLE: "app", "version": "1", "only": "amd64"}));
    push("HOST/app:arm64");
    assert_eq!(index(registry, "app", "v1")["annotations"], before);
}

#[test]
fn labels_of_images_in_an_index_are_read() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    for architecture in ["amd64", "arm64"] {
        let mut entry = push_labeled(registry, architecture, &json!({TITLE: "app"}));
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        push_index(registry, "app", &format!("{architecture}-index"), &[entry]);
    }
    let args = ["push", "--annotations-from-labels", "from-images", "-t", "HOST/app:v1"];
    sandbox.run(&[&args[..], &["HOST/app:amd64-index", "HOST/app:arm64-index"]].concat()).success();
    assert_eq!(index(registry, "app", "v1")["annotations"], json!({TITLE: "app"}));
}

#[test]
fn a_docker_list_holds_no_annotations_from_labels_and_a_warning_says_so() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let config = json!({"os": "linux", "architecture": "amd64", "config": {"Labels": {TITLE: "app"}}}).to_string();
    let digest = registry.push_blob("app", config.as_bytes());
    let config_type = "application/vnd.docker.container.image.v1+json";
    let config = json!({"mediaType": config_type, "digest": digest, "size": config.len()});
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": docker, "config": config, "layers": []}).to_string();
    registry.push_manifest("app", "amd64", docker, manifest.as_bytes());
    let push = |flags: &[&str]| {
        let args = ["--annotations-from-labels", "from-images", "-t", "HOST/app:v1", "HOST/app:amd64"];
        sandbox.run(&[&["push"], flags, &args].concat())
    };
    push(&[]).success().stderr_contains("a Docker manifest list cannot have them; use --type oci");
    assert!(index(registry, "app", "v1")["annotations"].is_null());
    push(&["--type", "docker"]).fails(2, "a Docker manifest list has no annotations");
    push(&["--type", "oci"]).success().stderr_lacks("warning");
    assert_eq!(index(registry, "app", "v1")["annotations"], json!({TITLE: "app"}));
}

#[test]
fn too_many_labels_are_refused() {
    let sandbox = Sandbox::new();
    push_labeled(&sandbox.registry, "amd64", &json!({"long": "x".repeat(65 << 10)}));
    let args = ["push", "--annotations-from-labels", "from-images", "-t", "HOST/app:v1", "HOST/app:amd64"];
    sandbox.run(&args).fails(1, "the labels in its config have 66564 bytes, more than 65536");
    sandbox.run(&["push", "from-images", "-t", "HOST/app:v1", "HOST/app:amd64"]).success();
}
