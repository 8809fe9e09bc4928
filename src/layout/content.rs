//! The content of files: in a folder, in an archive, or in memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::memory::{Budget, OverLimit};

/// Why a file of a layout cannot be read.
pub(super) enum Unreadable {
    Missing,
    OverMemory(OverLimit),
    Other(String),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("it does not exist"),
            Self::OverMemory(error) => write!(f, "not read: {error}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
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

/// Reads a whole file of at most `limit` bytes.
pub(super) fn read(
    (mut content, length): (Content, u64),
    name: &str,
    limit: u64,
    budget: &Budget,
) -> Result<Bytes, Unreadable> {
    if length > limit {
        return Err(Unreadable::Other(format!("{name} exceeds the limit of {limit} bytes")));
    }
    let mut charge = budget.open();
    charge.grow(usize::try_from(length).unwrap_or(usize::MAX))?;
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes)?;
    Ok(charge.keep(bytes)?)
}

/// The content of a file: a section of an open file, or bytes. Reads pass their own offset to the system, so sections
/// of one file can be read concurrently.
pub(crate) struct Content {
    source: Source,
    offset: u64,
    remaining: u64,
}

enum Source {
    File(Arc<File>),
    Bytes(Bytes),
}

impl Content {
    pub(super) fn file(file: File, length: u64) -> Self {
        Self { source: Source::File(Arc::new(file)), offset: 0, remaining: length }
    }

    /// A section of a file that other sections share.
    pub(super) fn section(file: &Arc<File>, offset: u64, length: u64) -> Self {
        Self { source: Source::File(Arc::clone(file)), offset, remaining: length }
    }

    pub(super) fn bytes(bytes: Bytes) -> Self {
        let remaining = bytes.len() as u64;
        Self { source: Source::Bytes(bytes), offset: 0, remaining }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let limit = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..limit).unwrap_or_default();
        let read = match &self.source {
            Source::File(file) => read_at(file, buffer, self.offset)?,
            Source::Bytes(bytes) => {
                let start = usize::try_from(self.offset).unwrap_or(usize::MAX);
                bytes.get(start..).unwrap_or_default().read(buffer)?
            }
        };
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
