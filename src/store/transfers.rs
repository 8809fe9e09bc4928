use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;

use crate::image::{Descriptor, Digest};
use crate::registry::BlobStream;

/// The blobs that are on their way, for whoever shows them.
#[derive(Clone, Default)]
pub struct Transfers(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    running: Vec<Arc<Running>>,
    ended: u64,
}

struct Running {
    digest: Digest,
    size: u64,
    sent: AtomicU64,
}

/// One blob on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transfer {
    /// Which one.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes sent by now, in this try.
    pub sent: u64,
}

impl Transfers {
    /// The blobs that are on their way, and the bytes of those that have arrived.
    #[must_use]
    pub fn now(&self) -> (Vec<Transfer>, u64) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transfer = |running: &Arc<Running>| Transfer {
            digest: running.digest.clone(),
            size: running.size,
            sent: running.sent.load(Ordering::Relaxed),
        };
        (known.running.iter().map(transfer).collect(), known.ended)
    }

    /// One that begins; it ends when what comes back is dropped.
    pub(super) fn begin(&self, blob: &Descriptor) -> Begun {
        let running = Arc::new(Running { digest: blob.digest.clone(), size: blob.size, sent: AtomicU64::new(0) });
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.running.push(Arc::clone(&running));
        Begun { transfers: self.clone(), running }
    }
}

pub(super) struct Begun {
    transfers: Transfers,
    running: Arc<Running>,
}

impl Begun {
    /// Counts a try from its beginning.
    pub(super) fn count(&self, stream: BlobStream) -> BlobStream {
        self.running.sent.store(0, Ordering::Relaxed);
        let running = Arc::clone(&self.running);
        let note = move |piece: &Result<bytes::Bytes, _>| {
            if let Ok(piece) = piece {
                running.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        };
        stream.inspect(note).boxed()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut known = self.transfers.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.running.retain(|running| !Arc::ptr_eq(running, &self.running));
        known.ended += self.running.sent.load(Ordering::Relaxed);
    }
}
