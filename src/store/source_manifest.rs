use std::sync::Arc;

use bytes::Bytes;

use super::artifact::{ARTIFACT_MANIFEST, artifact};
use super::{Error, Store};
use crate::image::{Descriptor, Location};

/// A manifest at its source and the blobs that it needs, to copy to another repository or layout.
#[derive(Debug, Clone)]
pub(crate) struct SourceManifest {
    /// The source, by digest.
    pub location: Location,
    /// The manifest's type, digest and size.
    pub descriptor: Descriptor,
    /// The manifest's exact bytes.
    pub bytes: Bytes,
    /// Config and layers, each digest once, without foreign layers.
    pub blobs: Arc<[Descriptor]>,
}

impl Store {
    /// Fetches and verifies an artifact manifest.
    ///
    /// # Errors
    /// The manifest is missing, does not match its descriptor, or is not a valid artifact manifest.
    pub(crate) async fn fetch_artifact(&self, at: &Location, descriptor: &Descriptor) -> Result<SourceManifest, Error> {
        let location = at.with_digest(descriptor.digest.clone());
        let bytes = self.backend(at).fetch_other_manifest(descriptor, ARTIFACT_MANIFEST).await?;
        let blobs = artifact(&location, &bytes)?.blobs.unwrap_or_default();
        Ok(SourceManifest { location, descriptor: descriptor.clone(), bytes, blobs: blobs.into() })
    }
}
