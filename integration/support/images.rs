//! Sample images, made of a config and one layer.

use serde_json::{Value, json};

use super::Registry;
use super::registry::sha256;

pub const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pushes an image for `linux/ARCHITECTURE` under a tag; gives its descriptor.
pub fn push_image(registry: &Registry, repository: &str, tag: &str, architecture: &str) -> Value {
    let config = json!({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}});
    push_image_with(registry, repository, tag, config.to_string().as_bytes(), format!("layer of {tag}").as_bytes())
}

pub fn push_image_with(registry: &Registry, repository: &str, tag: &str, config: &[u8], layer: &[u8]) -> Value {
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", &registry.push_blob(repository, layer), layer);
    let config =
        descriptor("application/vnd.oci.image.config.v1+json", &registry.push_blob(repository, config), config);
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [layer]}).to_string();
    registry.push_manifest(repository, tag, OCI, manifest.as_bytes());
    descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes())
}

pub fn descriptor(media_type: &str, digest: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}
