//! A trial of a registry: what it uses, and what it has found out.

use bytes::Bytes;

use crate::event::{Check, Need, Verdict};
use crate::image::{Descriptor, Digest, Platform, Reference};
use crate::registry::Client;

/// How to try.
#[derive(Debug, Clone, Default)]
pub struct ProbeOptions {
    /// No other repository than that of the images, as where an account has only one.
    pub one_repository: bool,
    /// What was pushed stays.
    pub keep: bool,
}

/// What was found out about a registry.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ProbeReport {
    /// Everything that was tried, in order.
    pub checks: Vec<Check>,
    /// Manifests of the trial that could not be deleted.
    pub leftover: Vec<Digest>,
}

impl ProbeReport {
    /// Whether the registry does all that manifest-tool needs.
    #[must_use]
    pub fn is_sufficient(&self) -> bool {
        let passed = |check: &&Check| check.verdict == Verdict::Pass;
        let needed = |need| self.checks.iter().filter(move |check| check.need == need);
        needed(Need::Yes).all(|check| passed(&check)) && needed(Need::OneOf).any(|check| passed(&check))
    }
}

/// A trial that is under way.
pub(super) struct Probe<'c> {
    pub(super) client: &'c Client,
    pub(super) repository: Reference,
    /// Part of every tag and every manifest of this trial, so that nothing of anyone else's is written or deleted.
    pub(super) id: String,
    pub(super) samples: Vec<Sample>,
    /// Manifests that were pushed, in order.
    pub(super) pushed: Vec<Digest>,
    /// Tags that were written, by which registries may have to be asked to let go of a manifest.
    pub(super) tags: Vec<String>,
    /// Those of them that were read back, which have to be listed.
    pub(super) seen: Vec<String>,
    /// How many tags the repository has, where that was response.
    pub(super) count: usize,
    /// A blob that was mounted into another repository.
    pub(super) mounted: Option<(Reference, Digest)>,
    pub(super) report: ProbeReport,
}

/// An image in both forms.
pub(super) struct Sample {
    pub(super) platform: Platform,
    pub(super) oci: SampleManifest,
    pub(super) docker: SampleManifest,
}

/// A manifest that is written.
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
