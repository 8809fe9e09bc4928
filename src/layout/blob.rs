//! Blobs of a layout that is written.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::CHUNK_SIZE;
use super::blob_path;
use super::cancel_check::CancelCheck;
use super::error::Error;
use super::files::{Unreadable, open_plain};
use crate::image::{Descriptor, LayoutReference, Verifier};
use crate::links;

/// A blob whose bytes are still coming. Dropping it removes its temporary file.
pub(crate) struct BlobWriter {
    blob: CompleteBlob,
    verifier: Verifier,
}

/// A blob that matches its descriptor, still under a temporary name. Dropping it removes the file.
pub(crate) struct CompleteBlob {
    subject: String,
    file: NamedTempFile,
    to: PathBuf,
    /// Must reach the disk before `index.json` lists it. Not in the folder that an archive is packed from.
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

    /// Takes in the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let CompleteBlob { subject, file, .. } = &mut self.blob;
        self.verifier.update(bytes).map_err(|reason| Error::new(&*subject, reason))?;
        file.write_all(bytes).map_err(|error| Error::unwritten(&*subject, &error))
    }

    /// Compares the bytes with the descriptor.
    ///
    /// # Errors
    ///
    /// The digest or the size differs.
    pub(crate) fn complete(self) -> Result<CompleteBlob, Error> {
        self.verifier.finish().map_err(|reason| Error::new(&self.blob.subject, reason))?;
        Ok(self.blob)
    }

    /// Completes, syncs and places the blob, for callers that may block.
    pub(super) fn finish(self) -> Result<(), Error> {
        let blob = self.complete()?;
        if let Some(sync) = blob.syncing()? {
            sync()?;
        }
        blob.place()
    }
}

impl CompleteBlob {
    /// What brings the bytes to the disk, for a blocking thread: it can take long. The temporary file stays with
    /// `self`, so that it is removed even when the thread is given up. `None` where the blob need not be durable.
    pub(crate) fn syncing(&self) -> Result<Option<impl FnOnce() -> Result<(), Error> + Send + use<>>, Error> {
        if !self.is_durable {
            return Ok(None);
        }
        let subject = self.subject.clone();
        let file = self.file.as_file().try_clone().map_err(|error| Error::unwritten(&subject, &error))?;
        Ok(Some(move || file.sync_data().map_err(|error| Error::unwritten(&subject, &error))))
    }

    /// Gives the blob its name.
    ///
    /// # Errors
    ///
    /// Something other than a regular file has that name.
    pub(crate) fn place(self) -> Result<(), Error> {
        let Self { subject, file, to, .. } = self;
        let placed = links::is_regular(&to).and_then(|_| file.persist(&to).map_err(|error| error.error));
        placed.map(drop).map_err(|error| Error::unwritten(&subject, &error))
    }
}

/// Whether a layout holds a blob with its right bytes; false for an archive, which is written anew. Reads the whole blob.
///
/// # Errors
///
/// Something other than a regular file is in the blob's place, or the run was stopped.
pub(crate) fn has_blob(at: &LayoutReference, blob: &Descriptor, cancel: &CancelCheck) -> Result<bool, Error> {
    if at.archive {
        return Ok(false);
    }
    let at = LayoutReference { name: None, digest: Some(blob.digest.clone()), ..at.clone() };
    is_whole(Path::new(&at.path), &at, blob, cancel)
}

/// Whether a folder holds a blob with its right bytes: a machine that lost power may have left others under its name.
pub(super) fn is_whole(
    root: &Path,
    at: &LayoutReference,
    blob: &Descriptor,
    cancel: &CancelCheck,
) -> Result<bool, Error> {
    match open_plain(root, &blob_path(&blob.digest)) {
        Ok((file, length)) if length == blob.size => {
            matches(file, blob, cancel).map_err(|error| Error::unwritten(at, &error))
        }
        Ok(_) | Err(Unreadable::Missing) => Ok(false),
        Err(Unreadable::OverMemory(error)) => Err(Error::over_memory(at, error)),
        Err(Unreadable::Other(reason)) => Err(Error::new(at, format!("it cannot be written: {reason}"))),
    }
}

/// Compares a file with a descriptor. What cannot be read does not match, as it can be written again.
fn matches(mut file: File, blob: &Descriptor, cancel: &CancelCheck) -> std::io::Result<bool> {
    let (mut verifier, mut piece) = (Verifier::new(&blob.digest, blob.size), vec![0; CHUNK_SIZE]);
    loop {
        cancel.check()?;
        match file.read(&mut piece) {
            Ok(0) => return Ok(verifier.finish().is_ok()),
            Ok(read) if verifier.update(piece.get(..read).unwrap_or_default()).is_ok() => {}
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
    fn hashing_ends_at_the_piece_after_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let blob = Descriptor { size: 1 << 40, ..Descriptor::new("", Digest::sha256(b"x")) };
        let path = folder.path().join(blob_path(&blob.digest));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(&path).unwrap().set_len(blob.size).unwrap();
        let asked = std::sync::Arc::new(AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&asked);
        let cancel = CancelCheck::new(move || count.fetch_add(1, Ordering::SeqCst) == 3);
        let at = format!("oci:{}", folder.path().display()).parse::<crate::image::Location>().unwrap();
        let crate::image::Location::Layout(at) = at else { panic!("a layout") };
        let error = has_blob(&at, &blob, &cancel).unwrap_err();
        assert_eq!((error.kind, asked.load(Ordering::SeqCst)), (super::super::ErrorKind::Stopped, 4));
    }
}
