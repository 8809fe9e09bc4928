//! Blobs on their way, never whole in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use reqwest::Method;
use reqwest::header::CONTENT_LENGTH;

use super::blobs::blob_request;
use crate::image::{Descriptor, Reference};
use crate::registry::client::Client;
use crate::registry::error::{Error, ErrorKind, TransportFault};
use crate::registry::transport::encoding::{encodings, not_asked_for};
use crate::registry::transport::failure::Failure;
use crate::registry::transport::response::{Response, silent};

/// The bytes of a blob. An error ends it.
pub(crate) type BlobStream = BoxStream<'static, Result<Bytes, Error>>;

/// Opens a blob, from its beginning, for each try to send it.
pub(crate) type OpenBlob<'a> = &'a (dyn Fn() -> BoxFuture<'a, Result<BlobStream, Error>> + Sync);

impl Client {
    /// Opens a blob of a repository to read it (distribution-spec, "Pulling blobs"). Its bytes are not verified.
    ///
    /// # Errors
    /// The registry's answer, or an encoded body.
    pub(crate) async fn open_blob(&self, repository: &Reference, blob: &Descriptor) -> Result<BlobStream, Error> {
        let request = blob_request(Method::GET, repository, blob, self.scopes_to_read(repository)).streamed();
        let subject = request.subject().to_owned();
        let response = self.send_ok(repository.registry(), &request).await?;
        refuse_encoded(&response, &subject, blob.size)?;
        let Some(response) = response.rest else { return Err(response.error(&subject)) };
        let (idle_timeout, name, stop) =
            (self.transport().idle_timeout(), request.wire.name(), self.cancel_token().clone());
        let pieces = stream::unfold(Some(response), move |response| {
            let (subject, name, stop) = (subject.clone(), name.clone(), stop.clone());
            async move {
                let mut response = response?;
                let broke_off = |reason: String, fault: Option<TransportFault>| {
                    let kind = ErrorKind::Transport { request: name, reason: reason.into(), unsent: false };
                    Some((Err(Error::transient(subject.as_str(), kind).with_fault(fault)), None))
                };
                match stop.run_until_cancelled_with_grace(tokio::time::timeout(idle_timeout, response.chunk())).await {
                    Err(reason) => Some((Err(Error::stopped(subject, reason)), None)),
                    Ok(Err(_)) => broke_off(silent(idle_timeout), Some(TransportFault::Silent)),
                    Ok(Ok(Err(error))) => broke_off(Failure::of(&error).reason, None),
                    Ok(Ok(Ok(None))) => None,
                    Ok(Ok(Ok(Some(piece)))) => Some((Ok(piece), Some(response))),
                }
            }
        });
        Ok(pieces.boxed())
    }
}

/// Refuses a blob whose body is encoded although the request did not ask for that: a stream is not unpacked. The header
/// without the encoding is accepted: object stores set it for layers, which are gzip files themselves.
///
/// # Errors
/// The answer names a coding, and its length is not that of the blob.
fn refuse_encoded(response: &Response, subject: &str, size: u64) -> Result<(), Error> {
    let length = response.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let names = encodings(&response.headers);
    if names.is_empty() || length.is_none_or(|length| length == size) {
        return Ok(());
    }
    Err(not_asked_for(subject, &names))
}

/// What became of a stream that is sent: its sender only learns that it ended.
#[derive(Clone, Default)]
pub(crate) struct StreamEnd(Arc<Mutex<StreamProgress>>);

#[derive(Default)]
struct StreamProgress {
    bytes: u64,
    error: Option<Error>,
}

impl StreamEnd {
    /// Notes what passes through from its beginning on.
    pub(crate) fn watch(&self, stream: BlobStream) -> BlobStream {
        *self.passed() = StreamProgress::default();
        let ended = self.clone();
        let note = move |piece: &Result<Bytes, Error>| match piece {
            Ok(piece) => ended.passed().bytes += piece.len() as u64,
            Err(error) => ended.passed().error = Some(error.clone()),
        };
        stream.inspect(note).boxed()
    }

    /// The error that ended the stream.
    pub(crate) fn error(&self) -> Option<Error> {
        self.passed().error.take()
    }

    /// Whether less than `size` bytes passed through, and not because of an error of the source.
    pub(crate) fn is_cut_off(&self, size: u64) -> bool {
        let passed = self.passed();
        passed.error.is_none() && passed.bytes < size
    }

    fn passed(&self) -> MutexGuard<'_, StreamProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_off_unless_its_source_ended_it() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let piece = || Ok(Bytes::from_static(b"four"));
        let error = || Err(Error::protocol("x", "wrong"));
        for (pieces, is_cut_off) in
            [(vec![], true), (vec![piece()], true), (vec![piece(), error()], false), (vec![piece(), piece()], false)]
        {
            let ended = StreamEnd::default();
            runtime.block_on(ended.watch(stream::iter(pieces).boxed()).collect::<Vec<_>>());
            assert_eq!(ended.is_cut_off(8), is_cut_off);
        }
    }
}
