use std::fmt;

use super::KeyError;

/// A public key that verifies signatures: ECDSA with P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits.
///
/// `Debug` prints the [id](Self::id).
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    der: Vec<u8>,
}

impl PublicKey {
    /// Parses one PEM block `PUBLIC KEY` of at most 64 KiB (RFC 7468; RFC 5280, `SubjectPublicKeyInfo`).
    ///
    /// # Errors
    /// The text is not a public key, or its algorithm is not supported.
    pub fn parse(_pem: &[u8]) -> Result<Self, KeyError> {
        Err(KeyError::NotPem)
    }

    /// Returns a short name for messages: `sha256:` and the first 16 hexadecimal digits of the hash of the key's DER.
    #[must_use]
    pub fn id(&self) -> String {
        String::new()
    }

    /// Returns the hint by which Sigstore bundles name the key: the SHA-256 of its DER in base64.
    #[must_use]
    pub fn bundle_hint(&self) -> String {
        String::new()
    }

    /// Returns the key as a PEM block `PUBLIC KEY`, with a final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        String::new()
    }

    /// Returns whether this key made the signature of `message`, with any of the algorithm's usual digests.
    #[must_use]
    pub fn verifies(&self, _message: &[u8], _signature: &[u8]) -> bool {
        false
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}
