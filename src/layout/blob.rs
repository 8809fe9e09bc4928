//! Writes blobs to a layout, and checks existing ones.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::CHUNK_SIZE;
use super::cancel_check::CancelCheck;
use super::content::{Unreadable, open_regular};
use super::error::Error;
use super::file_names::file_of;
use crate::image::{Descriptor, LayoutReference, Verifier};
use crate::links;

/// A blob that is being written. Dropping it removes its temporary file.
pub(crate) struct BlobWriter {
    blob: CompleteBlob,
    verifier: Verifier,
}

/// A blob that matches its descriptor, still under a temporary name. Dropping it removes the file.
pub(crate) struct CompleteBlob {
    subject: String,
    file: NamedTempFile,
    to: PathBuf,
    /// Whether the blob must reach the disk before `index.json` lists it. False in the staging folder of an archive.
    is_durable: bool,
}

impl BlobWriter {
    pub(super) fn new(
        at: &LayoutReference,
        file: NamedTempFile,
        to: PathBuf,
        blob: &Descriptor,
        durable: bool,
    ) -> Self {
        let verifier = Verifier::new(&blob.digest, blob.size);
        Self { blob: CompleteBlob { subject: at.to_string(), file, to, is_durable: durable }, verifier }
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let CompleteBlob { subject, file, .. } = &mut self.blob;
        self.verifier.update(bytes).map_err(|reason| Error::new(&*subject, reason))?;
        file.write_all(bytes).map_err(|error| Error::unwritten(&*subject, &error))
    }

    /// Verifies the bytes against the descriptor.
    ///
    /// # Errors
    ///
    /// The digest or the size differs.
    pub(crate) fn complete(self) -> Result<CompleteBlob, Error> {
        self.verifier.finish().map_err(|reason| Error::new(&self.blob.subject, reason))?;
        Ok(self.blob)
    }

    /// Verifies, syncs and publishes the blob. Blocks.
    pub(super) fn finish(self) -> Result<(), Error> {
        let blob = self.complete()?;
        if let Some(sync) = blob.syncing()? {
            sync()?;
        }
        blob.place()
    }
}

impl CompleteBlob {
    /// Returns the sync to disk as a closure, to run on a blocking thread because it can take long. `self` keeps the
    /// temporary file, so that it is removed even if the thread is abandoned. `None` if the blob need not be durable.
    pub(crate) fn syncing(&self) -> Result<Option<impl FnOnce() -> Result<(), Error> + Send + use<>>, Error> {
        if !self.is_durable {
            return Ok(None);
        }
        let subject = self.subject.clone();
        let file = self.file.as_file().try_clone().map_err(|error| Error::unwritten(&subject, &error))?;
        Ok(Some(move || file.sync_data().map_err(|error| Error::unwritten(&subject, &error))))
    }

    /// Renames the temporary file to the blob's final name.
    ///
    /// # Errors
    ///
    /// The final path exists and is not a regular file.
    pub(crate) fn place(self) -> Result<(), Error> {
        let Self { subject, file, to, .. } = self;
        let renamed = links::is_regular(&to).and_then(|_| file.persist(&to).map_err(|error| error.error));
        renamed.map(drop).map_err(|error| Error::unwritten(&subject, &error))
    }
}

/// Returns whether a layout holds a blob with the right bytes. Reads the whole blob. Always false for an archive, which
/// is rewritten as a whole.
///
/// # Errors
///
/// The blob's path is not a regular file, or the run was stopped.
pub(crate) fn has_blob(at: &LayoutReference, blob: &Descriptor, cancel: &CancelCheck) -> Result<bool, Error> {
    if at.transport.is_written_whole() {
        return Ok(false);
    }
    let at = LayoutReference { name: None, digest: Some(blob.digest.clone()), ..at.clone() };
    let root = Path::new(&at.path);
    is_complete(root, &file_of(&at, blob), &at, blob, cancel)
}

/// Returns whether a folder holds a blob with the right bytes. Content is compared because a power failure can leave a
/// corrupt file under the blob's name.
pub(super) fn is_complete(
    root: &Path,
    name: &str,
    at: &LayoutReference,
    blob: &Descriptor,
    cancel: &CancelCheck,
) -> Result<bool, Error> {
    match open_regular(root, name) {
        Ok((file, length)) if length == blob.size => {
            matches(file, blob, cancel).map_err(|error| Error::unwritten(at, &error))
        }
        Ok(_) | Err(Unreadable::Missing) => Ok(false),
        Err(Unreadable::OverMemory(error)) => Err(Error::over_memory(at, error)),
        Err(Unreadable::Other(reason)) => Err(Error::new(at, format!("cannot write it: {reason}"))),
    }
}

/// Verifies a file against a descriptor. An unreadable file counts as a mismatch, because it can be written again.
fn matches(mut file: File, blob: &Descriptor, cancel: &CancelCheck) -> std::io::Result<bool> {
    let (mut verifier, mut chunk) = (Verifier::new(&blob.digest, blob.size), vec![0; CHUNK_SIZE]);
    loop {
        cancel.check()?;
        match file.read(&mut chunk) {
            Ok(0) => return Ok(verifier.finish().is_ok()),
            Ok(read) if verifier.update(chunk.get(..read).unwrap_or_default()).is_ok() => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn hashing_stops_at_the_next_chunk() {
        let folder = tempfile::tempdir().unwrap();
        let blob = Descriptor { size: 1 << 40, ..Descriptor::new("", Digest::sha256(b"x")) };
        let path = folder.path().join(super::super::blob_path(&blob.digest));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(&path).unwrap().set_len(blob.size).unwrap();
        let calls = std::sync::Arc::new(AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&calls);
        let cancel = CancelCheck::new(move || count.fetch_add(1, Ordering::SeqCst) == 3);
        let at = format!("oci:{}", folder.path().display()).parse::<crate::image::Location>().unwrap();
        let crate::image::Location::Layout(at) = at else { panic!("a layout") };
        let error = has_blob(&at, &blob, &cancel).unwrap_err();
        assert_eq!((error.kind, calls.load(Ordering::SeqCst)), (super::super::ErrorKind::Stopped, 4));
    }
}
