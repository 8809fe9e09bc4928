use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::cancel_check::CancelCheck;
use crate::image::{Digest, UntrustedText};

/// A tar archive of a layout: where its files are, found without unpacking it.
pub(super) struct Archive {
    /// The one handle that all is read through: the path may lead to another archive by the next read.
    pub(super) file: Arc<File>,
    /// Offset and length by name.
    entries: BTreeMap<String, (u64, u64)>,
    /// A file that is no part of a layout, as `docker save` has them.
    pub(super) other: Option<UntrustedText>,
}

/// Headers, names and the like that are read of an archive at most, in bytes; content is passed over.
const MAX_HEADERS: u64 = 16 << 20;

impl Archive {
    /// Reads the headers. The error says what is wrong with the archive.
    pub(super) fn scan(file: File) -> Result<Self, String> {
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        check_not_compressed(&file)?;
        let mut tar = tar::Archive::new(Bounded { file: &file, left: MAX_HEADERS });
        let (mut entries, mut other) = (BTreeMap::new(), None);
        let broken = |error: Error| format!("not a tar archive that can be read: {error}");
        for entry in tar.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let shown = UntrustedText::from(&*String::from_utf8_lossy(&entry.path_bytes()));
            let kind = entry.header().entry_type();
            // POSIX.1-2001, "pax Interchange Format": comments and the like for all entries, as `git archive` writes them.
            if kind.is_pax_global_extensions() {
                continue;
            }
            if !kind.is_file() && !kind.is_dir() {
                return Err(format!("it holds \"{shown}\", which is neither a plain file nor a folder"));
            }
            let name = normal(&entry.path_bytes())
                .ok_or_else(|| format!("it holds \"{shown}\", a path that leads out of it or is not plain"))?;
            let (offset, length) = (entry.raw_file_position(), entry.size());
            if offset.checked_add(length).is_none_or(|end| end > metadata.len()) {
                return Err(format!("it is cut off in \"{shown}\""));
            }
            if kind.is_file() && !is_of_layout(&name) {
                other.get_or_insert(shown);
            } else if kind.is_file() && entries.insert(name, (offset, length)).is_some() {
                return Err(format!("it holds \"{shown}\" twice"));
            }
        }
        Ok(Self { file: Arc::new(file), entries, other })
    }

    pub(super) fn find(&self, name: &str) -> Option<(u64, u64)> {
        self.entries.get(name).copied()
    }
}

/// Compressed forms of an archive by their first bytes, with the program that unpacks each.
const COMPRESSED: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// Says how an archive is compressed, if it is.
fn check_not_compressed(mut file: &File) -> Result<(), String> {
    let mut start = Vec::new();
    let read = file.take(8).read_to_end(&mut start).and_then(|_| file.rewind());
    read.map_err(|error| error.to_string())?;
    match COMPRESSED.iter().find(|(magic, ..)| start.starts_with(magic)) {
        Some((_, name, program)) => Err(format!("it is compressed with {name}; unpack it first, with {program}")),
        None => Ok(()),
    }
}

/// Opens an archive to read it.
///
/// # Errors
///
/// It does not exist, or is not a regular file: opening a FIFO, for one, can block for ever.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::other("not a file"));
    }
    File::open(path)
}

/// A relative path in parts; empty for the top folder itself.
fn normal(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

fn is_of_layout(name: &str) -> bool {
    match name.strip_prefix("blobs/") {
        Some(blob) => Digest::parse(&blob.replacen('/', ":", 1)).is_ok(),
        None => matches!(name, "oci-layout" | "index.json"),
    }
}

/// A file of which only so many bytes are read: an archive's own words must not fill the memory.
struct Bounded<'f> {
    file: &'f File,
    left: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(Error::new(ErrorKind::InvalidData, "its headers are longer than is read"));
        }
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(buffer.get_mut(..limit).unwrap_or_default())?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Seek for Bounded<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

/// Writes a layout's folder as an archive, the same bytes for the same content: by name, without times and owners.
///
/// # Errors
///
/// A file cannot be read or written, or the run was stopped.
pub(super) fn write(root: &Path, to: File, cancel: &CancelCheck) -> std::io::Result<()> {
    let mut names = Vec::new();
    files_below(root, "", &mut names)?;
    names.sort();
    let mut tar = tar::Builder::new(std::io::BufWriter::with_capacity(1 << 20, to));
    for name in names {
        let file = File::open(root.join(&name))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        header.set_mtime(0);
        tar.append_data(&mut header, &name, Cancellable { file, cancel })?;
    }
    let mut written = tar.into_inner()?;
    std::io::Write::flush(&mut written)?;
    written.get_ref().sync_all()
}

/// A file whose reads fail once the run was stopped.
struct Cancellable<'c> {
    file: File,
    cancel: &'c CancelCheck,
}

impl Read for Cancellable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.cancel.check()?;
        self.file.read(buffer)
    }
}

fn files_below(root: &Path, folder: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if entry.file_type()?.is_dir() {
            files_below(root, &path, names)?;
        } else if is_of_layout(&path) {
            names.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, normal_path) in [
            ("index.json", Some("index.json")),
            ("./blobs//sha256/", Some("blobs/sha256")),
            ("./", Some("")),
            ("../x", None),
            ("blobs/../../x", None),
            ("/index.json", None),
            ("a\\b", None),
        ] {
            assert_eq!(normal(path.as_bytes()).as_deref(), normal_path, "{path}");
        }
        assert_eq!(normal(b"\xff"), None);
        let digest = Digest::sha256(b"");
        assert!(is_of_layout(&super::super::blob_path(&digest)) && is_of_layout("index.json"));
        assert!(!is_of_layout("blobs/sha256/x") && !is_of_layout("manifest.json"));
    }
}
