use crate::image::UntrustedText;

/// Why a key cannot be used. The message is about `it`, because the text does not tell the name of its file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is longer than the limit.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The text has no PEM block.
    #[error("it is not a PEM file: it has no line \"-----BEGIN ...-----\"")]
    NotPem,
    /// The text has several PEM blocks. Holds their number.
    #[error("it has {0} PEM blocks, but only one key is expected")]
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
    /// An algorithm or curve that is not supported. Holds its name or object identifier.
    #[error("it is a key for {0}; supported are ECDSA with P-256 or P-384, Ed25519 and RSA")]
    UnsupportedAlgorithm(String),
    /// An RSA key outside of the supported sizes.
    #[error("it is an RSA key of {bits} bits; supported are {least} to {most}")]
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
    /// A key in a form that has to be converted, such as one encrypted by openssl.
    #[error("it is {0}, which is not supported")]
    OtherForm(KeyForm),
    /// The private key is encrypted and no password was given.
    #[error("it is encrypted, and no password was given")]
    PasswordNeeded,
    /// The password does not decrypt the private key, or the encrypted key was changed.
    #[error("the password is wrong")]
    WrongPassword,
    /// Decrypting the private key needs too much memory or time.
    #[error("decrypting it would need more than {limit} MiB of memory")]
    TooCostly {
        /// The limit, in MiB.
        limit: u64,
    },
    /// The key did not sign: its numbers are inconsistent, or the system's random number generator failed.
    #[error("it cannot sign: its numbers are inconsistent, or the system has no random numbers")]
    SigningFailed,
}

/// Forms of keys that have to be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyForm {
    /// A private key encrypted by openssl: PKCS#8, or the older form with headers.
    EncryptedByOpenssl,
    /// A private key that cosign encrypted with an algorithm other than scrypt and nacl/secretbox.
    EncryptedOtherwise,
    /// A private key of OpenSSH.
    OpenSsh,
    /// An RSA public key in the form of PKCS#1.
    RsaPublicKey,
    /// A public key on an elliptic curve whose point is compressed.
    CompressedPoint,
    /// A private key on an elliptic curve without its public key.
    WithoutPublicKey,
}

impl std::fmt::Display for KeyForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EncryptedByOpenssl => "a key encrypted by openssl",
            Self::EncryptedOtherwise => "a key encrypted with other algorithms than scrypt and nacl/secretbox",
            Self::OpenSsh => "a key in the form of OpenSSH",
            Self::RsaPublicKey => "an RSA public key in the form of PKCS#1",
            Self::CompressedPoint => "a key with a compressed point",
            Self::WithoutPublicKey => "a private key without its public key",
        })
    }
}

impl KeyError {
    /// Returns the error for a PEM block that is neither a public nor a private key.
    pub(super) fn of_block(label: &str) -> Self {
        match label {
            "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => Self::Certificate,
            _ if label.starts_with("PGP ") => Self::OpenPgp,
            _ => Self::OtherBlock(label.chars().take(100).collect::<String>().into()),
        }
    }

    /// Returns what to do about the error. `KEY` stands for the file of the key, and `NEW` for the one to write.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::PrivateKey => "write its public key with: openssl pkey -in KEY -pubout -out NEW",
            Self::Certificate => "write its public key with: openssl x509 -in KEY -noout -pubkey -out NEW",
            Self::OtherForm(form) => form.hint()?,
            Self::SeveralBlocks(_) => "write each key to its own file",
            _ => return None,
        })
    }
}

impl KeyForm {
    fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::EncryptedByOpenssl => "decrypt it with: openssl pkey -in KEY -out NEW",
            Self::EncryptedOtherwise => return None,
            Self::OpenSsh => "convert it with: ssh-keygen -p -m PEM -f KEY",
            Self::RsaPublicKey => "convert it with: openssl rsa -RSAPublicKey_in -in KEY -pubout -out NEW",
            Self::CompressedPoint => "convert it with: openssl ec -pubin -in KEY -conv_form uncompressed -out NEW",
            Self::WithoutPublicKey => "add it with: openssl pkey -in KEY -out NEW",
        })
    }
}
