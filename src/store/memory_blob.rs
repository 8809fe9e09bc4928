use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::blob_source::{BlobSource, BlobStream};
use super::{Error, OnStep, Run};
use crate::event::{BlobOutcome, Step};
use crate::image::{Descriptor, Digest, Location};

/// A blob that the program made.
struct MemoryBlob(Bytes);

#[async_trait]
impl BlobSource for MemoryBlob {
    async fn open(&self) -> Result<BlobStream, Error> {
        let bytes = self.0.clone();
        Ok(stream::once(async { Ok(bytes) }).boxed())
    }

    fn is_local(&self) -> bool {
        true
    }
}

impl Run {
    /// Writes a blob from memory, unless the target has it. Returns its descriptor.
    ///
    /// # Errors
    /// The registry refuses the blob, or the layout cannot be written.
    pub(crate) async fn push_blob(
        &self,
        to: &Location,
        media_type: &str,
        bytes: Bytes,
        on_step: OnStep<'_>,
    ) -> Result<Descriptor, Error> {
        let size = bytes.len() as u64;
        let blob = Descriptor { size, ..Descriptor::new(media_type, Digest::sha256(&bytes)) };
        let backend = self.store.backend(to);
        let outcome = match backend.has_blob(&blob).await? {
            true => BlobOutcome::Existing,
            false => BlobOutcome::Uploaded,
        };
        if outcome == BlobOutcome::Uploaded && !self.is_dry {
            let _permit = self.store.write_permit().await;
            backend.write_blob(&blob, &MemoryBlob(bytes), None).await?;
        }
        on_step(Step::Blob(blob.digest.clone(), blob.size, outcome));
        Ok(blob)
    }
}
