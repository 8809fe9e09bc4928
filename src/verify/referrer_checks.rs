use super::Problem;
use crate::image::{Digest, Platform, UntrustedText};
use crate::memory::Charge;
use crate::store::{Error, SignatureHolder, SignatureKind};

/// The signatures of an image or index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImageSignatures {
    /// Platform of the image, if known.
    pub platform: Option<Platform>,
    /// Digest of the image or index.
    pub manifest: Digest,
    /// The signatures, at most 100.
    pub signatures: Vec<ListedSignature>,
}

/// A signature of an image or index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedSignature {
    /// The format of the signature.
    pub kind: SignatureKind,
    /// What holds the signature.
    pub holder: SignatureHolder,
    /// The id of the key that made it, or why it is rejected. `None` if it was not verified.
    pub verdict: Option<Result<String, UntrustedText>>,
}

impl ImageSignatures {
    /// Whether one of its signatures is valid.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.signatures.iter().any(|signature| matches!(signature.verdict, Some(Ok(_))))
    }
}

/// What the referrers and signatures of an image lack, and its signatures.
#[derive(Default)]
pub(super) struct ReferrerChecks {
    pub(super) problems: Vec<Problem>,
    /// `None` if signatures were not looked for.
    pub(super) signatures: Option<Vec<ListedSignature>>,
    /// Errors of the registry or network that prevented a check.
    pub(super) unchecked: Vec<Error>,
    /// The memory of the signatures.
    pub(super) charge: Option<Charge>,
}
