//! Verifies a signature that was found beside an image.

#[cfg(feature = "openpgp")]
use std::sync::Arc;

use bytes::Bytes;

use super::signatures::{SignatureContent, SignatureHolder, StoredSignature};
use super::{Error, SignatureKind, Store};
use crate::image::{Annotations, Digest, Location, Reference, UntrustedText};
use crate::layout::SigstoreFile;
#[cfg(feature = "openpgp")]
use crate::signature::openpgp::Keyring;
use crate::signature::{PublicKey, Rejection, bundle, simple_signing};

/// The image that must be signed, and the keys of which one must have signed it.
#[derive(Clone, Copy)]
pub(crate) struct SignedImage<'a> {
    pub(crate) keys: &'a [PublicKey],
    pub(crate) digest: &'a Digest,
    #[cfg(feature = "openpgp")]
    pub(crate) keyrings: &'a [Arc<Keyring>],
    /// The exact bytes of the manifest.
    pub(crate) manifest: &'a [u8],
    /// The repository that signatures must name, if they name one. `None` accepts every repository.
    pub(crate) repository: Option<&'a Reference>,
}

impl SignedImage<'_> {
    fn has_keyrings(&self) -> bool {
        #[cfg(feature = "openpgp")]
        return !self.keyrings.is_empty();
        #[cfg(not(feature = "openpgp"))]
        return false;
    }

    /// Verifies a message that is signed with OpenPGP.
    #[cfg(feature = "openpgp")]
    fn verify_openpgp(&self, message: &[u8]) -> Result<String, Refusal> {
        let now = std::time::SystemTime::now();
        let mut rejected = Rejection::NoKey;
        for keyring in self.keyrings {
            match keyring.verify(message, self.digest, self.repository, now) {
                Ok(fingerprint) => return Ok(fingerprint.to_string()),
                // Another keyring may lack the key.
                Err(Rejection::NoKey) => {}
                Err(rejection) => rejected = rejection,
            }
        }
        Err(rejected.into())
    }

    #[cfg(not(feature = "openpgp"))]
    #[allow(clippy::unused_self, reason = "the function with the feature needs it")]
    fn verify_openpgp(&self, _: &[u8]) -> Result<String, Refusal> {
        Err(Rejection::NoKey.into())
    }
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// The repository that a signature names by one of the keys, if it is not the expected one.
    pub(crate) other_repository: Option<UntrustedText>,
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self { reason, other_repository: None }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let reason = rejection.to_string();
        let other_repository = match rejection {
            Rejection::OtherReference(repository) => Some(repository),
            _ => None,
        };
        Self { reason, other_repository }
    }
}

impl Store {
    /// Reads a signature and verifies it. Returns the id of the key that made it, or why it does not count.
    ///
    /// # Errors
    /// The signature could not be read, because of the registry or network.
    pub(crate) async fn check_signature(
        &self,
        at: &Location,
        signature: &StoredSignature,
        image: SignedImage<'_>,
    ) -> Result<Result<String, Refusal>, Error> {
        match (&signature.content, signature.kind) {
            (SignatureContent::Statement(kind), _) => return Ok(Err(Rejection::OtherPredicate(kind.clone()).into())),
            (SignatureContent::Defective(reason), _) => return Ok(Err(reason.clone().into())),
            (_, SignatureKind::Notation) => return Ok(Err("notation verifies it".to_owned().into())),
            (_, SignatureKind::OpenPgp) if !image.has_keyrings() => {
                return Ok(Err("it is by an OpenPGP key, and none is given".to_owned().into()));
            }
            (SignatureContent::Blob(blob), SignatureKind::Cosign)
                if blob.annotations.contains_key(simple_signing::CERTIFICATE_ANNOTATION) =>
            {
                return Ok(Err(Rejection::Keyless.into()));
            }
            _ => {}
        }
        let content = match self.fetch_signature(at, signature).await {
            Ok(content) => content,
            Err(error) if error.is_missing_content() => return Ok(Err("its content is missing".to_owned().into())),
            Err(error) if error.is_defect() || matches!(error, Error::Unsuitable { .. }) => {
                return Ok(Err(error.reason().into()));
            }
            Err(error) => return Err(error),
        };
        Ok(verify(signature, &content, image))
    }
}

fn verify(signature: &StoredSignature, content: &Bytes, image: SignedImage<'_>) -> Result<String, Refusal> {
    let SignedImage { keys, digest, manifest, repository, .. } = image;
    let id = |position: usize| keys.get(position).map(PublicKey::id).unwrap_or_default();
    let payload = |payload: &[u8], annotations: &Annotations| {
        let text = annotations.get(simple_signing::SIGNATURE_ANNOTATION);
        let text = text.ok_or_else(|| format!("it has no annotation {}", simple_signing::SIGNATURE_ANNOTATION))?;
        Ok::<_, Refusal>(id(simple_signing::verify(keys, payload, text, digest, repository)?))
    };
    match (&signature.content, &signature.holder) {
        (SignatureContent::Blob(_), _) if signature.kind == SignatureKind::Bundle => {
            Ok(id(bundle::verify(keys, content, digest, manifest)?))
        }
        (SignatureContent::Blob(blob), _) => payload(content, &blob.annotations),
        (_, SignatureHolder::File(_)) if signature.kind == SignatureKind::OpenPgp => image.verify_openpgp(content),
        (_, SignatureHolder::File(_)) => {
            let file = SigstoreFile::parse(content)?;
            payload(&file.payload, &file.annotations)
        }
        _ => Err("it has no content".to_owned().into()),
    }
}
