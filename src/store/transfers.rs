//! Reports the progress of blob transfers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt as _;

use super::Error;
use super::blob_source::{BlobSource, BlobStream};
use crate::event::{Event, Events};
use crate::image::{Descriptor, Digest};

/// A blob source that reports its progress. Sends the last report when it is dropped.
pub(super) struct Transfer<'a> {
    source: Box<dyn BlobSource + 'a>,
    state: Arc<State>,
}

struct State {
    events: Events,
    id: u64,
    digest: Digest,
    size: u64,
    done: AtomicU64,
    started: Instant,
    /// Milliseconds from the start to the last report.
    reported: AtomicU64,
}

/// The minimum time between two reports of a transfer. A shorter transfer sends only the last report.
const INTERVAL: Duration = Duration::from_millis(200);

impl<'a> Transfer<'a> {
    pub(super) fn new(events: &Events, blob: &Descriptor, source: Box<dyn BlobSource + 'a>) -> Self {
        let (digest, size) = (blob.digest.clone(), blob.size);
        let (done, reported) = (AtomicU64::new(0), AtomicU64::new(0));
        let (events, id, started) = (events.clone(), fastrand::u64(..), Instant::now());
        Self { source, state: Arc::new(State { events, id, digest, size, done, started, reported }) }
    }
}

#[async_trait]
impl BlobSource for Transfer<'_> {
    /// Opens the blob and counts its bytes from 0 again.
    async fn open(&self) -> Result<BlobStream, Error> {
        let stream = self.source.open().await?;
        self.state.done.store(0, Ordering::Relaxed);
        let state = Arc::clone(&self.state);
        let count = move |chunk: &Result<bytes::Bytes, _>| {
            if let Ok(chunk) = chunk {
                state.done.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                state.report_if_due();
            }
        };
        Ok(stream.inspect(count).boxed())
    }

    fn is_local(&self) -> bool {
        self.source.is_local()
    }
}

impl State {
    fn report_if_due(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.reported.load(Ordering::Relaxed);
        if Duration::from_millis(now.saturating_sub(last)) >= INTERVAL {
            self.reported.store(now, Ordering::Relaxed);
            self.report(false);
        }
    }

    fn report(&self, is_over: bool) {
        if self.events.is_listening() {
            let (id, digest, size) = (self.id, self.digest.clone(), self.size);
            self.events.emit(&Event::Transfer { id, digest, size, done: self.done.load(Ordering::Relaxed), is_over });
        }
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.state.report(true);
    }
}
