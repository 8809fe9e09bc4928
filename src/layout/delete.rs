use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::archive;
use super::cancel_check::CancelCheck;
use super::error::Error;
use super::lock::lock;
use super::reader::Layout;
use super::writer::{Writer, annotation};
use super::{CHUNK_SIZE, CONTAINERD_NAME, REF_NAME};
use crate::image::{Descriptor, Digest, LayoutReference, Manifest, UntrustedText, media_type};
use crate::memory::Budget;

/// An archive without what was deleted from it, still to be put in place.
pub(crate) struct Rewrite {
    writer: Writer,
    /// The archive that it was made from, locked.
    from: File,
}

impl Rewrite {
    /// Holds the new content.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Checks that the archive is still the one that was read.
    ///
    /// # Errors
    ///
    /// Another process has replaced it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let at = self.writer.at();
        if is_in_place(&self.from, at) {
            return Ok(());
        }
        Err(Error::new(at, "not deleted: another process has replaced the archive meanwhile"))
    }
}

/// Takes a name, or every name of a digest, out of index.json. A folder is changed at once; its blobs stay, as other
/// processes may be writing manifests that refer to them. An archive is written anew, without what is no longer referred
/// to, and put in place by the caller.
///
/// # Errors
///
/// It does not exist, or cannot be written, or the run was stopped.
pub(crate) fn delete(at: &LayoutReference, cancel: &CancelCheck, budget: &Budget) -> Result<Option<Rewrite>, Error> {
    let (layout, lock) = match at.archive {
        true => open_locked(at, cancel, budget).map(|(layout, lock)| (layout, Some(lock)))?,
        false => (Layout::open(at, budget)?, None),
    };
    let found = layout.find(at)?;
    if !layout.entries().any(|entry| entry.digest == found.digest) {
        return Err(Error::new(at, "index.json does not list it, as it is part of something else"));
    }
    if let Some(other) = layout.other_file() {
        let reason = format!("the archive holds \"{other}\" as well, which is no part of a layout and would be lost");
        return Err(Error::new(at, reason));
    }
    let is_named =
        layout.entries().any(|entry| entry.annotations.get(REF_NAME).map(UntrustedText::as_str) == at.name.as_deref());
    let key = if is_named { REF_NAME } else { CONTAINERD_NAME };
    let goes = |entry: &Value| match &at.name {
        Some(name) => annotation(entry, key).is_some_and(|found| found == name),
        None => entry.get("digest").is_some_and(|digest| digest == found.digest.as_str()),
    };
    let writer = Writer::create(at, cancel.clone())?;
    if at.archive {
        for digest in reachable(&layout, goes)? {
            copy(&layout, &writer, &digest, cancel)?;
        }
        writer.write_index(layout.index_bytes())?;
    }
    writer.unlist(at, goes)?;
    Ok(lock.map(|from| Rewrite { writer, from }))
}

/// Opens and locks an archive, so that one process at a time deletes from it. The layout is read from the file that is
/// locked.
fn open_locked(at: &LayoutReference, cancel: &CancelCheck, budget: &Budget) -> Result<(Layout, File), Error> {
    let path = Path::new(&at.path);
    let failed = |error: std::io::Error| Error::unwritten(at, &error);
    loop {
        archive::open(path).map_err(failed)?;
        let lock = lock(path, cancel).map_err(failed)?;
        // The process that held the lock before may have replaced the file.
        if is_in_place(&lock, at) {
            let file = locked_file(&lock, path).map_err(failed)?;
            return Ok((Layout::from_archive(at, file, budget)?, lock));
        }
    }
}

#[cfg(unix)]
fn locked_file(lock: &File, _: &Path) -> std::io::Result<File> {
    lock.try_clone()
}

/// On Windows the lock is another file.
#[cfg(not(unix))]
fn locked_file(_: &File, path: &Path) -> std::io::Result<File> {
    archive::open(path)
}

#[cfg(unix)]
fn is_in_place(file: &File, at: &LayoutReference) -> bool {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt as _;
    let is = |one: &Metadata, other: &Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    matches!((file.metadata(), std::fs::metadata(&at.path)), (Ok(one), Ok(other)) if is(&one, &other))
}

#[cfg(not(unix))]
fn is_in_place(_: &File, _: &LayoutReference) -> bool {
    true
}

/// What the entries that stay refer to, and what that refers to, as far as it is there.
fn reachable(layout: &Layout, goes: impl Fn(&Value) -> bool) -> Result<BTreeSet<Digest>, Error> {
    let stays = |entry: &&Descriptor| serde_json::to_value(entry).is_ok_and(|entry| !goes(&entry));
    let mut next: Vec<Descriptor> = layout.entries().filter(stays).cloned().collect();
    let mut listed: BTreeSet<Digest> = next.iter().map(|entry| entry.digest.clone()).collect();
    let mut seen = BTreeSet::new();
    while let Some(entry) = next.pop() {
        if !layout.has(&entry.digest) || !seen.insert(entry.digest.clone()) {
            continue;
        }
        if !media_type::is_image(&entry.media_type) && !media_type::is_index(&entry.media_type) {
            if listed.contains(&entry.digest) {
                named_in(&layout.read(&entry.digest).unwrap_or_default(), &mut next);
            }
            continue;
        }
        match layout.fetch_manifest(&layout.named(&entry.digest))?.manifest {
            Manifest::Index(index) => {
                listed.extend(index.manifests.iter().map(|entry| entry.digest.clone()));
                next.extend(index.manifests);
            }
            Manifest::Image(image) => next.extend(image.layers.into_iter().chain([image.config])),
        }
    }
    Ok(seen)
}

/// Whatever a manifest of a type that is not known here names by its digest.
fn named_in(bytes: &[u8], named: &mut Vec<Descriptor>) {
    let mut next: Vec<Value> = serde_json::from_slice(bytes).into_iter().collect();
    while let Some(value) = next.pop() {
        match value {
            Value::String(text) => named.extend(Digest::parse(&text).map(|digest| Descriptor::new("", digest))),
            Value::Array(all) => next.extend(all),
            Value::Object(all) => next.extend(all.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
}

fn copy(layout: &Layout, writer: &Writer, digest: &Digest, cancel: &CancelCheck) -> Result<(), Error> {
    let (mut file, size) = layout.open_blob(&Descriptor::new("", digest.clone()))?;
    let mut blob = writer.begin_blob(&Descriptor { size, ..Descriptor::new("", digest.clone()) })?;
    let mut piece = vec![0; CHUNK_SIZE];
    loop {
        cancel.check().map_err(|error| Error::unwritten(layout.named(digest), &error))?;
        let read = file.read(&mut piece).map_err(|error| Error::new(layout.named(digest), error.to_string()))?;
        match piece.get(..read) {
            Some([]) | None => return blob.finish(),
            Some(read) => blob.write(read)?,
        }
    }
}
