use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::cancel_check::CancelCheck;
use crate::image::{Digest, UntrustedText};

/// The positions of a layout's files in a tar archive, which is read without unpacking it.
pub(super) struct Archive {
    /// The handle for every read. Reopening the path could open another archive.
    pub(super) file: Arc<File>,
    /// Offset and length of each file, by name.
    entries: BTreeMap<String, (u64, u64)>,
    /// The first file that does not belong to a layout, such as those that `docker save` adds.
    pub(super) extra_file: Option<UntrustedText>,
}

/// Limit for the headers of an archive in total, in bytes. File content is skipped and does not count.
const MAX_HEADERS: u64 = 16 << 20;

impl Archive {
    /// Reads the headers. The error describes what is wrong with the archive.
    pub(super) fn scan(file: File) -> Result<Self, String> {
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        check_not_compressed(&file)?;
        let mut tar = tar::Archive::new(BoundedReader { file: &file, remaining: MAX_HEADERS });
        let (mut entries, mut extra_file) = (BTreeMap::new(), None);
        let broken = |error: Error| format!("not a tar archive, or an unsupported one: {error}");
        for entry in tar.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let display_name = UntrustedText::from(&*String::from_utf8_lossy(&entry.path_bytes()));
            let kind = entry.header().entry_type();
            // Global headers (POSIX.1-2001, "pax Interchange Format") carry only metadata. `git archive` writes one.
            if kind.is_pax_global_extensions() {
                continue;
            }
            if !kind.is_file() && !kind.is_dir() {
                return Err(format!("it contains \"{display_name}\", which is neither a regular file nor a folder"));
            }
            let name = normalize(&entry.path_bytes())
                .ok_or_else(|| format!("it contains \"{display_name}\", which is not a plain relative path"))?;
            let (offset, length) = (entry.raw_file_position(), entry.size());
            if offset.checked_add(length).is_none_or(|end| end > metadata.len()) {
                return Err(format!("it is truncated in \"{display_name}\""));
            }
            if kind.is_file() && !is_layout_file(&name) {
                extra_file.get_or_insert(display_name);
            } else if kind.is_file() && entries.insert(name, (offset, length)).is_some() {
                return Err(format!("it contains \"{display_name}\" twice"));
            }
        }
        Ok(Self { file: Arc::new(file), entries, extra_file })
    }

    pub(super) fn find(&self, name: &str) -> Option<(u64, u64)> {
        self.entries.get(name).copied()
    }
}

/// Compression formats: first bytes, name, and the program that decompresses them.
const COMPRESSION_FORMATS: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unzstd"),
    (b"\xfd7zXZ\0", "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// Fails if an archive is compressed, and names the format.
fn check_not_compressed(mut file: &File) -> Result<(), String> {
    let mut start = Vec::new();
    let read = file.take(8).read_to_end(&mut start).and_then(|_| file.rewind());
    read.map_err(|error| error.to_string())?;
    match COMPRESSION_FORMATS.iter().find(|(magic, ..)| start.starts_with(magic)) {
        Some((_, name, program)) => Err(format!("it is compressed with {name}; decompress it first with {program}")),
        None => Ok(()),
    }
}

/// Opens an archive for reading.
///
/// # Errors
///
/// The file does not exist or is not a regular file. Opening a FIFO, for example, could block forever.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::other("not a regular file"));
    }
    File::open(path)
}

/// Normalizes a relative path. The result is empty for the root folder, and `None` for a path that is absolute,
/// contains `..`, a backslash or NUL, or is not UTF-8.
fn normalize(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

fn is_layout_file(name: &str) -> bool {
    match name.strip_prefix("blobs/") {
        Some(blob) => Digest::parse(&blob.replacen('/', ":", 1)).is_ok(),
        None => matches!(name, "oci-layout" | "index.json"),
    }
}

/// Limits the bytes read from a file, because sizes in an untrusted archive must not exhaust memory.
struct BoundedReader<'f> {
    file: &'f File,
    remaining: u64,
}

impl Read for BoundedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.remaining == 0 {
            return Err(Error::new(ErrorKind::InvalidData, "its headers exceed 16 MiB"));
        }
        let limit = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(buffer.get_mut(..limit).unwrap_or_default())?;
        self.remaining -= read as u64;
        Ok(read)
    }
}

impl Seek for BoundedReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

/// Packs the folder of a layout into an archive. Entries are sorted by name and have no times or owners, so the same
/// content gives the same bytes.
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

/// A file whose reads fail after the run is stopped.
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
        } else if is_layout_file(&path) {
            names.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_paths_are_normalized_or_rejected() {
        for (path, normal_path) in [
            ("index.json", Some("index.json")),
            ("./blobs//sha256/", Some("blobs/sha256")),
            ("./", Some("")),
            ("../x", None),
            ("blobs/../../x", None),
            ("/index.json", None),
            ("a\\b", None),
        ] {
            assert_eq!(normalize(path.as_bytes()).as_deref(), normal_path, "{path}");
        }
        assert_eq!(normalize(b"\xff"), None);
        let digest = Digest::sha256(b"");
        assert!(is_layout_file(&super::super::blob_path(&digest)) && is_layout_file("index.json"));
        assert!(!is_layout_file("blobs/sha256/x") && !is_layout_file("manifest.json"));
    }
}
