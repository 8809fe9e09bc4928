//! The state of verifying one reference, and the nodes of its manifests.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::finding::{ImagePart, Problem};
use super::unpack::Contents;
use crate::image::{Descriptor, Digest, Fetched, ImageManifest, Location, Manifest, Platform, media_type};
use crate::registry::BlobInfo;
use crate::single_flight::SingleFlight;
use crate::store::{Error, Store};

/// Maximum number of images, and of blobs per image, checked concurrently. Each takes memory.
pub(super) const MAX_CONCURRENT: usize = 32;

/// A manifest to check.
pub(super) struct Node {
    /// The entry of the index, or the descriptor of the root manifest.
    pub(super) entry: Descriptor,
    /// Position of the index that lists it.
    pub(super) parent: Option<usize>,
    /// The manifest, or `None` if it was not read.
    pub(super) fetched: Option<Arc<Fetched>>,
    /// Platform in its config.
    pub(super) config: Option<Platform>,
    /// Whether it is a blob whose size matches its entry.
    pub(super) is_blob: bool,
    pub(super) problems: Vec<(ImagePart, Problem)>,
}

/// The reference being verified, with the manifests and blobs already checked, because images share layers.
pub(super) struct Verifier<'s> {
    pub(super) store: &'s Store,
    pub(super) at: &'s Location,
    pub(super) manifests: SingleFlight<Digest, Arc<Fetched>, Error>,
    pub(super) blobs: SingleFlight<Digest, BlobInfo, Error>,
    pub(super) contents: SingleFlight<(Digest, u64, Option<String>), Contents, Error>,
    /// Memory for decoders, one permit per MiB.
    pub(super) decoders: Semaphore,
}

/// Memory limit for the windows of all zstd decoders, in MiB.
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

    /// Returns the platform from the entry, or else from the config.
    pub(super) fn platform(&self) -> Option<&Platform> {
        self.entry.platform.as_ref().or(self.config.as_ref())
    }

    /// Whether it is an image that clients run, as far as it was read: neither an attestation nor another artifact.
    pub(super) fn is_image(&self) -> bool {
        let is_artifact = |image: &ImageManifest| !media_type::is_config(&image.config.media_type);
        media_type::is_image(&self.entry.media_type)
            && !self.entry.is_attestation()
            && !self.image().is_some_and(is_artifact)
    }

    /// Whether it must have the required referrers: an image that was read, or an artifact that the reference itself
    /// points at.
    pub(super) fn needs_referrers(&self) -> bool {
        self.image().is_some() && (self.is_image() || self.parent.is_none())
    }
}
