use std::fmt;

use super::{KeyError, PublicKey};

/// A private key that makes signatures. `Debug` prints `****`.
pub struct SigningKey {
    public: PublicKey,
}

impl SigningKey {
    /// Returns whether the key has to be decrypted with a password. False for text that is not a key.
    #[must_use]
    pub fn is_encrypted(_pem: &[u8]) -> bool {
        false
    }

    /// Parses one PEM block of at most 64 KiB: `PRIVATE KEY` (PKCS#8), `EC PRIVATE KEY`, `RSA PRIVATE KEY`, or cosign's
    /// `ENCRYPTED SIGSTORE PRIVATE KEY`, for which a password is needed. Other keys ignore the password.
    ///
    /// # Errors
    /// The text is not a private key, its algorithm or form is not supported, or the password is missing or wrong.
    pub fn parse(_pem: &[u8], _password: Option<&[u8]>) -> Result<Self, KeyError> {
        Err(KeyError::NotPem)
    }

    /// Signs a message, with the digest that cosign uses for this algorithm.
    ///
    /// # Errors
    /// The system's random number generator failed.
    pub fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::SigningFailed)
    }

    /// Returns the public key of this key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(****)")
    }
}
