//! Damage to a registry's content and mismatches between descriptors, manifests and configs.

use serde_json::{Value, json};

use super::{LAYER, VerifyFixture, uncompressed_layer};
use crate::support::images::{DOCKER, OCI, push_index};
use crate::support::registry::sha256;

#[test]
fn a_sound_index_has_no_findings_and_each_blob_is_checked_once() {
    let fixture = VerifyFixture::new();
    let registry = &fixture.sandbox.registry;
    let mark = registry.requests(0).len();
    fixture.assert_findings("v1", &[], &[]);
    let blobs = 4 + 1 + 3 * 2 + 1;
    // One request each for the index, its manifests, their configs, and a HEAD per layer.
    assert_eq!(registry.requests(mark).len(), 1 + 4 + blobs);
    fixture.assert_findings("v1", &["--layers"], &[]);
    let report = fixture.verify("v1", &["--output", "json"]).json();
    let image = &report["images"][0];
    assert_eq!((&image["sound"], &image["findings"], &image["unchecked"]), (&json!(true), &json!([]), &json!([])));
    assert_eq!((&image["images"], &image["attestations"]), (&json!(3), &json!(1)));
    assert_eq!(image["blobs"]["count"], blobs);
}

#[test]
fn missing_layers_configs_and_manifests_are_reported_for_each_platform() {
    let fixture = VerifyFixture::new();
    fixture.remove_from_storage(&fixture.layer_digest(1, 1));
    let layer = format!("linux/arm64/v8 layer 2 {}: missing: not found", fixture.layer_digest(1, 1));
    fixture.assert_findings("v1", &[], std::slice::from_ref(&layer));
    fixture.assert_findings("v1", &["--layers"], std::slice::from_ref(&layer));
    fixture.remove_from_storage(&fixture.layer_digest(0, 0));
    let shared = |platform: &str| format!("{platform} layer 1 {}: missing: not found", fixture.layer_digest(0, 0));
    let findings = [shared("linux/amd64"), shared("linux/arm64/v8"), layer, shared("linux/arm/v7")];
    fixture.assert_findings("v1", &[], &findings);

    let fixture = VerifyFixture::new();
    let digest = fixture.config_digest(0);
    fixture.remove_from_storage(digest);
    let config = format!("linux/amd64 config {digest}: missing: not found");
    fixture.assert_findings("v1", &[], std::slice::from_ref(&config));
    fixture.remove_from_storage(&fixture.entry_digest(2));
    let child = format!("linux/arm/v7 manifest {}: missing: not found", fixture.entry_digest(2));
    fixture.assert_findings("v1", &[], &[config, child]);
}

#[test]
fn an_index_whose_descriptors_do_not_match_its_images_is_unsound() {
    let fixture = VerifyFixture::new();
    let [amd64, arm64, arm] = [0, 1, 2].map(|entry| fixture.entry_digest(entry));
    fixture.push_changed_index("size", |entries| entries[1]["size"] = 7.into());
    let size = fixture.entries[1]["size"].as_u64().unwrap();
    let finding = format!("manifest {arm64}: size: it has {size} bytes, but its descriptor declares 7");
    fixture.assert_findings("size", &[], &[format!("linux/arm64/v8 {finding}")]);

    fixture.push_changed_index("type", |entries| entries[0]["mediaType"] = DOCKER.into());
    let finding = format!("manifest {amd64}: mediaType: it is {OCI}, but its descriptor declares {DOCKER}");
    fixture.assert_findings("type", &[], &[format!("linux/amd64 {finding}")]);

    for (tag, key, value, platform) in [
        ("os", "os", "windows", "windows/arm/v7"),
        ("architecture", "architecture", "386", "linux/386/v7"),
        ("variant", "variant", "v6", "linux/arm/v6"),
    ] {
        fixture.push_changed_index(tag, |entries| entries[2]["platform"][key] = value.into());
        let finding = format!(
            "{platform} manifest {arm}: platform: the index declares {platform}, but its config declares linux/arm/v7"
        );
        fixture.assert_findings(tag, &[], &[finding]);
    }

    fixture.push_changed_index("twice", |entries| entries[2]["platform"] = entries[0]["platform"].clone());
    let platform = format!(
        "linux/amd64 manifest {arm}: platform: the index declares linux/amd64, but its config declares linux/arm/v7"
    );
    let ambiguous = format!("linux/amd64 manifest {arm}: ambiguous: {amd64} is for the same platform");
    fixture.assert_findings("twice", &[], &[platform, ambiguous]);

    let other = sha256(b"other");
    fixture.push_changed_index("dangling", |entries| {
        entries[3]["annotations"]["vnd.docker.reference.digest"] = json!(other);
    });
    let finding = format!("dangling: an attestation of {other}, which is not an image in the index");
    let digest = fixture.entry_digest(3);
    fixture.assert_findings("dangling", &[], &[format!("attestation manifest {digest}: {finding}")]);
}

#[test]
fn an_os_version_that_differs_from_the_config_is_reported() {
    let mut fixture = VerifyFixture::new();
    let windows = |version: &str| json!({"architecture": "amd64", "os": "windows", "os.version": version});
    let mut entry = fixture.push_image(&windows("10.0.20348.9"), &[uncompressed_layer("w")]);
    entry["platform"] = windows("10.0.17763.9");
    let digest = entry["digest"].as_str().unwrap().to_owned();
    push_index(&fixture.sandbox.registry, "app", "windows", &[entry]);
    let platform = "windows/amd64:10.0.17763.9";
    let finding =
        format!("platform: the index declares {platform}, but its config declares windows/amd64:10.0.20348.9");
    fixture.assert_findings("windows", &[], &[format!("{platform} manifest {digest}: {finding}")]);
}

#[test]
fn a_manifest_whose_descriptors_do_not_match_its_layers_is_unsound() {
    let mut fixture = VerifyFixture::new();
    let mut manifest = fixture.manifests[0].clone();
    let packed = manifest["layers"][1]["size"].as_u64().unwrap();
    manifest["layers"][1]["size"] = 7.into();
    manifest["layers"][2]["mediaType"] = format!("{LAYER}+gzip").into();
    let mut entry = fixture.push_manifest(&manifest);
    entry["platform"] = fixture.entries[0]["platform"].clone();
    push_index(&fixture.sandbox.registry, "app", "mismatched", &[entry]);
    let size = format!("linux/amd64 layer 2 {}: size", fixture.layer_digest(0, 1));
    fixture.assert_findings(
        "mismatched",
        &[],
        &[format!("{size}: it has {packed} bytes, but its descriptor declares 7")],
    );
    let longer = format!("{size}: it has more than the 7 bytes that its descriptor declares");
    let compression = format!(
        "linux/amd64 layer 3 {}: mediaType: it is zstd, but its media type declares gzip",
        fixture.layer_digest(0, 2)
    );
    fixture.assert_findings("mismatched", &["--layers"], &[longer, compression]);
}

#[test]
fn layers_that_do_not_match_the_diff_ids_are_reported() {
    let mut fixture = VerifyFixture::new();
    let mut manifest = fixture.manifests[0].clone();
    // Layers 2 and 3 hold the same text in two compressions, so swapping them keeps the diff IDs.
    manifest["layers"].as_array_mut().unwrap().swap(1, 2);
    fixture.push_manifest(&manifest);
    let push = |tag: &str, manifest: &Value| {
        fixture.sandbox.registry.push_manifest("app", tag, OCI, manifest.to_string().as_bytes());
    };
    push("swapped", &manifest);
    fixture.assert_findings("swapped", &[], &[]);
    fixture.verify("swapped", &["--layers"]).success();
    let layers = manifest["layers"].as_array_mut().unwrap();
    layers.swap(0, 1);
    push("mixed", &manifest);
    let outcome = fixture.verify("mixed", &["--layers"]).exits(5);
    assert_eq!(outcome.stdout.matches(": diffId: its uncompressed digest is sha256:").count(), 2, "{outcome:?}");
    manifest["layers"].as_array_mut().unwrap().pop();
    push("short", &manifest);
    fixture
        .verify("short", &[])
        .exits(5)
        .stdout_contains("diffId: the config has 3 layers (diff_ids), but the manifest has 2");
}

#[test]
fn flipped_bits_in_layers_configs_and_manifests_are_found() {
    let fixture = VerifyFixture::new();
    for (layer, compression) in [(0, "none"), (1, "gzip"), (2, "zstd")] {
        let digest = fixture.layer_digest(2, layer);
        fixture.flip_bit(&digest);
        fixture.assert_findings("v1", &[], &[]);
        let part = format!("linux/arm/v7 layer {} {digest}: content: its bytes have digest sha256:", layer + 1);
        let outcome = fixture.verify("v1", &["--layers"]).exits(5).stdout_contains(&part);
        // All three images share the first layer.
        let findings = if layer == 0 { 3 } else { 1 };
        assert_eq!(outcome.stdout.lines().count(), 1 + findings, "{compression}: {outcome:?}");
        fixture.flip_bit(&digest);
    }
    let config = fixture.config_digest(1);
    fixture.flip_bit(config);
    let part = format!("linux/arm64/v8 config {config}: content: digest mismatch: received sha256:");
    fixture.verify("v1", &[]).exits(5).stdout_contains(&part);
    fixture.flip_bit(config);
    fixture.assert_findings("v1", &["--layers"], &[]);
    // The flipped bit is inside a digest string, so the file still parses as a manifest.
    fixture.flip_bit(&fixture.entry_digest(0));
    let part = format!("linux/amd64 manifest {}: content: ", fixture.entry_digest(0));
    fixture.verify("v1", &[]).exits(5).stdout_contains(&part);
}

#[test]
fn a_line_break_in_a_platform_cannot_forge_a_verdict() {
    let fixture = VerifyFixture::new();
    fixture.push_changed_index("forged", |entries| {
        entries[0]["platform"]["os"] = "linux\nHOST/app:v1: sound (1 image)\n".into();
    });
    let outcome = fixture.verify("forged", &[]).exits(5);
    assert!(!outcome.stdout.contains("\nHOST/app"), "{outcome:?}");
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome:?}");
}
