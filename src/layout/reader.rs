use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;

use super::archive::{Archive, Scope};
use super::cancel_check::CancelCheck;
use super::content::{Content, Unreadable};
use super::dir::{self, DirImage};
use super::docker_images::DockerImages;
use super::error::Error;
use super::files::LayoutFiles;
use super::signature_file::ListedSignatureFile;
use super::{REF_NAME, docker_manifest, input, names, signature_file};
use crate::image::{
    Descriptor, Digest, Fetched, Index, LayoutReference, MAX_MANIFEST, Manifest, Transport, UntrustedText, media_type,
    parse_manifest,
};
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
    /// Opens a folder or archive. May wait for standard input.
    ///
    /// # Errors
    ///
    /// The path does not exist, does not have the form of its transport, or is an invalid archive.
    pub(crate) fn open(at: &LayoutReference, budget: &Budget, cancel: &CancelCheck) -> Result<Self, Error> {
        let at = at.without_name();
        let failed = |reason: &str| Error::new(&at, reason);
        let path = PathBuf::from(&at.path);
        match (at.transport.is_archive_file(), path.is_dir()) {
            (true, true) => Err(failed("it is a folder, not an archive; use oci: or dir: for a folder")),
            (true, false) => {
                let file = input::open(&at, cancel).map_err(|error| Error::unread(&at, &error))?;
                Self::from_archive(&at, file, budget)
            }
            (false, false) if path.is_file() => {
                Err(failed("it is a file, not a folder; use oci-archive: or docker-archive: for an archive"))
            }
            (false, _) if !path.exists() => Err(failed("the folder does not exist")),
            (false, _) if at.transport == Transport::Dir => {
                let (image, index) = DirImage::open(&path).map_err(|reason| failed(&reason))?;
                Ok(Self {
                    at,
                    files: LayoutFiles::Dir(image),
                    index,
                    index_bytes: Bytes::new(),
                    budget: budget.clone(),
                })
            }
            (false, _) => Self::from_files(at, LayoutFiles::Folder(path), budget),
        }
    }

    /// Opens an archive from a file handle. All reads use this handle, even if the path has since been replaced.
    pub(crate) fn from_archive(at: &LayoutReference, file: File, budget: &Budget) -> Result<Self, Error> {
        let at = at.without_name();
        let failed = |reason: String| Error::new(&at, reason);
        if !at.transport.is_docker() {
            let archive = Archive::scan(file, Scope::Layout).map_err(failed)?;
            return Self::from_files(at, LayoutFiles::Archive(archive), budget);
        }
        let archive = Archive::scan(file, Scope::All).map_err(failed)?;
        // Since version 25, Docker saves a layout with the exact manifests.
        if archive.find("oci-layout").is_some() && archive.find("index.json").is_some() {
            let mut layout = Self::from_files(at.clone(), LayoutFiles::Archive(archive), budget)?;
            let LayoutFiles::Archive(archive) = &layout.files else { return Ok(layout) };
            if layout.is_whole() || archive.find(docker_manifest::NAME).is_none() {
                names::use_references(&mut layout.index);
                return Ok(layout);
            }
            // With containerd's store, Docker saves an index although it has the images for some platforms only.
            let LayoutFiles::Archive(archive) = layout.files else { return Err(failed("it has no files".into())) };
            let (images, index) = DockerImages::read(archive, budget).map_err(failed)?;
            return Ok(Self {
                at,
                files: LayoutFiles::Docker(images),
                index,
                index_bytes: Bytes::new(),
                budget: budget.clone(),
            });
        }
        let (images, index) = DockerImages::read(archive, budget).map_err(failed)?;
        Ok(Self { at, files: LayoutFiles::Docker(images), index, index_bytes: Bytes::new(), budget: budget.clone() })
    }

    /// Counts the signatures that `dir:` holds beside an image.
    ///
    /// # Errors
    ///
    /// The folder cannot be read, or has too many.
    pub(crate) fn count_signatures(&self) -> Result<usize, Error> {
        match self.at.transport {
            Transport::Dir => {
                let names = dir::signature_names(Path::new(&self.at.path));
                names.map(|names| names.len()).map_err(|error| Error::unread(&self.at, &error))
            }
            _ => Ok(0),
        }
    }

    /// Lists at most `limit` signatures that `dir:` holds beside a manifest, with whether each is one of cosign.
    ///
    /// # Errors
    ///
    /// The folder or a signature cannot be read, or the folder has too many.
    pub(crate) fn signature_files(&self, of: &Digest, limit: usize) -> Result<Vec<ListedSignatureFile>, Error> {
        let LayoutFiles::Dir(image) = &self.files else { return Ok(Vec::new()) };
        let of = Some(of).filter(|of| *of != image.digest());
        let files = signature_file::list(Path::new(&self.at.path), of, limit);
        files.map_err(|reason| unreadable(&self.at, reason))
    }

    /// Reads a signature that `dir:` holds beside an image, of at most 256 KiB.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is too large.
    pub(crate) fn fetch_signature_file(&self, name: &str) -> Result<Bytes, Error> {
        let read = signature_file::fetch(Path::new(&self.at.path), name, &self.budget);
        read.map_err(|reason| unreadable(&self.at, reason))
    }

    /// Whether the manifests were made for an archive that has none, with layers that are not compressed.
    pub(crate) fn has_plain_layers(&self) -> bool {
        matches!(&self.files, LayoutFiles::Docker(images) if images.has_plain_layers)
    }

    /// Whether the layout has every image of the indexes that it lists.
    fn is_whole(&self) -> bool {
        let mut indexes = self.index.manifests.iter().filter(|entry| media_type::is_index(&entry.media_type));
        indexes.all(|entry| {
            let fetched = self.fetch_manifest(&self.blob_reference(&entry.digest));
            match fetched.map(|fetched| fetched.manifest) {
                Ok(Manifest::Index(index)) => index.manifests.iter().all(|child| self.has(&child.digest)),
                _ => true,
            }
        })
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
        let main_file = match at.transport {
            Transport::Oci => "index.json",
            Transport::Dir => dir::MANIFEST,
            _ => return Ok(None),
        };
        let exists = Path::new(&at.path).join(main_file).exists();
        exists.then(|| Self::open(at, budget, &CancelCheck::never())).transpose()
    }

    /// Finds an image by name or digest. Without either, the layout must hold exactly one image.
    pub(crate) fn find(&self, at: &LayoutReference) -> Result<Descriptor, Error> {
        names::find(&self.index, at)
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
        self.files.open_blob(digest).is_ok()
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
        let bytes = self.files.read_blob(digest, limit, &self.budget);
        let bytes = bytes.map_err(|reason| unreadable(at, reason))?;
        if digest.matches(&bytes) {
            return Ok(bytes);
        }
        let actual = Digest::sha256(&bytes);
        Err(Error::wrong(at, format!("the file for {digest} has different content, with digest {actual}")))
    }

    /// Opens a blob and returns its length. The caller verifies the bytes against the descriptor.
    pub(crate) fn open_blob(&self, blob: &Descriptor) -> Result<(Content, u64), Error> {
        let at = self.blob_reference(&blob.digest);
        self.files.open_blob(&blob.digest).map_err(|reason| unreadable(&at, reason))
    }

    /// Returns the distinct names by which images are found, in the order of `index.json`.
    pub(crate) fn names(&self) -> Vec<UntrustedText> {
        names::all(&self.index)
    }

    /// Iterates over the entries of `index.json` without a name, which include referrers.
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = &Descriptor> {
        self.index.manifests.iter().filter(|entry| !entry.annotations.contains_key(REF_NAME))
    }
}

fn unreadable(at: &LayoutReference, reason: Unreadable) -> Error {
    match reason {
        Unreadable::Missing => Error::missing(at, format!("not found in the {}", names::kind(at.transport))),
        Unreadable::OverMemory(error) => Error::over_memory(at, error),
        Unreadable::Other(reason) => Error::new(at, reason),
    }
}
