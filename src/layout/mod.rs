//! OCI image layouts on this machine, as folders and as tar archives (OCI image-spec, "Image Layout").
//!
//! Only `oci-layout`, `index.json` and `blobs/ALGORITHM/HEX` are ever opened, none of them by a link. What is read is
//! compared with its digest and size; what is written becomes visible whole or not at all.

mod archive;
mod blob;
mod cancel_check;
mod delete;
mod error;
mod files;
mod lock;
mod reader;
mod writer;

pub(crate) use blob::has_blob;
pub(crate) use cancel_check::CancelCheck;
pub(crate) use delete::delete;
pub use error::{Error, ErrorKind};
pub(crate) use reader::Layout;
pub(crate) use writer::{Writer, check_target};

use crate::image::Digest;

/// The name of an image in `index.json`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What BuildKit calls an image, besides.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Bytes of a file that are read at once.
const CHUNK_SIZE: usize = 256 << 10;
/// What `oci-layout` holds.
const VERSION_FILE: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Where a blob is in a layout.
fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}", digest.as_str().replacen(':', "/", 1))
}

#[cfg(test)]
mod tests;
