use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use super::blob::{BlobWriter, is_whole};
use super::cancel_check::CancelCheck;
use super::error::Error;
use super::files::{LayoutFiles, Unreadable};
use super::lock::lock;
use super::{REF_NAME, VERSION_FILE, archive, blob_path};
use crate::image::{Descriptor, LayoutReference, MAX_MANIFEST, media_type};
use crate::links;
use crate::memory::Budget;

/// Files that are not whole yet begin with it.
const STAGING_PREFIX: &str = ".new-";
/// The files that make a folder a layout, and what they hold at first.
const FILES: [(&str, &[u8]); 2] = [("index.json", EMPTY_INDEX), ("oci-layout", VERSION_FILE)];
/// What index.json is before anything is in it.
const EMPTY_INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// A layout that is written. An archive is put together in a folder beside it, and replaces what was there at the end.
pub(crate) struct Writer {
    /// Without a name.
    at: LayoutReference,
    root: PathBuf,
    archive: Option<Staging>,
    cancel: CancelCheck,
}

/// Where an archive is put together, and where it goes.
struct Staging {
    /// Removed when this ends.
    _folder: TempDir,
    /// The path, links resolved.
    target: PathBuf,
}

/// An archive under a temporary name beside its target. Dropping it removes the file.
pub(crate) struct NewArchive {
    at: LayoutReference,
    root: PathBuf,
    target: PathBuf,
    file: NamedTempFile,
    cancel: CancelCheck,
}

impl Writer {
    /// Opens a folder that is a layout, or is empty, or does not exist yet; or an archive, whatever it holds. May wait
    /// for a lock.
    ///
    /// # Errors
    ///
    /// The target is anything else, or cannot be written, or the run was stopped.
    pub(crate) fn create(at: &LayoutReference, cancel: CancelCheck) -> Result<Self, Error> {
        let at = LayoutReference { name: None, digest: None, ..at.clone() };
        let failed = |error: std::io::Error| Error::unwritten(&at, &error);
        if at.archive {
            check_target(&at)?;
            let target = links::resolve_file(Path::new(&at.path)).map_err(failed)?;
            let folder = TempDir::with_prefix_in(".oci-archive-", links::folder_of(&target)).map_err(failed)?;
            let (root, archive) = (folder.path().to_owned(), Some(Staging { _folder: folder, target }));
            let writer = Self { at, root, archive, cancel };
            writer.add_missing_files()?;
            return Ok(writer);
        }
        let root = PathBuf::from(&at.path);
        std::fs::create_dir_all(&root).map_err(failed)?;
        let mut is_layout = true;
        for (name, _) in FILES {
            is_layout &= links::is_regular(&root.join(name)).map_err(failed)?;
        }
        // Other processes may be making the same layout: missing files are added under the lock.
        let lock = if is_layout { None } else { Some(lock(&root, &cancel).map_err(failed)?) };
        check_target(&at)?;
        let writer = Self { at, root, archive: None, cancel };
        if lock.is_some() {
            writer.add_missing_files()?;
        }
        Ok(writer)
    }

    fn add_missing_files(&self) -> Result<(), Error> {
        let add = |(name, bytes): (&str, &[u8])| match links::is_regular(&self.root.join(name))? {
            true => Ok(()),
            false => self.replace(name, bytes),
        };
        FILES.into_iter().try_for_each(add).map_err(|error| Error::unwritten(&self.at, &error))
    }

    /// Whether a blob is there with its right bytes. Reads the whole blob.
    ///
    /// # Errors
    ///
    /// Something other than a regular file is in the blob's place, or the run was stopped.
    pub(crate) fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error> {
        is_whole(&self.root, &self.named(blob), blob, &self.cancel)
    }

    /// A blob, as messages have it.
    fn named(&self, blob: &Descriptor) -> LayoutReference {
        LayoutReference { digest: Some(blob.digest.clone()), ..self.at.clone() }
    }

    /// Makes the folder of a blob where it is missing, one level at a time: no folder is made behind a link.
    fn make_folder_of(&self, blob: &Path) -> std::io::Result<()> {
        let folder = blob.strip_prefix(&self.root).ok().and_then(Path::parent).unwrap_or(Path::new(""));
        let mut path = self.root.clone();
        for part in folder.components() {
            path.push(part);
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            if !std::fs::symlink_metadata(&path)?.is_dir() {
                return Err(std::io::Error::other(format!("{} is not a plain folder", path.display())));
            }
        }
        Ok(())
    }

    /// Begins a blob.
    ///
    /// # Errors
    ///
    /// Something other than a regular file is in its place, or its folder cannot be written.
    pub(crate) fn begin_blob(&self, blob: &Descriptor) -> Result<BlobWriter, Error> {
        let to = self.root.join(blob_path(&blob.digest));
        let at = self.named(blob);
        let begin = || {
            self.make_folder_of(&to)?;
            links::is_regular(&to)?;
            readable_by_all(tempfile::Builder::new().prefix(STAGING_PREFIX).tempfile_in(links::folder_of(&to))?)
        };
        let file = begin().map_err(|error: std::io::Error| Error::unwritten(&at, &error))?;
        Ok(BlobWriter::new(&at, file, to, blob, self.archive.is_none()))
    }

    /// Writes a manifest.
    pub(crate) fn put_manifest(&self, descriptor: &Descriptor, bytes: &Bytes) -> Result<(), Error> {
        if self.has_blob(descriptor)? {
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
    pub(super) fn write_index(&self, bytes: &[u8]) -> Result<(), Error> {
        self.replace("index.json", bytes).map_err(|error| Error::unwritten(&self.at, &error))
    }

    /// Changes the list in index.json, of which nobody else writes another meanwhile. What it does not know stays.
    fn change_index(
        &self,
        at: &LayoutReference,
        change: impl FnOnce(&mut Vec<Value>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::unwritten(at, &error);
        let invalid = |reason: String| Error::new(at, format!("its index.json is not valid: {reason}"));
        let _lock = lock(&self.root, &self.cancel).map_err(failed)?;
        self.sync().map_err(failed)?;
        let mut index: Value =
            match LayoutFiles::Folder(self.root.clone()).read("index.json", MAX_MANIFEST, &Budget::default()) {
                Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?,
                Err(Unreadable::Missing) => {
                    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []})
                }
                Err(Unreadable::OverMemory(error)) => return Err(Error::over_memory(at, error)),
                Err(Unreadable::Other(reason)) => return Err(invalid(reason)),
            };
        let entries = index.get_mut("manifests").and_then(Value::as_array_mut);
        let entries = entries.ok_or_else(|| invalid("it has no list of manifests".into()))?;
        change(entries)?;
        if self.archive.is_some() {
            // The same content, the same bytes, in whatever order it came.
            entries.sort_by_key(|entry| (name_of(entry).map(str::to_owned), entry.to_string()));
        }
        let bytes = serde_json::to_vec(&index).map_err(|error| Error::new(at, error.to_string()))?;
        self.replace("index.json", &bytes).map_err(failed)
    }

    /// The layout, as the user spells it.
    #[must_use]
    pub(crate) fn at(&self) -> &LayoutReference {
        &self.at
    }

    /// Begins an archive of what was written so far; `None` for a folder, which is written directly.
    ///
    /// # Errors
    ///
    /// The folder of the archive cannot be written.
    pub(crate) fn begin_archive(&self) -> Result<Option<NewArchive>, Error> {
        let Some(Staging { target, .. }) = &self.archive else { return Ok(None) };
        let begin = || {
            let file = tempfile::Builder::new().prefix(".oci-archive-").tempfile_in(links::folder_of(target))?;
            // The archive that is replaced may be readable for its owner only.
            match std::fs::metadata(target) {
                Ok(found) => file.as_file().set_permissions(found.permissions()).map(|()| file),
                Err(_) => readable_by_all(file),
            }
        };
        let file = begin().map_err(|error| Error::unwritten(&self.at, &error))?;
        let (at, root, target, cancel) = (self.at.clone(), self.root.clone(), target.clone(), self.cancel.clone());
        Ok(Some(NewArchive { at, root, target, file, cancel }))
    }

    /// Makes sure that blobs are found where index.json will point, also by a machine that loses power now.
    #[cfg(unix)]
    fn sync(&self) -> std::io::Result<()> {
        if self.archive.is_some() {
            return Ok(());
        }
        let folders = match std::fs::read_dir(self.root.join("blobs")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            folders => folders?,
        };
        for folder in folders {
            let folder = folder?;
            // Anything else is not ours, and opening a FIFO could block for ever.
            if folder.file_type()?.is_dir() {
                File::open(folder.path())?.sync_all()?;
            }
        }
        Ok(())
    }

    /// Windows opens no folders, and keeps their entries by itself.
    #[cfg(not(unix))]
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = readable_by_all(tempfile::Builder::new().prefix(STAGING_PREFIX).tempfile_in(&self.root)?)?;
        file.write_all(bytes)?;
        if self.archive.is_none() {
            file.as_file().sync_all()?;
        }
        let to = self.root.join(name);
        links::is_regular(&to)?;
        file.persist(to).map_err(|error| error.error)?;
        Ok(())
    }
}

impl NewArchive {
    /// What fills the archive, for a blocking thread: it can take long. The temporary file stays with `self`, so that
    /// it is removed even when the thread is given up.
    pub(crate) fn packing(&self) -> Result<impl FnOnce() -> Result<(), Error> + Send + use<>, Error> {
        let (at, root, cancel) = (self.at.clone(), self.root.clone(), self.cancel.clone());
        let file = self.file.as_file().try_clone().map_err(|error| Error::unwritten(&at, &error))?;
        Ok(move || archive::write(&root, file, &cancel).map_err(|error| Error::unwritten(&at, &error)))
    }

    /// Renames the archive to its target, replacing the existing archive.
    ///
    /// # Errors
    ///
    /// The path leads elsewhere by now, or to something other than a regular file, or the run was stopped.
    pub(crate) fn place(self) -> Result<(), Error> {
        let Self { at, target, file, cancel, .. } = self;
        let place = || {
            cancel.check()?;
            links::recheck(Path::new(&at.path), &target)?;
            file.persist(&target).map(drop).map_err(|error| error.error)
        };
        place().map_err(|error| Error::unwritten(&at, &error))
    }
}

/// Checks a target without writing: a folder must be a layout, be empty, or not exist; an archive must be a regular file,
/// or not exist, in a folder that does.
pub(crate) fn check_target(at: &LayoutReference) -> Result<(), Error> {
    let path = Path::new(&at.path);
    let failed = |error: std::io::Error| Error::unwritten(at, &error);
    if at.archive {
        if path.is_dir() {
            return Err(Error::new(at, "it is a folder, not an archive: oci: names that"));
        }
        return links::resolve_file(path).map(drop).map_err(failed);
    }
    if !path.exists() {
        let is_link = std::fs::symlink_metadata(path).is_ok();
        return if is_link { Err(failed(std::io::Error::other("it is a dangling symbolic link"))) } else { Ok(()) };
    }
    for (name, _) in FILES {
        links::is_regular(&path.join(name)).map_err(failed)?;
    }
    let is_new = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(STAGING_PREFIX);
    let empty = std::fs::read_dir(path).map_err(failed)?.flatten().all(is_new);
    if empty || path.join("oci-layout").exists() {
        return Ok(());
    }
    Err(Error::new(at, "the folder is neither empty nor an image layout"))
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
