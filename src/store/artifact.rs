//! Artifact manifests: signatures, SBOMs and the like, in a form that image-spec 1.1 had before its release and that
//! registries still hold. They name blobs and a subject, and have neither config nor layers.

use std::fmt;

use serde::Deserialize;

use super::Error;
use crate::image::Descriptor;

/// The media type of an artifact manifest.
pub(crate) const ARTIFACT_MANIFEST: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// Blobs that one may name; as many as the layers of an image.
const MAX_BLOBS: usize = 10_000;

/// What an artifact manifest refers to.
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

/// Reads an artifact manifest.
///
/// # Errors
/// It is not valid, says that it is of another type, has the parts of an image or index as well (as in CVE-2021-41190), or
/// names more than 10,000 blobs.
pub(super) fn artifact(at: impl fmt::Display, bytes: &[u8]) -> Result<Artifact, Error> {
    let unsuitable = |reason: String| Error::Unsuitable { subject: at.to_string(), reason: reason.into() };
    let artifact: Artifact =
        serde_json::from_slice(bytes).map_err(|error| unsuitable(format!("not a valid artifact manifest: {error}")))?;
    if let Some(other) = artifact.media_type.as_ref().filter(|own| *own != ARTIFACT_MANIFEST) {
        return Err(unsuitable(format!("it is listed as an artifact manifest, and calls itself \"{other}\"")));
    }
    if artifact.manifests.is_some() || artifact.config.is_some() || artifact.layers.is_some() {
        return Err(unsuitable("ambiguous: an artifact manifest with the parts of an image or index".into()));
    }
    match artifact.blobs.as_ref().map_or(0, Vec::len) {
        0..=MAX_BLOBS => Ok(artifact),
        count => Err(unsuitable(format!("it names {count} blobs, more than the {MAX_BLOBS} that are read"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn artifact_manifests() {
        let blob = format!(r#"{{"mediaType":"x","digest":"{}","size":1}}"#, Digest::sha256(b"x"));
        let many = vec![blob.as_str(); 10_001].join(",");
        for (fields, outcome) in [
            (format!(r#""mediaType":"{ARTIFACT_MANIFEST}","blobs":[{blob}],"subject":{blob}"#), Ok(1)),
            (format!(r#""blobs":[{blob},{blob}]"#), Ok(2)),
            (r#""blobs":null,"artifactType":"a/b""#.to_owned(), Ok(0)),
            (r#""mediaType":"application/x""#.to_owned(), Err("calls itself \"application/x\"")),
            (format!(r#""blobs":[],"config":{blob}"#), Err("ambiguous")),
            (format!(r#""blobs":[],"layers":[{blob}]"#), Err("ambiguous")),
            (r#""blobs":[],"manifests":[]"#.to_owned(), Err("ambiguous")),
            (r#""blobs":[{"digest":"../x"}]"#.to_owned(), Err("not a valid artifact manifest")),
            (format!(r#""blobs":[{many}]"#), Err("it names 10001 blobs")),
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
