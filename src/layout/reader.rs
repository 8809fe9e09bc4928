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

/// A layout opened for reading.
pub(crate) struct Layout {
    /// The layout itself, without a name or digest.
    at: LayoutReference,
    files: LayoutFiles,
    index: Index,
    /// The exact bytes of `index.json`. They hold its memory charge.
    index_bytes: Bytes,
    budget: Budget,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    image_layout_version: UntrustedText,
}

impl Layout {
    /// Opens a folder or archive.
    ///
    /// # Errors
    ///
    /// The path does not exist, is not an image layout of version 1, or is an invalid archive.
    pub(crate) fn open(at: &LayoutReference, budget: &Budget) -> Result<Self, Error> {
        let at = LayoutReference { name: None, digest: None, ..at.clone() };
        let failed = |reason: String| Error::new(&at, reason);
        let path = PathBuf::from(&at.path);
        let files = match (at.archive, path.is_dir()) {
            (true, true) => return Err(failed("it is a folder, not an archive; use oci: for a folder".into())),
            (false, false) if path.is_file() => {
                return Err(failed("it is a file, not a folder; use oci-archive: for an archive".into()));
            }
            (true, false) => {
                let file = archive::open(&path).map_err(|error| failed(error.to_string()))?;
                return Self::from_archive(&at, file, budget);
            }
            (false, _) if !path.exists() => return Err(failed("the folder does not exist".into())),
            (false, _) => LayoutFiles::Folder(path),
        };
        Self::from_files(at, files, budget)
    }

    /// Opens an archive from a file handle. All reads use this handle, even if the path has since been replaced.
    pub(super) fn from_archive(at: &LayoutReference, file: File, budget: &Budget) -> Result<Self, Error> {
        let at = LayoutReference { name: None, digest: None, ..at.clone() };
        let archive = Archive::scan(file).map_err(|reason| Error::new(&at, reason))?;
        Self::from_files(at, LayoutFiles::Archive(archive), budget)
    }

    fn from_files(at: LayoutReference, files: LayoutFiles, budget: &Budget) -> Result<Self, Error> {
        let failed = |reason: String| Error::new(&at, reason);
        let read = |name| match files.read(name, MAX_MANIFEST, budget) {
            Ok(bytes) => Ok(bytes),
            Err(Unreadable::Missing) => Err(failed(format!("it is not an image layout: it has no {name}"))),
            Err(reason) => Err(unreadable(&at, reason)),
        };
        let invalid = |name, error| failed(format!("its {name} is not valid: {error}"));
        let version: Version =
            serde_json::from_slice(&read("oci-layout")?).map_err(|error| invalid("oci-layout", error))?;
        if !version.image_layout_version.starts_with("1.") {
            let version = version.image_layout_version;
            return Err(failed(format!("image layout version \"{version}\" is not supported; only version 1 is")));
        }
        let index_bytes = read("index.json")?;
        let index = serde_json::from_slice(&index_bytes).map_err(|error| invalid("index.json", error))?;
        Ok(Self { at, files, index, index_bytes, budget: budget.clone() })
    }

    /// Opens the existing layout at a target. Returns `None` if the folder is not a layout yet, and for an archive,
    /// which is rewritten as a whole.
    pub(crate) fn current(at: &LayoutReference, budget: &Budget) -> Result<Option<Self>, Error> {
        let exists = !at.archive && Path::new(&at.path).join("index.json").exists();
        exists.then(|| Self::open(at, budget)).transpose()
    }

    /// Finds an image in `index.json` by name or digest. Without either, the layout must hold exactly one image.
    pub(crate) fn find(&self, at: &LayoutReference) -> Result<Descriptor, Error> {
        let mut entries: Vec<&Descriptor> = match (&at.digest, &at.name) {
            (Some(digest), _) => self.index.manifests.iter().filter(|entry| entry.digest == *digest).collect(),
            (None, Some(name)) => {
                let named = |key| {
                    let is = |entry: &&Descriptor| entry.annotations.get(key).is_some_and(|value| value == name);
                    self.index.manifests.iter().filter(is).collect::<Vec<_>>()
                };
                Some(named(REF_NAME)).filter(|entries| !entries.is_empty()).unwrap_or_else(|| named(CONTAINERD_NAME))
            }
            (None, None) => self.index.manifests.iter().collect(),
        };
        // Prefer the only named entry: referrers are listed without a name.
        let named = |entry: &&Descriptor| entry.annotations.contains_key(REF_NAME);
        if at.digest.is_none() && entries.iter().filter(|entry| named(entry)).count() == 1 {
            entries.retain(named);
        }
        entries.dedup_by(|a, b| a.digest == b.digest);
        match (entries.as_slice(), &at.digest) {
            ([only], _) => Ok((*only).clone()),
            // `index.json` does not list the children of an index.
            ([], Some(digest)) => Ok(Descriptor::new("", digest.clone())),
            ([], None) => Err(Error::missing(at, format!("not found in the layout; {}", self.name_list()))),
            _ if at.name.is_some() => Err(Error::new(at, "the layout has several images with this name; use a digest")),
            _ => Err(Error::new(
                at,
                format!("the layout holds several images; choose one by name; {}", self.name_list()),
            )),
        }
    }

    /// Lists the images for error messages, at most 20.
    fn name_list(&self) -> String {
        let name = |entry: &Descriptor| {
            let name = [REF_NAME, CONTAINERD_NAME].iter().find_map(|key| entry.annotations.get(*key));
            name.map_or_else(|| format!("@{}", entry.digest), |name| format!(":{name}"))
        };
        let names: Vec<String> = self.index.manifests.iter().take(20).map(name).collect();
        let more = if self.index.manifests.len() > names.len() { ", and more" } else { "" };
        if names.is_empty() { "it is empty".into() } else { format!("it holds {}{more}", names.join(", ")) }
    }

    /// Reads a manifest by name or digest, or the only one in the layout.
    pub(crate) fn fetch_manifest(&self, at: &LayoutReference) -> Result<Fetched, Error> {
        let entry = self.find(at)?;
        let read = self.read_blob(at, &entry.digest, MAX_MANIFEST);
        let is_listed = !entry.media_type.is_empty();
        let bytes = read.map_err(|error| if is_listed { error.into_lost() } else { error })?;
        let (manifest, media_type) =
            parse_manifest(&bytes, &entry.media_type).map_err(|error| Error::wrong(at, error.to_string()))?;
        let size = bytes.len() as u64;
        if !entry.media_type.is_empty() && (entry.media_type != media_type || entry.size != size) {
            let (listed_type, listed_size) = (&entry.media_type, entry.size);
            let reason = format!(
                "index.json lists it as {listed_type} with {listed_size} bytes, but it is {media_type} with {size}"
            );
            return Err(Error::wrong(at, reason));
        }
        Ok(Fetched { bytes, descriptor: Descriptor { size, ..Descriptor::new(&media_type, entry.digest) }, manifest })
    }

    /// Reads a small blob, such as a config, and verifies it against its descriptor.
    pub(crate) fn fetch_blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        let at = self.blob_reference(&blob.digest);
        let bytes = self.read_blob(&at, &blob.digest, limit)?;
        if bytes.len() as u64 == blob.size {
            return Ok(bytes);
        }
        Err(Error::size(&at, blob.size, bytes.len() as u64))
    }

    /// Iterates over the descriptors in `index.json`.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Descriptor> {
        self.index.manifests.iter()
    }

    /// Returns the exact bytes of `index.json`.
    pub(super) fn index_bytes(&self) -> &[u8] {
        &self.index_bytes
    }

    /// Returns whether the layout contains a blob.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.files.open(&blob_path(digest)).is_ok()
    }

    /// Returns a file in the archive that does not belong to a layout and would be lost in a rewrite.
    pub(super) fn extra_file(&self) -> Option<&UntrustedText> {
        self.files.extra_file()
    }

    /// Reads a small blob of any media type.
    pub(super) fn read(&self, digest: &Digest) -> Result<Bytes, Error> {
        self.read_blob(&self.blob_reference(digest), digest, MAX_MANIFEST)
    }

    /// Returns the reference of a blob, for error messages.
    pub(super) fn blob_reference(&self, digest: &Digest) -> LayoutReference {
        LayoutReference { digest: Some(digest.clone()), ..self.at.clone() }
    }

    fn read_blob(&self, at: &LayoutReference, digest: &Digest, limit: u64) -> Result<Bytes, Error> {
        let bytes = self.files.read(&blob_path(digest), limit, &self.budget);
        let bytes = bytes.map_err(|reason| unreadable(at, reason))?;
        if digest.matches(&bytes) {
            return Ok(bytes);
        }
        let actual = Digest::sha256(&bytes);
        Err(Error::wrong(at, format!("the file for {digest} has different content, with digest {actual}")))
    }

    /// Opens a blob and returns its length. The caller verifies the bytes against the descriptor.
    pub(crate) fn open_blob(&self, blob: &Descriptor) -> Result<(FileSection, u64), Error> {
        let at = self.blob_reference(&blob.digest);
        self.files.open(&blob_path(&blob.digest)).map_err(|reason| unreadable(&at, reason))
    }

    /// Iterates over the distinct names in `index.json`, in its order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &UntrustedText> {
        let mut seen = HashSet::new();
        let names = self.index.manifests.iter().filter_map(|entry| {
            let keys = [REF_NAME, CONTAINERD_NAME];
            keys.iter().find_map(|key| entry.annotations.get(*key))
        });
        names.filter(move |name| seen.insert(name.as_str()))
    }

    /// Iterates over the entries of `index.json` without a name, which include referrers.
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = &Descriptor> {
        self.index.manifests.iter().filter(|entry| !entry.annotations.contains_key(REF_NAME))
    }
}

fn unreadable(at: &LayoutReference, reason: Unreadable) -> Error {
    match reason {
        Unreadable::Missing => Error::missing(at, "not found in the layout"),
        Unreadable::OverMemory(error) => Error::over_memory(at, error),
        Unreadable::Other(reason) => Error::new(at, reason),
    }
}
