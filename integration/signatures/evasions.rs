//! Indexes that are signed, made so that an image in them that is not signed looks like something that needs no signature.

use serde_json::{Value, json};

use super::{SignedFixture, key};
use crate::support::images::{OCI_INDEX, push_image};
use crate::support::{Outcome, Sandbox};

const PUBLIC: &str = "p256.pub";

/// A registry with a signed image for `linux/amd64` and one for `linux/arm64` that is not signed.
struct Evasion {
    sandbox: Sandbox,
    signed: Value,
    unsigned: Value,
}

impl Evasion {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let [signed, unsigned] = ["amd64", "arm64"].map(|architecture| {
            let mut entry = push_image(&sandbox.registry, "app", architecture, architecture);
            entry["platform"] = json!({"os": "linux", "architecture": architecture});
            entry
        });
        sandbox.run(&["sign", "--key", &key("p256.key"), "HOST/app:amd64"]).success();
        Self { sandbox, signed, unsigned }
    }

    /// Pushes and signs an index of these entries, and verifies it.
    fn verify(&self, entries: &[&Value]) -> Outcome {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string();
        self.sandbox.registry.push_manifest("app", "v1", OCI_INDEX, index.as_bytes());
        self.sandbox.run(&["sign", "--key", &key("p256.key"), "HOST/app:v1"]).success();
        self.sandbox.run(&["verify", "--key", &key(PUBLIC), "HOST/app:v1"])
    }

    /// Returns the entry of the unsigned image with other fields.
    fn entry(&self, fields: &[(&str, Value)]) -> Value {
        let mut entry = self.unsigned.clone();
        for (name, value) in fields {
            entry[*name] = value.clone();
        }
        entry
    }

    /// Returns the annotations that mark an attestation of the signed image.
    fn attestation(&self) -> (&'static str, Value) {
        let marks = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": self.signed["digest"],
        });
        ("annotations", marks)
    }
}

#[test]
fn an_unsigned_image_is_found_however_its_entries_are_marked() {
    let evasion = Evasion::new();
    let manifest = evasion.sandbox.registry.manifest("app", "arm64").unwrap();
    // The manifest can also be fetched as a blob.
    evasion.sandbox.registry.push_blob("app", &manifest.bytes);
    let foreign = [
        ("mediaType", json!("application/vnd.example.foreign+json")),
        ("urls", json!(["https://example.org/layer"])),
        ("platform", Value::Null),
    ];
    let layer = [("mediaType", json!("application/vnd.oci.image.layer.v1.tar")), ("platform", Value::Null)];
    let unknown = ("platform", json!({"os": "unknown", "architecture": "unknown"}));
    let plain = evasion.entry(&[]);
    for (name, entries) in [
        ("the plain entry", vec![plain.clone()]),
        ("a foreign layer first", vec![evasion.entry(&foreign), plain.clone()]),
        ("a layer first", vec![evasion.entry(&layer), plain.clone()]),
        ("an attestation first", vec![evasion.entry(&[evasion.attestation(), unknown.clone()]), plain.clone()]),
        ("an index first", vec![evasion.entry(&[("mediaType", json!(OCI_INDEX))]), plain.clone()]),
        ("an attestation without a platform", vec![evasion.entry(&[evasion.attestation(), ("platform", Value::Null)])]),
        ("an attestation with a platform", vec![evasion.entry(&[evasion.attestation()])]),
        ("another type", vec![evasion.entry(&[("mediaType", json!("application/vnd.example+json"))])]),
        ("a layer", vec![evasion.entry(&layer)]),
        ("a foreign layer", vec![evasion.entry(&foreign)]),
    ] {
        let entries: Vec<&Value> = std::iter::once(&evasion.signed).chain(&entries).collect();
        let outcome = evasion.verify(&entries);
        assert_eq!(outcome.exit, 5, "{name}: {outcome:?}");
        let findings = outcome.stdout.lines().filter(|line| line.contains(": signature: "));
        assert!(findings.count() >= 1, "{name}: {}", outcome.stdout);
    }
    // The attestation that BuildKit writes needs no signature.
    let attestation = evasion.entry(&[evasion.attestation(), unknown]);
    evasion.verify(&[&evasion.signed, &attestation]).success();
}

#[test]
fn references_that_share_an_image_do_not_hide_what_one_of_them_lacks() {
    let evasion = Evasion::new();
    let lie = {
        let mut lie = evasion.signed.clone();
        lie["mediaType"] = OCI_INDEX.into();
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [lie]}).to_string()
    };
    evasion.sandbox.registry.push_manifest("app", "lie", OCI_INDEX, lie.as_bytes());
    evasion.sandbox.run(&["sign", "--key", &key("p256.key"), "HOST/app:lie"]).success();
    for references in [["HOST/app:amd64", "HOST/app:lie"], ["HOST/app:lie", "HOST/app:amd64"]] {
        let args = ["verify", "--key", &key(PUBLIC), "--referrer", "application/spdx+json"];
        let outcome = evasion.sandbox.run(&[&args[..], &references].concat());
        assert_eq!(outcome.exit, 5, "{outcome:?}");
        let image = evasion.sandbox.fill("HOST/app:amd64: unsound, 1 finding");
        assert!(outcome.stdout.contains(&image), "{references:?}: {}", outcome.stdout);
    }
}

#[test]
fn one_signature_file_that_cannot_be_read_does_not_hide_the_others() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &["--sig-tag"]).success();
    let folder = fixture.sandbox.path("image");
    fixture.sandbox.run(&["copy", "HOST/app:amd64", "dir:image"]).success();
    std::fs::write(folder.join("signature-1"), b"not a signature").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("signature-2")).unwrap();
    let listed = fixture.sandbox.run(&["verify", "--signatures", "dir:image"]).success();
    listed.stdout_contains("signature-1").stdout_contains("signature-2");
    let verified = fixture.sandbox.run(&["verify", "--key", &key(PUBLIC), "dir:image"]);
    verified.exits(5).stdout_contains("signature-1").stdout_contains("signature-2");
}
