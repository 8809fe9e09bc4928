use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;

use super::archive::{self, Archive};
use super::error::Error;
use super::files::{FileSection, LayoutFiles, Unreadable};
use super::{CONTAINERD_NAME, REF_NAME, blob_path};
use crate::image::{Descriptor, Digest, Fetched, Index, LayoutReference, MAX_MANIFEST, UntrustedText, parse_manifest};
use crate::memory::Budget;

/// A layout that is read.
pub(crate) struct Layout {
    /// Without a name.
    at: LayoutReference,
    files: LayoutFiles,
    index: Index,
    /// The exact bytes of index.json, which hold its charge.
    index_bytes: Bytes,
    budget: Budget,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    image_layout_version: UntrustedText,
}

impl Layout {
    /// Opens a folder or archive. Errors: it is not there, no layout of version 1, or an archive that is not sound.
    pub(crate) fn open(at: &LayoutReference, budget: &Budget) -> Result<Self, Error> {
        let at = LayoutReference { name: None, digest: None, ..at.clone() };
        let failed = |reason: String| Error::new(&at, reason);
        let path = PathBuf::from(&at.path);
        let files = match (at.archive, path.is_dir()) {
            (true, true) => return Err(failed("it is a folder, not an archive: oci: names that".into())),
            (false, false) if path.is_file() => {
                return Err(failed("it is a file, not a folder: oci-archive: names that".into()));
            }
            (true, false) => {
                let file = archive::open(&path).map_err(|error| failed(error.to_string()))?;
                return Self::from_archive(&at, file, budget);
            }
            (false, _) if !path.exists() => return Err(failed("there is no such folder".into())),
            (false, _) => LayoutFiles::Folder(path),
        };
        Self::from_files(at, files, budget)
    }

    /// Reads an archive through an open handle, whatever its path leads to by now. Every later read goes through the
    /// same handle.
    pub(super) fn from_archive(at: &LayoutReference, file: File, budget: &Budget) -> Result<Self, Error> {
        let at = LayoutReference { name: None, digest: None, ..at.clone() };
        let archive = Archive::scan(file).map_err(|reason| Error::new(&at, reason))?;
        Self::from_files(at, LayoutFiles::Archive(archive), budget)
    }

    fn from_files(at: LayoutReference, files: LayoutFiles, budget: &Budget) -> Result<Self, Error> {
        let failed = |reason: String| Error::new(&at, reason);
        let read = |name| match files.read(name, MAX_MANIFEST, budget) {
            Ok(bytes) => Ok(bytes),
            Err(Unreadable::Missing) => Err(failed(format!("it is no image layout: it has no {name}"))),
            Err(reason) => Err(unreadable(&at, reason)),
        };
        let invalid = |name, error| failed(format!("its {name} is not valid: {error}"));
        let version: Version =
            serde_json::from_slice(&read("oci-layout")?).map_err(|error| invalid("oci-layout", error))?;
        if !version.image_layout_version.starts_with("1.") {
            let version = version.image_layout_version;
            return Err(failed(format!("it is an image layout of version \"{version}\", only 1 is read")));
        }
        let index_bytes = read("index.json")?;
        let index = serde_json::from_slice(&index_bytes).map_err(|error| invalid("index.json", error))?;
        Ok(Self { at, files, index, index_bytes, budget: budget.clone() })
    }

    /// Opens a folder to see what it holds now: nothing where it is no layout yet, or an archive, which is written anew.
    pub(crate) fn current(at: &LayoutReference, budget: &Budget) -> Result<Option<Self>, Error> {
        let is_there = !at.archive && Path::new(&at.path).join("index.json").exists();
        is_there.then(|| Self::open(at, budget)).transpose()
    }

    /// What index.json has under a name or digest, or the only image where neither is given.
    pub(crate) fn find(&self, at: &LayoutReference) -> Result<Descriptor, Error> {
        let mut entries: Vec<&Descriptor> = match (&at.digest, &at.name) {
            (Some(digest), _) => self.index.manifests.iter().filter(|entry| entry.digest == *digest).collect(),
            (None, Some(name)) => {
                let named = |key| {
                    let is = |entry: &&Descriptor| entry.annotations.get(key).is_some_and(|found| found == name);
                    self.index.manifests.iter().filter(is).collect::<Vec<_>>()
                };
                Some(named(REF_NAME)).filter(|found| !found.is_empty()).unwrap_or_else(|| named(CONTAINERD_NAME))
            }
            (None, None) => self.index.manifests.iter().collect(),
        };
        // Referrers have no names.
        let named = |entry: &&Descriptor| entry.annotations.contains_key(REF_NAME);
        if at.digest.is_none() && entries.iter().filter(|entry| named(entry)).count() == 1 {
            entries.retain(named);
        }
        entries.dedup_by(|a, b| a.digest == b.digest);
        match (entries.as_slice(), &at.digest) {
            ([only], _) => Ok((*only).clone()),
            // Children of an index are not listed.
            ([], Some(digest)) => Ok(Descriptor::new("", digest.clone())),
            ([], None) => Err(Error::missing(at, format!("not found in the layout; {}", self.name_list()))),
            _ if at.name.is_some() => Err(Error::new(at, "the layout has several images of this name; give a digest")),
            _ => {
                Err(Error::new(at, format!("the layout holds several images, name one of them; {}", self.name_list())))
            }
        }
    }

    /// What it holds, for messages.
    fn name_list(&self) -> String {
        let name = |entry: &Descriptor| {
            let name = [REF_NAME, CONTAINERD_NAME].iter().find_map(|key| entry.annotations.get(*key));
            name.map_or_else(|| format!("@{}", entry.digest), |name| format!(":{name}"))
        };
        let names: Vec<String> = self.index.manifests.iter().take(20).map(name).collect();
        let more = if self.index.manifests.len() > names.len() { ", and more" } else { "" };
        if names.is_empty() { "it is empty".into() } else { format!("it holds {}{more}", names.join(", ")) }
    }

    /// Reads a manifest, by name, by digest, or the only one.
    pub(crate) fn fetch_manifest(&self, at: &LayoutReference) -> Result<Fetched, Error> {
        let entry = self.find(at)?;
        let read = self.read_blob(at, &entry.digest, MAX_MANIFEST);
        let is_listed = !entry.media_type.is_empty();
        let bytes = read.map_err(|error| if is_listed { error.of_listed() } else { error })?;
        let (manifest, media_type) =
            parse_manifest(&bytes, &entry.media_type).map_err(|error| Error::wrong(at, error.to_string()))?;
        let size = bytes.len() as u64;
        if !entry.media_type.is_empty() && (entry.media_type != media_type || entry.size != size) {
            let (said, of) = (&entry.media_type, entry.size);
            let reason = format!("index.json calls it {said} of {of} bytes, it is {media_type} of {size}");
            return Err(Error::wrong(at, reason));
        }
        Ok(Fetched { bytes, descriptor: Descriptor { size, ..Descriptor::new(&media_type, entry.digest) }, manifest })
    }

    /// Reads a small blob, such as a config, and compares it with its descriptor.
    pub(crate) fn fetch_blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        let at = self.named(&blob.digest);
        let bytes = self.read_blob(&at, &blob.digest, limit)?;
        if bytes.len() as u64 == blob.size {
            return Ok(bytes);
        }
        Err(Error::size(&at, blob.size, bytes.len() as u64))
    }

    /// What index.json lists.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Descriptor> {
        self.index.manifests.iter()
    }

    /// index.json as it is.
    pub(super) fn index_bytes(&self) -> &[u8] {
        &self.index_bytes
    }

    /// Whether a blob is there.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.files.open(&blob_path(digest)).is_ok()
    }

    /// A file of an archive that would be lost if it was written anew.
    pub(super) fn other_file(&self) -> Option<&UntrustedText> {
        self.files.other()
    }

    /// A small blob, whatever it is.
    pub(super) fn read(&self, digest: &Digest) -> Result<Bytes, Error> {
        self.read_blob(&self.named(digest), digest, MAX_MANIFEST)
    }

    /// By digest, as messages have it.
    pub(super) fn named(&self, digest: &Digest) -> LayoutReference {
        LayoutReference { digest: Some(digest.clone()), ..self.at.clone() }
    }

    fn read_blob(&self, at: &LayoutReference, digest: &Digest, limit: u64) -> Result<Bytes, Error> {
        let bytes = self.files.read(&blob_path(digest), limit, &self.budget);
        let bytes = bytes.map_err(|reason| unreadable(at, reason))?;
        if digest.matches(&bytes) {
            return Ok(bytes);
        }
        let actual = Digest::sha256(&bytes);
        Err(Error::wrong(at, format!("the file of {digest} holds other bytes, with digest {actual}")))
    }

    /// Opens a blob, and tells its length. The caller compares the bytes with the descriptor.
    pub(crate) fn open_blob(&self, blob: &Descriptor) -> Result<(FileSection, u64), Error> {
        let at = self.named(&blob.digest);
        self.files.open(&blob_path(&blob.digest)).map_err(|reason| unreadable(&at, reason))
    }

    /// The names that index.json has, in its order, each once.
    pub(crate) fn names(&self) -> impl Iterator<Item = &UntrustedText> {
        let mut seen = HashSet::new();
        let names = self.index.manifests.iter().filter_map(|entry| {
            let keys = [REF_NAME, CONTAINERD_NAME];
            keys.iter().find_map(|key| entry.annotations.get(*key))
        });
        names.filter(move |name| seen.insert(name.as_str()))
    }

    /// What index.json lists without a name; manifests that refer to others are among that.
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = &Descriptor> {
        self.index.manifests.iter().filter(|entry| !entry.annotations.contains_key(REF_NAME))
    }
}

fn unreadable(at: &LayoutReference, reason: Unreadable) -> Error {
    match reason {
        Unreadable::Missing => Error::missing(at, "the layout does not have it"),
        Unreadable::OverMemory(error) => Error::over_memory(at, error),
        Unreadable::Other(reason) => Error::new(at, reason),
    }
}
