use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::archive::Archive;
use crate::image::UntrustedText;
use crate::memory::{Budget, OverLimit};

/// The files of a layout, in a folder or in a tar archive.
pub(super) enum LayoutFiles {
    Folder(PathBuf),
    Archive(Archive),
}

/// Why a file of a layout cannot be read.
pub(super) enum Unreadable {
    Missing,
    OverMemory(OverLimit),
    Other(String),
}

impl From<OverLimit> for Unreadable {
    fn from(error: OverLimit) -> Self {
        Self::OverMemory(error)
    }
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl LayoutFiles {
    /// Opens `oci-layout`, `index.json` or a blob, and returns its length.
    pub(super) fn open(&self, name: &str) -> Result<(FileSection, u64), Unreadable> {
        match self {
            Self::Folder(root) => {
                let (file, length) = open_regular(root, name)?;
                Ok((FileSection { file: Arc::new(file), offset: 0, remaining: length }, length))
            }
            Self::Archive(archive) => {
                let (offset, length) = archive.find(name).ok_or(Unreadable::Missing)?;
                Ok((FileSection { file: Arc::clone(&archive.file), offset, remaining: length }, length))
            }
        }
    }

    /// Returns a file in the archive that does not belong to a layout, if any.
    pub(super) fn extra_file(&self) -> Option<&UntrustedText> {
        match self {
            Self::Folder(_) => None,
            Self::Archive(archive) => archive.extra_file.as_ref(),
        }
    }

    /// Reads a whole file of at most `limit` bytes. The bytes count against the budget until they are dropped.
    pub(super) fn read(&self, name: &str, limit: u64, budget: &Budget) -> Result<Bytes, Unreadable> {
        let (mut file, length) = self.open(name)?;
        if length > limit {
            return Err(Unreadable::Other(format!("{name} exceeds the limit of {limit} bytes")));
        }
        let mut charge = budget.open();
        charge.grow(usize::try_from(length).unwrap_or(usize::MAX))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(charge.keep(bytes)?)
    }
}

/// A section of an open file. Reads pass their own offset to the system, so sections of one file can be read
/// concurrently.
pub(crate) struct FileSection {
    file: Arc<File>,
    offset: u64,
    remaining: u64,
}

impl Read for FileSection {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let limit = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        let read = read_at(&self.file, buffer.get_mut(..limit).unwrap_or_default(), self.offset)?;
        self.offset += read as u64;
        self.remaining -= read as u64;
        Ok(read)
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// Opens a regular file below a folder. Rejects symbolic links anywhere below the folder (CVE-2024-24579).
pub(super) fn open_regular(root: &Path, name: &str) -> Result<(File, u64), Unreadable> {
    let mut path = root.to_owned();
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let kind = std::fs::symlink_metadata(&path)?.file_type();
        let expected = if parts.peek().is_some() { kind.is_dir() } else { kind.is_file() };
        if !expected {
            return Err(Unreadable::Other(format!("{name} is not a regular file, or its path contains a link")));
        }
    }
    let file = File::open(&path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}
