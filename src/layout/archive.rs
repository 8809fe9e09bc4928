//! Reads tar archives without unpacking them, and packs a layout into one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use super::cancel_check::CancelCheck;
use super::content::{Content, Unreadable};
use super::docker_manifest;
use crate::image::{Digest, UntrustedText};

/// The positions of the files in a tar archive, which is read without unpacking it.
pub(super) struct Archive {
    /// The handle for every read. Reopening the path could open another archive.
    pub(super) file: Arc<File>,
    entries: BTreeMap<String, Entry>,
    /// The first file that does not belong to a layout.
    pub(super) extra_file: Option<UntrustedText>,
}

/// A file in an archive.
enum Entry {
    /// The offset and length of a regular file.
    File(u64, u64),
    /// The name of the file that a link leads to.
    Link(String),
}

/// Which files of an archive are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those of an OCI layout. Other files are skipped, and links are refused.
    Layout,
    /// All, and links between them, as Docker and Podman write them.
    All,
}

/// Limit for the headers of an archive in total, in bytes. File content is skipped and does not count.
const MAX_HEADERS: u64 = 16 << 20;
/// The maximum number of links to follow for one file.
const MAX_LINKS: usize = 8;

impl Archive {
    /// Reads the headers. The error describes what is wrong with the archive.
    pub(super) fn scan(file: File, scope: Scope) -> Result<Self, String> {
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let mut tar = tar::Archive::new(BoundedReader { file: &file, remaining: MAX_HEADERS });
        let (mut entries, mut extra_file) = (BTreeMap::new(), None);
        let broken = |error: Error| format!("not a tar archive, or an unsupported one: {error}");
        for entry in tar.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let display_name = UntrustedText::from(&*String::from_utf8_lossy(&entry.path_bytes()));
            let kind = entry.header().entry_type();
            // Global headers (POSIX.1-2001, "pax Interchange Format") carry only metadata. `git archive` writes one.
            if kind.is_pax_global_extensions() || kind.is_dir() {
                check_folder(&entry.path_bytes(), &display_name)?;
                continue;
            }
            let is_link = scope == Scope::All && (kind.is_symlink() || kind.is_hard_link());
            if !kind.is_file() && !is_link {
                return Err(format!("it contains \"{display_name}\", which is neither a regular file nor a folder"));
            }
            let name = normalize(&entry.path_bytes())
                .ok_or_else(|| format!("it contains \"{display_name}\", which is not a plain relative path"))?;
            let content = if is_link {
                let target = entry.link_name_bytes().unwrap_or_default();
                let folder = if kind.is_symlink() { folder_of(&name) } else { "" };
                Entry::Link(link_target(folder, &target).ok_or_else(|| {
                    format!("it contains \"{display_name}\", a link to a file outside of the archive")
                })?)
            } else {
                let (offset, size) = (entry.raw_file_position(), entry.size());
                if offset.checked_add(size).is_none_or(|end| end > length) {
                    return Err(format!("it is truncated in \"{display_name}\""));
                }
                Entry::File(offset, size)
            };
            if scope == Scope::Layout && !is_layout_file(&name) {
                // Docker's own list of the images is written again with the archive.
                if !matches!(name.as_str(), docker_manifest::NAME | docker_manifest::LEGACY_NAME) {
                    extra_file.get_or_insert(display_name);
                }
                continue;
            }
            if entries.insert(name, content).is_some() {
                return Err(format!("it contains \"{display_name}\" twice"));
            }
        }
        Ok(Self { file: Arc::new(file), entries, extra_file })
    }

    /// Returns the offset and length of a file, following links.
    pub(super) fn find(&self, name: &str) -> Option<(u64, u64)> {
        let mut name = name;
        for _ in 0..MAX_LINKS {
            match self.entries.get(name)? {
                Entry::File(offset, length) => return Some((*offset, *length)),
                Entry::Link(target) => name = target,
            }
        }
        None
    }
}

/// Returns the folder of a file in the archive.
fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Archive {
    /// Opens a file, and returns its length.
    pub(super) fn open(&self, name: &str) -> Result<(Content, u64), Unreadable> {
        let (offset, length) = self.find(name).ok_or(Unreadable::Missing)?;
        Ok((Content::section(&self.file, offset, length), length))
    }
}

fn check_folder(path: &[u8], display_name: &UntrustedText) -> Result<(), String> {
    match normalize(path) {
        Some(_) => Ok(()),
        None => Err(format!("it contains \"{display_name}\", which is not a plain relative path")),
    }
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

/// Returns the name of the file that a link in `folder` leads to; `None` if that is outside of the archive.
fn link_target(folder: &str, target: &[u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok()?;
    if target.is_empty() || target.starts_with('/') || target.contains(['\\', '\0']) {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
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
pub(super) fn write(root: &Path, to: impl Write, cancel: &CancelCheck) -> std::io::Result<()> {
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
    tar.into_inner()?.flush()
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
        } else if is_layout_file(&path) || path == docker_manifest::NAME {
            names.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_in_the_archive() {
        for (folder, target, expected) in [
            ("a", "../b.tar", Some("b.tar")),
            ("a/b", "../../c/./layer.tar", Some("c/layer.tar")),
            ("", "b.tar", Some("b.tar")),
            ("a", "../../b.tar", None),
            ("", "../b.tar", None),
            ("a", "/b.tar", None),
            ("a", "", None),
            ("a", "..\\b", None),
        ] {
            assert_eq!(link_target(folder, target.as_bytes()).as_deref(), expected, "{folder} {target}");
        }
    }

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
