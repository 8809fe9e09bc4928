use futures_util::future::BoxFuture;

use super::backend::Prepared;
use super::blob_source::{BlobSource as _, BlobStream};
use super::retry::wait_before_retry;
use super::transfers::Transfer;
use super::{Error, Store};
use crate::event::BlobOutcome;
use crate::image::{Descriptor, Location};

impl Store {
    /// Ensures that another repository or layout has a blob. Mounts a missing blob, or uploads it; an upload is
    /// streamed and verified on the way, and never held in memory as a whole.
    pub(super) async fn place_blob(
        &self,
        from: &Location,
        to: &Location,
        blob: &Descriptor,
    ) -> Result<BlobOutcome, Error> {
        let (source, target) = (self.backend(from), self.backend(to));
        let session = match target.prepare_blob(from, blob).await? {
            Prepared::Existing => return Ok(BlobOutcome::Existing),
            Prepared::Mounted => return Ok(BlobOutcome::Mounted),
            Prepared::Missing(session) => session,
        };
        let _permit = self.transfer_permit().await;
        let transfer = Transfer::new(self.client().events(), blob, source.source(blob).await?);
        target.write_blob(blob, &transfer, session).await?;
        Ok(BlobOutcome::Uploaded)
    }

    /// Predicts the outcome of [`Self::place_blob`], without writing. A registry may refuse a predicted mount.
    pub(super) async fn predict_blob(
        &self,
        from: &Location,
        to: &Location,
        blob: &Descriptor,
    ) -> Result<BlobOutcome, Error> {
        let target = self.backend(to);
        Ok(match target.has_blob(blob).await? {
            true => BlobOutcome::Existing,
            false if target.mounts_from(from) => BlobOutcome::Mounted,
            false => BlobOutcome::Uploaded,
        })
    }

    /// Streams a blob to `read`, again from the start after a transient error. Does not verify its bytes.
    ///
    /// # Errors
    /// The blob is missing ([`Error::is_missing_content`]), cannot be read, or `read` failed.
    pub(crate) async fn read_blob<'r, T>(
        &self,
        from: &Location,
        blob: &Descriptor,
        read: impl Fn(BlobStream) -> BoxFuture<'r, Result<T, Error>>,
    ) -> Result<T, Error> {
        let _permit = self.transfer_permit().await;
        let backend = self.backend(from);
        let source = Transfer::new(self.client().events(), blob, backend.source(blob).await?);
        let stopped = |reason| Error::Stopped { subject: format!("blob {}", blob.digest), reason };
        let mut failed = 0;
        loop {
            let once = async {
                self.client().cancel_token().run_until_cancelled(read(source.open().await?)).await.map_err(stopped)?
            };
            match once.await {
                Err(error) => wait_before_retry(self.client(), error, &mut failed).await?,
                result => return result,
            }
        }
    }
}
