//! Indexes with more than images: nested indexes, artifacts, attestations, and repeated entries.

use serde_json::{Value, json};

use super::{LAYER, VerifyFixture, gzip_layer};
use crate::support::images::{OCI, OCI_INDEX, descriptor, push_index};
use crate::support::registry::sha256;

#[test]
fn a_nested_index_is_verified_with_its_images() {
    let fixture = VerifyFixture::new();
    let registry = &fixture.sandbox.registry;
    let inner = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": &fixture.entries[..2]}).to_string();
    registry.push_manifest("app", "inner", OCI_INDEX, inner.as_bytes());
    let entry = descriptor(OCI_INDEX, &sha256(inner.as_bytes()), inner.as_bytes());
    push_index(registry, "app", "outer", &[entry, fixture.entries[2].clone()]);
    fixture.assert_findings("outer", &["--layers"], &[]);
    fixture.verify("outer", &[]).stdout_contains("3 images, ");
    fixture.remove_from_storage(&fixture.layer_digest(1, 1));
    let finding = format!("linux/arm64/v8 layer 2 {}: missing: not found", fixture.layer_digest(1, 1));
    fixture.assert_findings("outer", &[], &[finding]);
}

#[test]
fn an_image_listed_a_thousand_times_is_read_once_and_reported_once() {
    let fixture = VerifyFixture::new();
    let registry = &fixture.sandbox.registry;
    push_index(registry, "app", "many", &vec![fixture.entries[0].clone(); 1000]);
    let mark = registry.requests(0).len();
    fixture.assert_findings("many", &[], &[]);
    assert_eq!(registry.requests(mark).len(), 1 + 1 + 4);
    fixture.remove_from_storage(&fixture.layer_digest(0, 1));
    let finding = format!("linux/amd64 layer 2 {}: missing: not found", fixture.layer_digest(0, 1));
    fixture.assert_findings("many", &["--layers"], &[finding]);
}

/// Artifacts label arbitrary files as tar layers, and name a platform that they do not run on.
#[test]
fn artifacts_are_not_checked_as_images() {
    let mut fixture = VerifyFixture::new();
    let registry = &fixture.sandbox.registry;
    let blob = |media_type: &str, bytes: &[u8]| descriptor(media_type, &registry.push_blob("app", bytes), bytes);
    let file = blob(LAYER, &gzip_layer("a file").packed);
    let typed = blob("application/vnd.example.config.v1+json", b"{}");
    let untyped = blob("application/vnd.oci.image.config.v1+json", b"{}");
    let manifests = [&typed, &untyped]
        .map(|config| json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [file]}));
    let mut entries = manifests.map(|manifest| fixture.push_manifest(&manifest));
    push_index(&fixture.sandbox.registry, "app", "bare", &entries);
    fixture.assert_findings("bare", &["--layers"], &[]);
    entries.iter_mut().for_each(|entry| entry["platform"] = json!({"architecture": "amd64", "os": "linux"}));
    let with_image = [fixture.entries[0].clone(), entries[0].clone()];
    push_index(&fixture.sandbox.registry, "app", "artifacts", &with_image);
    fixture.assert_findings("artifacts", &["--layers"], &[]);

    // Entries of unknown types are not opened, but they must exist.
    let other = json!({"mediaType": "application/vnd.example.other", "digest": file["digest"], "size": file["size"]});
    let mut missing = other.clone();
    missing["digest"] = sha256(b"gone").into();
    fixture.store_invalid_index("others", &[fixture.entries[0].clone(), other, missing]);
    let finding = format!("manifest {}: missing: not found", sha256(b"gone"));
    fixture.assert_findings("others", &[], &[finding]);
    fixture.verify("others", &[]).stdout_contains(", 2 of another type, not opened");
}

/// Clients run an entry that names a platform even if its annotations call it an attestation.
#[test]
fn an_entry_that_names_a_platform_is_not_an_attestation() {
    let fixture = VerifyFixture::new();
    let attested = fixture.entries[0]["digest"].clone();
    for (platform, is_image) in [
        (json!({"os": "linux", "architecture": "s390x"}), true),
        (json!({"os": "unknown", "architecture": "s390x"}), true),
        (json!({"os": "unknown", "architecture": "unknown"}), false),
        (json!({"os": "unknown", "architecture": "unknown", "variant": "v1"}), false),
        (json!({}), false),
        (Value::Null, false),
    ] {
        // The image is for linux/arm64.
        let mut entry = fixture.entries[1].clone();
        entry["annotations"] =
            json!({"vnd.docker.reference.digest": attested, "vnd.docker.reference.type": "attestation-manifest"});
        entry["platform"] = platform.clone();
        if platform.is_null() {
            entry.as_object_mut().unwrap().remove("platform");
        }
        push_index(&fixture.sandbox.registry, "app", "annotated", &[fixture.entries[0].clone(), entry]);
        let outcome = fixture.verify("annotated", &["--layers", "--output", "json"]);
        let report = outcome.json();
        let image = &report["images"][0];
        let counts = (image["images"].as_u64().unwrap(), image["attestations"].as_u64().unwrap());
        let faults: Vec<_> = image["findings"].as_array().unwrap().iter().map(|finding| &finding["fault"]).collect();
        let expected = if is_image { ((2, 0), vec!["platform"], 5) } else { ((1, 1), vec![], 0) };
        assert_eq!((counts, outcome.exit), (expected.0, expected.2), "{platform}: {outcome:?}");
        assert_eq!(faults, expected.1, "{platform}: {outcome:?}");
    }
}
