//! The interface between the store and a registry, layout or archive.

use std::collections::HashSet;

use async_trait::async_trait;
use bytes::Bytes;

use super::blob_source::BlobSource;
use super::{Error, IfMatch};
use crate::image::{Descriptor, Digest, Fetched, Location, UntrustedText};
use crate::registry::{BlobInfo, UploadSession};

/// A location in a registry, or in an OCI layout or archive on this machine: a repository or layout, with the
/// location's tag or name and digest.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    /// Fetches and verifies the manifest at the location.
    async fn fetch_manifest(&self) -> Result<Fetched, Error>;

    /// Fetches the manifest that the tag or name currently points at; `None` if it does not exist.
    async fn fetch_current(&self) -> Result<Option<Fetched>, Error>;

    /// Fetches and verifies the manifest of a descriptor.
    async fn fetch_child(&self, child: &Descriptor) -> Result<Fetched, Error>;

    /// Fetches and verifies the bytes of a manifest that is neither an image nor an index.
    async fn fetch_other_manifest(&self, manifest: &Descriptor, media_type: &'static str) -> Result<Bytes, Error>;

    /// Fetches and verifies a blob of at most `limit` bytes.
    async fn fetch_blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes, Error>;

    /// Resolves the tag, name or digest to a digest.
    async fn digest(&self) -> Result<Digest, Error>;

    /// Returns the digest that the tag or name currently points at, or the location's digest; `None` if it does not
    /// exist.
    async fn current_digest(&self) -> Result<Option<Digest>, Error>;

    /// Lists at most `limit` tags or names.
    async fn tags(&self, limit: usize) -> Result<Vec<UntrustedText>, Error>;

    /// Lists every tag or name; fails if the list is not complete.
    async fn every_tag(&self) -> Result<Vec<UntrustedText>, Error>;

    /// Lists the manifests that refer to `subject`; `None` if only the referrers tag lists them (distribution-spec,
    /// "Referrers Tag Schema").
    async fn referrers(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Error>;

    /// Counts the manifests that refer to any of `subjects`, if that needs no request. 0 for a registry.
    async fn count_referrers(&self, _subjects: &HashSet<Digest>) -> Result<usize, Error> {
        Ok(0)
    }

    /// Adds pushed manifests to the referrers of `subject`. Returns `false` if the referrers tag has to list them.
    async fn list_referrers(&self, subject: &Digest, referrers: &[Descriptor]) -> Result<bool, Error>;

    /// Checks that a blob can be read.
    async fn find_blob(&self, blob: &Descriptor) -> Result<BlobInfo, Error>;

    /// Checks that a manifest of any type can be read.
    async fn find_manifest(&self, manifest: &Descriptor) -> Result<BlobInfo, Error>;

    /// Whether a blob exists. Does not write.
    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error>;

    /// Whether a manifest exists. Does not write.
    async fn has_manifest(&self, manifest: &Descriptor) -> Result<bool, Error>;

    /// Returns a source that streams a blob.
    async fn source<'b>(&'b self, blob: &'b Descriptor) -> Result<Box<dyn BlobSource + 'b>, Error>;

    /// Whether blobs can be mounted from another location.
    fn mounts_from(&self, from: &Location) -> bool;

    /// Checks whether a blob must be uploaded, and mounts it if possible.
    async fn prepare_blob(&self, from: &Location, blob: &Descriptor) -> Result<Prepared, Error>;

    /// Writes and verifies a blob, using the upload session if given.
    async fn write_blob(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        session: Option<UploadSession>,
    ) -> Result<(), Error>;

    /// Writes a manifest under the tag or name, or by digest.
    async fn push_manifest(
        &self,
        descriptor: &Descriptor,
        bytes: &Bytes,
        if_match: Option<&IfMatch>,
    ) -> Result<(), Error>;

    /// Waits until the tag resolves to a digest.
    async fn read_back(&self, digest: &Digest) -> Result<(), Error>;

    /// Deletes the tag or name, or by digest the manifest with all its tags.
    async fn delete(&self) -> Result<(), Error>;

    /// Checks that the location is writable, as far as possible without writing.
    fn check_target(&self) -> Result<(), Error>;
}

/// The state of a blob at its target before an upload.
pub(super) enum Prepared {
    /// The target has the blob.
    Existing,
    /// The registry mounted the blob from another repository.
    Mounted,
    /// The blob must be uploaded, into this session if the registry opened one.
    Missing(Option<UploadSession>),
}
