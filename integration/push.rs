//! `push` beyond the recorded cases.

use serde_json::{Value, json};

use crate::support::images::{DOCKER, OCI_INDEX, descriptor, push_image, push_image_with};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, Scripted, manifest_tool, manifest_tool_with_stdin, push_from_args};

fn push_spec(registry: &Registry, args: &[&str], spec: &str) -> Outcome {
    let work = tempfile::tempdir().unwrap();
    let args: Vec<&str> = ["--plain-http", "push"].iter().chain(args).copied().collect();
    manifest_tool_with_stdin(work.path(), &args, &spec.replace("REGISTRY", &registry.host))
}

fn index(registry: &Registry, repository: &str, tag: &str) -> Value {
    serde_json::from_slice(&registry.manifest(repository, tag).unwrap().bytes).unwrap()
}

#[test]
fn all_bad_sources_are_named_at_once_and_the_registry_is_untouched() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let before = registry.snapshot();
    let outcome = push_spec(
        &registry,
        &["from-spec", "-"],
        "image: REGISTRY/app:v1\nmanifests:\n- image: REGISTRY/app:amd64\n- image: REGISTRY/app:gone\n  platform: {os: linux, architecture: arm64}\n- image: REGISTRY/none:v1\n",
    );
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{outcome:?}");
    let host = &registry.host;
    assert_eq!(
        outcome.stderr,
        format!(
            "error: cannot assemble {host}/app:v1: 2 sources cannot be used\n  \
         linux/arm64: {host}/app:gone not found (HTTP 404; registry says: MANIFEST_UNKNOWN: manifest unknown)\n  \
         {host}/none:v1 not found (HTTP 404; registry says: MANIFEST_UNKNOWN: manifest unknown)\n"
        )
    );
    assert!(registry.snapshot() == before);
}

/// A platform with a typo makes the name of an image that does not exist: that is no image to leave out.
#[test]
fn a_typo_in_a_platform_is_no_missing_image() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let (target, more) = ("app:v1", &["--ignore-missing"]);
    let outcome = push_from_args(&registry.host, "linux/amd64,linux/amd46", "app:ARCH", target, more);
    let reason = "unsupported platform linux/amd46; did you mean linux/amd64?\n";
    assert!(outcome.exit == 1 && outcome.stderr.contains(reason), "{outcome:?}");
    let spec = "image: REGISTRY/app:v1\nplatforms: [linux/amd64, linux/amd46]\ntemplate: REGISTRY/app:ARCH\n";
    let outcome = push_spec(&registry, &["from-spec", "--ignore-missing", "-"], spec);
    let reason = format!("{}/app:amd46: {reason}", registry.host);
    assert!(outcome.exit == 1 && outcome.stderr.contains(&reason), "{outcome:?}");
    assert!(registry.manifest("app", "v1").is_none());
}

#[test]
fn flags_are_taken_before_and_after_the_command() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let work = tempfile::tempdir().unwrap();
    let target = format!("{}/app:v1", registry.host);
    let template = format!("{}/app:ARCH", registry.host);
    let outcome = manifest_tool(
        work.path(),
        &[
            "push",
            "from-args",
            "--type",
            "oci",
            "--plain-http",
            "--platforms",
            "linux/amd64",
            "--template",
            &template,
            "--target",
            &target,
            "--tags",
            "a,b",
            "--tags",
            "c",
            "--annotations",
            "k=a=b,c",
        ],
    );
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(outcome.stderr, "");
    for tag in ["v1", "a", "b", "c"] {
        let index = index(&registry, "app", tag);
        assert_eq!((index["mediaType"].as_str(), index["annotations"]["k"].as_str()), (Some(OCI_INDEX), Some("a=b,c")));
    }
}

#[test]
fn a_loopback_registry_without_tls_needs_no_flag() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let work = tempfile::tempdir().unwrap();
    let outcome = manifest_tool(work.path(), &["inspect", &format!("{}/app:amd64", registry.host)]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("        Arch: amd64\n"));
}

#[test]
fn foreign_layers_are_left_alone_and_the_rest_is_mounted() {
    // A descriptor's `urls` may name any host: they are never fetched.
    let elsewhere = Scripted::start(|_, _| (200, vec![], b"elsewhere".to_vec()));
    let urls = "validation: {manifests: {urls: {allow: ['^http://127']}}}\n";
    let registry = Registry::start_with(urls, None);
    let config = br#"{"os":"windows","architecture":"amd64","os.version":"10.0.1"}"#;
    let layer = b"own layer";
    let config =
        descriptor("application/vnd.docker.container.image.v1+json", &registry.push_blob("parts", config), config);
    let own =
        descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &registry.push_blob("parts", layer), layer);
    let mut foreign =
        descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", &sha256(b"elsewhere"), b"elsewhere");
    foreign["urls"] = json!([format!("http://{}/layer", elsewhere.host)]);
    let manifest =
        json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": [foreign, own]}).to_string();
    registry.push_manifest("parts", "win", DOCKER, manifest.as_bytes());
    let outcome =
        push_spec(&registry, &["from-spec", "-"], "image: REGISTRY/whole:v1\nmanifests: [{image: REGISTRY/parts:win}]");
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let child = registry.manifest("whole", &sha256(manifest.as_bytes())).unwrap();
    assert_eq!(child.bytes, manifest.as_bytes(), "byte for byte");
    assert!(elsewhere.asked().is_empty());
    assert!(registry.has_blob("whole", own["digest"].as_str().unwrap()));
    assert!(registry.has_blob("whole", config["digest"].as_str().unwrap()));
    assert_eq!(index(&registry, "whole", "v1")["manifests"][0]["platform"]["os.version"], "10.0.1");
}

#[test]
fn an_entry_without_a_platform_gets_it_from_its_config() {
    let registry = Registry::start();
    let image = push_image(&registry, "app", "one", "ppc64le");
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image]}).to_string();
    registry.push_manifest("app", "multi", OCI_INDEX, list.as_bytes());
    let outcome =
        push_spec(&registry, &["from-spec", "-"], "image: REGISTRY/app:v1\nmanifests: [{image: REGISTRY/app:multi}]");
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(
        index(&registry, "app", "v1")["manifests"][0]["platform"],
        json!({"architecture": "ppc64le", "os": "linux"})
    );
    let shown = manifest_tool(std::env::temp_dir().as_path(), &["inspect", &format!("{}/app:multi", registry.host)]);
    assert!(shown.stdout.contains("(no platform specified)"), "{shown:?}");
}

#[test]
fn an_index_in_an_index_is_refused_and_shown() {
    let registry = Registry::start();
    let image = push_image(&registry, "app", "one", "amd64");
    let inner = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image]}).to_string();
    registry.push_manifest("app", "inner", OCI_INDEX, inner.as_bytes());
    let inner = descriptor(OCI_INDEX, &sha256(inner.as_bytes()), inner.as_bytes());
    let outer = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner]}).to_string();
    registry.push_manifest("app", "outer", OCI_INDEX, outer.as_bytes());
    let before = registry.snapshot();
    let outcome =
        push_spec(&registry, &["from-spec", "-"], "image: REGISTRY/app:v1\nmanifests: [{image: REGISTRY/app:outer}]");
    assert_eq!(outcome.exit, 1);
    assert!(outcome.stderr.contains("holds another index"), "{outcome:?}");
    assert!(registry.snapshot() == before);
    let folder = std::env::temp_dir();
    let reference = format!("{}/app:outer", registry.host);
    let shown = manifest_tool(&folder, &["inspect", &reference]);
    assert_eq!(shown.exit, 0, "{shown:?}");
    assert!(shown.stdout.contains(inner["digest"].as_str().unwrap()), "{shown:?}");
    let raw = manifest_tool(&folder, &["inspect", "--raw", &reference]);
    assert_eq!(serde_json::from_str::<Value>(&raw.stdout).unwrap()["manifests"][0]["digest"], inner["digest"]);
}

#[test]
fn configs_that_are_none_are_an_error_and_no_crash() {
    let registry = Registry::start();
    for (tag, config) in [
        ("text", &b"not json"[..]),
        ("list", b"[1]"),
        ("types", br#"{"os": 1, "architecture": []}"#),
        ("empty", b"{}"),
        ("cut", br#"{"os": "linux", "architect"#),
    ] {
        push_image_with(&registry, "app", tag, config, tag.as_bytes());
        let before = registry.snapshot();
        let outcome = push_spec(
            &registry,
            &["from-spec", "-"],
            &format!("image: REGISTRY/app:v1\nmanifests: [{{image: REGISTRY/app:{tag}}}]"),
        );
        assert_eq!(outcome.exit, 1, "{tag}: {outcome:?}");
        assert!(outcome.stderr.contains(&format!("/app:{tag}")), "{tag}: {outcome:?}");
        assert!(registry.snapshot() == before, "{tag}");
        let shown = manifest_tool(&std::env::temp_dir(), &["inspect", &format!("{}/app:{tag}", registry.host)]);
        assert_eq!(shown.exit, 0, "{tag}: {shown:?}");
    }
}
