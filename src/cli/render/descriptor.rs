use serde::Serialize;

use crate::image::{Descriptor, Digest, UntrustedText};

/// The digest, size and media type of a manifest or blob.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct DescriptorJson {
    digest: Digest,
    size: u64,
    media_type: UntrustedText,
}

impl From<&Descriptor> for DescriptorJson {
    fn from(descriptor: &Descriptor) -> Self {
        let Descriptor { digest, size, media_type, .. } = descriptor;
        Self { digest: digest.clone(), size: *size, media_type: media_type.clone() }
    }
}
