use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::cancel_check::CancelCheck;
use super::error::Error;
use super::input;
use super::lock::lock;
use super::reader::Layout;
use super::writer::{Writer, annotation};
use super::{CHUNK_SIZE, CONTAINERD_NAME, REF_NAME};
use crate::image::{Descriptor, Digest, LayoutReference, Manifest, UntrustedText, media_type};
use crate::memory::Budget;

/// A rewritten archive without the deleted image. The caller still has to publish it.
pub(crate) struct Rewrite {
    writer: Writer,
    /// The original archive, locked.
    original: File,
}

impl Rewrite {
    /// Returns the writer with the new content.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Checks that the archive at the path is still the one that was read.
    ///
    /// # Errors
    ///
    /// Another process has replaced it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let at = self.writer.at();
        if is_unreplaced(&self.original, at) {
            return Ok(());
        }
        Err(Error::new(at, "not deleted: another process has replaced the archive"))
    }
}

/// Removes a name, or every name of a digest, from `index.json`. A folder is changed immediately. Its blobs stay,
/// because other processes may be writing manifests that refer to them. An archive is rewritten without unreferenced
/// blobs, and the caller publishes it.
///
/// # Errors
///
/// The image does not exist, the layout cannot be written, or the run was stopped.
pub(crate) fn delete(at: &LayoutReference, cancel: &CancelCheck, budget: &Budget) -> Result<Option<Rewrite>, Error> {
    if !at.transport.is_oci() {
        let reason = format!("delete works on registries, oci: and oci-archive:, not on {}:", at.transport);
        return Err(Error::new(at, reason));
    }
    if at.is_stream() {
        return Err(Error::new(at, "an archive on standard input cannot be changed"));
    }
    let (layout, lock) = match at.transport.is_archive_file() {
        true => open_locked(at, cancel, budget).map(|(layout, lock)| (layout, Some(lock)))?,
        false => (Layout::open(at, budget, cancel)?, None),
    };
    let target = layout.find(at)?;
    if !layout.entries().any(|entry| entry.digest == target.digest) {
        return Err(Error::new(at, "index.json does not list it; it may be part of an index or image"));
    }
    if let Some(file) = layout.extra_file() {
        let reason = format!("the archive also contains \"{file}\", which is not part of a layout and would be lost");
        return Err(Error::new(at, reason));
    }
    let is_named =
        layout.entries().any(|entry| entry.annotations.get(REF_NAME).map(UntrustedText::as_str) == at.name.as_deref());
    let key = if is_named { REF_NAME } else { CONTAINERD_NAME };
    let is_deleted = |entry: &Value| match &at.name {
        Some(name) => annotation(entry, key).is_some_and(|value| value == name),
        None => entry.get("digest").is_some_and(|digest| digest == target.digest.as_str()),
    };
    let writer = Writer::create(at, cancel.clone())?;
    if at.transport.is_archive_file() {
        for digest in reachable(&layout, is_deleted)? {
            copy(&layout, &writer, &digest, cancel)?;
        }
        writer.write_index(layout.index_bytes())?;
    }
    writer.unlist(at, is_deleted)?;
    Ok(lock.map(|original| Rewrite { writer, original }))
}

/// Opens and locks an archive, so that one process at a time deletes from it. The layout is read from the locked file.
fn open_locked(at: &LayoutReference, cancel: &CancelCheck, budget: &Budget) -> Result<(Layout, File), Error> {
    let path = Path::new(&at.path);
    let failed = |error: std::io::Error| Error::unwritten(at, &error);
    loop {
        input::open_file(path).map_err(failed)?;
        let lock = lock(path, cancel).map_err(failed)?;
        // The previous holder of the lock may have replaced the file.
        if is_unreplaced(&lock, at) {
            let file = locked_file(&lock, path).map_err(failed)?;
            input::check_not_compressed(&file).map_err(failed)?;
            return Ok((Layout::from_archive(at, file, budget)?, lock));
        }
    }
}

#[cfg(unix)]
fn locked_file(lock: &File, _: &Path) -> std::io::Result<File> {
    lock.try_clone()
}

/// Opens the archive itself, because the lock is a separate file on Windows.
#[cfg(not(unix))]
fn locked_file(_: &File, path: &Path) -> std::io::Result<File> {
    input::open_file(path)
}

#[cfg(unix)]
fn is_unreplaced(file: &File, at: &LayoutReference) -> bool {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt as _;
    let is = |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    matches!((file.metadata(), std::fs::metadata(&at.path)), (Ok(one), Ok(other)) if is(&one, &other))
}

#[cfg(not(unix))]
fn is_unreplaced(_: &File, _: &LayoutReference) -> bool {
    true
}

/// Returns the digests of all blobs in the layout that the remaining entries refer to, directly or indirectly.
fn reachable(layout: &Layout, is_deleted: impl Fn(&Value) -> bool) -> Result<BTreeSet<Digest>, Error> {
    let is_kept = |entry: &&Descriptor| serde_json::to_value(entry).is_ok_and(|entry| !is_deleted(&entry));
    let mut next: Vec<Descriptor> = layout.entries().filter(is_kept).cloned().collect();
    let mut listed: BTreeSet<Digest> = next.iter().map(|entry| entry.digest.clone()).collect();
    let mut seen = BTreeSet::new();
    while let Some(entry) = next.pop() {
        if !layout.has(&entry.digest) || !seen.insert(entry.digest.clone()) {
            continue;
        }
        if !media_type::is_image(&entry.media_type) && !media_type::is_index(&entry.media_type) {
            if listed.contains(&entry.digest) {
                collect_digests(&layout.read(&entry.digest).unwrap_or_default(), &mut next);
            }
            continue;
        }
        match layout.fetch_manifest(&layout.blob_reference(&entry.digest))?.manifest {
            Manifest::Index(index) => {
                listed.extend(index.manifests.iter().map(|entry| entry.digest.clone()));
                next.extend(index.manifests);
            }
            Manifest::Image(image) => next.extend(image.layers.into_iter().chain([image.config])),
        }
    }
    Ok(seen)
}

/// Collects every digest in a manifest of an unknown media type.
fn collect_digests(bytes: &[u8], digests: &mut Vec<Descriptor>) {
    let mut next: Vec<Value> = serde_json::from_slice(bytes).into_iter().collect();
    while let Some(value) = next.pop() {
        match value {
            Value::String(text) => digests.extend(Digest::parse(&text).map(|digest| Descriptor::new("", digest))),
            Value::Array(all) => next.extend(all),
            Value::Object(all) => next.extend(all.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
}

fn copy(layout: &Layout, writer: &Writer, digest: &Digest, cancel: &CancelCheck) -> Result<(), Error> {
    let (mut file, size) = layout.open_blob(&Descriptor::new("", digest.clone()))?;
    let mut blob = writer.begin_blob(&Descriptor { size, ..Descriptor::new("", digest.clone()) })?;
    let mut chunk = vec![0; CHUNK_SIZE];
    loop {
        cancel.check().map_err(|error| Error::unwritten(layout.blob_reference(digest), &error))?;
        let read =
            file.read(&mut chunk).map_err(|error| Error::new(layout.blob_reference(digest), error.to_string()))?;
        match chunk.get(..read) {
            Some([]) | None => return blob.finish(),
            Some(read) => blob.write(read)?,
        }
    }
}
