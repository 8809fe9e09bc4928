//! Sample images with a config and one layer.

use serde_json::{Value, json};

use super::Registry;
use super::registry::sha256;

pub const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pushes an image for `linux/ARCHITECTURE`, and returns its descriptor.
pub fn push_image(registry: &Registry, repository: &str, tag: &str, architecture: &str) -> Value {
    let layer = format!("layer of {tag}");
    let rootfs = json!({"type": "layers", "diff_ids": [sha256(layer.as_bytes())]});
    let config = json!({"os": "linux", "architecture": architecture, "rootfs": rootfs});
    push_image_with(registry, repository, tag, config.to_string().as_bytes(), layer.as_bytes())
}

/// Pushes an image that Docker and Podman can load: its layer is a tar archive, compressed with gzip. Returns its
/// descriptor.
pub fn push_loadable_image(registry: &Registry, repository: &str, tag: &str, architecture: &str) -> Value {
    use std::io::Write as _;
    let tar = layer_tar(architecture);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&tar).unwrap();
    let layer = gzip.finish().unwrap();
    let rootfs = json!({"type": "layers", "diff_ids": [sha256(&tar)]});
    let config = json!({"os": "linux", "architecture": architecture, "config": {"Cmd": ["/name"]}, "rootfs": rootfs});
    let config = config.to_string().into_bytes();
    let layer =
        descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &registry.push_blob(repository, &layer), &layer);
    let config =
        descriptor("application/vnd.oci.image.config.v1+json", &registry.push_blob(repository, &config), &config);
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [layer]}).to_string();
    registry.push_manifest(repository, tag, OCI, manifest.as_bytes());
    descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes())
}

/// Returns a layer with one file, which names the architecture.
pub fn layer_tar(architecture: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(architecture.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, "name", architecture.as_bytes()).unwrap();
    tar.into_inner().unwrap()
}

/// Pushes an image with this config and layer, and returns its descriptor.
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

/// The digests of an index, its image and the image's attestation, in the form that BuildKit pushes.
pub struct AttestedIndex {
    pub index: String,
    pub image: String,
    pub attestation: String,
}

/// Pushes an index with an image for `linux/ARCHITECTURE` and its attestation.
pub fn push_attested_index(registry: &Registry, repository: &str, tag: &str, architecture: &str) -> AttestedIndex {
    let mut image = push_image(registry, repository, &format!("{tag}-image"), architecture);
    image["platform"] = json!({"architecture": architecture, "os": "linux"});
    let subject = image["digest"].as_str().unwrap().to_owned();
    let statement = format!(r#"{{"subject": "{subject}"}}"#);
    let mut attestation =
        push_image_with(registry, repository, &format!("{tag}-attestation"), b"{}", statement.as_bytes());
    attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    attestation["annotations"] =
        json!({"vnd.docker.reference.digest": subject, "vnd.docker.reference.type": "attestation-manifest"});
    let attestation_digest = attestation["digest"].as_str().unwrap().to_owned();
    let index = push_index(registry, repository, tag, &[image, attestation]);
    AttestedIndex { index, image: subject, attestation: attestation_digest }
}

/// Returns the date and time of this many days and an hour ago, as builders write it into a config.
pub fn days_ago(days: u64) -> String {
    let age = std::time::Duration::from_secs(days * 86_400 + 3600);
    let date = time::OffsetDateTime::now_utc() - age;
    let (hour, minute, second) = date.to_hms();
    let (year, month, day) = date.to_calendar_date();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.123456789Z", u8::from(month))
}

/// Pushes an OCI index with these entries, and returns its digest.
pub fn push_index(registry: &Registry, repository: &str, tag: &str, entries: &[Value]) -> String {
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string();
    registry.push_manifest(repository, tag, OCI_INDEX, index.as_bytes());
    sha256(index.as_bytes())
}

/// Pushes an artifact that refers to a manifest, adds it to the manifest's referrers tag, and returns its descriptor.
/// docker-registry has no referrers API, so clients list referrers in that tag.
pub fn push_referrer(registry: &Registry, repository: &str, subject: &Value, artifact_type: &str) -> Value {
    let content = format!("{artifact_type} of {}", subject["digest"]);
    let config = descriptor("application/vnd.oci.empty.v1+json", &registry.push_blob(repository, b"{}"), b"{}");
    let layer = registry.push_blob(repository, content.as_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI, "artifactType": artifact_type, "config": config,
        "layers": [descriptor("text/plain", &layer, content.as_bytes())], "subject": subject,
    })
    .to_string();
    let mut entry = descriptor(OCI, &sha256(manifest.as_bytes()), manifest.as_bytes());
    entry["artifactType"] = artifact_type.into();
    registry.push_manifest(repository, entry["digest"].as_str().unwrap(), OCI, manifest.as_bytes());
    let tag = subject["digest"].as_str().unwrap().replace(':', "-");
    let list = registry.manifest(repository, &tag).map(|list| serde_json::from_slice::<Value>(&list.bytes).unwrap());
    let mut entries = list.map_or_else(Vec::new, |list| list["manifests"].as_array().unwrap().clone());
    entries.push(entry.clone());
    push_index(registry, repository, &tag, &entries);
    entry
}
