//! `inspect` beyond version 2.2.1 of the Go tool. `compat.rs` compares both where they agree.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::images::{OCI, OCI_INDEX, push_attested_index, push_image, push_index};
use crate::support::registry::sha256;
use crate::support::{Registry, Sandbox, Workspace};

/// Returns the output of `skopeo inspect`, which ends with a newline that is not in the registry.
fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").arg("inspect").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns this machine's architecture as Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Pushes an index `app:v1` for this machine, s390x, arm v6 and arm v7.
fn push_platforms(registry: &Registry) {
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
}

#[test]
fn manifest_and_config_bytes_equal_those_of_skopeo_and_the_registry() {
    let sandbox = Sandbox::new();
    push_platforms(&sandbox.registry);
    for name in ["HOST/app:v1", "HOST/app:s390x"] {
        let docker = sandbox.fill(&format!("docker://{name}"));
        for (flag, skopeo_flags) in [("--manifest", &["--raw"][..]), ("--config", &["--raw", "--config"])] {
            let outcome = sandbox.run(&["inspect", flag, name]);
            let expected = skopeo(&[&["--tls-verify=false"], skopeo_flags, &[&docker]].concat());
            let actual = (outcome.exit, outcome.stdout.as_str(), &*outcome.stderr);
            assert_eq!(actual, (0, expected.trim_end(), ""), "{flag}");
        }
    }
    let index = sandbox.registry.manifest("app", "v1").unwrap();
    assert_eq!(sandbox.run(&["inspect", "--manifest", "HOST/app:v1"]).stdout.as_bytes(), index.bytes);
    let s390x = sandbox.registry.manifest("app", "s390x").unwrap();
    let child = sandbox.run(&["inspect", "--manifest", "--platform", "linux/s390x", "HOST/app:v1"]);
    assert_eq!(child.stdout.as_bytes(), s390x.bytes);
    let config = sandbox.run(&["inspect", "--config", "--platform", "linux/s390x", "HOST/app:v1"]);
    assert_eq!(config.stdout, sandbox.run(&["inspect", "--config", "HOST/app:s390x"]).stdout);
    let native = sandbox.run(&["inspect", "--config", "HOST/app:v1"]).json();
    assert_eq!(native["architecture"], architecture());
}

#[test]
fn manifest_bytes_with_unusual_whitespace_are_printed_unchanged() {
    let sandbox = Sandbox::new();
    let entry = push_image(&sandbox.registry, "app", "image", "amd64");
    let text = format!(
        "\n{{ \"schemaVersion\" : 2,\n\t\"mediaType\": \"{OCI_INDEX}\",\"x\": 1e3, \"manifests\": [{entry}] }}\n\n"
    );
    sandbox.registry.push_manifest("app", "odd", OCI_INDEX, text.as_bytes());
    let mark = sandbox.registry.requests(0).len();
    assert_eq!(sandbox.run(&["inspect", "--manifest", "HOST/app:odd"]).stdout, text);
    assert_eq!(sandbox.registry.requests(mark), ["GET /v2/app/manifests/odd"]);
}

#[test]
fn platform_selects_one_image_or_reports_the_platforms_of_the_index() {
    let sandbox = Sandbox::new();
    push_platforms(&sandbox.registry);
    let selected = sandbox.run(&["inspect", "--platform", "linux/s390x", "HOST/app:v1"]).stdout;
    let direct = sandbox.run(&["inspect", "HOST/app:s390x"]).stdout;
    assert_eq!(selected.replace("app:v1", "app:s390x"), direct);
    for (args, reason) in [
        (&["--platform", "linux/riscv64"][..], "no image for linux/riscv64; available: linux/"),
        (&["--platform", "linux/arm/v5"], "no image for linux/arm/v5; available: linux/"),
        (&["--config", "--platform", "linux/riscv64"], "no image for linux/riscv64"),
    ] {
        let outcome = sandbox.run(&[&["inspect"], args, &["HOST/app:v1"]].concat());
        assert!(outcome.exit == 1 && outcome.stdout.is_empty(), "{outcome:?}");
        assert!(outcome.stderr.contains(&format!("app:v1: {reason}")), "{outcome:?}");
    }
    let v7 = sandbox.run(&["inspect", "--platform", "linux/arm", "--output", "json", "HOST/app:v1"]);
    let digest = sandbox.registry.manifest("app", "armv7").unwrap().digest;
    assert!(v7.exit == 0 && v7.stdout.contains(&digest), "linux/arm is linux/arm/v7: {v7:?}");
    let outcome = sandbox.run(&["inspect", "--platform", "linux/arm64", "HOST/app:s390x"]);
    assert!(outcome.stderr.contains("it is a single image for linux/s390x, not for linux/arm64"), "{outcome:?}");
    for args in [&["--manifest", "--config"][..], &["--raw", "--manifest"], &["--output", "json", "--manifest"]] {
        assert_eq!(sandbox.run(&[&["inspect"], args, &["HOST/app:v1"]].concat()).exit, 2, "{args:?}");
    }
}

#[test]
fn layers_and_annotations_flags_add_sizes_and_annotations() {
    let sandbox = Sandbox::new();
    let attested = push_attested_index(&sandbox.registry, "app", "one", "amd64");
    let plain = sandbox.run(&["inspect", "HOST/app:one"]).stdout;
    let layer = "layer of one-image".len();
    let sizes = sandbox.run(&["inspect", "--layers", "HOST/app:one"]).stdout;
    let added: Vec<&str> = sizes.lines().filter(|line| !plain.lines().any(|old| old == *line)).collect();
    let statement = format!(r#"{{"subject": "{}"}}"#, attested.image).len();
    let expected = [
        format!("                 size = {layer}"),
        format!("[1]    Total: 1 layer, {layer} bytes"),
        format!(" * Total: 2 layers, {} bytes", layer + statement),
    ];
    assert_eq!(added, expected, "{sizes}");

    // No heading is shown for a manifest without annotations.
    let without = sandbox.run(&["inspect", "--annotations", "HOST/app:one-image"]).stdout;
    assert!(!without.contains("Annotations"), "{without}");
    let with = sandbox.run(&["inspect", "--annotations", "HOST/app:one"]).stdout;
    let line = "[2]    - vnd.docker.reference.type = attestation-manifest\n";
    assert!(with.contains("[2] Annotations:\n") && with.contains(line) && !with.contains("[1] Annotations"), "{with}");
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [],
        "annotations": {"title": "an \u{1b}[31mapp"}});
    sandbox.registry.push_manifest("app", "titled", OCI_INDEX, index.to_string().as_bytes());
    let titled = sandbox.run(&["inspect", "--annotations", "HOST/app:titled"]).stdout;
    assert!(titled.contains(" * Annotations:\n   - title = an [31mapp\n"), "{titled:?}");
}

fn inspect_json(workspace: &Workspace, image: &str) -> Value {
    let outcome = workspace.run(&["inspect", "--output", "json", image]);
    assert_eq!((outcome.exit, &*outcome.stderr), (0, ""), "{outcome:?}");
    outcome.json()
}

#[test]
fn json_output_has_configs_attestations_and_referrers() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let attested = push_attested_index(registry, "app", "one", "amd64");
    let attestation: Value =
        serde_json::from_slice(&registry.manifest("app", &attested.attestation).unwrap().bytes).unwrap();
    let mut typed = attestation.clone();
    typed["layers"][0]["annotations"] = json!({"in-toto.io/predicate-type": "https://spdx.dev/Document"});
    registry.push_manifest("app", "typed", OCI, typed.to_string().as_bytes());
    let index: Value = serde_json::from_slice(&registry.manifest("app", &attested.index).unwrap().bytes).unwrap();
    let mut entries = index["manifests"].as_array().unwrap().clone();
    entries[1]["digest"] = sha256(typed.to_string().as_bytes()).into();
    entries[1]["size"] = typed.to_string().len().into();
    let digest = push_index(registry, "app", "v1", &entries);

    let document = inspect_json(&sandbox, "HOST/app:v1");
    let [child, statement] = [&document["entries"][0], &document["entries"][1]];
    assert_eq!(child["config"]["content"]["architecture"], "amd64");
    assert!(child["config"]["digest"].is_string() && child.get("predicateTypes").is_none());
    assert_eq!(statement["predicateTypes"], json!(["https://spdx.dev/Document"]));
    assert_eq!(statement["attests"], attested.image);
    assert_eq!(document["referrers"], json!([]));

    // This registry has no referrers API, so the signature is listed in the referrers tag.
    let signature = json!({"mediaType": OCI, "digest": attested.image, "size": 394,
        "artifactType": "application/x.signature", "annotations": {"by": "me"}});
    push_index(registry, "app", &digest.replace(':', "-"), std::slice::from_ref(&signature));
    assert_eq!(
        inspect_json(&sandbox, "HOST/app:v1")["referrers"],
        json!([{"digest": attested.image, "size": 394, "mediaType": OCI, "artifactType": "application/x.signature",
            "annotations": {"by": "me"}}])
    );
    let image = inspect_json(&sandbox, "HOST/app:one-image");
    assert_eq!((&image["config"]["content"]["os"], &image["referrers"]), (&json!("linux"), &json!([])));
}

#[test]
fn layouts_and_archives_are_inspected_like_registries() {
    let sandbox = Sandbox::new();
    push_platforms(&sandbox.registry);
    let image = sandbox.fill("HOST/app:v1");
    for target in ["oci:out:v1", "oci-archive:out.tar:v1"] {
        sandbox.run(&["copy", &image, target]).success();
        for args in [&["--manifest"][..], &["--config"], &["--platform", "linux/s390x", "--layers"]] {
            let local = sandbox.run(&[&["inspect", target], args].concat());
            let remote = sandbox.run(&[&["inspect", &image], args].concat());
            assert_eq!((local.exit, local.stdout.replace(target, &image)), (0, remote.stdout), "{target} {args:?}");
        }
        let document = sandbox.run(&["inspect", "--output", "json", target]).json();
        assert_eq!(document["entries"][1]["config"]["content"]["architecture"], "s390x");
    }
}
