//! Reports how far each blob is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;

use super::Store;
use crate::event::{Event, Events};
use crate::image::{Descriptor, Digest};
use crate::registry::BlobStream;

/// A blob in transfer. Dropping it reports that the transfer is over.
pub(super) struct Transfer(Arc<State>);

struct State {
    events: Events,
    digest: Digest,
    size: u64,
    done: AtomicU64,
}

impl Store {
    /// Reports that a blob is being read or sent.
    pub(super) fn begin_transfer(&self, blob: &Descriptor) -> Transfer {
        let events = self.client().events().clone();
        let state = State { events, digest: blob.digest.clone(), size: blob.size, done: AtomicU64::new(0) };
        state.report(false);
        Transfer(Arc::new(state))
    }
}

impl Transfer {
    /// Counts the bytes of one try, from its beginning.
    pub(super) fn count(&self, stream: BlobStream) -> BlobStream {
        self.0.done.store(0, Ordering::Relaxed);
        let state = Arc::clone(&self.0);
        let count = move |piece: &Result<bytes::Bytes, _>| {
            if let Ok(piece) = piece {
                state.done.fetch_add(piece.len() as u64, Ordering::Relaxed);
                state.report(false);
            }
        };
        stream.inspect(count).boxed()
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

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.report(true);
    }
}
