use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use super::error::Error;
use super::files::{Files, Unreadable};
use super::lock::lock;
use super::{REF_NAME, VERSION_FILE, archive, blob_path};
use crate::image::{Descriptor, LayoutReference, MAX_MANIFEST, Verifier, media_type};

/// Files that are not whole yet begin with it.
const NEW: &str = ".new-";
/// What index.json is before anything is in it.
const EMPTY_INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// A layout that is written. An archive is put together in a folder beside it, and replaces what was there at the end.
pub(crate) struct Writer {
    /// Without a name.
    at: LayoutReference,
    root: PathBuf,
    /// Removed when this ends.
    staging: Option<TempDir>,
}

/// A blob on its way into a layout; dropped before its end it leaves nothing.
pub(crate) struct BlobWriter {
    subject: String,
    file: NamedTempFile,
    to: PathBuf,
    verifier: Verifier,
}

impl Writer {
    /// For a folder that is a layout, or is empty, or is not there yet; or for an archive, whatever is there.
    pub(crate) fn create(at: &LayoutReference) -> Result<Self, Error> {
        let at = LayoutReference { name: None, digest: None, ..at.clone() };
        let failed = |error: std::io::Error| Error::new(&at, format!("it cannot be written: {error}"));
        let path = &target_of(&at);
        // Others may be making the same layout, or write into it: what is not there now is made under the lock.
        let (root, staging, _lock) = if at.archive {
            check_target(&at)?;
            let staging = TempDir::with_prefix_in(".oci-archive-", folder_of(path)).map_err(failed)?;
            (staging.path().to_owned(), Some(staging), None)
        } else {
            std::fs::create_dir_all(path).map_err(failed)?;
            let is_whole = ["index.json", "oci-layout"].iter().all(|name| path.join(name).exists());
            let lock = if is_whole { None } else { Some(lock(path).map_err(failed)?) };
            check_target(&at)?;
            (path.to_owned(), None, lock)
        };
        let writer = Self { at, root, staging };
        let failed = |error: std::io::Error| Error::new(&writer.at, format!("it cannot be written: {error}"));
        for (name, bytes) in [("index.json", EMPTY_INDEX), ("oci-layout", VERSION_FILE)] {
            if !writer.root.join(name).exists() {
                writer.replace(name, bytes).map_err(failed)?;
            }
        }
        Ok(writer)
    }

    /// Whether a blob is there, whole.
    #[must_use]
    pub(crate) fn has_blob(&self, blob: &Descriptor) -> bool {
        is_whole(&self.root, blob)
    }

    /// The folder of a blob, made if it is not there; links are not followed.
    fn folder_of(&self, blob: &Path) -> std::io::Result<()> {
        let folder = blob.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(folder)?;
        for part in folder.ancestors().take_while(|part| *part != self.root) {
            if !std::fs::symlink_metadata(part)?.is_dir() {
                return Err(std::io::Error::other(format!("{} is not a plain folder", part.display())));
            }
        }
        Ok(())
    }

    /// Begins a blob.
    pub(crate) fn begin_blob(&self, blob: &Descriptor) -> Result<BlobWriter, Error> {
        let to = self.root.join(blob_path(&blob.digest));
        let at = LayoutReference { digest: Some(blob.digest.clone()), ..self.at.clone() };
        let file = (|| {
            self.folder_of(&to)?;
            let folder = to.parent().unwrap_or(&self.root);
            readable_by_all(tempfile::Builder::new().prefix(NEW).tempfile_in(folder)?)
        })();
        let file = file.map_err(|error: std::io::Error| Error::new(&at, format!("it cannot be written: {error}")))?;
        Ok(BlobWriter { subject: at.to_string(), file, to, verifier: Verifier::new(&blob.digest, blob.size) })
    }

    /// Writes a manifest.
    pub(crate) fn put_manifest(&self, descriptor: &Descriptor, bytes: &Bytes) -> Result<(), Error> {
        if self.has_blob(descriptor) {
            return Ok(());
        }
        let mut blob = self.begin_blob(descriptor)?;
        blob.write(bytes)?;
        blob.finish()
    }

    /// Puts manifests that are there into index.json: under a name, in place of what had that name; or without one, but
    /// for those that are listed.
    pub(crate) fn list(&self, name: Option<&str>, descriptors: &[Descriptor]) -> Result<(), Error> {
        let at = LayoutReference { name: name.map(str::to_owned), ..self.at.clone() };
        self.change_index(&at, |entries| {
            for descriptor in descriptors {
                let has_digest =
                    |entry: &Value| entry.get("digest").is_some_and(|found| found == descriptor.digest.as_str());
                match name {
                    // One without a name would be a second image.
                    Some(name) => entries.retain(|entry| match name_of(entry) {
                        Some(found) => found != name,
                        None => !has_digest(entry),
                    }),
                    None if entries.iter().any(has_digest) => continue,
                    None => {}
                }
                let mut entry = descriptor.clone();
                entry.annotations.remove(REF_NAME);
                if let Some(name) = name {
                    entry.annotations.insert(REF_NAME.into(), name.into());
                }
                entries.push(serde_json::to_value(&entry).map_err(|error| Error::new(&at, error.to_string()))?);
            }
            Ok(())
        })
    }

    /// Takes entries out of index.json.
    pub(super) fn unlist(&self, at: &LayoutReference, goes: impl Fn(&Value) -> bool) -> Result<(), Error> {
        self.change_index(at, |entries| {
            let before = entries.len();
            entries.retain(|entry| !goes(entry));
            if entries.len() < before {
                Ok(())
            } else {
                Err(Error::missing(at, "index.json does not list it any more"))
            }
        })
    }

    /// Writes index.json anew.
    pub(super) fn write_index(&self, bytes: Vec<u8>) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::new(&self.at, format!("index.json cannot be written: {error}"));
        self.replace("index.json", &bytes).map_err(failed)
    }

    /// Changes the list in index.json, of which nobody else writes another meanwhile. What it does not know stays.
    fn change_index(
        &self,
        at: &LayoutReference,
        change: impl FnOnce(&mut Vec<Value>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::new(at, format!("index.json cannot be written: {error}"));
        let invalid = |reason: String| Error::new(at, format!("its index.json is not valid: {reason}"));
        let _lock = lock(&self.root).map_err(failed)?;
        self.sync().map_err(failed)?;
        let mut index: Value = match Files::Folder(self.root.clone()).read("index.json", MAX_MANIFEST) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?,
            Err(Unreadable::Missing) => {
                json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []})
            }
            Err(Unreadable::Other(reason)) => return Err(invalid(reason)),
        };
        let entries = index.get_mut("manifests").and_then(Value::as_array_mut);
        let entries = entries.ok_or_else(|| invalid("it has no list of manifests".into()))?;
        change(entries)?;
        if self.staging.is_some() {
            // The same content, the same bytes, in whatever order it came.
            entries.sort_by_key(|entry| (name_of(entry).map(str::to_owned), entry.to_string()));
        }
        let bytes = serde_json::to_vec(&index).map_err(|error| Error::new(at, error.to_string()))?;
        self.replace("index.json", &bytes).map_err(failed)
    }

    /// Whether it has to be finished.
    #[must_use]
    pub(crate) fn is_archive(&self) -> bool {
        self.staging.is_some()
    }

    /// The layout, as the user spells it.
    #[must_use]
    pub(crate) fn at(&self) -> &LayoutReference {
        &self.at
    }

    /// Puts an archive in its place; a folder is in its place already.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        if self.staging.is_none() {
            return Ok(());
        }
        let write = || {
            let folder = self.root.parent().unwrap_or(Path::new("."));
            let target = target_of(&self.at);
            let file = tempfile::Builder::new().prefix(".oci-archive-").tempfile_in(folder)?;
            // As the one that it replaces.
            let file = match std::fs::metadata(&target) {
                Ok(found) => {
                    file.as_file().set_permissions(found.permissions())?;
                    file
                }
                Err(_) => readable_by_all(file)?,
            };
            archive::write(&self.root, file.as_file().try_clone()?)?;
            file.persist(&target).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|error: std::io::Error| Error::new(&self.at, format!("it cannot be written: {error}")))
    }

    /// Makes sure that blobs are found where index.json will point, also by a machine that loses power now.
    #[cfg(unix)]
    fn sync(&self) -> std::io::Result<()> {
        let folders = match std::fs::read_dir(self.root.join("blobs")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            folders => folders?,
        };
        for folder in folders {
            File::open(folder?.path())?.sync_all()?;
        }
        Ok(())
    }

    /// Windows opens no folders, and keeps their entries by itself.
    #[cfg(not(unix))]
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = readable_by_all(tempfile::Builder::new().prefix(NEW).tempfile_in(&self.root)?)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(self.root.join(name)).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Whether a layout can be where it is wanted: a folder that is one, is empty, or is not there; an archive in a folder.
pub(crate) fn check_target(at: &LayoutReference) -> Result<(), Error> {
    let path = Path::new(&at.path);
    let failed = |error: std::io::Error| Error::new(at, format!("it cannot be written: {error}"));
    if at.archive {
        if path.is_dir() {
            return Err(Error::new(at, "it is a folder, not an archive: oci: names that"));
        }
        return std::fs::metadata(folder_of(path)).map(drop).map_err(failed);
    }
    if !path.exists() {
        return Ok(());
    }
    let is_new = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(NEW);
    let empty = std::fs::read_dir(path).map_err(failed)?.flatten().all(is_new);
    if empty || path.join("oci-layout").exists() {
        return Ok(());
    }
    Err(Error::new(at, "the folder is neither empty nor an image layout"))
}

/// Where an archive is written: what a link leads to is replaced, and the link stays.
fn target_of(at: &LayoutReference) -> PathBuf {
    let path = PathBuf::from(&at.path);
    if at.archive { std::fs::canonicalize(&path).unwrap_or(path) } else { path }
}

/// The folder that something is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a blob is in a folder, whole; never in an archive, which is written anew.
#[must_use]
pub(crate) fn has_blob(at: &LayoutReference, blob: &Descriptor) -> bool {
    !at.archive && is_whole(Path::new(&at.path), blob)
}

/// Whether a file is there and is what it is called: a machine that lost power may have left anything under its name.
fn is_whole(root: &Path, blob: &Descriptor) -> bool {
    let path = root.join(blob_path(&blob.digest));
    let found = std::fs::symlink_metadata(&path);
    if !found.is_ok_and(|found| found.is_file() && found.len() == blob.size) {
        return false;
    }
    let Ok(mut file) = File::open(&path) else { return false };
    let (mut verifier, mut piece) = (Verifier::new(&blob.digest, blob.size), vec![0; PIECE]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return verifier.finish().is_ok(),
            Ok(read) if verifier.update(piece.get(..read).unwrap_or_default()).is_ok() => {}
            _ => return false,
        }
    }
}

fn name_of(entry: &Value) -> Option<&str> {
    annotation(entry, REF_NAME)
}

/// An annotation of an entry of index.json.
pub(super) fn annotation<'e>(entry: &'e Value, key: &str) -> Option<&'e str> {
    entry.get("annotations")?.get(key)?.as_str()
}

/// Temporary files are for their owner alone; what becomes a layout is as any other file.
fn readable_by_all(file: NamedTempFile) -> std::io::Result<NamedTempFile> {
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    Ok(file)
}

impl BlobWriter {
    /// Takes in the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.verifier.update(bytes).map_err(|reason| Error::new(&self.subject, reason))?;
        let written = self.file.write_all(bytes);
        written.map_err(|error| Error::new(&self.subject, format!("it cannot be written: {error}")))
    }

    /// Compares it with its descriptor and puts it in its place.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Self { subject, file, to, verifier } = self;
        verifier.finish().map_err(|reason| Error::new(&subject, reason))?;
        let placed = file.as_file().sync_data().and_then(|()| file.persist(&to).map_err(|error| error.error));
        placed.map(|_| ()).map_err(|error| Error::new(&subject, format!("it cannot be written: {error}")))
    }
}
