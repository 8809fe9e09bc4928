use std::path::PathBuf;

use bytes::Bytes;

use super::archive::Archive;
use super::blob_path;
use super::content::{Content, Unreadable, open_regular, read};
use super::dir::DirImage;
use super::docker_images::DockerImages;
use crate::image::{Digest, UntrustedText};
use crate::memory::Budget;

/// The files of a layout.
pub(super) enum LayoutFiles {
    Folder(PathBuf),
    Archive(Archive),
    Docker(DockerImages),
    Dir(DirImage),
}

impl LayoutFiles {
    /// Opens `oci-layout` or `index.json`, and returns its length.
    pub(super) fn open(&self, name: &str) -> Result<(Content, u64), Unreadable> {
        match self {
            Self::Folder(root) => open_regular(root, name).map(|(file, length)| (Content::file(file, length), length)),
            Self::Archive(archive) => archive.open(name),
            Self::Docker(_) | Self::Dir(_) => Err(Unreadable::Missing),
        }
    }

    /// Opens a blob or a manifest, and returns its length.
    pub(super) fn open_blob(&self, digest: &Digest) -> Result<(Content, u64), Unreadable> {
        match self {
            Self::Folder(_) | Self::Archive(_) => self.open(&blob_path(digest)),
            Self::Docker(images) => images.open_blob(digest),
            Self::Dir(image) => image.open_blob(digest),
        }
    }

    /// Returns a file in the archive that does not belong to a layout, if any.
    pub(super) fn extra_file(&self) -> Option<&UntrustedText> {
        match self {
            Self::Archive(archive) => archive.extra_file.as_ref(),
            _ => None,
        }
    }

    /// Reads a whole file of at most `limit` bytes. The bytes count against the budget until they are dropped.
    pub(super) fn read(&self, name: &str, limit: u64, budget: &Budget) -> Result<Bytes, Unreadable> {
        read(self.open(name)?, name, limit, budget)
    }

    /// Reads a whole blob; see [`Self::read`].
    pub(super) fn read_blob(&self, digest: &Digest, limit: u64, budget: &Budget) -> Result<Bytes, Unreadable> {
        read(self.open_blob(digest)?, digest.as_str(), limit, budget)
    }
}
