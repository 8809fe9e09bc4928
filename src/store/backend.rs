//! What the store needs of a place that holds manifests and blobs.

use async_trait::async_trait;
use bytes::Bytes;

use super::blob_source::BlobSource;
use super::{Error, IfMatch};
use crate::image::{Descriptor, Digest, Fetched, Location, UntrustedText};
use crate::registry::{FoundBlob, Session};

/// A repository in a registry, or an OCI layout or archive on this machine, at a location: with the tag or name and the
/// digest that the location has.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    /// Fetches the manifest that the location names, verified.
    async fn fetch_manifest(&self) -> Result<Fetched, Error>;

    /// Fetches what the tag or name points at now, `None` if it does not exist.
    async fn fetch_current(&self) -> Result<Option<Fetched>, Error>;

    /// Fetches the manifest that a descriptor names, verified.
    async fn fetch_child(&self, child: &Descriptor) -> Result<Fetched, Error>;

    /// Fetches the bytes of a manifest of another type than an image's or index's, verified.
    async fn fetch_other_manifest(&self, manifest: &Descriptor, media_type: &'static str) -> Result<Bytes, Error>;

    /// Fetches a blob of at most `limit` bytes, verified.
    async fn fetch_blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes, Error>;

    /// The digest that the tag, name or digest stands for.
    async fn digest(&self) -> Result<Digest, Error>;

    /// What the tag or name points at now, or whether the digest is there.
    async fn current_digest(&self) -> Result<Option<Digest>, Error>;

    /// The tags or names, at most `limit`.
    async fn tags(&self, limit: usize) -> Result<Vec<UntrustedText>, Error>;

    /// Every tag or name; an error if the list is not complete.
    async fn every_tag(&self) -> Result<Vec<UntrustedText>, Error>;

    /// The manifests that refer to `subject`; `None` if only the tag of the subject lists them (distribution-spec,
    /// "Referrers Tag Schema").
    async fn referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Error>;

    /// Makes manifests that were pushed known as referrers of `subject`; `false` if only the tag of the subject can list
    /// them.
    async fn list_referrers(&self, subject: &Digest, referrers: &[Descriptor]) -> Result<bool, Error>;

    /// Looks for a blob to read it.
    async fn find_blob(&self, blob: &Descriptor) -> Result<FoundBlob, Error>;

    /// Looks for a manifest of any type to read it.
    async fn find_manifest(&self, manifest: &Descriptor) -> Result<FoundBlob, Error>;

    /// Whether a blob is there, without writing anything.
    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error>;

    /// Whether a manifest is there, without writing anything.
    async fn has_manifest(&self, manifest: &Descriptor) -> Result<bool, Error>;

    /// A blob, to be read piece by piece.
    async fn source<'b>(&'b self, blob: &'b Descriptor) -> Result<Box<dyn BlobSource + 'b>, Error>;

    /// Whether blobs can be mounted from another location.
    fn mounts_from(&self, from: &Location) -> bool;

    /// Finds out whether a blob has to be sent, and mounts it where that is possible.
    async fn prepare_blob(&self, from: &Location, blob: &Descriptor) -> Result<Prepared, Error>;

    /// Writes a blob, verified; into the upload session if there is one.
    async fn write_blob(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        session: Option<Session>,
    ) -> Result<(), Error>;

    /// Writes a manifest under the tag or name, or by digest.
    async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        bytes: &Bytes,
        if_match: Option<&IfMatch>,
    ) -> Result<(), Error>;

    /// Waits until the tag reads back with a digest.
    async fn read_back(&self, digest: &Digest) -> Result<(), Error>;

    /// Deletes the tag or name, or by digest the manifest with every tag of it.
    async fn delete(&self) -> Result<(), Error>;

    /// Whether something can be written there, as far as that is known without writing.
    fn check_target(&self) -> Result<(), Error>;
}

/// What is known of a blob before it is sent.
pub(super) enum Prepared {
    /// It is there.
    Existing,
    /// The registry took it from another repository.
    Mounted,
    /// It has to be sent, into this upload session if the registry opened one.
    Missing(Option<Session>),
}
