//! Blobs that are read piece by piece, never whole in memory.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::Error;
use crate::image::{Descriptor, Verifier};

/// The bytes of a blob. An error ends it.
pub(crate) type BlobStream = BoxStream<'static, Result<Bytes, Error>>;

/// A blob that can be read, from its beginning, as often as it is sent.
#[async_trait]
pub(super) trait BlobSource: Send + Sync {
    /// Opens the blob. Its bytes are not verified.
    async fn open(&self) -> Result<BlobStream, Error>;

    /// Whether wrong bytes stay wrong however often they are read: on a disk, but not from a network.
    fn is_lasting(&self) -> bool;
}

/// Opens a blob whose bytes are compared with its descriptor as they pass: wrong ones end in an error.
pub(super) async fn open_verified(
    source: &dyn BlobSource,
    subject: String,
    blob: &Descriptor,
) -> Result<BlobStream, Error> {
    let (stream, is_transient) = (source.open().await?, !source.is_lasting());
    let wrong =
        move |reason: String| Err(Error::Content { subject: subject.clone(), reason: reason.into(), is_transient });
    let verifier = Verifier::new(&blob.digest, blob.size);
    let verified = stream::unfold(Some((stream, verifier)), move |state| {
        let wrong = wrong.clone();
        async move {
            let (mut stream, mut verifier) = state?;
            match stream.next().await {
                Some(Ok(piece)) => match verifier.update(&piece) {
                    Ok(()) => Some((Ok(piece), Some((stream, verifier)))),
                    Err(reason) => Some((wrong(reason), None)),
                },
                Some(Err(error)) => Some((Err(error), None)),
                None => verifier.finish().err().map(|reason| (wrong(reason), None)),
            }
        }
    });
    Ok(verified.boxed())
}
