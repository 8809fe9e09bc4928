use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use super::blob::{BlobWriter, is_complete};
use super::cancel_check::CancelCheck;
use super::error::Error;
use super::files::{LayoutFiles, Unreadable};
use super::lock::lock;
use super::{REF_NAME, VERSION_FILE, archive, blob_path};
use crate::image::{Descriptor, LayoutReference, MAX_MANIFEST, media_type};
use crate::links;
use crate::memory::Budget;

/// Prefix of temporary files for blobs and `index.json`.
const STAGING_PREFIX: &str = ".new-";
/// The files that make a folder a layout, with their initial content.
const LAYOUT_FILES: [(&str, &[u8]); 2] = [("index.json", EMPTY_INDEX), ("oci-layout", VERSION_FILE)];
/// Content of an empty `index.json`.
const EMPTY_INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// A layout opened for writing. An archive is assembled in a staging folder beside it and replaces the existing archive
/// at the end.
pub(crate) struct Writer {
    /// The layout itself, without a name or digest.
    at: LayoutReference,
    root: PathBuf,
    archive: Option<Staging>,
    cancel: CancelCheck,
}

/// The staging folder and the final path of an archive.
struct Staging {
    /// Removed on drop.
    _folder: TempDir,
    /// The path of the archive, with symbolic links resolved.
    target: PathBuf,
}

/// An archive under a temporary name beside its target. Dropping it removes the temporary file.
pub(crate) struct NewArchive {
    at: LayoutReference,
    root: PathBuf,
    target: PathBuf,
    file: NamedTempFile,
    cancel: CancelCheck,
}

impl Writer {
    /// Opens a folder or an archive for writing. A folder must be a layout, be empty or not exist yet. An existing
    /// archive may have any content. May wait for a lock.
    ///
    /// # Errors
    ///
    /// The folder has other content, the target cannot be written, or the run was stopped.
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
        for (name, _) in LAYOUT_FILES {
            is_layout &= links::is_regular(&root.join(name)).map_err(failed)?;
        }
        // Add missing files under the lock, because other processes may be creating the same layout.
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
        LAYOUT_FILES.into_iter().try_for_each(add).map_err(|error| Error::unwritten(&self.at, &error))
    }

    /// Returns whether the layout holds a blob with the right bytes. Reads the whole blob.
    ///
    /// # Errors
    ///
    /// The blob's path is not a regular file, or the run was stopped.
    pub(crate) fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error> {
        is_complete(&self.root, &self.blob_reference(blob), blob, &self.cancel)
    }

    /// Returns the reference of a blob, for error messages.
    fn blob_reference(&self, blob: &Descriptor) -> LayoutReference {
        LayoutReference { digest: Some(blob.digest.clone()), ..self.at.clone() }
    }

    /// Creates the folder of a blob if it is missing, one level at a time, so that no folder is created behind a link.
    fn create_folder_of(&self, blob: &Path) -> std::io::Result<()> {
        let folder = blob.strip_prefix(&self.root).ok().and_then(Path::parent).unwrap_or(Path::new(""));
        let mut path = self.root.clone();
        for part in folder.components() {
            path.push(part);
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            if !std::fs::symlink_metadata(&path)?.is_dir() {
                return Err(std::io::Error::other(format!("{} is a link or not a folder", path.display())));
            }
        }
        Ok(())
    }

    /// Starts writing a blob.
    ///
    /// # Errors
    ///
    /// The blob's path is not a regular file, or its folder cannot be written.
    pub(crate) fn begin_blob(&self, blob: &Descriptor) -> Result<BlobWriter, Error> {
        let to = self.root.join(blob_path(&blob.digest));
        let at = self.blob_reference(blob);
        let begin = || {
            self.create_folder_of(&to)?;
            links::is_regular(&to)?;
            readable_by_all(tempfile::Builder::new().prefix(STAGING_PREFIX).tempfile_in(links::folder_of(&to))?)
        };
        let file = begin().map_err(|error: std::io::Error| Error::unwritten(&at, &error))?;
        Ok(BlobWriter::new(&at, file, to, blob, self.archive.is_none()))
    }

    /// Writes a manifest, unless the layout already holds it.
    pub(crate) fn put_manifest(&self, descriptor: &Descriptor, bytes: &Bytes) -> Result<(), Error> {
        if self.has_blob(descriptor)? {
            return Ok(());
        }
        let mut blob = self.begin_blob(descriptor)?;
        blob.write(bytes)?;
        blob.finish()
    }

    /// Lists manifests of the layout in `index.json`. With a name, they replace the entries with that name. Without
    /// one, manifests that are already listed are skipped.
    pub(crate) fn list(&self, name: Option<&str>, descriptors: &[Descriptor]) -> Result<(), Error> {
        let at = LayoutReference { name: name.map(str::to_owned), ..self.at.clone() };
        self.change_index(&at, |entries| {
            for descriptor in descriptors {
                let has_digest =
                    |entry: &Value| entry.get("digest").is_some_and(|digest| digest == descriptor.digest.as_str());
                match name {
                    // An unnamed entry for the same manifest would count as a second image.
                    Some(name) => entries.retain(|entry| match ref_name(entry) {
                        Some(entry_name) => entry_name != name,
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

    /// Removes entries from `index.json`.
    pub(super) fn unlist(&self, at: &LayoutReference, is_deleted: impl Fn(&Value) -> bool) -> Result<(), Error> {
        self.change_index(at, |entries| {
            let before = entries.len();
            entries.retain(|entry| !is_deleted(entry));
            if entries.len() < before { Ok(()) } else { Err(Error::missing(at, "index.json no longer lists it")) }
        })
    }

    /// Replaces `index.json`.
    pub(super) fn write_index(&self, bytes: &[u8]) -> Result<(), Error> {
        self.replace("index.json", bytes).map_err(|error| Error::unwritten(&self.at, &error))
    }

    /// Changes the list of manifests in `index.json` while holding the lock. Keeps unknown fields.
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
            // Sort, so that the same content gives the same bytes regardless of the order of writes.
            entries.sort_by_key(|entry| (ref_name(entry).map(str::to_owned), entry.to_string()));
        }
        let bytes = serde_json::to_vec(&index).map_err(|error| Error::new(at, error.to_string()))?;
        self.replace("index.json", &bytes).map_err(failed)
    }

    /// Returns the layout, as the user wrote it.
    #[must_use]
    pub(crate) fn at(&self) -> &LayoutReference {
        &self.at
    }

    /// Starts an archive of everything written so far. Returns `None` for a folder, which is written directly.
    ///
    /// # Errors
    ///
    /// The folder of the archive cannot be written.
    pub(crate) fn begin_archive(&self) -> Result<Option<NewArchive>, Error> {
        let Some(Staging { target, .. }) = &self.archive else { return Ok(None) };
        let begin = || {
            let file = tempfile::Builder::new().prefix(".oci-archive-").tempfile_in(links::folder_of(target))?;
            // Keep the permissions of the existing archive, which may be readable only by its owner.
            match std::fs::metadata(target) {
                Ok(existing) => file.as_file().set_permissions(existing.permissions()).map(|()| file),
                Err(_) => readable_by_all(file),
            }
        };
        let file = begin().map_err(|error| Error::unwritten(&self.at, &error))?;
        let (at, root, target, cancel) = (self.at.clone(), self.root.clone(), target.clone(), self.cancel.clone());
        Ok(Some(NewArchive { at, root, target, file, cancel }))
    }

    /// Syncs the blob folders, so that the blobs that `index.json` will list survive a power failure.
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
            // Skip everything else: opening a FIFO could block forever.
            if folder.file_type()?.is_dir() {
                File::open(folder.path())?.sync_all()?;
            }
        }
        Ok(())
    }

    /// A no-op: Windows cannot open folders, and its file system journals their entries.
    #[cfg(not(unix))]
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }

    /// Replaces a file of the layout atomically.
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
    /// Returns the packing of the archive as a closure, to run on a blocking thread because it can take long. `self`
    /// keeps the temporary file, so that it is removed even if the thread is abandoned.
    pub(crate) fn packing(&self) -> Result<impl FnOnce() -> Result<(), Error> + Send + use<>, Error> {
        let (at, root, cancel) = (self.at.clone(), self.root.clone(), self.cancel.clone());
        let file = self.file.as_file().try_clone().map_err(|error| Error::unwritten(&at, &error))?;
        Ok(move || archive::write(&root, file, &cancel).map_err(|error| Error::unwritten(&at, &error)))
    }

    /// Renames the archive to its target, replacing the existing archive.
    ///
    /// # Errors
    ///
    /// The path now resolves to another file or is not a regular file, or the run was stopped.
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

/// Checks a target without writing. A folder must be a layout, be empty or not exist. An archive must be a regular file
/// or not exist, and its parent folder must exist.
pub(crate) fn check_target(at: &LayoutReference) -> Result<(), Error> {
    let path = Path::new(&at.path);
    let failed = |error: std::io::Error| Error::unwritten(at, &error);
    if at.archive {
        if path.is_dir() {
            return Err(Error::new(at, "it is a folder, not an archive; use oci: for a folder"));
        }
        return links::resolve_file(path).map(drop).map_err(failed);
    }
    if !path.exists() {
        let is_link = std::fs::symlink_metadata(path).is_ok();
        return if is_link { Err(failed(std::io::Error::other("it is a dangling symbolic link"))) } else { Ok(()) };
    }
    for (name, _) in LAYOUT_FILES {
        links::is_regular(&path.join(name)).map_err(failed)?;
    }
    let is_temporary = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(STAGING_PREFIX);
    let empty = std::fs::read_dir(path).map_err(failed)?.flatten().all(is_temporary);
    if empty || path.join("oci-layout").exists() {
        return Ok(());
    }
    Err(Error::new(at, "the folder is neither empty nor an image layout"))
}

fn ref_name(entry: &Value) -> Option<&str> {
    annotation(entry, REF_NAME)
}

/// Returns an annotation of an entry in `index.json`.
pub(super) fn annotation<'e>(entry: &'e Value, key: &str) -> Option<&'e str> {
    entry.get("annotations")?.get(key)?.as_str()
}

/// Makes a temporary file readable by all users, because temporary files are created with mode 0600.
fn readable_by_all(file: NamedTempFile) -> std::io::Result<NamedTempFile> {
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    Ok(file)
}
