//! `sign`, `verify --key` and `verify --signatures`: against a registry and layouts, with signatures of this program and of
//! cosign.

mod clients;
mod evasions;
mod layouts;
mod limits;
mod rejected;
mod sign;
mod writers;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::images::{OCI, descriptor, push_image, push_image_with, push_index};
use crate::support::registry::sha256;
use crate::support::{Outcome, Sandbox};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// Returns the path of a file in the test data.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/data/signatures").join(name)
}

/// Returns the path of a key.
fn key(name: &str) -> String {
    data(name).to_str().unwrap().to_owned()
}

/// `app:v1` is an index of two images and an attestation of the first. The manifests are `[index, amd64, arm64]`.
struct SignedFixture {
    sandbox: Sandbox,
    manifests: [Value; 3],
    attestation: Value,
}

impl SignedFixture {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let registry = &sandbox.registry;
        let [amd64, arm64] =
            ["amd64", "arm64"].map(|architecture| push_image(registry, "app", architecture, architecture));
        let with_platform = |entry: &Value, os: &str, architecture: &str| {
            let mut entry = entry.clone();
            entry["platform"] = json!({"os": os, "architecture": architecture});
            entry
        };
        let mut attestation = push_image_with(registry, "app", "attestation", b"{}", b"statement");
        attestation["annotations"] = json!({
            "vnd.docker.reference.digest": amd64["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        });
        let entries = [
            with_platform(&amd64, "linux", "amd64"),
            with_platform(&arm64, "linux", "arm64"),
            with_platform(&attestation, "unknown", "unknown"),
        ];
        push_index(registry, "app", "v1", &entries);
        let stored = registry.manifest("app", "v1").unwrap();
        let index = descriptor(&stored.media_type, &stored.digest, &stored.bytes);
        Self { sandbox, manifests: [index, amd64, arm64], attestation }
    }

    fn digest(&self, manifest: usize) -> &str {
        self.manifests[manifest]["digest"].as_str().unwrap()
    }

    /// Signs `app:v1` with a private key of the test data.
    fn sign(&self, name: &str, args: &[&str]) -> Outcome {
        self.sandbox.run(&[&["sign", "--key", &key(name)], args, &["HOST/app:v1"]].concat())
    }

    /// Verifies `app:v1` with a public key of the test data.
    fn verify(&self, name: &str, args: &[&str]) -> Outcome {
        self.sandbox.run(&[&["verify", "--key", &key(name)], args, &["HOST/app:v1"]].concat())
    }

    /// Pushes the manifest of a bundle, and adds it to the referrers of a manifest.
    fn attach_bundle(&self, subject: &Value, bundle: &[u8]) -> Value {
        let layer = descriptor(BUNDLE, &self.sandbox.registry.push_blob("app", bundle), bundle);
        self.attach(subject, BUNDLE, &[layer], &json!({}))
    }

    /// Pushes a manifest with these layers, and adds it to the referrers of a manifest.
    fn attach(&self, subject: &Value, artifact_type: &str, layers: &[Value], annotations: &Value) -> Value {
        let registry = &self.sandbox.registry;
        let config = descriptor("application/vnd.oci.empty.v1+json", &registry.push_blob("app", b"{}"), b"{}");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI, "artifactType": artifact_type, "config": config, "layers": layers,
            "subject": subject, "annotations": annotations,
        });
        let manifest = manifest.to_string();
        let mut entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
        registry.push_manifest("app", entry["digest"].as_str().unwrap(), OCI, manifest.as_bytes());
        entry["artifactType"] = artifact_type.into();
        entry["annotations"] = annotations.clone();
        let tag = subject["digest"].as_str().unwrap().replace(':', "-");
        let mut entries = self.referrers(subject["digest"].as_str().unwrap());
        entries.push(entry.clone());
        push_index(registry, "app", &tag, &entries);
        entry
    }

    /// Pushes payloads with their signatures to the tag that cosign names after a digest.
    fn push_sig_tag(&self, digest: &str, signatures: &[(&[u8], &str)]) {
        let registry = &self.sandbox.registry;
        let layer = |(payload, signature): &(&[u8], &str)| {
            let mut layer = descriptor(SIMPLE_SIGNING, &registry.push_blob("app", payload), payload);
            layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
            layer
        };
        let layers: Vec<Value> = signatures.iter().map(layer).collect();
        let config = descriptor("application/vnd.oci.image.config.v1+json", &registry.push_blob("app", b"{}"), b"{}");
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers}).to_string();
        registry.push_manifest("app", &format!("{}.sig", digest.replace(':', "-")), OCI, manifest.as_bytes());
    }

    /// Returns the referrers that the tag of a digest lists.
    fn referrers(&self, digest: &str) -> Vec<Value> {
        let list = self.sandbox.registry.manifest("app", &digest.replace(':', "-"));
        let list = list.map(|list| serde_json::from_slice::<Value>(&list.bytes).unwrap());
        list.map_or_else(Vec::new, |list| list["manifests"].as_array().unwrap().clone())
    }

    /// Returns a layer of a manifest: its descriptor and its content.
    fn layer(&self, manifest: &str, number: usize) -> (Value, Vec<u8>) {
        let manifest: Value =
            serde_json::from_slice(&self.sandbox.registry.manifest("app", manifest).unwrap().bytes).unwrap();
        let layer = manifest["layers"][number].clone();
        let content = std::fs::read(self.blob_file(layer["digest"].as_str().unwrap())).unwrap();
        (layer, content)
    }

    /// Returns the path of a blob's content in the registry's storage.
    fn blob_file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let storage = self.sandbox.registry.folder.path().join("storage/docker/registry/v2/blobs/sha256");
        storage.join(&hex[..2]).join(hex).join("data")
    }
}

/// Asserts that the only findings are these: the position of the manifest and the end of the line for each.
#[track_caller]
fn assert_unsigned(fixture: &SignedFixture, outcome: &Outcome, findings: &[(usize, &str)]) {
    let names = ["manifest", "linux/amd64 manifest", "linux/arm64 manifest"];
    let expected: Vec<String> = findings
        .iter()
        .map(|(manifest, reason)| {
            let digest = fixture.digest(*manifest);
            format!("  {} {digest}: signature: no valid signature: {reason}", names[*manifest])
        })
        .collect();
    let lines: Vec<&str> = outcome.stdout.lines().skip(1).collect();
    assert_eq!(lines, expected, "{outcome:?}");
    assert_eq!(outcome.exit, if findings.is_empty() { 0 } else { 5 }, "{outcome:?}");
}
