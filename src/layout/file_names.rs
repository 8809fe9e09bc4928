//! The names of the files that hold blobs and manifests.

use super::{blob_path, dir};
use crate::image::{Descriptor, LayoutReference, Transport};

/// Returns the path of a blob relative to the folder.
pub(super) fn file_of(at: &LayoutReference, blob: &Descriptor) -> String {
    match at.transport {
        Transport::Dir => dir::file_name(blob),
        _ => blob_path(&blob.digest),
    }
}
