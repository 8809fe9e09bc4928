//! Conversions by `copy`: between Docker's format and OCI's, and of the compression of layers.

mod formats;
mod layers;
mod refused;
mod sound;
mod wrong_layers;

use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::images::{DOCKER, OCI, OCI_INDEX, descriptor, layer_tar};
use crate::support::registry::sha256;

const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A layer: its media type, its bytes, and the digest of its uncompressed content.
#[derive(Clone)]
struct Layer {
    media_type: String,
    bytes: Vec<u8>,
    diff_id: String,
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Returns a layer with one file, in OCI's format with this compression.
fn layer(name: &str, compression: &str) -> Layer {
    let tar = layer_tar(name);
    let bytes = match compression {
        "+gzip" => gzip(&tar),
        "+zstd" => zstd(&tar),
        _ => tar.clone(),
    };
    Layer { media_type: format!("{OCI_LAYER}{compression}"), bytes, diff_id: sha256(&tar) }
}

/// A registry with images to convert. `FOLDER` is the path of the working folder.
struct Images {
    sandbox: Sandbox,
}

impl Images {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let folder = sandbox.folder().display().to_string();
        Self { sandbox: sandbox.with(|workspace| workspace.placeholder("FOLDER", &folder)) }
    }

    /// Pushes the blobs of an image, and returns its manifest, which can be changed before [`Self::push`].
    fn image(&self, media_type: &str, architecture: &str, layers: &[Layer]) -> Value {
        let is_docker = media_type == DOCKER;
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        // Docker's own fields, which OCI does not define.
        let run = json!({"Cmd": ["/name"], "Healthcheck": {"Test": ["CMD", "true"]}, "Shell": ["/bin/sh"]});
        let run = if is_docker { run } else { json!({"Cmd": ["/name"]}) };
        let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
        let config = json!({"architecture": architecture, "os": "linux", "config": run, "rootfs": rootfs}).to_string();
        let config_type = match is_docker {
            true => "application/vnd.docker.container.image.v1+json",
            false => "application/vnd.oci.image.config.v1+json",
        };
        let blob = |media_type: &str, bytes: &[u8]| {
            descriptor(media_type, &self.sandbox.registry.push_blob("app", bytes), bytes)
        };
        let config = blob(config_type, config.as_bytes());
        let layers: Vec<Value> = layers.iter().map(|layer| blob(&layer.media_type, &layer.bytes)).collect();
        json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers})
    }

    /// Pushes a manifest to `app`, and returns its descriptor.
    fn push(&self, tag: &str, manifest: &Value) -> Value {
        let (media_type, bytes) = (manifest["mediaType"].as_str().unwrap(), manifest.to_string());
        self.sandbox.registry.push_manifest("app", tag, media_type, bytes.as_bytes());
        descriptor(media_type, &sha256(bytes.as_bytes()), bytes.as_bytes())
    }

    /// Pushes `app:v1`: an OCI index of an image for each of two platforms, which share their first layer. Returns its
    /// digest.
    fn push_index(&self) -> String {
        let entry = |architecture: &str| {
            let layers = [layer("shared", "+gzip"), layer(architecture, "+gzip")];
            let mut entry = self.push(architecture, &self.image(OCI, architecture, &layers));
            entry["platform"] = json!({"architecture": architecture, "os": "linux"});
            entry
        };
        let entries = [entry("amd64"), entry("arm64")];
        let index = self.push("v1", &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}));
        index["digest"].as_str().unwrap().to_owned()
    }

    fn copy(&self, args: &[&str]) -> crate::support::Outcome {
        self.sandbox.run(&[&["copy"], args].concat())
    }

    fn digest(&self, location: &str) -> String {
        self.sandbox.run(&["digest", location]).success().stdout.trim().to_owned()
    }

    fn manifest(&self, location: &str) -> String {
        self.sandbox.run(&["inspect", "--manifest", location]).success().stdout
    }

    fn verify(&self, location: &str) {
        self.sandbox.run(&["verify", "--layers", location]).success();
    }

    /// Copies with skopeo. It reads registries over HTTP.
    fn skopeo(&self, args: &[&str]) {
        let args: Vec<String> = args.iter().map(|arg| self.sandbox.fill(arg)).collect();
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        let output = command.args(&args).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
