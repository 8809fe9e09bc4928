use std::borrow::Borrow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::backend::Backend;
use super::layout_backend::LayoutBackend;
use super::open_files::OpenFiles;
use super::registry_backend::RegistryBackend;
use super::{Error, IfMatch};
use crate::image::{
    Descriptor, Digest, Fetched, LayoutReference, Location, MAX_CONFIG, ManifestError, Reference, Schema1Image,
    UntrustedText,
};
use crate::layout::ListedSignatureFile;
use crate::registry::{BlobInfo, Client, PushIntent};

/// The maximum number of concurrent blob transfers; each needs a connection at both ends.
const MAX_TRANSFERS: usize = 16;

/// Reads and writes registries through a client, and layouts and archives on this machine. Cheap to clone; clones share
/// open layouts and archives.
///
/// A store that has read an archive refuses to write it, because writing would replace a file that is a source.
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
    /// Limits concurrent blob transfers.
    transfers: Arc<Semaphore>,
    /// Limits concurrent writes of blobs, manifests and tags; see [`Store::write_permit`].
    writes: Semaphore,
}

impl Store {
    /// Returns a store for the registries of a client, and for layouts and archives on this machine.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let transfers = Arc::new(Semaphore::new(MAX_TRANSFERS.min(client.concurrency())));
        let (files, writes) = (OpenFiles::new(client.clone(), Arc::clone(&transfers)), client.concurrency());
        Self(Arc::new(Shared { client, files, transfers, writes: Semaphore::new(writes) }))
    }

    /// Returns the registry client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Announces writes to a location: until the returned intent is dropped, reads in its repository use the token that
    /// writes need.
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

    /// Waits until fewer than `concurrency` writes are running. A running write takes 20 to 40 KB, and a run may have a
    /// hundred thousand; a waiting write is small if its future is boxed.
    pub(super) async fn write_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.0.writes.acquire().await.ok()
    }

    /// Waits for a transfer permit. At most 16 are in use concurrently, or `concurrency` if that is less.
    pub(super) async fn transfer_permit(&self) -> Option<SemaphorePermit<'_>> {
        self.0.transfers.acquire().await.ok()
    }

    /// Fetches and verifies a manifest by tag, name or digest.
    ///
    /// # Errors
    /// The manifest does not exist ([`Error::is_missing`]), cannot be read, or is not valid.
    pub async fn fetch_manifest(&self, at: &Location) -> Result<Fetched, Error> {
        self.backend(at).fetch_manifest().await
    }

    /// Fetches a manifest whose children will be read next. Opens the connections for them while it waits, because each
    /// concurrent request over plain HTTP needs one.
    ///
    /// # Errors
    /// See [`Self::fetch_manifest`].
    pub(crate) async fn fetch_root(&self, at: &Location) -> Result<Fetched, Error> {
        let preconnecting = async {
            if let Some(reference) = at.reference() {
                self.client().preconnect_for_children(reference.registry()).await;
            }
        };
        join(preconnecting, self.fetch_manifest(at)).await.1
    }

    /// Fetches a manifest of Docker's schema 1 from a registry, with its descriptor and bytes.
    ///
    /// # Errors
    /// The manifest cannot be read or is not valid, or the location is not in a registry.
    pub(crate) async fn fetch_schema_1(&self, at: &Location) -> Result<(Schema1Image, Descriptor, Bytes), Error> {
        let Some(reference) = at.reference() else {
            return Err(Error::unsuitable(at, ManifestError::Schema1.to_string()));
        };
        let (image, media_type, bytes) = self.client().fetch_schema_1(reference).await?;
        let descriptor = Descriptor { size: bytes.len() as u64, ..Descriptor::new(&media_type, image.digest.clone()) };
        Ok((image, descriptor, bytes))
    }

    /// Fetches the manifest that a tag or name currently points at; `None` if it does not exist.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub async fn fetch_current(&self, at: &Location) -> Result<Option<Fetched>, Error> {
        self.backend(at).fetch_current().await
    }

    /// Fetches the manifest of a descriptor from its parent's repository or layout.
    ///
    /// # Errors
    /// The errors of [`Self::fetch_manifest`], or the manifest's size or type differs from the descriptor.
    pub async fn fetch_child(&self, parent: &Location, child: &Descriptor) -> Result<Fetched, Error> {
        self.backend(parent).fetch_child(child).await
    }

    /// Fetches and verifies a config of at most 8 MiB.
    ///
    /// # Errors
    /// The config is missing ([`Error::is_missing_content`]), too large, or does not match its descriptor.
    pub async fn fetch_config(&self, at: &Location, config: &Descriptor) -> Result<Bytes, Error> {
        self.fetch_blob(at, config, MAX_CONFIG).await
    }

    /// Fetches and verifies a blob of at most `limit` bytes, such as the statement of an attestation.
    ///
    /// # Errors
    /// The blob is missing ([`Error::is_missing_content`]), too large, or does not match its descriptor.
    pub async fn fetch_blob(&self, at: &Location, blob: &Descriptor, limit: u64) -> Result<Bytes, Error> {
        self.backend(at).fetch_blob(blob, limit).await
    }

    /// Resolves a tag, name or digest to a digest.
    ///
    /// # Errors
    /// The errors of [`Self::fetch_manifest`].
    pub async fn digest(&self, at: &Location) -> Result<Digest, Error> {
        self.backend(at).digest().await
    }

    /// Resolves several locations to digests, in the given order; see [`Self::digest`].
    pub(crate) async fn digests(&self, all: impl IntoIterator<Item = &Location>) -> Vec<Result<Digest, Error>> {
        join_all(all.into_iter().map(|at| self.digest(at))).await
    }

    /// Lists at most `limit` tags of a repository, or names in a layout.
    ///
    /// # Errors
    /// The registry refuses the request, or the layout cannot be read.
    pub async fn tags(&self, at: &Location, limit: usize) -> Result<Vec<UntrustedText>, Error> {
        self.backend(at).tags(limit).await
    }

    /// Lists every tag of a repository, or every name in a layout.
    ///
    /// # Errors
    /// The errors of [`Self::tags`], or the list contains names that are not valid tags.
    pub async fn every_tag(&self, at: &Location) -> Result<Vec<UntrustedText>, Error> {
        self.backend(at).every_tag().await
    }

    /// Returns the digest that a tag or name currently points at, or the location's digest; `None` if it does not
    /// exist. Also `None` for archives, which are always written whole, and for digests in a layout, which is checked
    /// blob by blob.
    ///
    /// # Errors
    /// The registry refuses the request, or the layout cannot be read.
    pub async fn current_digest(&self, at: &Location) -> Result<Option<Digest>, Error> {
        self.backend(at).current_digest().await
    }

    /// Returns the current digests of several tags, in the given order; see [`Self::current_digest`].
    pub(crate) async fn current_digests(
        &self,
        tags: impl IntoIterator<Item = impl Borrow<Location>>,
    ) -> Vec<Result<Option<Digest>, Error>> {
        join_all(tags.into_iter().map(async |tag| self.current_digest(tag.borrow()).await)).await
    }

    /// Writes a manifest under a tag or name, or by digest.
    ///
    /// # Errors
    /// The registry refuses the request, the layout cannot be written, or [`Error::Changed`] if the precondition is not
    /// met.
    pub(crate) async fn push_manifest(
        &self,
        at: &Location,
        descriptor: &Descriptor,
        bytes: &Bytes,
        if_match: Option<&IfMatch>,
    ) -> Result<(), Error> {
        self.backend(at).push_manifest(descriptor, bytes, if_match).await
    }

    /// Says which reference an image has in the registry that it comes from, before it is written to an archive: Docker
    /// and containerd name what they load by it.
    pub(crate) fn set_known_as(&self, to: &Location, reference: &Reference) {
        if let Some(layout) = to.layout() {
            self.0.files.set_known_as(layout, reference);
        }
    }

    /// Carries the signatures beside an image of `dir:` to the same image in another `dir:`. Returns the number of those
    /// that the target cannot hold; all of them without a target.
    ///
    /// # Errors
    /// The signatures cannot be read, or the target cannot be written.
    pub(crate) async fn carry_signatures(&self, from: &Location, to: Option<&Location>) -> Result<usize, Error> {
        match from.layout() {
            Some(layout) => self.0.files.carry_signatures(layout, to.and_then(Location::layout)).await,
            None => Ok(0),
        }
    }

    /// Lists at most `limit` files with signatures that `dir:` holds beside a manifest; see [`OpenFiles::signature_files`].
    pub(super) async fn list_signature_files(
        &self,
        layout: &LayoutReference,
        of: &Digest,
        limit: usize,
    ) -> Result<Vec<ListedSignatureFile>, Error> {
        self.0.files.signature_files(layout, of, limit).await
    }

    /// Reads a file with a signature.
    pub(super) async fn fetch_signature_file(&self, layout: &LayoutReference, name: &str) -> Result<Bytes, Error> {
        self.0.files.fetch_signature_file(layout, name).await
    }

    /// Waits until a tag resolves to a digest. Returns immediately for a layout.
    ///
    /// # Errors
    /// After the last retry, the tag is still missing or resolves to another digest.
    pub(crate) async fn read_back(&self, at: &Location, digest: &Digest) -> Result<(), Error> {
        self.backend(at).read_back(digest).await
    }

    /// Checks that a location is writable, as far as possible without writing.
    pub(super) fn check_target(&self, at: &Location) -> Result<(), Error> {
        self.backend(at).check_target()
    }

    /// Deletes a tag or name, or by digest a manifest with all its tags. In a layout, only removes it from index.json;
    /// its blobs stay.
    ///
    /// # Errors
    /// The reference does not exist, or [`Error::is_unsupported`] if the registry does not support deletion.
    pub async fn delete(&self, at: &Location) -> Result<(), Error> {
        self.backend(at).delete().await
    }

    /// Checks that a blob can be read. The error of a missing blob is [`Error::is_missing_content`].
    pub(crate) async fn find_blob(&self, at: &Location, blob: &Descriptor) -> Result<BlobInfo, Error> {
        self.backend(at).find_blob(blob).await
    }

    /// Checks that a manifest of any type can be read. The error of a missing one is [`Error::is_missing_content`].
    pub(crate) async fn find_manifest(&self, at: &Location, manifest: &Descriptor) -> Result<BlobInfo, Error> {
        self.backend(at).find_manifest(manifest).await
    }

    /// Moves the written archives to their target files; without this call, the existing files stay. Fails if
    /// the run was stopped.
    pub(super) async fn commit(&self) -> Result<(), Error> {
        self.0.files.commit().await
    }

    /// Returns the archives that have not replaced their target files yet, as the user spells them.
    pub(crate) fn uncommitted_archives(&self) -> Vec<String> {
        self.0.files.uncommitted_archives()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{ClientConfig, StopReason};

    #[test]
    fn commit_fails_after_a_stop_and_leaves_no_archive() {
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
