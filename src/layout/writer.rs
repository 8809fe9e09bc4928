use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use super::blob::{BlobWriter, is_complete};
use super::cancel_check::CancelCheck;
use super::content::Unreadable;
use super::error::Error;
use super::file_names::file_of;
use super::files::LayoutFiles;
use super::lock::lock;
use super::{REF_NAME, STAGING_PREFIX, VERSION_FILE, archive, dir, docker_manifest, names, staging};
use crate::image::{Descriptor, LayoutReference, MAX_MANIFEST, Reference, Transport, media_type};
use crate::links;
use crate::memory::Budget;

/// The files that make a folder a layout, with their initial content.
const LAYOUT_FILES: [(&str, &[u8]); 2] = [("index.json", EMPTY_INDEX), ("oci-layout", VERSION_FILE)];
/// Content of an empty `index.json`.
const EMPTY_INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// A layout opened for writing. An archive is assembled in a staging folder and replaces the existing archive at the end.
/// What Docker's engine loads is such an archive too.
pub(crate) struct Writer {
    /// The layout itself, without a name or digest.
    at: LayoutReference,
    root: PathBuf,
    archive: Option<Staging>,
    cancel: CancelCheck,
}

/// The staging folder and the destination of an archive.
struct Staging {
    /// Removed on drop.
    _folder: TempDir,
    destination: Destination,
}

/// Where an archive goes when it is complete.
#[derive(Clone)]
enum Destination {
    /// To a path, with symbolic links resolved.
    File(PathBuf),
    /// To standard output, or to Docker's engine.
    Stream,
}

impl Destination {
    fn of(at: &LayoutReference) -> std::io::Result<Self> {
        match at.is_stream() || !at.transport.is_archive_file() {
            true => Ok(Self::Stream),
            false => links::resolve_file(Path::new(&at.path)).map(Self::File),
        }
    }

    /// Returns the folder for temporary files: that of the target file, so that renaming cannot fail.
    fn folder(&self) -> PathBuf {
        match self {
            Self::File(target) => links::folder_of(target).to_owned(),
            Self::Stream => std::env::temp_dir(),
        }
    }
}

/// An archive under a temporary name. Dropping it removes the temporary file.
pub(crate) struct NewArchive {
    at: LayoutReference,
    root: PathBuf,
    destination: Destination,
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
        let at = at.without_name();
        let failed = |error: std::io::Error| Error::unwritten(&at, &error);
        if at.transport.is_written_whole() {
            check_target(&at)?;
            let destination = Destination::of(&at).map_err(failed)?;
            let folder = TempDir::with_prefix_in(".oci-archive-", destination.folder()).map_err(failed)?;
            let (root, archive) = (folder.path().to_owned(), Some(Staging { _folder: folder, destination }));
            let writer = Self { at, root, archive, cancel };
            writer.add_missing_files()?;
            return Ok(writer);
        }
        let root = PathBuf::from(&at.path);
        std::fs::create_dir_all(&root).map_err(failed)?;
        if at.transport == Transport::Dir {
            check_target(&at)?;
            let writer = Self { at, root, archive: None, cancel };
            let is_marked = links::is_regular(&writer.root.join(dir::VERSION_FILE));
            let marked = is_marked.and_then(|is_marked| match is_marked {
                true => Ok(()),
                false => writer.replace(dir::VERSION_FILE, dir::VERSION),
            });
            return marked.map_err(|error| Error::unwritten(&writer.at, &error)).map(|()| writer);
        }
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
        is_complete(&self.root, &file_of(&self.at, blob), &self.blob_reference(blob), blob, &self.cancel)
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
        let to = self.root.join(file_of(&self.at, blob));
        let at = self.blob_reference(blob);
        let begin = || {
            self.create_folder_of(&to)?;
            links::is_regular(&to)?;
            staging::file_in(links::folder_of(&to))
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
    /// one, manifests that are already listed are skipped. In `dir:`, which lists nothing, makes the manifest the image
    /// of the folder.
    ///
    /// `known_as` is the reference of the image in the registry that it comes from, by which Docker and containerd know
    /// it if the location does not say another.
    pub(crate) fn list(
        &self,
        at: &LayoutReference,
        known_as: Option<&Reference>,
        descriptors: &[Descriptor],
    ) -> Result<(), Error> {
        if at.transport.has_no_names() && at.name.is_some() {
            return Err(Error::new(at, format!("an image of {}: has no name", at.transport)));
        }
        if at.transport == Transport::Dir {
            let publish = |descriptor| {
                let _lock = lock(&self.root, &self.cancel)?;
                dir::publish(&self.root, descriptor)
            };
            return descriptors.iter().try_for_each(publish).map_err(|error| Error::unwritten(at, &error));
        }
        let names = names::Names::of(at, known_as);
        self.change_index(at, |entries| {
            for descriptor in descriptors {
                let has_digest =
                    |entry: &Value| entry.get("digest").is_some_and(|digest| digest == descriptor.digest.as_str());
                match &names.key() {
                    // An unnamed entry for the same manifest would count as a second image.
                    Some((key, name)) => entries.retain(|entry| match annotation(entry, key) {
                        Some(entry_name) => entry_name != name,
                        None => !has_digest(entry),
                    }),
                    None if entries.iter().any(has_digest) => continue,
                    None => {}
                }
                let mut entry = descriptor.clone();
                names.write(&mut entry.annotations);
                entries.push(serde_json::to_value(&entry).map_err(|error| Error::new(at, error.to_string()))?);
            }
            Ok(())
        })
    }

    /// Copies the signatures that `dir:` holds beside the same image.
    ///
    /// # Errors
    ///
    /// A signature cannot be read or written, or they are too many.
    pub(crate) fn copy_signatures(&self, from: &LayoutReference) -> Result<(), Error> {
        let copy = || {
            let _lock = lock(&self.root, &self.cancel)?;
            dir::copy_signatures(Path::new(&from.path), &self.root)
        };
        copy().map_err(|error| Error::unwritten(&self.at, &error))
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
        let Some(Staging { destination, .. }) = &self.archive else { return Ok(None) };
        self.add_docker_manifest()?;
        let begin = || {
            let file = tempfile::Builder::new().prefix(".oci-archive-").tempfile_in(destination.folder())?;
            let Destination::File(target) = destination else { return Ok(file) };
            // Keep the permissions of the existing archive, which may be readable only by its owner.
            match std::fs::metadata(target) {
                Ok(existing) => file.as_file().set_permissions(existing.permissions()).map(|()| file),
                Err(_) => staging::readable_by_all(file),
            }
        };
        let file = begin().map_err(|error| Error::unwritten(&self.at, &error))?;
        let (at, root, cancel) = (self.at.clone(), self.root.clone(), self.cancel.clone());
        Ok(Some(NewArchive { at, root, destination: destination.clone(), file, cancel }))
    }

    /// Writes Docker's list of the images, so that Docker and Podman can load the archive. A layout that they could not
    /// load as a whole gets none.
    ///
    /// # Errors
    ///
    /// The archive is for Docker, and it cannot load it.
    fn add_docker_manifest(&self) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::unwritten(&self.at, &error);
        let index = LayoutFiles::Folder(self.root.clone()).read("index.json", MAX_MANIFEST, &Budget::default());
        let index = index.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        match docker_manifest::docker_manifest(&self.root, &index) {
            Ok(bytes) => self.replace(docker_manifest::NAME, &bytes).map_err(failed),
            Err(reason) if self.at.transport.is_docker() => {
                Err(Error::new(&self.at, format!("Docker could not load it: {reason}")))
            }
            Err(_) => Ok(()),
        }
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
        let mut file = staging::file_in(&self.root)?;
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
        let pack = move || {
            // Standard output is written at the end, without a copy.
            if at.is_stream() { Ok(()) } else { archive::write(&root, &file, &cancel).and_then(|()| file.sync_all()) }
                .map_err(|error| Error::unwritten(&at, &error))
        };
        Ok(pack)
    }

    /// Moves the archive to its destination: renames it to its target file, replacing the existing archive, or packs it
    /// into standard output.
    ///
    /// # Errors
    ///
    /// The path now resolves to another file or is not a regular file, standard output is closed, or the run was stopped.
    pub(crate) fn place(self) -> Result<(), Error> {
        let Self { at, root, destination, file, cancel } = self;
        let place = || {
            cancel.check()?;
            match &destination {
                Destination::File(target) => {
                    links::recheck(Path::new(&at.path), target)?;
                    file.persist(target).map(drop).map_err(|error| error.error)
                }
                Destination::Stream => archive::write(&root, std::io::stdout().lock(), &cancel),
            }
        };
        place().map_err(|error| Error::unwritten(&at, &error))
    }

    /// Opens the packed archive for reading.
    ///
    /// # Errors
    ///
    /// The temporary file was removed.
    pub(crate) fn open(&self) -> Result<File, Error> {
        self.file.reopen().map_err(|error| Error::unwritten(&self.at, &error))
    }
}

/// Checks a target without writing. A folder must have the form of its transport, be empty or not exist. An archive must
/// be a regular file or not exist, and its parent folder must exist.
pub(crate) fn check_target(at: &LayoutReference) -> Result<(), Error> {
    let path = Path::new(&at.path);
    let failed = |error: std::io::Error| Error::unwritten(at, &error);
    if at.is_stream() {
        return match std::io::stdout().is_terminal() {
            true => Err(Error::new(at, "standard output is a terminal; redirect it to a file or a program")),
            false => Ok(()),
        };
    }
    if at.transport == Transport::DockerDaemon {
        return Ok(());
    }
    if at.transport.is_archive_file() {
        if path.is_dir() {
            return Err(Error::new(at, "it is a folder, not an archive; use oci: or dir: for a folder"));
        }
        return links::resolve_file(path).map(drop).map_err(failed);
    }
    if !path.exists() {
        let is_link = std::fs::symlink_metadata(path).is_ok();
        return if is_link { Err(failed(std::io::Error::other("it is a dangling symbolic link"))) } else { Ok(()) };
    }
    if at.transport == Transport::Dir {
        return match dir::is_writable(path).map_err(failed)? {
            true => Ok(()),
            false => Err(Error::new(at, "the folder is neither empty nor an image of dir:")),
        };
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
