//! The names of the files that hold blobs and manifests.

use std::path::Path;

use super::{blob_path, dir};
use crate::image::{Descriptor, LayoutReference, Transport};

/// Returns the path of a blob relative to the folder.
pub(super) fn file_of(at: &LayoutReference, blob: &Descriptor) -> String {
    match at.transport {
        Transport::Dir => dir::file_name(blob),
        _ => blob_path(&blob.digest),
    }
}

/// Returns the path of the file that holds a blob, if a file does. `dir:` has another name for its image.
pub(super) fn existing_file_of(at: &LayoutReference, root: &Path, blob: &Descriptor) -> String {
    match at.transport {
        Transport::Dir => dir::existing_file_name(root, blob),
        _ => blob_path(&blob.digest),
    }
}
