use serde::Serialize;

use super::descriptor::DescriptorJson;
use crate::image::{Annotations, Descriptor, Platform, REFERENCE_DIGEST, UntrustedText};

/// An entry of an index.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct EntryJson {
    platform: Option<Platform>,
    #[serde(flatten)]
    descriptor: DescriptorJson,
    /// The digest of the attested image. Absent unless the entry is an attestation; null if it names no image.
    #[serde(skip_serializing_if = "Option::is_none")]
    attests: Option<Option<UntrustedText>>,
    #[serde(skip_serializing_if = "Annotations::is_empty")]
    annotations: Annotations,
}

impl From<&Descriptor> for EntryJson {
    fn from(entry: &Descriptor) -> Self {
        Self {
            platform: entry.platform.clone(),
            descriptor: entry.into(),
            attests: entry.is_attestation().then(|| entry.annotations.get(REFERENCE_DIGEST).cloned()),
            annotations: entry.annotations.clone(),
        }
    }
}
