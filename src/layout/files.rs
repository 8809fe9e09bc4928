use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::archive::Archive;
use crate::image::UntrustedText;

/// The files of a layout, wherever they are.
pub(super) enum Files {
    Folder(PathBuf),
    Archive(Archive),
}

/// Why a file of a layout cannot be read.
pub(super) enum Unreadable {
    Missing,
    Other(String),
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl Files {
    /// Opens `oci-layout`, `index.json` or a blob, and tells its length.
    pub(super) fn open(&self, name: &str) -> Result<(std::io::Take<File>, u64), Unreadable> {
        match self {
            Self::Folder(root) => {
                let (file, length) = open_plain(root, name)?;
                Ok((file.take(length), length))
            }
            Self::Archive(archive) => {
                let (offset, length) = archive.find(name).ok_or(Unreadable::Missing)?;
                let mut file = File::open(&archive.path)?;
                file.seek(SeekFrom::Start(offset))?;
                Ok((file.take(length), length))
            }
        }
    }

    /// A file of an archive that is no part of a layout, if there is one.
    pub(super) fn other(&self) -> Option<&UntrustedText> {
        match self {
            Self::Folder(_) => None,
            Self::Archive(archive) => archive.other.as_ref(),
        }
    }

    /// Reads a whole file of so many bytes at most.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, Unreadable> {
        let (mut file, length) = self.open(name)?;
        if length > limit {
            return Err(Unreadable::Other(format!("{name} is longer than the {limit} bytes that are read")));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A plain file below a folder, with no link on the way to it (CVE-2024-24579).
fn open_plain(root: &Path, name: &str) -> Result<(File, u64), Unreadable> {
    let mut path = root.to_owned();
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        let kind = std::fs::symlink_metadata(&path)?.file_type();
        let expected = if parts.peek().is_some() { kind.is_dir() } else { kind.is_file() };
        if !expected {
            return Err(Unreadable::Other(format!("{name} is not a plain file in plain folders")));
        }
    }
    let file = File::open(&path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}
