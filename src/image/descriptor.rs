use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::null::null_is_empty;
use super::{Digest, Platform, UntrustedText};

/// Annotation that marks an entry as an attestation: its value is then `attestation-manifest`.
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// Annotation of an attestation entry: the digest of the image that it speaks of.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// How annotations of an entry begin that say how its layers are compressed. Podman writes one for the zstd twin of an
/// image.
pub(crate) const COMPRESSION: &str = "io.github.containers.compression.";

/// Free key-value pairs (OCI image-spec, "Annotations"), sorted by key.
pub type Annotations = BTreeMap<UntrustedText, UntrustedText>;

/// Names content by media type, digest and size in bytes.
///
/// OCI image-spec, "Content Descriptors". Serialised in the field order of an OCI index entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: UntrustedText,
    /// Digest of the content.
    pub digest: Digest,
    /// Length of the content in bytes.
    pub size: u64,
    /// Other places that have the content. Never fetched.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<UntrustedText>,
    /// Free key-value pairs.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// The content itself, in base64; passed on, never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<UntrustedText>,
    /// What the content runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Type of an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<UntrustedText>,
}

impl Descriptor {
    /// A descriptor of nothing but type and digest, to be filled in.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size: 0,
            urls: Vec::new(),
            annotations: Annotations::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// Drops what an entry of a Docker manifest list has no place for.
    pub fn keep_what_docker_has(&mut self) {
        self.urls.clear();
        self.data = None;
        self.artifact_type = None;
    }

    /// Whether any client runs this entry: it is not an artifact (SOCI lists one for the platform of each image), nor
    /// marked as compressed for clients that know the mark.
    pub(crate) fn is_plain(&self) -> bool {
        self.artifact_type.is_none() && !self.annotations.keys().any(|key| key.starts_with(COMPRESSION))
    }

    /// Whether clients can tell this entry from another one for the same platform, its twin: by `artifactType`, or by how
    /// its layers are compressed.
    pub(crate) fn has_other_marks(&self, other: &Self) -> bool {
        fn marks(entry: &Descriptor) -> impl Iterator<Item = (&UntrustedText, &UntrustedText)> {
            entry.annotations.iter().filter(|(key, _)| key.starts_with(COMPRESSION))
        }
        self.artifact_type != other.artifact_type || !marks(self).eq(marks(other))
    }

    /// Whether this entry is an attestation manifest as BuildKit writes them, not an image: it is annotated as one, and
    /// its platform is absent, empty or `unknown/unknown`. Clients run an entry that names a platform, whatever its
    /// annotations say.
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        let names_platform = |platform: &Platform| {
            !matches!((platform.os.as_str(), platform.architecture.as_str()), ("", "") | ("unknown", "unknown"))
        };
        self.is_annotated_as_attestation() && !self.platform.as_ref().is_some_and(names_platform)
    }

    /// Whether this entry is annotated as an attestation, which is all that 2.2.1 looks at.
    pub(crate) fn is_annotated_as_attestation(&self) -> bool {
        self.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == "attestation-manifest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attestation_names_no_platform() {
        for (platform, is_attestation) in [
            (None, true),
            (Some(("", "", "")), true),
            (Some(("unknown", "unknown", "")), true),
            (Some(("unknown", "unknown", "v8")), true),
            (Some(("linux", "amd64", "")), false),
            (Some(("unknown", "amd64", "")), false),
            (Some(("linux", "unknown", "")), false),
            (Some(("", "amd64", "")), false),
            (Some(("linux", "", "")), false),
        ] {
            let mut entry = Descriptor::new("m", Digest::sha256(b"x"));
            entry.platform = platform.map(|(os, architecture, variant)| Platform {
                os: os.into(),
                architecture: architecture.into(),
                variant: variant.into(),
                ..Platform::default()
            });
            assert!(!entry.is_attestation(), "{platform:?}");
            entry.annotations.insert(REFERENCE_TYPE.into(), "attestation-manifest".into());
            assert_eq!(entry.is_attestation(), is_attestation, "{platform:?}");
        }
    }
}
