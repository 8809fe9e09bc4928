//! Options, state and result of probing a registry.

use bytes::Bytes;

use crate::event::{Check, Need, Verdict};
use crate::image::{Descriptor, Digest, Platform, Reference};
use crate::registry::Client;

/// Options for [`probe`](super::probe).
#[derive(Debug, Clone, Default)]
pub struct ProbeOptions {
    /// Use only the repository of the images and skip the mount check, for accounts with a single repository. Defaults
    /// to false.
    pub one_repository: bool,
    /// Keep the pushed tags and manifests instead of deleting them. Defaults to false.
    pub keep: bool,
}

/// The result of probing a registry.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ProbeReport {
    /// All checks, in the order in which they ran.
    pub checks: Vec<Check>,
    /// Manifests pushed by the probe that could not be deleted.
    pub leftover: Vec<Digest>,
}

impl ProbeReport {
    /// Returns whether the registry supports everything that manifest-tool needs.
    #[must_use]
    pub fn is_sufficient(&self) -> bool {
        let passed = |check: &&Check| check.verdict == Verdict::Pass;
        let needed = |need| self.checks.iter().filter(move |check| check.need == need);
        needed(Need::Yes).all(|check| passed(&check)) && needed(Need::OneOf).any(|check| passed(&check))
    }
}

/// A probe in progress.
pub(super) struct Probe<'c> {
    pub(super) client: &'c Client,
    pub(super) repository: Reference,
    /// Random ID in every tag and manifest of this probe, so that it never writes or deletes existing content.
    pub(super) id: String,
    pub(super) samples: Vec<Sample>,
    /// Pushed manifests, in order.
    pub(super) pushed: Vec<Digest>,
    /// Pushed tags. Some registries delete a manifest only after its tags.
    pub(super) tags: Vec<String>,
    /// Tags that were read back, which the tag list must contain.
    pub(super) readable_tags: Vec<String>,
    /// Number of tags in the repository, or 0 if listing failed.
    pub(super) tag_count: usize,
    /// The repository and digest of the blob that the mount check mounted.
    pub(super) mounted: Option<(Reference, Digest)>,
    pub(super) report: ProbeReport,
}

/// An image as an OCI and as a Docker manifest.
pub(super) struct Sample {
    pub(super) platform: Platform,
    pub(super) oci: SampleManifest,
    pub(super) docker: SampleManifest,
}

/// A manifest to push.
#[derive(Clone)]
pub(super) struct SampleManifest {
    pub(super) media_type: &'static str,
    pub(super) bytes: Bytes,
}

impl SampleManifest {
    pub(super) fn digest(&self) -> Digest {
        Digest::sha256(&self.bytes)
    }

    pub(super) fn descriptor(&self) -> Descriptor {
        Descriptor { size: self.bytes.len() as u64, ..Descriptor::new(self.media_type, self.digest()) }
    }
}
