use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::error::Error;
use super::lock::lock;
use super::reader::Layout;
use super::writer::{Writer, annotation};
use super::{CONTAINERD_NAME, REF_NAME};
use crate::image::{Descriptor, Digest, LayoutReference, Manifest, UntrustedText, media_type};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// Takes a name, or every name of a digest, out of index.json. In a folder blobs stay, as others may be writing what
/// refers to them; an archive is written anew, without what nothing in it refers to any more.
///
/// Errors: it is not there, or cannot be written.
pub(crate) fn delete(at: &LayoutReference) -> Result<(), Error> {
    let held = at.archive.then(|| hold(at)).transpose()?;
    let layout = Layout::open(at)?;
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
    let writer = Writer::create(at)?;
    if at.archive {
        for digest in reachable(&layout, goes)? {
            copy(&layout, &writer, &digest)?;
        }
        writer.write_index(layout.index_bytes()?)?;
    }
    writer.unlist(at, goes)?;
    if held.as_ref().is_some_and(|held| !is_in_place(held, at)) {
        return Err(Error::new(at, "not deleted: another process has replaced the archive meanwhile"));
    }
    writer.finish()
}

/// Keeps others that delete from an archive.
fn hold(at: &LayoutReference) -> Result<File, Error> {
    loop {
        let file = lock(Path::new(&at.path)).map_err(|error| Error::new(at, error.to_string()))?;
        // Who had the lock has put another file in its place.
        if is_in_place(&file, at) {
            return Ok(file);
        }
    }
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

fn copy(layout: &Layout, writer: &Writer, digest: &Digest) -> Result<(), Error> {
    let (mut file, size) = layout.open_blob(&Descriptor::new("", digest.clone()))?;
    let mut blob = writer.begin_blob(&Descriptor { size, ..Descriptor::new("", digest.clone()) })?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).map_err(|error| Error::new(layout.named(digest), error.to_string()))?;
        match piece.get(..read) {
            Some([]) | None => return blob.finish(),
            Some(read) => blob.write(read)?,
        }
    }
}
