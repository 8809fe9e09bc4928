use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::algorithm::{Algorithm, check_rsa_size, malformed, read_rsa_modulus};
use super::der::{BIT_STRING, Reader, SEQUENCE, element};
use super::{KeyError, KeyForm, pem};
use crate::image::Digest;

/// The sizes of RSA keys that verify signatures, in bits.
const RSA_BITS: (usize, usize) = (2048, 8192);
/// Number of base64 characters in a line of a PEM block.
const PEM_LINE: usize = 64;

/// A public key that verifies signatures: ECDSA with P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits.
///
/// `Debug` prints the [id](Self::id).
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// The point of an elliptic curve, or modulus and exponent of RSA in DER.
    key: Vec<u8>,
    /// The `SubjectPublicKeyInfo`.
    der: Vec<u8>,
}

impl PublicKey {
    /// Parses one PEM block `PUBLIC KEY` of at most 64 KiB (RFC 7468; RFC 5280, `SubjectPublicKeyInfo`). Text around
    /// the block is ignored.
    ///
    /// # Errors
    /// The text is not a public key, or its algorithm is not supported.
    pub fn parse(pem: &[u8]) -> Result<Self, KeyError> {
        match pem::label(pem)? {
            "PUBLIC KEY" => Self::from_der(&pem::decode(pem)?),
            "RSA PUBLIC KEY" => Err(KeyError::OtherForm(KeyForm::RsaPublicKey)),
            label if label.ends_with("PRIVATE KEY") => Err(KeyError::PrivateKey),
            label => Err(KeyError::of_block(label)),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let mut whole = Reader::new(der);
        let mut reader = whole.enter(SEQUENCE).ok_or_else(malformed)?;
        let algorithm = Algorithm::read(&mut reader)?;
        let key = reader.read_bits().ok_or_else(malformed)?;
        if !reader.is_empty() || !whole.is_empty() {
            return Err(malformed());
        }
        Self::new(algorithm, key)
    }

    /// Creates a key from the content of the bit string in a `SubjectPublicKeyInfo`.
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, KeyError> {
        match algorithm {
            Algorithm::P256 => check_point(key, 32)?,
            Algorithm::P384 => check_point(key, 48)?,
            Algorithm::Ed25519 if key.len() == 32 => {}
            Algorithm::Ed25519 => return Err(malformed()),
            Algorithm::Rsa => {
                let mut numbers = Reader::new(key).enter(SEQUENCE).ok_or_else(malformed)?;
                check_rsa_size(read_rsa_modulus(&mut numbers)?, RSA_BITS.0, RSA_BITS.1)?;
            }
        }
        let bits = element(BIT_STRING, &[&[0], key].concat());
        let der = element(SEQUENCE, &[algorithm.identifier(), bits].concat());
        Ok(Self { algorithm, key: key.to_vec(), der })
    }

    /// Returns a short name for messages: `sha256:` and the first 16 hexadecimal digits of the hash of the key's DER.
    #[must_use]
    pub fn id(&self) -> String {
        Digest::sha256(&self.der).as_str().chars().take("sha256:".len() + 16).collect()
    }

    /// Returns the hint by which cosign's bundles name the key: the SHA-256 of its DER in base64.
    #[must_use]
    pub fn bundle_hint(&self) -> String {
        BASE64_STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, &self.der))
    }

    /// Returns the key as a PEM block `PUBLIC KEY`, with a final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let mut pem = "-----BEGIN PUBLIC KEY-----".to_owned();
        for (position, character) in BASE64_STANDARD.encode(&self.der).char_indices() {
            if position % PEM_LINE == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem + "\n-----END PUBLIC KEY-----\n"
    }

    /// Returns whether this key made the signature of `message`: with SHA-256 and ECDSA, in DER, with SHA-256 or
    /// SHA-384 for P-384; with SHA-256 and RSA, as PKCS#1 v1.5 or PSS with a salt of 32 bytes; or with pure Ed25519
    /// (not Ed25519ph).
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithms: &[&'static dyn VerificationAlgorithm] = match self.algorithm {
            Algorithm::P256 => &[&signature::ECDSA_P256_SHA256_ASN1],
            Algorithm::P384 => &[&signature::ECDSA_P384_SHA384_ASN1, &signature::ECDSA_P384_SHA256_ASN1],
            Algorithm::Ed25519 => &[&signature::ED25519],
            Algorithm::Rsa => &[&signature::RSA_PKCS1_2048_8192_SHA256, &signature::RSA_PSS_2048_8192_SHA256],
        };
        let verifies = |algorithm| UnparsedPublicKey::new(algorithm, &self.key).verify(message, signature).is_ok();
        algorithms.iter().any(|algorithm| verifies(*algorithm))
    }
}

/// Checks the form of a point. Whether it is on the curve is checked with every signature.
fn check_point(point: &[u8], coordinate: usize) -> Result<(), KeyError> {
    match point.first() {
        Some(0x04) if point.len() == 1 + 2 * coordinate => Ok(()),
        Some(0x02 | 0x03) if point.len() == 1 + coordinate => Err(KeyError::OtherForm(KeyForm::CompressedPoint)),
        _ => Err(malformed()),
    }
}

/// Returns the position of the key that made the signature.
pub(super) fn position_of_signer(keys: &[PublicKey], message: &[u8], signature: &[u8]) -> Option<usize> {
    keys.iter().position(|key| key.verifies(message, signature))
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, {})", self.algorithm, self.id())
    }
}
