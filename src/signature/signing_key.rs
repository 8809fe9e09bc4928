use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair};

use super::algorithm::{Algorithm, check_rsa_size, malformed};
use super::der::{INTEGER, Reader, SEQUENCE};
use super::private_key::PrivateKey;
use super::{KeyError, KeyForm, PublicKey, pem, sealed_key};

/// The sizes of RSA keys that make signatures, in bits. ring supports no larger ones.
const RSA_BITS: (usize, usize) = (2048, 4096);

/// A private key that makes signatures: ECDSA with P-256 or P-384, Ed25519, or RSA of 2048 to 4096 bits.
///
/// `Debug` prints `****`. The parsed text is erased from memory, but the key itself is not when it is dropped, because
/// ring does not do that.
pub struct SigningKey {
    pair: KeyPair,
    public: PublicKey,
}

enum KeyPair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl SigningKey {
    /// Returns whether the key has to be decrypted with a password. False for text that is not a key, and for forms of
    /// encryption that [`parse`](Self::parse) refuses.
    #[must_use]
    pub fn is_encrypted(pem: &[u8]) -> bool {
        pem::label(pem).is_ok_and(sealed_key::is_label)
    }

    /// Parses one PEM block of at most 64 KiB: `PRIVATE KEY` (PKCS#8), `EC PRIVATE KEY`, `RSA PRIVATE KEY`, or cosign's
    /// `ENCRYPTED SIGSTORE PRIVATE KEY`, for which a password is needed. Other keys ignore the password.
    ///
    /// Decrypting takes about as long as the key's author intended: 64 MiB of memory and some tenths of a second for
    /// keys of cosign, and at most 256 MiB.
    ///
    /// # Errors
    /// The text is not a private key, its algorithm or form is not supported, or the password is missing or wrong.
    pub fn parse(pem: &[u8], password: Option<&[u8]>) -> Result<Self, KeyError> {
        let label = pem::label(pem)?;
        let key = match label {
            "PRIVATE KEY" => PrivateKey::from_pkcs8(&pem::decode(pem)?)?,
            "EC PRIVATE KEY" => PrivateKey::from_sec1(&pem::decode(pem)?, None)?,
            "RSA PRIVATE KEY" => PrivateKey::from_pkcs1(&pem::decode(pem)?),
            _ if sealed_key::is_label(label) => {
                let password = password.ok_or(KeyError::PasswordNeeded)?;
                PrivateKey::from_pkcs8(&sealed_key::open(&pem::decode(pem)?, password)?)?
            }
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::OtherForm(KeyForm::EncryptedByOpenssl)),
            "OPENSSH PRIVATE KEY" => return Err(KeyError::OtherForm(KeyForm::OpenSsh)),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => return Err(KeyError::PublicKey),
            _ => return Err(KeyError::of_block(label)),
        };
        Self::new(&key)
    }

    fn new(key: &PrivateKey) -> Result<Self, KeyError> {
        let (pair, public) = match key.algorithm {
            Algorithm::P256 => ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, key)?,
            Algorithm::P384 => ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, key)?,
            Algorithm::Ed25519 => ed25519(key)?,
            Algorithm::Rsa => rsa(key)?,
        };
        Ok(Self { pair, public: PublicKey::new(key.algorithm, &public)? })
    }

    /// Signs a message as cosign 3 does: ECDSA in DER with SHA-256 for P-256 and SHA-384 for P-384, RSA PKCS#1 v1.5 with
    /// SHA-256. Unlike cosign, which makes Ed25519ph signatures that it does not verify, Ed25519 is pure.
    ///
    /// # Errors
    /// The key's numbers are inconsistent, or the system's random number generator failed.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        let signature = match &self.pair {
            KeyPair::Ecdsa(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            KeyPair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            KeyPair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        };
        signature.map_err(|_| KeyError::SigningFailed)
    }

    /// Returns the public key of this key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, key: &PrivateKey) -> Result<(KeyPair, Vec<u8>), KeyError> {
    let public = key.public.as_deref().ok_or(KeyError::OtherForm(KeyForm::WithoutPublicKey))?;
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &key.secret, public, &random);
    let pair = pair.map_err(|error| inconsistent(&error))?;
    Ok((KeyPair::Ecdsa(pair), public.to_vec()))
}

fn ed25519(key: &PrivateKey) -> Result<(KeyPair, Vec<u8>), KeyError> {
    let pair = match &key.public {
        Some(public) => Ed25519KeyPair::from_seed_and_public_key(&key.secret, public),
        None => Ed25519KeyPair::from_seed_unchecked(&key.secret),
    };
    let pair = pair.map_err(|error| inconsistent(&error))?;
    let public = pair.public_key().as_ref().to_vec();
    Ok((KeyPair::Ed25519(pair), public))
}

fn rsa(key: &PrivateKey) -> Result<(KeyPair, Vec<u8>), KeyError> {
    let mut numbers = Reader::new(&key.secret).enter(SEQUENCE).ok_or_else(malformed)?;
    numbers.read(INTEGER).ok_or_else(malformed)?;
    check_rsa_size(numbers.read(INTEGER).ok_or_else(malformed)?, RSA_BITS.0, RSA_BITS.1)?;
    let pair = RsaKeyPair::from_der(&key.secret).map_err(|error| inconsistent(&error))?;
    let public = pair.public().as_ref().to_vec();
    Ok((KeyPair::Rsa(Box::new(pair)), public))
}

fn inconsistent(error: &ring::error::KeyRejected) -> KeyError {
    KeyError::Malformed(format!("its numbers do not make a key ({error})").into())
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(****)")
    }
}
