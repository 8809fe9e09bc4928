use crate::image::UntrustedText;

/// Why a key cannot be used. The message does not name the file of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key is longer than the limit.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The text has no PEM block.
    #[error("it is not a PEM file, which has a line -----BEGIN ...-----")]
    NotPem,
    /// The file has several PEM blocks. Holds their number.
    #[error("it has {0} PEM blocks, but one key is expected")]
    SeveralBlocks(usize),
    /// A private key where a public key is expected.
    #[error("it is a private key, but a public key is expected")]
    PrivateKey,
    /// A public key where a private key is expected.
    #[error("it is a public key, but a private key is expected")]
    PublicKey,
    /// A certificate instead of a key.
    #[error("it is a certificate, not a key")]
    Certificate,
    /// An OpenPGP key.
    #[error("it is an OpenPGP key")]
    OpenPgp,
    /// A PEM block of another kind. Holds its label.
    #[error("it is a PEM block \"{0}\", not a key")]
    OtherBlock(UntrustedText),
    /// An algorithm or curve that is not supported.
    #[error("{0} keys are not supported, only ECDSA with P-256 or P-384, Ed25519 and RSA")]
    UnsupportedAlgorithm(String),
    /// An RSA key outside of the supported sizes.
    #[error("it is an RSA key of {bits} bits, but {least} to {most} are supported")]
    RsaSize {
        /// The size of the modulus, in bits.
        bits: usize,
        /// The smallest supported size, in bits.
        least: usize,
        /// The largest supported size, in bits.
        most: usize,
    },
    /// The key is malformed. Holds the reason.
    #[error("it is malformed: {0}")]
    Malformed(UntrustedText),
    /// A private key in a form that has to be converted, such as one encrypted by openssl. Holds the form.
    #[error("it is {0}, which is not supported")]
    OtherForm(&'static str),
    /// The private key is encrypted and no password was given.
    #[error("it is encrypted, and no password was given")]
    PasswordNeeded,
    /// The password does not decrypt the private key, or the encrypted key was changed.
    #[error("the password is wrong")]
    WrongPassword,
    /// Decrypting the private key needs too much memory or time.
    #[error("decrypting it needs more than {limit} MiB of memory")]
    TooCostly {
        /// The limit, in MiB.
        limit: u64,
    },
    /// The system's random number generator or the signature algorithm failed.
    #[error("signing failed")]
    SigningFailed,
}

impl KeyError {
    /// Returns what to do about the error, as a sentence that may contain a command with the placeholder `KEY`.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        None
    }
}
