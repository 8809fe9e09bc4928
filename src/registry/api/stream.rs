//! Streams of blobs, which are never held in memory as a whole.

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
use crate::registry::transport::encoding::{encodings, unrequested_encoding};
use crate::registry::transport::failure::Failure;
use crate::registry::transport::response::{Response, idle_message};

/// The bytes of a blob. The stream ends after an error.
pub(crate) type BlobStream = BoxStream<'static, Result<Bytes, Error>>;

/// Opens a blob from its start, once for each attempt to send it.
pub(crate) type OpenBlob<'a> = &'a (dyn Fn() -> BoxFuture<'a, Result<BlobStream, Error>> + Sync);

impl Client {
    /// Opens a blob of a repository for reading (distribution-spec, "Pulling blobs"). The bytes are not verified. Without
    /// `uses_mirrors`, reads it from its registry.
    ///
    /// # Errors
    ///
    /// Fails if the registry sends an error response, or a body with a content encoding.
    pub(crate) async fn open_blob(
        &self,
        repository: &Reference,
        blob: &Descriptor,
        uses_mirrors: bool,
    ) -> Result<BlobStream, Error> {
        let request = blob_request(Method::GET, repository, blob, self.scopes_to_read(repository)).streamed();
        let subject = request.subject().to_owned();
        let location = if uses_mirrors { None } else { self.at_location(repository.registry(), &request)? };
        let (registry, request) = location.unwrap_or_else(|| (repository.registry().to_owned(), request));
        let response = self.send_ok(&registry, &request).await?;
        refuse_encoded(&response, &subject, blob.size)?;
        let Some(response) = response.unread else { return Err(response.error(&subject)) };
        let (idle_timeout, name, stop) =
            (self.transport().idle_timeout(), request.wire.name(), self.cancel_token().clone());
        let chunks = stream::unfold(Some(response), move |response| {
            let (subject, name, stop) = (subject.clone(), name.clone(), stop.clone());
            async move {
                let mut response = response?;
                let broke_off = |reason: String, fault: Option<TransportFault>| {
                    let kind = ErrorKind::Transport { request: name, reason: reason.into(), unsent: false };
                    Some((Err(Error::transient(subject.as_str(), kind).with_fault(fault)), None))
                };
                match stop.run_until_cancelled_with_grace(tokio::time::timeout(idle_timeout, response.chunk())).await {
                    Err(reason) => Some((Err(Error::stopped(subject, reason)), None)),
                    Ok(Err(_)) => broke_off(idle_message(idle_timeout), Some(TransportFault::IdleTimeout)),
                    Ok(Ok(Err(error))) => broke_off(Failure::from_reqwest(&error).reason, None),
                    Ok(Ok(Ok(None))) => None,
                    Ok(Ok(Ok(Some(chunk)))) => Some((Ok(chunk), Some(response))),
                }
            }
        });
        Ok(chunks.boxed())
    }
}

/// Refuses a blob with a content encoding that the request did not accept, because streams are not decoded. The header
/// is ignored if the body is not encoded: object stores set it for layers, which are gzip files themselves.
///
/// # Errors
///
/// Fails if the response names a content encoding and its length is not that of the blob.
fn refuse_encoded(response: &Response, subject: &str, size: u64) -> Result<(), Error> {
    let length = response.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let names = encodings(&response.headers);
    if names.is_empty() || length.is_none_or(|length| length == size) {
        return Ok(());
    }
    Err(unrequested_encoding(subject, &names))
}

/// Records how a sent stream ended, because the HTTP client only reports that it ended.
#[derive(Clone, Default)]
pub(crate) struct StreamEnd(Arc<Mutex<StreamProgress>>);

#[derive(Default)]
struct StreamProgress {
    bytes: u64,
    error: Option<Error>,
}

impl StreamEnd {
    /// Discards earlier records, and records the bytes and the error of a stream.
    pub(crate) fn watch(&self, stream: BlobStream) -> BlobStream {
        *self.progress() = StreamProgress::default();
        let stream_end = self.clone();
        let record = move |chunk: &Result<Bytes, Error>| match chunk {
            Ok(chunk) => stream_end.progress().bytes += chunk.len() as u64,
            Err(error) => stream_end.progress().error = Some(error.clone()),
        };
        stream.inspect(record).boxed()
    }

    /// Takes the error that ended the stream.
    pub(crate) fn take_error(&self) -> Option<Error> {
        self.progress().error.take()
    }

    /// Whether fewer than `size` bytes were sent, and the source did not fail.
    pub(crate) fn is_cut_off(&self, size: u64) -> bool {
        let progress = self.progress();
        progress.error.is_none() && progress.bytes < size
    }

    fn progress(&self) -> MutexGuard<'_, StreamProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_off_unless_it_is_complete_or_its_source_failed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let chunk = || Ok(Bytes::from_static(b"four"));
        let error = || Err(Error::protocol("x", "wrong"));
        for (chunks, is_cut_off) in
            [(vec![], true), (vec![chunk()], true), (vec![chunk(), error()], false), (vec![chunk(), chunk()], false)]
        {
            let stream_end = StreamEnd::default();
            runtime.block_on(stream_end.watch(stream::iter(chunks).boxed()).collect::<Vec<_>>());
            assert_eq!(stream_end.is_cut_off(8), is_cut_off);
        }
    }
}
