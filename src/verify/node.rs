use std::sync::Arc;

use super::finding::{ImagePart, Problem};
use super::referrer_checks::ReferrerChecks;
use crate::image::{Descriptor, Fetched, ImageManifest, Manifest, Platform, media_type};

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
    /// Its signatures, if they were looked for.
    pub(super) referrers: Option<Arc<ReferrerChecks>>,
}

/// What decides which checks an entry gets. Two entries for one digest may differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EntryRole {
    is_attestation: bool,
    needs_no_signature: bool,
    is_image: bool,
    is_index: bool,
}

/// Returns whether an entry is a manifest that can be parsed.
pub(super) fn is_known(entry: &Descriptor) -> bool {
    media_type::is_image(&entry.media_type) || media_type::is_index(&entry.media_type)
}

impl Node {
    pub(super) fn new(entry: Descriptor, parent: Option<usize>) -> Self {
        Self { entry, parent, fetched: None, config: None, is_blob: false, problems: Vec::new(), referrers: None }
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

    /// Returns the number of its signatures, and one for the manifest, if they were looked for.
    pub(super) fn signature_weight(&self) -> usize {
        let signatures = self.referrers.as_ref().and_then(|checks| checks.signatures.as_ref());
        signatures.map_or(0, |signatures| 1 + signatures.len())
    }

    /// Returns what decides which checks the entry gets.
    pub(super) fn role(&self) -> EntryRole {
        EntryRole {
            is_attestation: self.entry.is_attestation(),
            needs_no_signature: self.entry.is_never_selected(),
            is_image: media_type::is_image(&self.entry.media_type),
            is_index: media_type::is_index(&self.entry.media_type),
        }
    }

    /// Whether it must be signed: an index that was read, an image that clients may select, or what the reference itself
    /// points at. What it was read as counts, not what its entry says.
    pub(super) fn needs_signature(&self) -> bool {
        match self.fetched.as_ref().map(|fetched| &fetched.manifest) {
            Some(Manifest::Index(_)) => true,
            Some(Manifest::Image(image)) => {
                let is_exempt = self.entry.is_never_selected() || !media_type::is_config(&image.config.media_type);
                self.parent.is_none() || !is_exempt
            }
            None => false,
        }
    }
}
