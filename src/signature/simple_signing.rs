//! Simple signing: a JSON payload that names the image, and a detached signature of its bytes, as in cosign's `.sig`
//! tags (red-hat "container signature format").

use super::{KeyError, PublicKey, Rejection, SigningKey};
use crate::image::{Digest, Reference};

/// The media type of the layer that holds a payload.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of that layer that holds the signature in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// The annotation of that layer that holds the certificate of a keyless signature.
pub const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
/// Maximum size of a payload, in bytes. cosign's have about 250.
pub const MAX_PAYLOAD: usize = 64 << 10;

/// Returns the payload that cosign writes for an image. `reference` may be empty; a tag is not verified.
#[must_use]
pub fn payload(_reference: &str, _digest: &Digest) -> Vec<u8> {
    Vec::new()
}

/// Signs a payload and returns the signature in base64, as [`SIGNATURE_ANNOTATION`] holds it.
///
/// # Errors
/// The system's random number generator failed.
pub fn sign(_key: &SigningKey, _payload: &[u8]) -> Result<String, KeyError> {
    Err(KeyError::SigningFailed)
}

/// Verifies that one of `keys` signed the payload, that the payload is about the image with this digest, and that it
/// names the repository, if it names one. `repository` is `None` for an image outside of a registry. Returns the
/// position of the key.
///
/// # Errors
/// The signature does not count, for the reason in the [`Rejection`].
pub fn verify(
    _keys: &[PublicKey],
    _payload: &[u8],
    _signature: &str,
    _digest: &Digest,
    _repository: Option<&Reference>,
) -> Result<usize, Rejection> {
    Err(Rejection::NoKey)
}
