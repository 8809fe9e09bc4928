use serde::Serialize;

use crate::image::Digest;

/// The digest of a reference or file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct DigestJson {
    /// The reference, or the file's path, as the user wrote it.
    pub(in crate::cli) reference: String,
    pub(in crate::cli) digest: Digest,
}
