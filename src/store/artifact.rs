//! Artifact manifests: signatures, SBOMs and the like, in a format from release candidates of image-spec 1.1 that
//! registries still store. They list blobs and a subject, and have neither config nor layers.

use std::fmt;

use serde::Deserialize;

use super::Error;
use crate::image::Descriptor;

/// The media type of an artifact manifest.
pub(crate) const ARTIFACT_MANIFEST: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// The maximum number of blobs in an artifact manifest; the same as the limit for layers of an image.
const MAX_BLOBS: usize = 10_000;

/// The parsed fields of an artifact manifest.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Artifact {
    media_type: Option<String>,
    pub(super) blobs: Option<Vec<Descriptor>>,
    pub(super) subject: Option<Descriptor>,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

/// Parses an artifact manifest.
///
/// # Errors
/// The manifest is not valid, declares another media type, also has the fields of an image or index (as in
/// CVE-2021-41190), or lists more than 10,000 blobs.
pub(super) fn artifact(at: impl fmt::Display, bytes: &[u8]) -> Result<Artifact, Error> {
    let unsuitable = |reason: String| Error::Unsuitable { subject: at.to_string(), reason: reason.into() };
    let artifact: Artifact =
        serde_json::from_slice(bytes).map_err(|error| unsuitable(format!("not a valid artifact manifest: {error}")))?;
    if let Some(other) = artifact.media_type.as_ref().filter(|declared| *declared != ARTIFACT_MANIFEST) {
        return Err(unsuitable(format!("listed as an artifact manifest, but its mediaType is \"{other}\"")));
    }
    if artifact.manifests.is_some() || artifact.config.is_some() || artifact.layers.is_some() {
        return Err(unsuitable("ambiguous: an artifact manifest with the fields of an image or index".into()));
    }
    match artifact.blobs.as_ref().map_or(0, Vec::len) {
        0..=MAX_BLOBS => Ok(artifact),
        count => Err(unsuitable(format!("it lists {count} blobs, more than the limit of {MAX_BLOBS}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn artifact_rejects_other_types_ambiguous_fields_and_too_many_blobs() {
        let blob = format!(r#"{{"mediaType":"x","digest":"{}","size":1}}"#, Digest::sha256(b"x"));
        let many = vec![blob.as_str(); 10_001].join(",");
        for (fields, outcome) in [
            (format!(r#""mediaType":"{ARTIFACT_MANIFEST}","blobs":[{blob}],"subject":{blob}"#), Ok(1)),
            (format!(r#""blobs":[{blob},{blob}]"#), Ok(2)),
            (r#""blobs":null,"artifactType":"a/b""#.to_owned(), Ok(0)),
            (r#""mediaType":"application/x""#.to_owned(), Err("its mediaType is \"application/x\"")),
            (format!(r#""blobs":[],"config":{blob}"#), Err("ambiguous")),
            (format!(r#""blobs":[],"layers":[{blob}]"#), Err("ambiguous")),
            (r#""blobs":[],"manifests":[]"#.to_owned(), Err("ambiguous")),
            (r#""blobs":[{"digest":"../x"}]"#.to_owned(), Err("not a valid artifact manifest")),
            (format!(r#""blobs":[{many}]"#), Err("it lists 10001 blobs")),
        ] {
            let read = artifact("r.io/a", format!("{{{fields}}}").as_bytes());
            match (read, outcome) {
                (Ok(artifact), Ok(count)) => assert_eq!(artifact.blobs.unwrap_or_default().len(), count),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (read, _) => panic!("{fields:.200}: {:?}", read.map(|_| ()).map_err(|error| error.to_string())),
            }
        }
    }
}
