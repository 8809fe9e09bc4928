//! Reports how far each blob is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt as _;

use super::Error;
use super::blob_source::{BlobSource, BlobStream};
use crate::event::{Event, Events};
use crate::image::{Descriptor, Digest};

/// A blob whose transfer is reported, until this is dropped.
pub(super) struct Transfer<'a> {
    source: Box<dyn BlobSource + 'a>,
    state: Arc<State>,
}

struct State {
    events: Events,
    digest: Digest,
    size: u64,
    done: AtomicU64,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(events: &Events, blob: &Descriptor, source: Box<dyn BlobSource + 'a>) -> Self {
        let (digest, size) = (blob.digest.clone(), blob.size);
        let state = State { events: events.clone(), digest, size, done: AtomicU64::new(0) };
        state.report(false);
        Self { source, state: Arc::new(state) }
    }
}

#[async_trait]
impl BlobSource for Transfer<'_> {
    /// Opens the blob, and counts its bytes from 0.
    async fn open(&self) -> Result<BlobStream, Error> {
        let stream = self.source.open().await?;
        self.state.done.store(0, Ordering::Relaxed);
        let state = Arc::clone(&self.state);
        let count = move |piece: &Result<bytes::Bytes, _>| {
            if let Ok(piece) = piece {
                state.done.fetch_add(piece.len() as u64, Ordering::Relaxed);
                state.report(false);
            }
        };
        Ok(stream.inspect(count).boxed())
    }

    fn is_lasting(&self) -> bool {
        self.source.is_lasting()
    }
}

impl State {
    fn report(&self, is_over: bool) {
        if self.events.is_listening() {
            let (digest, size, done) = (self.digest.clone(), self.size, self.done.load(Ordering::Relaxed));
            self.events.emit(&Event::Transfer { digest, size, done, is_over });
        }
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.state.report(true);
    }
}
