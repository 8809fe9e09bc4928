use crate::image::{Descriptor, Digest};

/// The result of signing a reference.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SignReport {
    /// The images and then the index, which all have a signature by the key now.
    pub manifests: Vec<SignedManifest>,
}

impl SignReport {
    /// Whether a signature was written, or would be written in a dry run.
    #[must_use]
    pub fn has_written(&self) -> bool {
        self.manifests.iter().any(|manifest| manifest.outcome != SignOutcome::Existing)
    }
}

/// An image or index that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedManifest {
    /// Media type, digest and size of the manifest, with the platform of its entry in the index.
    pub descriptor: Descriptor,
    /// Where its signature comes from.
    pub outcome: SignOutcome,
}

/// Where the signature of a manifest comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignOutcome {
    /// It was written. Holds the digest of the manifest that holds it.
    Written(Digest),
    /// It would be written, in a dry run.
    Planned,
    /// The manifest already had a valid signature by the key, in the same form.
    Existing,
}
