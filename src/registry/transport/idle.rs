//! The idle timeout: how long a server may send nothing. reqwest's own limits count from the beginning of
//! a request, and would cut off a large blob that is on its way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::registry::error::Error;

/// The bytes of a body that is sent. An error ends it.
pub(crate) type BodyStream = BoxStream<'static, Result<Bytes, Error>>;

/// When something of a request last went out.
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

    /// A request's body, of which each piece that is asked for counts. It does not know its length: `Content-Length`
    /// must be set.
    pub(crate) fn body(&self, stream: BodyStream) -> reqwest::Body {
        let progress = self.clone();
        reqwest::Body::wrap_stream(stream.inspect(move |_| progress.note()))
    }

    /// Does the work, unless no byte goes out or comes in for this long.
    pub(crate) async fn within<T>(&self, idle_timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let until = self.last() + idle_timeout;
            if until <= Instant::now() {
                return None;
            }
            match select(work.as_mut(), std::pin::pin!(tokio::time::sleep_until(until))).await {
                Either::Left((done, _)) => return Some(done),
                Either::Right(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_makes_progress_does_not_time_out() {
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
