//! Docker's "Image Manifest Version 2, Schema 1": only read, to show what an old image is.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::null::null_is_empty;
use super::{ConfigDetails, Digest, Platform, UntrustedText};

/// The `Accept` header of a request for a schema 1 manifest.
pub(crate) const SCHEMA_1_ACCEPT: &str = concat!(
    "application/vnd.docker.distribution.manifest.v1+prettyjws, ",
    "application/vnd.docker.distribution.manifest.v1+json"
);

/// The maximum number of layers.
const MAX_LAYERS: usize = 10_000;

/// An image of schema 1. Its signatures are not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Schema1Image {
    /// The digest of the manifest without its signatures, under which registries store it.
    pub digest: Digest,
    /// The platform.
    pub platform: Platform,
    /// The creation date, as written in the manifest.
    pub created: Option<UntrustedText>,
    /// How the image was built, the first step first.
    pub history: Vec<Schema1Step>,
}

/// A step of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Schema1Step {
    /// The digest of its layer; `None` if it added no files.
    pub layer: Option<Digest>,
    /// The date of the step, as written in the manifest.
    pub created: Option<UntrustedText>,
    /// The command.
    pub created_by: Option<UntrustedText>,
}

/// The media type of a schema 1 manifest with signatures, for responses that name none.
pub(crate) const SCHEMA_1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Returns whether bytes are a schema 1 manifest. Some registries send it as `application/json`.
pub(crate) fn looks_like_schema_1(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        schema_version: u64,
    }
    serde_json::from_slice::<Version>(bytes).is_ok_and(|version| version.schema_version == 1)
}

/// Returns whether a media type is that of a schema 1 manifest, with or without signatures.
pub(crate) fn is_schema_1(media_type: &str) -> bool {
    media_type.to_ascii_lowercase().starts_with("application/vnd.docker.distribution.manifest.v1+")
}

#[derive(Deserialize)]
struct Signed {
    #[serde(default, deserialize_with = "null_is_empty")]
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u64,
    architecture: Option<UntrustedText>,
    #[serde(default, deserialize_with = "null_is_empty")]
    fs_layers: Vec<FsLayer>,
    #[serde(default, deserialize_with = "null_is_empty")]
    history: Vec<HistoryEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FsLayer {
    blob_sum: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HistoryEntry {
    v1_compatibility: String,
}

#[derive(Deserialize)]
struct Signature {
    protected: String,
}

/// What a signature protects: the first `formatLength` bytes of the manifest and `formatTail`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Protected {
    format_length: usize,
    format_tail: String,
}

/// The parts of a history entry that configs do not have.
#[derive(Default, Deserialize)]
struct Step {
    #[serde(default)]
    throwaway: bool,
    container_config: Option<ContainerConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerConfig {
    #[serde(default, deserialize_with = "null_is_empty")]
    cmd: Vec<UntrustedText>,
}

impl Schema1Image {
    /// Parses a manifest. Returns the bytes without signatures as well, which the digest is of: everything is read from
    /// them, because the rest of a signed manifest can say anything.
    ///
    /// # Errors
    /// The bytes are not a valid schema 1 manifest.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Self, Vec<u8>), String> {
        let json = |error: serde_json::Error| error.to_string();
        let Signed { signatures } = serde_json::from_slice(bytes).map_err(json)?;
        let payload = payload(bytes, &signatures)?;
        let manifest: Manifest = serde_json::from_slice(&payload).map_err(json)?;
        let (layers, steps) = (manifest.fs_layers.len(), manifest.history.len());
        if manifest.schema_version != 1 {
            return Err(format!("its schemaVersion is {}, not 1", manifest.schema_version));
        }
        if layers != steps || !(1..=MAX_LAYERS).contains(&layers) {
            let range = format!("there must be as many, from 1 to {MAX_LAYERS}");
            return Err(format!("it has {layers} layers and {steps} steps; {range}"));
        }
        let digest = Digest::sha256(&payload);
        let newest = manifest.history.first().map(|entry| details(&entry.v1_compatibility)).unwrap_or_default();
        let mut platform = newest.platform;
        if let Some(architecture) = manifest.architecture.filter(|_| platform.architecture.is_empty()) {
            platform.architecture = architecture;
        }
        let steps = manifest.fs_layers.into_iter().zip(&manifest.history).rev();
        let history = steps.map(|(layer, entry)| step(layer.blob_sum, &entry.v1_compatibility)).collect();
        Ok((Self { digest, platform, created: newest.created, history }, payload))
    }

    /// Returns the digests of the layers, the lowest first.
    #[must_use]
    pub fn layers(&self) -> Vec<&Digest> {
        self.history.iter().filter_map(|step| step.layer.as_ref()).collect()
    }
}

/// Parses the config of a step. Nothing depends on it, so a part that cannot be parsed is left out.
fn details(config: &str) -> ConfigDetails {
    ConfigDetails::parse(config.as_bytes()).unwrap_or_default()
}

fn step(layer: Digest, config: &str) -> Schema1Step {
    let step: Step = super::parse_config(config.as_bytes()).unwrap_or_default();
    let command = step.container_config.map(|container| container.cmd).unwrap_or_default();
    let command = command.iter().map(UntrustedText::as_str).collect::<Vec<_>>().join(" ");
    Schema1Step {
        layer: (!step.throwaway).then_some(layer),
        created: details(config).created,
        created_by: (!command.is_empty()).then(|| command.into()),
    }
}

/// Returns the bytes without the signatures (JSON Web Signature in Docker's form).
fn payload(bytes: &[u8], signatures: &[Signature]) -> Result<Vec<u8>, String> {
    let Some(signature) = signatures.first() else { return Ok(bytes.to_vec()) };
    let wrong = || "its signatures are not valid".to_owned();
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| wrong());
    let protected: Protected = serde_json::from_slice(&decode(&signature.protected)?).map_err(|_| wrong())?;
    let start = bytes.get(..protected.format_length).ok_or_else(wrong)?;
    Ok([start, &decode(&protected.format_tail)?].concat())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns a manifest, signed in Docker's form if `signed`.
    fn manifest(history: &[serde_json::Value], signed: bool) -> (Vec<u8>, Digest) {
        let layers: Vec<_> =
            (0..history.len()).map(|n| json!({"blobSum": Digest::sha256(n.to_string().as_bytes())})).collect();
        let history: Vec<_> = history.iter().map(|entry| json!({"v1Compatibility": entry.to_string()})).collect();
        let manifest = json!({"schemaVersion": 1, "architecture": "amd64", "fsLayers": layers, "history": history});
        let payload = serde_json::to_string_pretty(&manifest).unwrap();
        let digest = Digest::sha256(payload.as_bytes());
        if !signed {
            return (payload.into_bytes(), digest);
        }
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let start = payload.trim_end_matches("\n}");
        let protected = json!({"formatLength": start.len(), "formatTail": encode("\n}")}).to_string();
        let signed = format!("{start},\n\"signatures\": [{{\"protected\": \"{}\"}}]\n}}", encode(&protected));
        (signed.into_bytes(), digest)
    }

    #[test]
    fn the_history_is_read_from_below_with_the_layers_of_steps_that_added_files() {
        let history = [
            json!({"created": "2015-02-01T00:00:00Z", "os": "linux", "architecture": "arm", "container_config": {"Cmd": ["sh", "-c", "two"]}}),
            json!({"throwaway": true, "container_config": {"Cmd": null}}),
            json!({"created": "2015-01-01T00:00:00Z", "container_config": {"Cmd": ["one"]}}),
        ];
        for signed in [false, true] {
            let (bytes, digest) = manifest(&history, signed);
            let (image, payload) = Schema1Image::parse(&bytes).unwrap();
            assert_eq!((&image.digest, Digest::sha256(&payload)), (&digest, digest.clone()), "{signed}");
            assert_eq!(
                (image.platform.to_string(), image.created.as_deref()),
                ("linux/arm".into(), Some("2015-02-01T00:00:00Z"))
            );
            let commands: Vec<_> = image.history.iter().map(|step| step.created_by.as_deref()).collect();
            assert_eq!(commands, [Some("one"), None, Some("sh -c two")]);
            assert_eq!(image.layers(), [&Digest::sha256(b"2"), &Digest::sha256(b"0")]);
        }
    }

    #[test]
    fn a_manifest_that_is_not_valid_has_a_reason() {
        let layer = json!({"blobSum": Digest::sha256(b"x")});
        for (manifest, reason) in [
            (json!([]), "invalid"),
            (json!({"schemaVersion": 2}), "its schemaVersion is 2"),
            (json!({"schemaVersion": 1, "fsLayers": [layer]}), "it has 1 layers and 0 steps"),
            (json!({"schemaVersion": 1, "fsLayers": [{"blobSum": "../x"}], "history": []}), "invalid digest"),
            (json!({"schemaVersion": 1}), "it has 0 layers and 0 steps"),
            (json!({"schemaVersion": 1, "signatures": [{"protected": "%"}]}), "its signatures are not valid"),
            (
                json!({"schemaVersion": 1, "signatures": [{"protected": BASE64_URL_SAFE_NO_PAD.encode(r#"{"formatLength":9999,"formatTail":""}"#)}]}),
                "its signatures are not valid",
            ),
        ] {
            let error = Schema1Image::parse(manifest.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{manifest}: {error}");
        }
        // A step whose config cannot be parsed has no date and no command.
        let (bytes, _) = manifest(&[json!("text")], false);
        assert_eq!(Schema1Image::parse(&bytes).unwrap().0.history[0].created_by, None);
    }

    /// The signatures name the bytes that the digest is of. They may be any.
    #[test]
    fn only_the_bytes_of_the_digest_are_shown() {
        let (honest, digest) = manifest(&[json!({"os": "linux", "container_config": {"Cmd": ["honest"]}})], false);
        let (other, _) = manifest(&[json!({"os": "linux", "container_config": {"Cmd": ["other"]}})], false);
        let tail = BASE64_URL_SAFE_NO_PAD.encode(&honest);
        let protected = json!({"formatLength": 0, "formatTail": tail}).to_string();
        let mut forged: serde_json::Value = serde_json::from_slice(&other).unwrap();
        forged["signatures"] = json!([{"protected": BASE64_URL_SAFE_NO_PAD.encode(protected)}]);
        let (image, payload) = Schema1Image::parse(forged.to_string().as_bytes()).unwrap();
        assert_eq!((image.digest, payload), (digest, honest));
        assert_eq!(image.history[0].created_by.as_deref(), Some("honest"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = Schema1Image::parse(&bytes);
        }
    }
}
