//! Streams blobs, so that no blob is held in memory as a whole.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::Error;
use crate::image::{Descriptor, Verifier};

/// The bytes of a blob, in chunks. The stream ends after an error.
pub(crate) type BlobStream = BoxStream<'static, Result<Bytes, Error>>;

/// A blob that can be read again from the start, for each attempt to upload it.
#[async_trait]
pub(super) trait BlobSource: Send + Sync {
    /// Opens the blob. Its bytes are not verified.
    async fn open(&self) -> Result<BlobStream, Error>;

    /// Whether the blob is on a local disk. Wrong bytes from a network may be right when they are read again; wrong
    /// bytes from a disk stay wrong.
    fn is_local(&self) -> bool;
}

/// Opens a blob and verifies its bytes against its descriptor while they are read. Wrong bytes end the stream with an
/// error.
pub(super) async fn open_verified(
    source: &dyn BlobSource,
    subject: String,
    blob: &Descriptor,
) -> Result<BlobStream, Error> {
    let (stream, is_transient) = (source.open().await?, !source.is_local());
    let wrong =
        move |reason: String| Err(Error::Content { subject: subject.clone(), reason: reason.into(), is_transient });
    let verifier = Verifier::new(&blob.digest, blob.size);
    let verified = stream::unfold(Some((stream, verifier)), move |state| {
        let wrong = wrong.clone();
        async move {
            let (mut stream, mut verifier) = state?;
            match stream.next().await {
                Some(Ok(chunk)) => match verifier.update(&chunk) {
                    Ok(()) => Some((Ok(chunk), Some((stream, verifier)))),
                    Err(reason) => Some((wrong(reason), None)),
                },
                Some(Err(error)) => Some((Err(error), None)),
                None => verifier.finish().err().map(|reason| (wrong(reason), None)),
            }
        }
    });
    Ok(verified.boxed())
}
