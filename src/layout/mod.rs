//! Reads and writes images outside of a registry: OCI image layouts as folders and as tar archives (OCI image-spec,
//! "Image Layout"), Docker's archives, and the folders of skopeo's `dir:`.
//!
//! Only `oci-layout`, `index.json` and `blobs/ALGORITHM/HEX` of a layout are ever opened, and never through a symbolic
//! link. Links in Docker's archives are followed inside of the archive. Reads are verified against digest and size.
//! Writes are atomic: a file appears complete or not at all.

mod archive;
mod blob;
mod cancel_check;
mod content;
mod delete;
mod dir;
mod docker_images;
mod docker_manifest;
mod error;
mod file_names;
mod files;
mod input;
mod lock;
mod names;
mod reader;
mod signature_file;
mod staging;
mod writer;

pub(crate) use blob::has_blob;
pub(crate) use cancel_check::CancelCheck;
pub(crate) use delete::delete;
pub use error::{Error, ErrorKind};
pub(crate) use reader::Layout;
pub(crate) use signature_file::{ListedSignatureFile, SigstoreFile};
pub(crate) use writer::{Writer, check_target};

use crate::image::Digest;

/// Annotation with the name of an image in `index.json`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation that BuildKit adds with the full name of an image.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// Size of a read buffer for files, in bytes.
const CHUNK_SIZE: usize = 256 << 10;
/// Prefix of temporary files in a folder.
const STAGING_PREFIX: &str = ".new-";
/// Content of the `oci-layout` file.
const VERSION_FILE: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Returns the path of a blob relative to the layout.
fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}", digest.as_str().replacen(':', "/", 1))
}

#[cfg(test)]
mod tests;
