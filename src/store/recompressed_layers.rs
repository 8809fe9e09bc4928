use tempfile::TempDir;
use tokio::sync::{OnceCell, Semaphore};

use super::Error;
use crate::image::{Digest, Location, UntrustedText};
use crate::layer::LayerEncoding;
use crate::single_flight::SingleFlight;

/// Memory limit for all decoders and encoders, in MiB.
pub(super) const MEMORY: u32 = 128;

/// The layers that a run recompressed.
pub(super) struct RecompressedLayers {
    pub(super) known: SingleFlight<LayerKey, RecompressedLayer, Error>,
    /// Removed with the run, even if a thread still writes to it: the program does not wait for threads when it ends.
    pub(super) folder: OnceCell<TempDir>,
    /// Memory for decoders and encoders, one permit per MiB.
    pub(super) memory: Semaphore,
}

/// A layer, with all that it is compared with, and its new encoding.
type LayerKey = (Digest, UntrustedText, String, LayerEncoding);

/// A recompressed layer in the temporary layout of the run.
#[derive(Debug, Clone)]
pub(crate) struct RecompressedLayer {
    /// The layout.
    pub(crate) location: Location,
    /// Digest of the recompressed layer.
    pub(crate) digest: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl Default for RecompressedLayers {
    fn default() -> Self {
        Self { known: SingleFlight::default(), folder: OnceCell::new(), memory: Semaphore::new(MEMORY as usize) }
    }
}
