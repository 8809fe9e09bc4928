use std::sync::Arc;

use bytes::Bytes;

use super::artifact::{ARTIFACT_MANIFEST, artifact};
use super::{Error, Store};
use crate::image::{Descriptor, Location};

/// A manifest at its source, with the blobs that it needs: what is placed in another repository or layout.
#[derive(Debug, Clone)]
pub(crate) struct SourceManifest {
    /// Where it is, by digest.
    pub location: Location,
    /// Its type, digest and size.
    pub descriptor: Descriptor,
    /// Its exact bytes.
    pub bytes: Bytes,
    /// Config and layers, each digest once, without foreign layers.
    pub blobs: Arc<[Descriptor]>,
}

impl Store {
    /// Fetches an artifact manifest, verified, with the blobs that it names.
    ///
    /// # Errors
    /// It is missing, other bytes than the descriptor names, or not a valid artifact manifest.
    pub(crate) async fn fetch_artifact(&self, at: &Location, descriptor: &Descriptor) -> Result<SourceManifest, Error> {
        let location = at.with_digest(descriptor.digest.clone());
        let bytes = self.backend(at).fetch_other_manifest(descriptor, ARTIFACT_MANIFEST).await?;
        let blobs = artifact(&location, &bytes)?.blobs.unwrap_or_default();
        Ok(SourceManifest { location, descriptor: descriptor.clone(), bytes, blobs: blobs.into() })
    }
}
