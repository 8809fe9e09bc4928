//! The idle timeout: how long a request may make no progress. reqwest's own timeouts count from the beginning of a
//! request, and would cut off the transfer of a large blob.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::registry::error::Error;

/// The bytes of a request body. An error ends the stream.
pub(crate) type BodyStream = BoxStream<'static, Result<Bytes, Error>>;

/// The time at which a part of a request was last sent.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Wraps a request's body so that each chunk that is sent counts as progress. The length of the body is unknown, so
    /// the caller must set `Content-Length`.
    pub(crate) fn body(&self, stream: BodyStream) -> reqwest::Body {
        let progress = self.clone();
        reqwest::Body::wrap_stream(stream.inspect(move |_| progress.note()))
    }

    /// Awaits a request; `None` if it makes no progress for `idle_timeout`.
    pub(crate) async fn within<T>(&self, idle_timeout: Duration, request: impl Future<Output = T>) -> Option<T> {
        let mut request = std::pin::pin!(request);
        loop {
            let until = self.last() + idle_timeout;
            if until <= Instant::now() {
                return None;
            }
            match select(request.as_mut(), std::pin::pin!(tokio::time::sleep_until(until))).await {
                Either::Left((output, _)) => return Some(output),
                Either::Right(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_request_times_out_only_without_progress() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let idle_timeout = Duration::from_millis(100);
        runtime.block_on(async {
            let progress = Progress::new();
            let slow = async {
                for _ in 0..5 {
                    tokio::time::sleep(Duration::from_millis(40)).await;
                    progress.note();
                }
                7
            };
            assert_eq!(progress.within(idle_timeout, slow).await, Some(7));
            assert_eq!(Progress::new().within(idle_timeout, std::future::pending::<()>()).await, None);
        });
    }
}
