//! Layouts and archives of a run. Whatever may block is done on a thread of its own, so that signals and the deadline are
//! heard meanwhile.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Error, Store};
use crate::image::{Descriptor, LayoutReference, Location};
use crate::layout::{self, CancelToken, Layout, Writer};
use crate::links::{self, Target};
use crate::registry;
use crate::single_flight::SingleFlight;

const ARCHIVE_IS_READ: &str = "the archive is a source as well, and would be replaced; write another";

/// What a run has open, by the layout's resolved path.
#[derive(Default)]
pub(super) struct Open {
    layouts: SingleFlight<LayoutReference, Arc<Layout>, Error>,
    /// The layouts that are sources of this run.
    read: Mutex<HashSet<LayoutReference>>,
    writers: SingleFlight<LayoutReference, Arc<Writer>, Error>,
    /// The archives among the writers, in the order in which they were begun.
    archives: Mutex<Vec<Arc<Writer>>>,
}

impl Open {
    fn is_read(&self, key: &LayoutReference) -> bool {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn archives(&self) -> Vec<Arc<Writer>> {
        self.archives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Store {
    /// Opens a layout to read it; an archive is opened once, and read through one handle.
    pub(super) async fn layout(&self, at: &LayoutReference) -> Result<Arc<Layout>, Error> {
        let key = key(at);
        let open = async {
            let (from, budget) = (at.clone(), self.client().budget().clone());
            let layout = self.on_thread(at, move || Layout::open(&from, &budget)).await?;
            self.0.files.read.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
            Ok(Arc::new(layout))
        };
        self.0.files.layouts.get(&key, open).await
    }

    /// Opens a layout to write into it.
    pub(super) async fn writer(&self, at: &LayoutReference) -> Result<Arc<Writer>, Error> {
        let key = key(at);
        let create = async {
            self.check_not_read(at, &key)?;
            let (to, cancel) = (at.clone(), self.cancel_token());
            let writer = Arc::new(self.on_thread(at, move || Writer::create(&to, cancel)).await?);
            if at.archive {
                self.0.files.archives.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&writer));
            }
            Ok(writer)
        };
        self.0.files.writers.get(&key, create).await
    }

    fn check_not_read(&self, at: &LayoutReference, key: &LayoutReference) -> Result<(), Error> {
        if at.archive && self.0.files.is_read(key) { Err(Error::layout(at, ARCHIVE_IS_READ)) } else { Ok(()) }
    }

    /// Whether something can be written there, as far as that can be known without writing: always of a registry.
    pub fn check_target(&self, at: &Location) -> Result<(), Error> {
        let Location::Layout(layout) = at else { return Ok(()) };
        self.check_not_read(layout, &key(layout))?;
        Ok(layout::check_target(layout)?)
    }

    /// Does work on files on a thread of its own. When the run is stopped the thread has a few seconds to end, and is
    /// given up after that.
    pub(super) async fn on_thread<T: Send + 'static>(
        &self,
        subject: &impl Display,
        work: impl FnOnce() -> Result<T, layout::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let stopped = |reason| registry::Error::stopped(subject.to_string(), reason);
        if let Some(reason) = self.client().stop().raised() {
            return Err(stopped(reason).into());
        }
        let done = self.client().stop().or_soon(tokio::task::spawn_blocking(work)).await.map_err(stopped)?;
        let done = done.map_err(|error| registry::Error::of_source(subject.to_string(), error.to_string()))?;
        done.map_err(|error| self.file_error(subject, error))
    }

    /// An error of work on files; of work that the stop ended, the stop itself.
    fn file_error(&self, subject: &impl Display, error: layout::Error) -> Error {
        match self.client().stop().raised() {
            Some(reason) if error.kind == layout::ErrorKind::Stopped => {
                registry::Error::stopped(subject.to_string(), reason).into()
            }
            _ => error.into(),
        }
    }

    fn cancel_token(&self) -> CancelToken {
        let stop = self.client().stop().clone();
        CancelToken::new(move || stop.raised().is_some())
    }

    /// Whether a layout has a blob with its right bytes, without writing anything. False of an archive.
    pub(super) async fn has_file_of(&self, at: &LayoutReference, blob: &Descriptor) -> Result<bool, Error> {
        let _permit = self.0.slots.acquire().await;
        let (from, blob, cancel) = (at.clone(), blob.clone(), self.cancel_token());
        self.on_thread(at, move || layout::has_blob(&from, &blob, &cancel)).await
    }

    /// Whether a layout that is written has a blob with its right bytes.
    pub(super) async fn is_written(&self, to: &LayoutReference, blob: &Descriptor) -> Result<bool, Error> {
        let (writer, blob) = (self.writer(to).await?, blob.clone());
        let _permit = self.0.slots.acquire().await;
        self.on_thread(to, move || writer.has_blob(&blob)).await
    }

    /// Writes into a layout, unless the run was stopped.
    pub(super) async fn write_layout(
        &self,
        layout: &LayoutReference,
        write: impl FnOnce(&Writer) -> Result<(), layout::Error> + Send + 'static,
    ) -> Result<(), Error> {
        let writer = self.writer(layout).await?;
        let written = self.on_thread(layout, move || write(&writer)).await;
        // Reads see what was written.
        self.0.files.layouts.forget(&key(layout));
        written
    }

    pub(super) async fn delete_in_layout(&self, at: &LayoutReference) -> Result<(), Error> {
        // What was read of it is out of date after this.
        let key = key(at);
        self.0.files.layouts.forget(&key);
        self.0.files.read.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let (from, cancel, budget) = (at.clone(), self.cancel_token(), self.client().budget().clone());
        match self.on_thread(at, move || layout::delete(&from, &cancel, &budget)).await? {
            Some(rewrite) => self.place_archive(rewrite.writer(), || rewrite.check()).await,
            None => Ok(()),
        }
    }

    /// Renames the archives of this run to their targets; without this the existing archives stay. Fails after a stop.
    pub async fn finish(&self) -> Result<(), Error> {
        for writer in self.0.files.archives() {
            self.place_archive(&writer, || Ok(())).await?;
        }
        Ok(())
    }

    /// Packs what was written, and puts it in place of the archive if `check` agrees.
    async fn place_archive(
        &self,
        writer: &Writer,
        check: impl FnOnce() -> Result<(), layout::Error>,
    ) -> Result<(), Error> {
        let at = writer.at();
        let Some(archive) = writer.begin_archive()? else { return Ok(()) };
        self.on_thread(at, archive.packing()?).await?;
        check()?;
        archive.place().map_err(|error| self.file_error(at, error))
    }

    /// The archives of this run, as the user spells them; they stay as they were until [`Self::finish`].
    pub fn unfinished(&self) -> Vec<String> {
        self.0.files.archives().iter().map(|writer| writer.at().to_string()).collect()
    }
}

/// One layout, however its path is spelled, and through whatever links it is reached.
fn key(at: &LayoutReference) -> LayoutReference {
    let path = Path::new(&at.path);
    let resolved = match links::resolve(path) {
        Ok(Target::File(path)) => Ok(path),
        _ => std::fs::canonicalize(path),
    };
    let path = resolved.map_or_else(|_| at.path.clone(), |path| path.to_string_lossy().into_owned());
    LayoutReference { archive: at.archive, path, name: None, digest: None }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::image::Digest;
    use crate::registry::{Client, ClientConfig, StopReason};

    #[test]
    fn no_archive_is_put_in_place_after_a_stop() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (folder, client) = (tempfile::tempdir().unwrap(), Client::new(ClientConfig::default()));
            let store = Store::new(client.clone());
            let to: Location = format!("oci-archive:{}/a.tar:v1", folder.path().display()).parse().unwrap();
            let bytes = Bytes::from_static(b"{}");
            let manifest = Descriptor { size: 2, ..Descriptor::new("application/x", Digest::sha256(&bytes)) };
            store.push_manifest(&to, &manifest, &bytes, None).await.unwrap();
            assert_eq!(store.unfinished().len(), 1);
            client.stop().raise(StopReason::Signal(2));
            let error = store.finish().await.unwrap_err();
            assert!(error.is_stopped(), "{error}");
            drop(store);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        });
    }
}
