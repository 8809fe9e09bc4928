//! `inspect`: what it has beyond 2.2.1. What it has of it is in `compat.rs`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::images::{OCI, OCI_INDEX, push_attested, push_image, push_index};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, manifest_tool};

fn run(args: &[&str]) -> Outcome {
    manifest_tool(Path::new("/"), &[&["--plain-http"], args].concat())
}

fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").arg("inspect").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // It ends what it prints with a line.
    String::from_utf8(output.stdout).unwrap()
}

/// This machine's architecture, in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An index for this machine, s390x and arm v6 and v7.
fn push_platforms(registry: &Registry) -> String {
    let entries: Vec<Value> = [(architecture(), ""), ("s390x", ""), ("arm", "v6"), ("arm", "v7")]
        .into_iter()
        .map(|(architecture, variant)| {
            let mut entry = push_image(registry, "app", &format!("{architecture}{variant}"), architecture);
            entry["platform"] = json!({"architecture": architecture, "os": "linux"});
            if !variant.is_empty() {
                entry["platform"]["variant"] = variant.into();
            }
            entry
        })
        .collect();
    push_index(registry, "app", "v1", &entries);
    format!("{}/app:v1", registry.host)
}

#[test]
fn bytes_equal_those_of_skopeo() {
    let registry = Registry::start();
    let index = push_platforms(&registry);
    let image = format!("{}/app:s390x", registry.host);
    for name in [&index, &image] {
        let docker = format!("docker://{name}");
        for (ours, theirs) in [("--manifest", &["--raw"][..]), ("--config", &["--raw", "--config"])] {
            let found = run(&["inspect", ours, name]);
            let expected = skopeo(&[&["--tls-verify=false"], theirs, &[&docker]].concat());
            assert_eq!((found.exit, found.stdout.as_str(), &*found.stderr), (0, expected.trim_end(), ""), "{ours}");
        }
    }
    // And the registry's own, to the last byte.
    let held = registry.manifest("app", "v1").unwrap();
    assert_eq!(run(&["inspect", "--manifest", &index]).stdout.as_bytes(), held.bytes);
    let s390x = registry.manifest("app", "s390x").unwrap();
    let of_platform = run(&["inspect", "--manifest", "--platform", "linux/s390x", &index]);
    assert_eq!(of_platform.stdout.as_bytes(), s390x.bytes);
    let config = run(&["inspect", "--config", "--platform", "linux/s390x", &index]);
    assert_eq!(config.stdout, run(&["inspect", "--config", &image]).stdout);
    let own: Value = serde_json::from_str(&run(&["inspect", "--config", &index]).stdout).unwrap();
    assert_eq!(own["architecture"], architecture());
}

/// A manifest that ends with a line, or has spaces, stays as it is.
#[test]
fn bytes_are_not_touched() {
    let registry = Registry::start();
    let entry = push_image(&registry, "app", "image", "amd64");
    let text = format!(
        "\n{{ \"schemaVersion\" : 2,\n\t\"mediaType\": \"{OCI_INDEX}\",\"x\": 1e3, \"manifests\": [{entry}] }}\n\n"
    );
    registry.push_manifest("app", "odd", OCI_INDEX, text.as_bytes());
    let mark = registry.requests(0).len();
    assert_eq!(run(&["inspect", "--manifest", &format!("{}/app:odd", registry.host)]).stdout, text);
    assert_eq!(registry.requests(mark), ["GET /v2/app/manifests/odd"]);
}

#[test]
fn the_image_of_a_platform() {
    let registry = Registry::start();
    let index = push_platforms(&registry);
    let mut shown = run(&["inspect", "--platform", "linux/s390x", &index]).stdout;
    let alone = run(&["inspect", &format!("{}/app:s390x", registry.host)]).stdout;
    shown = shown.replace("app:v1", "app:s390x");
    assert_eq!(shown, alone);
    for (args, reason) in [
        (&["--platform", "linux/riscv64"][..], "it holds no image for linux/riscv64; it holds linux/"),
        (&["--platform", "linux/arm/v5"], "it holds no image for linux/arm/v5; it holds linux/"),
        (&["--config", "--platform", "linux/riscv64"], "it holds no image for linux/riscv64"),
    ] {
        let outcome = run(&[&["inspect"], args, &[&index]].concat());
        assert!(outcome.exit == 1 && outcome.stdout.is_empty(), "{outcome:?}");
        assert!(outcome.stderr.contains(&format!("app:v1: {reason}")), "{outcome:?}");
    }
    let v7 = run(&["inspect", "--platform", "linux/arm", "--output", "json", &index]);
    let digest = registry.manifest("app", "armv7").unwrap().digest;
    assert!(v7.exit == 0 && v7.stdout.contains(&digest), "linux/arm is linux/arm/v7: {v7:?}");
    let outcome = run(&["inspect", "--platform", "linux/arm64", &format!("{}/app:s390x", registry.host)]);
    assert!(outcome.stderr.contains("it is one image, for linux/s390x and not for linux/arm64"), "{outcome:?}");
    for args in [&["--manifest", "--config"][..], &["--raw", "--manifest"], &["--output", "json", "--manifest"]] {
        assert_eq!(run(&[&["inspect"], args, &[&index]].concat()).exit, 2, "{args:?}");
    }
}

#[test]
fn sizes_and_annotations_are_shown_when_asked_for() {
    let registry = Registry::start();
    let one = push_attested(&registry, "app", "one", "amd64");
    let plain = run(&["inspect", &format!("{}/app:one", registry.host)]).stdout;
    let layer = format!("layer of {}", "one-image").len();
    let sizes = run(&["inspect", "--layers", &format!("{}/app:one", registry.host)]).stdout;
    let added: Vec<&str> = sizes.lines().filter(|line| !plain.lines().any(|old| old == *line)).collect();
    let statement = format!(r#"{{"subject": "{}"}}"#, one.image).len();
    let expected = [
        format!("                 size = {layer}"),
        format!("[1]    Total: 1 layer, {layer} bytes"),
        format!(" * Total: 2 layers, {} bytes", layer + statement),
    ];
    assert_eq!(added, expected, "{sizes}");

    // Nothing is shown where there is nothing.
    let none = run(&["inspect", "--annotations", &format!("{}/app:one-image", registry.host)]).stdout;
    assert!(!none.contains("Annotations"), "{none}");
    let shown = run(&["inspect", "--annotations", &format!("{}/app:one", registry.host)]).stdout;
    let line = "[2]    - vnd.docker.reference.type = attestation-manifest\n";
    assert!(
        shown.contains("[2] Annotations:\n") && shown.contains(line) && !shown.contains("[1] Annotations"),
        "{shown}"
    );
    let body = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [],
        "annotations": {"title": "an \u{1b}[31mapp"}});
    registry.push_manifest("app", "titled", OCI_INDEX, body.to_string().as_bytes());
    let titled = run(&["inspect", "--annotations", &format!("{}/app:titled", registry.host)]).stdout;
    assert!(titled.contains(" * Annotations:\n   - title = an [31mapp\n"), "{titled:?}");
}

#[test]
fn json_has_configs_attestations_and_referrers() {
    let registry = Registry::start();
    let one = push_attested(&registry, "app", "one", "amd64");
    let attestation: Value =
        serde_json::from_slice(&registry.manifest("app", &one.attestation).unwrap().bytes).unwrap();
    let mut typed = attestation.clone();
    typed["layers"][0]["annotations"] = json!({"in-toto.io/predicate-type": "https://spdx.dev/Document"});
    registry.push_manifest("app", "typed", OCI, typed.to_string().as_bytes());
    let index: Value = serde_json::from_slice(&registry.manifest("app", &one.index).unwrap().bytes).unwrap();
    let mut entries = index["manifests"].as_array().unwrap().clone();
    entries[1]["digest"] = sha256(typed.to_string().as_bytes()).into();
    entries[1]["size"] = typed.to_string().len().into();
    let whole = push_index(&registry, "app", "v1", &entries);

    let image = format!("{}/app:v1", registry.host);
    let told = |image: &str| -> Value {
        let outcome = run(&["inspect", "--output", "json", image]);
        assert_eq!((outcome.exit, &*outcome.stderr), (0, ""), "{outcome:?}");
        serde_json::from_str(&outcome.stdout).unwrap()
    };
    let document = told(&image);
    let [child, statement] = [&document["entries"][0], &document["entries"][1]];
    assert_eq!(child["config"]["content"]["architecture"], "amd64");
    assert!(child["config"]["digest"].is_string() && child.get("predicateTypes").is_none());
    assert_eq!(statement["predicateTypes"], json!(["https://spdx.dev/Document"]));
    assert_eq!(statement["attests"], one.image);
    assert_eq!(document["referrers"], json!([]));

    // A signature, in the tag that stands for the list: this registry has none of its own.
    let signature = json!({"mediaType": OCI, "digest": one.image, "size": 394, "artifactType": "application/x.signature",
        "annotations": {"by": "me"}});
    push_index(&registry, "app", &whole.replace(':', "-"), std::slice::from_ref(&signature));
    assert_eq!(
        told(&image)["referrers"],
        json!([{"digest": one.image, "size": 394, "mediaType": OCI, "artifactType": "application/x.signature",
            "annotations": {"by": "me"}}])
    );
    let single = told(&format!("{}/app:one-image", registry.host));
    assert_eq!((&single["config"]["content"]["os"], &single["referrers"]), (&json!("linux"), &json!([])));
}

#[test]
fn layouts_are_inspected_likewise() {
    let registry = Registry::start();
    let image = push_platforms(&registry);
    let folder = tempfile::tempdir().unwrap();
    for target in ["oci:out:v1", "oci-archive:out.tar:v1"] {
        assert_eq!(manifest_tool(folder.path(), &["--plain-http", "copy", &image, target]).exit, 0);
        for args in [&["--manifest"][..], &["--config"], &["--platform", "linux/s390x", "--layers"]] {
            let here = manifest_tool(folder.path(), &[&["inspect", target], args].concat());
            let there = run(&[&["inspect", &image], args].concat());
            assert_eq!((here.exit, here.stdout.replace(target, &image)), (0, there.stdout), "{target} {args:?}");
        }
        let told = manifest_tool(folder.path(), &["inspect", "--output", "json", target]).stdout;
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["entries"][1]["config"]["content"]["architecture"], "s390x");
    }
}
