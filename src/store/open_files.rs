//! Open layouts and archives. Blocking work runs on separate threads, so that signals and the deadline still stop the
//! run.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::Error;
use crate::daemon::{self, Engine};
use crate::event::Event;
use crate::image::{Descriptor, Digest, LayoutReference, Location, Reference, Transport, familiar};
use crate::layout::{self, CancelCheck, Layout, ListedSignatureFile, Writer};
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
    /// The resolved paths of the layouts that are sources.
    read: Mutex<HashSet<String>>,
    writers: SingleFlight<LayoutReference, Arc<Writer>, Error>,
    /// The archives among the writers, in the order in which they were opened.
    archives: Mutex<Vec<Arc<Writer>>>,
    /// The references of images in the registries that they come from, by the location that they are written to.
    known_as: Mutex<HashMap<LayoutReference, Reference>>,
    /// Whether the run has warned about layers that are not compressed.
    has_warned: AtomicBool,
}

impl OpenFiles {
    pub(super) fn new(client: Client, transfers: Arc<Semaphore>) -> Self {
        let (layouts, writers) = (SingleFlight::default(), SingleFlight::default());
        Self {
            client,
            transfers,
            layouts,
            read: Mutex::default(),
            writers,
            archives: Mutex::default(),
            known_as: Mutex::default(),
            has_warned: AtomicBool::new(false),
        }
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
            let (from, budget, cancel) = (at.clone(), self.budget().clone(), self.cancel_check());
            let layout = match at.transport {
                Transport::DockerDaemon => {
                    // A name without a tag would export every tag of the repository.
                    let image = at.docker_reference().map_or_else(|| at.path.clone(), |name| familiar(&name));
                    let exported = self.with_engine(at, async |engine| engine.export(&image).await).await?;
                    self.on_thread(at, move || Layout::from_archive(&from, exported, &budget)).await?
                }
                _ => self.on_thread(at, move || Layout::open(&from, &budget, &cancel)).await?,
            };
            if layout.has_plain_layers() && !self.has_warned.swap(true, Ordering::Relaxed) {
                self.client.events().emit(&Event::PlainLayers { source: Location::Layout(at.without_name()) });
            }
            self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(key.path.clone());
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
            if at.transport.is_written_whole() {
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
        let is_read = || self.read.lock().unwrap_or_else(PoisonError::into_inner).contains(&key.path);
        if at.transport.is_archive_file() && !at.is_stream() && is_read() {
            Err(layout::Error::new(at, ARCHIVE_IS_READ).into())
        } else {
            Ok(())
        }
    }

    /// Sends requests to Docker's engine. When the run is stopped, abandons them.
    async fn with_engine<T>(
        &self,
        at: &LayoutReference,
        request: impl AsyncFnOnce(Engine) -> Result<T, daemon::Error>,
    ) -> Result<T, Error> {
        let failed = |error: daemon::Error| match error.is_missing {
            true => layout::Error::missing(at, error.reason),
            false => layout::Error::new(at, error.reason),
        };
        let engine = Engine::from_environment().map_err(failed)?;
        let stopped = |reason| Error::Stopped { subject: at.to_string(), reason };
        let answered = self.client.cancel_token().run_until_cancelled(request(engine)).await.map_err(stopped)?;
        Ok(answered.map_err(failed)?)
    }

    /// Says which reference an image has in the registry that it comes from, before it is written to a location.
    pub(super) fn set_known_as(&self, to: &LayoutReference, reference: &Reference) {
        self.known_as.lock().unwrap_or_else(PoisonError::into_inner).insert(to.clone(), reference.clone());
    }

    pub(super) fn known_as(&self, to: &LayoutReference) -> Option<Reference> {
        self.known_as.lock().unwrap_or_else(PoisonError::into_inner).get(to).cloned()
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

    /// Copies the signatures that `dir:` holds beside an image to the same image. Returns the number of those that the
    /// target, if any, cannot hold.
    pub(super) async fn carry_signatures(
        &self,
        from: &LayoutReference,
        to: Option<&LayoutReference>,
    ) -> Result<usize, Error> {
        if from.transport != Transport::Dir {
            return Ok(0);
        }
        match to.filter(|to| to.transport == Transport::Dir) {
            Some(to) => {
                let (writer, from) = (self.writer(to).await?, from.clone());
                self.on_thread(to, move || writer.copy_signatures(&from)).await?;
                Ok(0)
            }
            None => {
                let layout = self.layout(from).await?;
                self.on_thread(from, move || layout.count_signatures()).await
            }
        }
    }

    /// Lists at most `limit` files with signatures that `dir:` holds beside a manifest, with whether each is one of cosign.
    pub(super) async fn signature_files(
        &self,
        at: &LayoutReference,
        of: &Digest,
        limit: usize,
    ) -> Result<Vec<ListedSignatureFile>, Error> {
        let (layout, of) = (self.layout(at).await?, of.clone());
        self.on_thread(at, move || layout.signature_files(&of, limit)).await
    }

    /// Reads a file with a signature.
    pub(super) async fn fetch_signature_file(&self, at: &LayoutReference, name: &str) -> Result<Bytes, Error> {
        let (layout, name) = (self.layout(at).await?, name.to_owned());
        self.on_thread(at, move || layout.fetch_signature_file(&name)).await
    }

    /// Deletes a name, or every name of a digest, from a layout.
    pub(super) async fn delete(&self, at: &LayoutReference) -> Result<(), Error> {
        // The deletion invalidates what was read.
        let key = key(at);
        self.layouts.forget(&key);
        self.read.lock().unwrap_or_else(PoisonError::into_inner).remove(&key.path);
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
        if at.transport == Transport::DockerDaemon {
            let packed = archive.open()?;
            return self.with_engine(at, async |engine| engine.load(packed).await).await;
        }
        self.on_thread(at, move || archive.place()).await
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
    if at.is_stream() || at.transport == Transport::DockerDaemon {
        return at.without_name();
    }
    let path = Path::new(&at.path);
    let resolved = match links::resolve(path) {
        Ok(Target::File(path)) => Ok(path),
        _ => std::fs::canonicalize(path),
    };
    let path = resolved.map_or_else(|_| at.path.clone(), |path| path.to_string_lossy().into_owned());
    LayoutReference { path, ..at.without_name() }
}
