//! The cases that were recorded from manifest-tool 2.2.1, and registries with their images.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Registry;
use super::images::OCI_INDEX;

/// The folder of the recorded cases, `integration/compat`.
pub fn compat_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/compat")
}

/// The folder of the recorded specs, `integration/drop_in`.
pub fn drop_in_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/drop_in")
}

pub fn recorded_blob(digest: &str) -> Vec<u8> {
    std::fs::read(compat_folder().join("blobs").join(digest.replace(':', "/"))).unwrap()
}

/// Reads a recorded case: the command line, the content of the registry before and after, and the output.
pub fn recorded_case(name: &str) -> Value {
    let path = compat_folder().join("cases").join(name).join("case.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Pushes blobs, then images, then indexes: a registry rejects a manifest whose blobs or children are missing.
pub fn push_recorded(registry: &Registry, repositories: &Value) {
    for (repository, content) in repositories.as_object().unwrap() {
        for digest in content["blobs"].as_array().unwrap() {
            registry.push_blob(repository, &recorded_blob(digest.as_str().unwrap()));
        }
        let manifests = content["manifests"].as_array().unwrap();
        let is_index = |m: &&Value| ["list", "index"].iter().any(|w| m["mediaType"].as_str().unwrap().contains(w));
        let images = manifests.iter().filter(|m| !is_index(m));
        for manifest in images.chain(manifests.iter().filter(is_index)) {
            let (digest, media_type) = (manifest["digest"].as_str().unwrap(), manifest["mediaType"].as_str().unwrap());
            let tags = manifest["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
            let names = tags.iter().map(|tag| tag.as_str().unwrap()).chain(tags.is_empty().then_some(digest));
            for name in names {
                registry.push_manifest(repository, name, media_type, &recorded_blob(digest));
            }
        }
    }
}

/// Starts a registry with recorded images: Docker images in `app`, with `amd64-too` as a second tag of `amd64` and
/// `multi` as an index of two, and OCI images in `oci`.
pub fn recorded_registry() -> Registry {
    let registry = Registry::start();
    let docker = &recorded_case("windows-os-version")["registry"];
    let oci = &recorded_case("spec-docker-of-oci-images")["registry"]["app"];
    push_recorded(&registry, docker);
    push_recorded(&registry, &json!({"oci": oci}));
    let is_amd64 = |manifest: &&Value| manifest["tags"] == json!(["amd64"]);
    let amd64 = docker["app"]["manifests"].as_array().unwrap().iter().find(is_amd64).unwrap();
    let (digest, media_type) = (amd64["digest"].as_str().unwrap(), amd64["mediaType"].as_str().unwrap());
    registry.push_manifest("app", "amd64-too", media_type, &recorded_blob(digest));
    registry.push_manifest("app", "multi", OCI_INDEX, &std::fs::read(drop_in_folder().join("multi.json")).unwrap());
    registry
}
