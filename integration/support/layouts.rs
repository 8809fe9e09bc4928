//! A valid OCI image layout with one image, for tests that then break it.

use std::path::Path;

use serde_json::json;

use super::images::{OCI, OCI_INDEX, descriptor};
use super::registry::sha256;

/// Returns the files of a valid layout by name: `oci-layout`, `index.json`, the config blob, and the manifest blob.
pub fn valid_layout() -> Vec<(String, Vec<u8>)> {
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI, "layers": [],
        "config": descriptor("application/vnd.oci.image.config.v1+json", &sha256(config), config),
    })
    .to_string();
    let entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).to_string();
    vec![
        ("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".into(), index.into_bytes()),
        (blob_path(&sha256(config)), config.to_vec()),
        (blob_path(&sha256(manifest.as_bytes())), manifest.into_bytes()),
    ]
}

/// Returns the path of a blob inside a layout.
pub fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// Writes the files of [`valid_layout`] into a folder, which it creates.
pub fn write_valid_layout(folder: &Path) {
    write_files(folder, valid_layout());
}

/// Writes files by their relative path, and the folders above them.
pub fn write_files(folder: &Path, files: impl IntoIterator<Item = (String, Vec<u8>)>) {
    for (name, bytes) in files {
        std::fs::create_dir_all(folder.join(&name).parent().unwrap()).unwrap();
        std::fs::write(folder.join(&name), bytes).unwrap();
    }
}
