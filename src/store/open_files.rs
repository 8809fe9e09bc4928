//! Open layouts and archives. Blocking work runs on separate threads, so that signals and the deadline still stop the
//! run.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::Error;
use crate::image::{Descriptor, LayoutReference};
use crate::layout::{self, CancelCheck, Layout, Writer};
use crate::links::{self, Target};
use crate::memory::Budget;
use crate::registry::Client;
use crate::single_flight::SingleFlight;

const ARCHIVE_IS_READ: &str = "the archive is also a source and would be replaced; write to another file";

/// The open layouts and archives, by their resolved paths.
pub(super) struct OpenFiles {
    client: Client,
    /// Limits how many blobs are read or written concurrently.
    transfers: Arc<Semaphore>,
    layouts: SingleFlight<LayoutReference, Arc<Layout>, Error>,
    /// The layouts that are sources.
    read: Mutex<HashSet<LayoutReference>>,
    writers: SingleFlight<LayoutReference, Arc<Writer>, Error>,
    /// The archives among the writers, in the order in which they were opened.
    archives: Mutex<Vec<Arc<Writer>>>,
}

impl OpenFiles {
    pub(super) fn new(client: Client, transfers: Arc<Semaphore>) -> Self {
        let (layouts, writers) = (SingleFlight::default(), SingleFlight::default());
        Self { client, transfers, layouts, read: Mutex::default(), writers, archives: Mutex::default() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn budget(&self) -> &Budget {
        self.client.budget()
    }

    /// Opens a layout for reading. An archive is opened only once and read through one handle.
    pub(super) async fn layout(&self, at: &LayoutReference) -> Result<Arc<Layout>, Error> {
        let key = key(at);
        let open = async {
            let (from, budget) = (at.clone(), self.budget().clone());
            let layout = self.on_thread(at, move || Layout::open(&from, &budget)).await?;
            self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
            Ok(Arc::new(layout))
        };
        self.layouts.get(&key, open).await
    }

    /// Opens a layout for writing.
    pub(super) async fn writer(&self, at: &LayoutReference) -> Result<Arc<Writer>, Error> {
        let key = key(at);
        let create = async {
            self.check_not_read(at, &key)?;
            let (to, cancel) = (at.clone(), self.cancel_check());
            let writer = Arc::new(self.on_thread(at, move || Writer::create(&to, cancel)).await?);
            if at.archive {
                self.archives.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&writer));
            }
            Ok(writer)
        };
        self.writers.get(&key, create).await
    }

    /// Checks that a layout is writable, as far as possible without writing.
    pub(super) fn check_target(&self, at: &LayoutReference) -> Result<(), Error> {
        self.check_not_read(at, &key(at))?;
        Ok(layout::check_target(at)?)
    }

    fn check_not_read(&self, at: &LayoutReference, key: &LayoutReference) -> Result<(), Error> {
        let is_read = || self.read.lock().unwrap_or_else(PoisonError::into_inner).contains(key);
        if at.archive && is_read() { Err(layout::Error::new(at, ARCHIVE_IS_READ).into()) } else { Ok(()) }
    }

    /// Runs file operations on a separate thread. When the run is stopped, waits a few seconds for the thread and then
    /// abandons it.
    pub(super) async fn on_thread<T: Send + 'static>(
        &self,
        subject: &(impl Display + Sync),
        work: impl FnOnce() -> Result<T, layout::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let stopped = |reason| Error::Stopped { subject: subject.to_string(), reason };
        if let Some(reason) = self.client.cancel_token().reason() {
            return Err(stopped(reason));
        }
        let done = self
            .client
            .cancel_token()
            .run_until_cancelled_with_grace(tokio::task::spawn_blocking(work))
            .await
            .map_err(stopped)?;
        let done = done.map_err(|error| layout::Error::new(subject, error.to_string()))?;
        done.map_err(|error| self.file_error(subject, error))
    }

    /// Converts the error of a file operation, to [`Error::Stopped`] if the run was stopped.
    fn file_error(&self, subject: &impl Display, error: layout::Error) -> Error {
        match self.client.cancel_token().reason() {
            Some(reason) if error.kind == layout::ErrorKind::Stopped => {
                Error::Stopped { subject: subject.to_string(), reason }
            }
            _ => error.into(),
        }
    }

    fn cancel_check(&self) -> CancelCheck {
        let stop = self.client.cancel_token().clone();
        CancelCheck::new(move || stop.reason().is_some())
    }

    /// Whether a layout has a blob with the right bytes. Does not write. False for an archive.
    pub(super) async fn has_blob(&self, at: &LayoutReference, blob: &Descriptor) -> Result<bool, Error> {
        let _permit = self.transfers.acquire().await;
        let (from, blob, cancel) = (at.clone(), blob.clone(), self.cancel_check());
        self.on_thread(at, move || layout::has_blob(&from, &blob, &cancel)).await
    }

    /// Whether a layout that is open for writing has a blob with the right bytes.
    pub(super) async fn is_written(&self, to: &LayoutReference, blob: &Descriptor) -> Result<bool, Error> {
        let (writer, blob) = (self.writer(to).await?, blob.clone());
        let _permit = self.transfers.acquire().await;
        self.on_thread(to, move || writer.has_blob(&blob)).await
    }

    /// Writes to a layout, unless the run was stopped.
    pub(super) async fn write(
        &self,
        layout: &LayoutReference,
        write: impl FnOnce(&Writer) -> Result<(), layout::Error> + Send + 'static,
    ) -> Result<(), Error> {
        let writer = self.writer(layout).await?;
        self.on_thread(layout, move || write(&writer)).await
    }

    /// Deletes a name, or every name of a digest, from a layout.
    pub(super) async fn delete(&self, at: &LayoutReference) -> Result<(), Error> {
        // The deletion invalidates what was read.
        let key = key(at);
        self.layouts.forget(&key);
        self.read.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let (from, cancel, budget) = (at.clone(), self.cancel_check(), self.budget().clone());
        match self.on_thread(at, move || layout::delete(&from, &cancel, &budget)).await? {
            Some(rewrite) => self.place_archive(rewrite.writer(), || rewrite.check()).await,
            None => Ok(()),
        }
    }

    /// Moves the written archives to their target files; without this call, the existing files stay. Later reads
    /// see the new content. Fails if the run was stopped.
    pub(super) async fn commit(&self) -> Result<(), Error> {
        self.layouts.clear();
        for writer in self.archives() {
            self.place_archive(&writer, || Ok(())).await?;
        }
        Ok(())
    }

    /// Packs the written content, and replaces the archive with it if `check` succeeds.
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

    /// Returns the archives that have not replaced their target files yet, as the user spells them.
    pub(super) fn uncommitted_archives(&self) -> Vec<String> {
        self.archives().iter().map(|writer| writer.at().to_string()).collect()
    }

    fn archives(&self) -> Vec<Arc<Writer>> {
        self.archives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns the same key for all spellings of a layout's path, including through symbolic links.
fn key(at: &LayoutReference) -> LayoutReference {
    let path = Path::new(&at.path);
    let resolved = match links::resolve(path) {
        Ok(Target::File(path)) => Ok(path),
        _ => std::fs::canonicalize(path),
    };
    let path = resolved.map_or_else(|_| at.path.clone(), |path| path.to_string_lossy().into_owned());
    LayoutReference { archive: at.archive, path, name: None, digest: None }
}
