//! `push` beyond the recorded cases.

use indoc::indoc;
use serde_json::{Value, json};

use crate::support::images::{DOCKER, OCI_INDEX, descriptor, push_image, push_image_with};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, Sandbox, ScriptedServer, Workspace, push_from_args};

fn push_spec(sandbox: &Sandbox, flags: &[&str], spec: &str) -> Outcome {
    sandbox.run_with_stdin(&[&["push", "from-spec"], flags, &["-"]].concat(), spec)
}

/// Pushes an index of one image to `app:v1`.
fn push_index_of(sandbox: &Sandbox, image: &str) -> Outcome {
    push_spec(sandbox, &[], &format!("image: HOST/app:v1\nmanifests: [{{image: HOST/{image}}}]"))
}

fn index(registry: &Registry, repository: &str, tag: &str) -> Value {
    serde_json::from_slice(&registry.manifest(repository, tag).unwrap().bytes).unwrap()
}

#[test]
fn all_missing_sources_are_reported_together_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    let before = sandbox.registry.snapshot();
    let spec = indoc! {"
        image: HOST/app:v1
        manifests:
        - image: HOST/app:amd64
        - image: HOST/app:gone
          platform: {os: linux, architecture: arm64}
        - image: HOST/none:v1
    "};
    let outcome = push_spec(&sandbox, &[], spec);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{outcome:?}");
    let expected = sandbox.fill(indoc! {"
        error: cannot assemble HOST/app:v1: 2 sources cannot be used: \
        not found (HTTP 404; registry says: MANIFEST_UNKNOWN: manifest unknown)
          linux/arm64: HOST/app:gone
          HOST/none:v1
    "});
    assert_eq!(outcome.stderr, expected);
    assert!(sandbox.registry.snapshot() == before);
}

/// The template expands to a reference that does not exist, but `--ignore-missing` must not skip it.
#[test]
fn a_misspelled_platform_is_an_error_with_ignore_missing() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    let platforms = "linux/amd64,linux/amd46";
    let outcome = push_from_args(&sandbox.registry.host, platforms, "app:ARCH", "app:v1", &["--ignore-missing"]);
    let reason = "unsupported platform linux/amd46; did you mean linux/amd64?\n";
    outcome.fails(2, reason);
    let spec = indoc! {"
        image: HOST/app:v1
        platforms: [linux/amd64, linux/amd46]
        template: HOST/app:ARCH
    "};
    let outcome = push_spec(&sandbox, &["--ignore-missing"], spec);
    outcome.fails(1, &sandbox.fill(&format!("HOST/app:amd46: {reason}")));
    assert!(sandbox.registry.manifest("app", "v1").is_none());
}

#[test]
fn global_flags_are_accepted_after_the_command() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let workspace = Workspace::new().placeholder("HOST", &registry.host);
    let command = ["push", "from-args", "--type", "oci", "--plain-http", "--platforms", "linux/amd64"];
    let images = ["--template", "HOST/app:ARCH", "--target", "HOST/app:v1"];
    let lists = ["--tags", "a,b", "--tags", "c", "--annotations", "k=a=b,c"];
    let outcome = workspace.run(&[&command[..], &images, &lists].concat()).success();
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
    let outcome = Workspace::new().run(&["inspect", &format!("{}/app:amd64", registry.host)]).success();
    assert!(outcome.stdout.contains("        Arch: amd64\n"));
}

#[test]
fn foreign_layers_are_not_copied_and_other_blobs_are_mounted() {
    // A descriptor's `urls` may name any host: they are never fetched.
    let elsewhere = ScriptedServer::start(|_, _| (200, vec![], b"elsewhere".to_vec()));
    let allow_urls = "validation: {manifests: {urls: {allow: ['^http://127']}}}\n";
    let sandbox = Sandbox::with_registry(Registry::start_with(allow_urls, None));
    let registry = &sandbox.registry;
    let config = br#"{"os":"windows","architecture":"amd64","os.version":"10.0.1"}"#;
    let layer = b"regular layer";
    let config =
        descriptor("application/vnd.docker.container.image.v1+json", &registry.push_blob("parts", config), config);
    let regular =
        descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", &registry.push_blob("parts", layer), layer);
    let mut foreign =
        descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", &sha256(b"elsewhere"), b"elsewhere");
    foreign["urls"] = json!([format!("http://{}/layer", elsewhere.host)]);
    let manifest =
        json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": [foreign, regular]}).to_string();
    registry.push_manifest("parts", "win", DOCKER, manifest.as_bytes());
    let spec = indoc! {"
        image: HOST/whole:v1
        manifests: [{image: HOST/parts:win}]
    "};
    push_spec(&sandbox, &[], spec).success();
    let child = registry.manifest("whole", &sha256(manifest.as_bytes())).unwrap();
    assert_eq!(child.bytes, manifest.as_bytes(), "byte for byte");
    assert!(elsewhere.requests().is_empty());
    assert!(registry.has_blob("whole", regular["digest"].as_str().unwrap()));
    assert!(registry.has_blob("whole", config["digest"].as_str().unwrap()));
    assert_eq!(index(registry, "whole", "v1")["manifests"][0]["platform"]["os.version"], "10.0.1");
}

#[test]
fn an_entry_without_a_platform_gets_it_from_its_config() {
    let sandbox = Sandbox::new();
    let image = push_image(&sandbox.registry, "app", "one", "ppc64le");
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image]}).to_string();
    sandbox.registry.push_manifest("app", "multi", OCI_INDEX, list.as_bytes());
    push_index_of(&sandbox, "app:multi").success();
    let platform = json!({"architecture": "ppc64le", "os": "linux"});
    assert_eq!(index(&sandbox.registry, "app", "v1")["manifests"][0]["platform"], platform);
    let shown = sandbox.run(&["inspect", "HOST/app:multi"]);
    assert!(shown.stdout.contains("(no platform specified)"), "{shown:?}");
}

#[test]
fn a_nested_index_is_refused_by_push_and_shown_by_inspect() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let image = push_image(registry, "app", "one", "amd64");
    let inner = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image]}).to_string();
    registry.push_manifest("app", "inner", OCI_INDEX, inner.as_bytes());
    let inner = descriptor(OCI_INDEX, &sha256(inner.as_bytes()), inner.as_bytes());
    let outer = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner]}).to_string();
    registry.push_manifest("app", "outer", OCI_INDEX, outer.as_bytes());
    let before = registry.snapshot();
    push_index_of(&sandbox, "app:outer").fails(1, "contains a nested index");
    assert!(registry.snapshot() == before);
    let shown = sandbox.run(&["inspect", "HOST/app:outer"]).success();
    assert!(shown.stdout.contains(inner["digest"].as_str().unwrap()), "{shown:?}");
    let raw = sandbox.run(&["inspect", "--raw", "HOST/app:outer"]);
    assert_eq!(raw.json()["manifests"][0]["digest"], inner["digest"]);
}

#[test]
fn an_invalid_config_is_an_error_for_push_and_not_for_inspect() {
    let sandbox = Sandbox::new();
    for (tag, config) in [
        ("text", &b"not json"[..]),
        ("list", b"[1]"),
        ("types", br#"{"os": 1, "architecture": []}"#),
        ("empty", b"{}"),
        ("cut", br#"{"os": "linux", "architect"#),
    ] {
        push_image_with(&sandbox.registry, "app", tag, config, tag.as_bytes());
        let before = sandbox.registry.snapshot();
        let outcome = push_index_of(&sandbox, &format!("app:{tag}"));
        assert_eq!(outcome.exit, 1, "{tag}: {outcome:?}");
        assert!(outcome.stderr.contains(&format!("/app:{tag}")), "{tag}: {outcome:?}");
        assert!(sandbox.registry.snapshot() == before, "{tag}");
        let shown = sandbox.run(&["inspect", &format!("HOST/app:{tag}")]);
        assert_eq!(shown.exit, 0, "{tag}: {shown:?}");
    }
}
