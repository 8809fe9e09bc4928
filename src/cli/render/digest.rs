use serde::Serialize;

use crate::image::Digest;

/// The digest of a reference or file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct DigestJson {
    /// The reference, or the file's path, as the user wrote it.
    pub(in crate::cli) reference: String,
    /// Absent if the reference has no image for `--platform`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) digest: Option<Digest>,
    /// Whether the reference has an image for `--platform`. Absent without that flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) offered: Option<bool>,
}
