use std::borrow::Borrow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::backend::Backend;
use super::layout_backend::LayoutBackend;
use super::open_files::OpenFiles;
use super::registry_backend::RegistryBackend;
use super::{Error, IfMatch};
use crate::image::{Descriptor, Digest, Fetched, Location, MAX_CONFIG, UntrustedText};
use crate::registry::{Client, FoundBlob, PushIntent};

/// Blobs in transfer at once, at most; each takes a connection at both ends.
const MAX_TRANSFERS: usize = 16;

/// What jobs read from and write to: the registries that a client reaches, and the layouts and archives of this machine.
/// Cheap to clone; clones share what they have open.
///
/// A store that has read an archive does not write it: it would be replaced while it is a source.
///
/// ```
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let location = "oci:examples/layouts/amd64".parse()?;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let fetched = runtime.block_on(store.fetch_manifest(&location))?;
/// println!("{} has {} bytes", fetched.descriptor.digest, fetched.descriptor.size);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    client: Client,
    files: OpenFiles,
    /// Bounds the blobs in transfer.
    transfers: Arc<Semaphore>,
    /// Bounds the writes in flight, of whatever kind; see [`Store::write_permit`].
    writes: Semaphore,
}

impl Store {
    /// A store over the registries that a client reaches, and the layouts of this machine.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let transfers = Arc::new(Semaphore::new(MAX_TRANSFERS.min(client.concurrency())));
        let (files, writes) = (OpenFiles::new(client.clone(), Arc::clone(&transfers)), client.concurrency());
        Self(Arc::new(Shared { client, files, transfers, writes: Semaphore::new(writes) }))
    }

    /// The client of the registries.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Announces that a location will be written to: until the result is dropped, reads in its repository use the token
    /// that writes need.
    #[must_use]
    pub(crate) fn will_push(&self, at: &Location) -> Option<PushIntent> {
        at.reference().map(|reference| self.client().will_push(reference))
    }

    pub(super) fn backend<'a>(&'a self, at: &'a Location) -> Box<dyn Backend + 'a> {
        match at {
            Location::Registry(reference) => Box::new(RegistryBackend { client: self.client(), reference }),
            Location::Layout(layout) => Box::new(LayoutBackend { files: &self.0.files, layout }),
        }
    }

    /// Waits until fewer than `concurrency` writes are in flight. Each takes 20 to 40 KB, and there may be a hundred
    /// thousand; what waits here is small, if the write itself is boxed.
    pub(super) async fn write_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.0.writes.acquire().await.ok()
    }

    /// Waits for one of at most 16 transfers at once, or `concurrency` if that is less.
    pub(super) async fn transfer_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.0.transfers.acquire().await.ok()
    }

    /// Fetches a manifest by tag, name or digest, verified.
    ///
    /// # Errors
    /// It does not exist ([`Error::is_missing`]), cannot be read, or is not a manifest.
    pub async fn fetch_manifest(&self, at: &Location) -> Result<Fetched, Error> {
        self.backend(at).fetch_manifest().await
    }

    /// Fetches what a tag or name points at now, `None` if it does not exist.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub async fn fetch_current(&self, at: &Location) -> Result<Option<Fetched>, Error> {
        self.backend(at).fetch_current().await
    }

    /// Fetches the manifest that a descriptor names, from the same repository or layout.
    ///
    /// # Errors
    /// As [`Self::fetch_manifest`], and a manifest of another size or type than the descriptor says.
    pub async fn fetch_child(&self, parent: &Location, child: &Descriptor) -> Result<Fetched, Error> {
        self.backend(parent).fetch_child(child).await
    }

    /// Fetches a config of at most 8 MiB, verified.
    ///
    /// # Errors
    /// It is missing ([`Error::is_missing_content`]), too long, or other bytes than the descriptor names.
    pub async fn fetch_config(&self, of: &Location, config: &Descriptor) -> Result<Bytes, Error> {
        self.fetch_blob(of, config, MAX_CONFIG).await
    }

    /// Fetches a blob of at most `limit` bytes, such as the statement of an attestation, verified.
    ///
    /// # Errors
    /// As [`Self::fetch_config`].
    pub async fn fetch_blob(&self, of: &Location, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        self.backend(of).fetch_blob(blob, limit).await
    }

    /// The digest that a tag, a name or a digest stands for.
    ///
    /// # Errors
    /// As [`Self::fetch_manifest`].
    pub async fn digest(&self, at: &Location) -> Result<Digest, Error> {
        self.backend(at).digest().await
    }

    /// The digests that several locations stand for, in their order; see [`Self::digest`].
    pub(crate) async fn digests(&self, all: impl IntoIterator<Item = &Location>) -> Vec<Result<Digest, Error>> {
        join_all(all.into_iter().map(|at| self.digest(at))).await
    }

    /// Lists the tags of a repository, or the names in a layout, at most `limit`.
    ///
    /// # Errors
    /// The registry's answer, or the layout cannot be read.
    pub async fn tags(&self, at: &Location, limit: usize) -> Result<Vec<UntrustedText>, Error> {
        self.backend(at).tags(limit).await
    }

    /// Lists every tag of a repository, or every name in a layout.
    ///
    /// # Errors
    /// As [`Self::tags`], and names in the list that are not valid tags.
    pub async fn every_tag(&self, at: &Location) -> Result<Vec<UntrustedText>, Error> {
        self.backend(at).every_tag().await
    }

    /// What a tag or name points at now, or whether a digest is there. `None` for archives, which are written whole, and for
    /// digests in a layout, whose blobs are looked for one by one.
    ///
    /// # Errors
    /// It is not known: the registry's answer, or the layout cannot be read.
    pub async fn current_digest(&self, at: &Location) -> Result<Option<Digest>, Error> {
        self.backend(at).current_digest().await
    }

    /// What several tags point at, in their order; see [`Self::current_digest`].
    pub(crate) async fn current_digests(
        &self,
        tags: impl IntoIterator<Item = impl Borrow<Location>>,
    ) -> Vec<Result<Option<Digest>, Error>> {
        join_all(tags.into_iter().map(async |tag| self.current_digest(tag.borrow()).await)).await
    }

    /// Writes a manifest under a tag or name, or by digest.
    ///
    /// # Errors
    /// The registry's answer, [`Error::Changed`] if the precondition is not met, or the layout cannot be written.
    pub(crate) async fn push_manifest(
        &self,
        at: &Location,
        descriptor: &Descriptor,
        bytes: &Bytes,
        if_match: Option<&IfMatch>,
    ) -> Result<(), Error> {
        self.backend(at).push_manifest(descriptor, bytes, if_match).await
    }

    /// Waits until a tag reads back with a digest; in a layout it does at once.
    ///
    /// # Errors
    /// It reads back with another digest, or not at all, as often as requests are sent again.
    pub(crate) async fn read_back(&self, at: &Location, digest: &Digest) -> Result<(), Error> {
        self.backend(at).read_back(digest).await
    }

    /// Whether something can be written to a location, as far as that is known without writing.
    pub(super) fn check_target(&self, at: &Location) -> Result<(), Error> {
        self.backend(at).check_target()
    }

    /// Deletes a tag or a name, or by digest a manifest with every tag of it. In a layout it is no longer listed; its blobs
    /// stay.
    ///
    /// # Errors
    /// It does not exist, or [`Error::is_unsupported`] if the registry does not delete it.
    pub async fn delete(&self, at: &Location) -> Result<(), Error> {
        self.backend(at).delete().await
    }

    /// Looks for a blob, to read it. The error is [`Error::is_missing_content`] if it is not there.
    pub(crate) async fn find_blob(&self, at: &Location, blob: &Descriptor) -> Result<FoundBlob, Error> {
        self.backend(at).find_blob(blob).await
    }

    /// Looks for a manifest of any type, as [`Self::find_blob`] does.
    pub(crate) async fn find_manifest(&self, at: &Location, manifest: &Descriptor) -> Result<FoundBlob, Error> {
        self.backend(at).find_manifest(manifest).await
    }

    /// Renames the archives that were written to their targets; without this the existing archives stay. Fails after a
    /// stop.
    pub(super) async fn commit(&self) -> Result<(), Error> {
        self.0.files.commit().await
    }

    /// The archives that have not replaced their target files yet, as the user spells them.
    pub(crate) fn uncommitted_archives(&self) -> Vec<String> {
        self.0.files.uncommitted_archives()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{ClientConfig, StopReason};

    #[test]
    fn an_archive_stays_as_it_is_after_a_stop() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (folder, client) = (tempfile::tempdir().unwrap(), Client::new(ClientConfig::default()));
            let store = Store::new(client.clone());
            let to: Location = format!("oci-archive:{}/a.tar:v1", folder.path().display()).parse().unwrap();
            let bytes = Bytes::from_static(b"{}");
            let manifest = Descriptor { size: 2, ..Descriptor::new("application/x", Digest::sha256(&bytes)) };
            store.push_manifest(&to, &manifest, &bytes, None).await.unwrap();
            assert_eq!(store.uncommitted_archives().len(), 1);
            client.cancel_token().cancel(StopReason::Signal(2));
            let error = store.commit().await.unwrap_err();
            assert!(error.is_stopped(), "{error}");
            drop(store);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        });
    }
}
