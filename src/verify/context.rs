use tokio::sync::Semaphore;

use super::known_content::KnownContent;
use crate::image::Location;
use crate::store::Store;

/// Maximum number of images, and of blobs per image, checked concurrently. Each takes memory.
pub(super) const MAX_CONCURRENT: usize = 32;

/// Memory limit for the windows of all zstd decoders, in MiB.
pub(super) const DECODERS: u32 = 128;

/// Memory limit for the content of signatures that is being read, in KiB. Most have less than 5; a bundle of 4 MiB is read
/// by itself.
pub(super) const SIGNATURES: u32 = 1024;

/// The reference being verified.
pub(super) struct CheckContext<'c> {
    pub(super) store: &'c Store,
    pub(super) at: &'c Location,
    /// What was checked in its repository.
    pub(super) known: &'c KnownContent,
    /// Memory for decoders, one permit per MiB.
    pub(super) decoders: &'c Semaphore,
    /// Memory for the content of signatures, one permit per KiB.
    pub(super) signatures: &'c Semaphore,
}
