//! `verify`: finds and names every kind of damage in an index, both in a registry's storage and in a layout.

mod artifacts;
mod findings;
mod layouts;
mod progress;
mod requirements;
mod tags;
mod unavailable;

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::images::{OCI, OCI_INDEX, descriptor, push_index};
use crate::support::registry::sha256;
use crate::support::{Outcome, Sandbox};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

struct Layer {
    media_type_suffix: &'static str,
    packed: Vec<u8>,
    unpacked: Vec<u8>,
}

fn gzip_layer(text: &str) -> Layer {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text.as_bytes()).unwrap();
    Layer { media_type_suffix: "+gzip", packed: out.finish().unwrap(), unpacked: text.into() }
}

fn zstd_layer(text: &str) -> Layer {
    let packed = ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    Layer { media_type_suffix: "+zstd", packed, unpacked: text.into() }
}

fn uncompressed_layer(text: &str) -> Layer {
    Layer { media_type_suffix: "", packed: text.into(), unpacked: text.into() }
}

/// `app:v1` is an index of three images and an attestation of the first. Each image has three layers, and all images
/// share their first layer.
struct VerifyFixture {
    sandbox: Sandbox,
    entries: Vec<Value>,
    manifests: Vec<Value>,
}

impl VerifyFixture {
    fn new() -> Self {
        let mut fixture = Self { sandbox: Sandbox::new(), entries: Vec::new(), manifests: Vec::new() };
        for (os, architecture, variant) in [("linux", "amd64", ""), ("linux", "arm64", "v8"), ("linux", "arm", "v7")] {
            let text = format!("{architecture} {}", "text ".repeat(1000));
            let layers = [uncompressed_layer("shared"), gzip_layer(&text), zstd_layer(&text)];
            let mut platform = json!({"architecture": architecture, "os": os});
            if !variant.is_empty() {
                platform["variant"] = variant.into();
            }
            let mut entry = fixture.push_image(&platform, &layers);
            entry["platform"] = platform;
            fixture.entries.push(entry);
        }
        let attested = fixture.entry_digest(0);
        let unknown = json!({"architecture": "unknown", "os": "unknown"});
        let mut attestation = fixture.push_image(&unknown, &[uncompressed_layer("{}")]);
        attestation["platform"] = unknown;
        attestation["annotations"] =
            json!({"vnd.docker.reference.digest": attested, "vnd.docker.reference.type": "attestation-manifest"});
        fixture.entries.push(attestation);
        push_index(&fixture.sandbox.registry, "app", "v1", &fixture.entries);
        fixture
    }

    fn push_image(&mut self, platform: &Value, layers: &[Layer]) -> Value {
        let registry = &self.sandbox.registry;
        let mut config = platform.clone();
        let diff_ids: Vec<String> = layers.iter().map(|layer| sha256(&layer.unpacked)).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let blob = |media_type: &str, bytes: &[u8]| descriptor(media_type, &registry.push_blob("app", bytes), bytes);
        let layers: Vec<Value> =
            layers.iter().map(|layer| blob(&format!("{LAYER}{}", layer.media_type_suffix), &layer.packed)).collect();
        let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        self.push_manifest(&json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers}))
    }

    fn push_manifest(&mut self, manifest: &Value) -> Value {
        let text = manifest.to_string();
        self.sandbox.registry.push_manifest("app", &sha256(text.as_bytes()), OCI, text.as_bytes());
        self.manifests.push(manifest.clone());
        descriptor(OCI, &sha256(text.as_bytes()), text.as_bytes())
    }

    /// Pushes a copy of the index under another tag, with changed entries.
    fn push_changed_index(&self, tag: &str, change: impl Fn(&mut Vec<Value>)) {
        let mut entries = self.entries.clone();
        change(&mut entries);
        push_index(&self.sandbox.registry, "app", tag, &entries);
    }

    /// Writes an index that the registry would reject directly into its storage.
    fn store_invalid_index(&self, tag: &str, entries: &[Value]) {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string();
        let digest = self.sandbox.registry.push_blob("app", index.as_bytes());
        let hex = digest.strip_prefix("sha256:").unwrap();
        push_index(&self.sandbox.registry, "app", tag, &self.entries[..1]);
        let tag = format!("repositories/app/_manifests/tags/{tag}/current/link");
        for link in [format!("repositories/app/_manifests/revisions/sha256/{hex}/link"), tag] {
            let link = self.storage_path(&link);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::fs::write(link, &digest).unwrap();
        }
    }

    fn storage_path(&self, path: &str) -> PathBuf {
        self.sandbox.registry.folder.path().join("storage/docker/registry/v2").join(path)
    }

    fn blob_file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.storage_path(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    /// Removes a blob or manifest from the repository.
    fn remove_from_storage(&self, digest: &str) {
        let hex = digest.strip_prefix("sha256:").unwrap();
        for links in ["_layers", "_manifests/revisions"] {
            let _ = std::fs::remove_dir_all(self.storage_path(&format!("repositories/app/{links}/sha256/{hex}")));
        }
    }

    /// Flips a bit in the middle of a blob or manifest on the registry's disk. A second call restores it.
    fn flip_bit(&self, digest: &str) {
        let mut bytes = std::fs::read(self.blob_file(digest)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(self.blob_file(digest), bytes).unwrap();
    }

    fn layer_digest(&self, image: usize, layer: usize) -> String {
        self.manifests[image]["layers"][layer]["digest"].as_str().unwrap().to_owned()
    }

    fn config_digest(&self, image: usize) -> &str {
        self.manifests[image]["config"]["digest"].as_str().unwrap()
    }

    fn entry_digest(&self, entry: usize) -> String {
        self.entries[entry]["digest"].as_str().unwrap().to_owned()
    }

    fn verify(&self, tag: &str, args: &[&str]) -> Outcome {
        self.sandbox.run(&[&["--retries", "1", "verify", &format!("HOST/app:{tag}")], args].concat())
    }

    /// Asserts that `verify` reports exactly these findings, in this order, with exit code 5 (0 without findings).
    #[track_caller]
    fn assert_findings(&self, tag: &str, args: &[&str], findings: &[String]) {
        let outcome = self.verify(tag, args);
        let reported: Vec<&str> = outcome.stdout.lines().skip(1).map(str::trim).collect();
        assert_eq!(reported, findings, "{outcome:?}");
        assert_eq!((outcome.exit, &*outcome.stderr), (if findings.is_empty() { 0 } else { 5 }, ""), "{outcome:?}");
        let count = if findings.len() == 1 { "1 finding ".into() } else { format!("{} findings ", findings.len()) };
        let verdict = if findings.is_empty() { "sound ".into() } else { format!("unsound, {count}") };
        outcome.stdout_contains(&format!("/app:{tag}: {verdict}("));
    }
}
