//! One reference that is verified, and its manifests.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::finding::{ImagePart, Problem};
use super::unpack::Contents;
use crate::image::{Descriptor, Digest, Fetched, ImageManifest, Location, Manifest, Platform};
use crate::registry::FoundBlob;
use crate::single_flight::SingleFlight;
use crate::store::{Error, Store};

/// Images, and blobs of one, that are looked at at once; each takes memory.
pub(super) const MAX_CONCURRENT: usize = 32;

/// A manifest that is checked.
pub(super) struct Node {
    /// What names it; of the reference itself, what was found.
    pub(super) entry: Descriptor,
    /// The place of the index that it is an entry of.
    pub(super) parent: Option<usize>,
    /// Nothing where it cannot be read.
    pub(super) fetched: Option<Arc<Fetched>>,
    /// What its config says that it is for.
    pub(super) config: Option<Platform>,
    /// It is a blob, with as many bytes as its entry says.
    pub(super) is_blob: bool,
    pub(super) problems: Vec<(ImagePart, Problem)>,
}

/// One reference that is verified, and what was looked at already: images share layers.
pub(super) struct Verifier<'s> {
    pub(super) store: &'s Store,
    pub(super) at: &'s Location,
    pub(super) manifests: SingleFlight<Digest, Arc<Fetched>, Error>,
    pub(super) blobs: SingleFlight<Digest, FoundBlob, Error>,
    pub(super) contents: SingleFlight<(Digest, u64, Option<String>), Contents, Error>,
    /// In MiB.
    pub(super) decoders: Semaphore,
}

/// MiB that decoders may use together: the windows of zstd, which are kept in memory.
pub(super) const DECODERS: u32 = 128;

impl Node {
    pub(super) fn new(entry: Descriptor, parent: Option<usize>) -> Self {
        Self { entry, parent, fetched: None, config: None, is_blob: false, problems: Vec::new() }
    }

    pub(super) fn image(&self) -> Option<&ImageManifest> {
        match &self.fetched.as_ref()?.manifest {
            Manifest::Image(image) => Some(image),
            Manifest::Index(_) => None,
        }
    }

    /// What it is for, by its entry or else by its config.
    pub(super) fn platform(&self) -> Option<&Platform> {
        self.entry.platform.as_ref().or(self.config.as_ref())
    }
}
