use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::null::null_is_empty;
use super::{Digest, Platform, UntrustedText};

/// Annotation that marks an entry as an attestation, with the value `attestation-manifest`.
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// Annotation of an attestation entry: the digest of the attested image.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// Prefix of entry annotations that declare the compression of the layers. Podman writes one for the zstd twin of an
/// image.
pub(crate) const COMPRESSION: &str = "io.github.containers.compression.";

/// Arbitrary key-value pairs (OCI image-spec, "Annotations"), sorted by key.
pub type Annotations = BTreeMap<UntrustedText, UntrustedText>;

/// Identifies content by media type, digest and size (OCI image-spec, "Content Descriptors").
///
/// Serialized in the field order of an OCI index entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    pub media_type: UntrustedText,
    /// Digest of the content.
    pub digest: Digest,
    /// Size of the content in bytes.
    pub size: u64,
    /// URLs from which the content can be downloaded. Never fetched.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<UntrustedText>,
    /// Arbitrary key-value pairs.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Annotations,
    /// The content itself, in base64. Copied, but never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<UntrustedText>,
    /// Platform of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Artifact type, if the content is an artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<UntrustedText>,
}

impl Descriptor {
    /// Creates a descriptor with size 0 and only a media type and a digest.
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

    /// Clears the fields that an entry of a Docker manifest list cannot have.
    pub fn clear_oci_fields(&mut self) {
        self.urls.clear();
        self.data = None;
        self.artifact_type = None;
    }

    /// Returns whether any client can run this entry: it is not an artifact (SOCI lists one for the platform of each
    /// image) and has no compression annotation, which only some clients know.
    pub(crate) fn is_plain(&self) -> bool {
        self.artifact_type.is_none() && !self.annotations.keys().any(|key| key.starts_with(COMPRESSION))
    }

    /// Returns whether clients can distinguish this entry from another one for the same platform, by `artifactType` or
    /// by compression annotations.
    pub(crate) fn has_other_marks(&self, other: &Self) -> bool {
        fn marks(entry: &Descriptor) -> impl Iterator<Item = (&UntrustedText, &UntrustedText)> {
            entry.annotations.iter().filter(|(key, _)| key.starts_with(COMPRESSION))
        }
        self.artifact_type != other.artifact_type || !marks(self).eq(marks(other))
    }

    /// Returns whether this entry is a BuildKit attestation manifest, not an image: it is annotated as one, and its
    /// platform is absent, empty or `unknown/unknown`. Clients run an entry with any other platform regardless of its
    /// annotations.
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        let names_platform = |platform: &Platform| {
            !matches!((platform.os.as_str(), platform.architecture.as_str()), ("", "") | ("unknown", "unknown"))
        };
        self.is_annotated_as_attestation() && !self.platform.as_ref().is_some_and(names_platform)
    }

    /// Returns whether this entry is an attestation that no client takes for an image. Some clients select an entry
    /// without a platform for every platform, so an attestation must have one: BuildKit writes `unknown/unknown`.
    pub(crate) fn is_never_selected(&self) -> bool {
        self.is_attestation() && self.platform.is_some()
    }

    /// Returns whether this entry is annotated as an attestation. Version 2.2.1 checks only this annotation.
    pub(crate) fn is_annotated_as_attestation(&self) -> bool {
        self.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == "attestation-manifest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotated_entry_with_a_platform_is_not_an_attestation() {
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
