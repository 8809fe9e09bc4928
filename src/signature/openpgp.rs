//! OpenPGP signatures of simple-signing payloads, as `skopeo standalone-sign` and `podman push --sign-by` write them: a
//! signed message around the payload. Needs the feature `openpgp`.
//!
//! Checked of a key: that it signed itself, is not revoked by itself, and has not expired; of a subkey as well that the
//! primary key bound it for signing, and that it bound itself to the primary key. Checked of a signature: that it is the
//! only one, over binary data with SHA-2 or SHA-3, not made in the future and not expired.
//!
//! Not checked: revocations by other keys (designated revokers), the web of trust, notations, revoked user names, and
//! whether a key was revoked in a newer copy elsewhere. Self-signatures with SHA-1 count.

use std::fmt;
use std::io::{BufReader, Read as _};
use std::time::{Duration, SystemTime};

use pgp::composed::{Deserializable as _, Message, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails as _, Timestamp};

use super::openpgp_key::signing_key_state;
use super::simple_signing::{MAX_PAYLOAD, check};
use super::{KeyError, Rejection};
use crate::image::{Digest, Reference};

/// Maximum size of a keyring, in bytes.
const MAX_KEYRING: usize = 4 << 20;
/// Maximum number of keys in a keyring.
const MAX_KEYS: usize = 1000;
/// Maximum size of a signed message, in bytes: the payload and the packets around it.
const MAX_MESSAGE: usize = MAX_PAYLOAD + (64 << 10);
/// How far the clock of the signer may be ahead.
const MAX_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);
const PART: &str = "the OpenPGP message";

/// Public keys that verify signatures.
#[derive(Debug)]
pub struct Keyring(Vec<SignedPublicKey>);

/// The fingerprint of an OpenPGP key, displayed in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Keyring {
    /// Parses public keys, as `gpg --export` writes them: binary, or armored in one block. Keys of unknown algorithms
    /// are skipped. At most 4 MiB and 1,000 keys.
    ///
    /// # Errors
    /// The keyring has no usable key, or is too long.
    pub fn parse(keyring: &[u8]) -> Result<Self, KeyError> {
        if keyring.len() > MAX_KEYRING {
            return Err(KeyError::TooLong { limit: MAX_KEYRING });
        }
        let malformed = |error: pgp::errors::Error| KeyError::Malformed(error.to_string().into());
        let keys: Vec<SignedPublicKey> = if keyring.trim_ascii_start().starts_with(b"-----BEGIN PGP") {
            let (keys, _) = SignedPublicKey::from_armor_many(keyring).map_err(malformed)?;
            keys.take(MAX_KEYS).flatten().collect()
        } else {
            let keys = SignedPublicKey::from_bytes_many(keyring).map_err(malformed)?;
            keys.take(MAX_KEYS).flatten().collect()
        };
        if keys.is_empty() {
            return Err(KeyError::Malformed("it has no OpenPGP public key".into()));
        }
        Ok(Self(keys))
    }

    /// Returns the fingerprints of the keys.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> + '_ {
        self.0.iter().map(fingerprint)
    }

    /// Verifies that one of the keys signed a payload about the image with this digest, and that the payload names the
    /// repository, if it names one. `repository` is `None` for an image outside of a registry. `now` is compared with
    /// the times of expiry. Returns the fingerprint of the primary key.
    ///
    /// # Errors
    /// The signature does not count, for the reason in the [`Rejection`].
    pub fn verify(
        &self,
        message: &[u8],
        digest: &Digest,
        repository: Option<&Reference>,
        now: SystemTime,
    ) -> Result<Fingerprint, Rejection> {
        if message.len() > MAX_MESSAGE {
            return Err(Rejection::TooLong { limit: MAX_MESSAGE });
        }
        let message = decompress(message)?;
        let mut message = Message::from_bytes(message.as_slice()).map_err(|error| malformed(&error))?;
        let Message::Signed { reader, .. } = &message else {
            return Err(malformed(&"it is not signed"));
        };
        if reader.num_signatures() != 1 {
            return Err(malformed(&"it does not have exactly one signature"));
        }
        let mut payload = Vec::new();
        message.read_to_end(&mut payload).map_err(|error| malformed(&error))?;
        let key = self.signer(&message, now)?;
        check(&payload, digest, repository)?;
        Ok(fingerprint(key))
    }

    /// Returns the key that made the only signature of a message that was read to its end.
    fn signer(&self, message: &Message<'_>, now: SystemTime) -> Result<&SignedPublicKey, Rejection> {
        for key in &self.0 {
            if let Ok(signature) = message.verify(&key.primary_key) {
                signing_key_state(key, None, now)?;
                check_signature(signature, key.primary_key.created_at(), now)?;
                return Ok(key);
            }
            for subkey in &key.public_subkeys {
                if let Ok(signature) = message.verify(&subkey.key) {
                    signing_key_state(key, Some(subkey), now)?;
                    check_signature(signature, subkey.key.created_at(), now)?;
                    return Ok(key);
                }
            }
        }
        Err(Rejection::NoKey)
    }
}

fn fingerprint(key: &SignedPublicKey) -> Fingerprint {
    Fingerprint(format!("{:X}", key.primary_key.fingerprint()))
}

/// Returns the content of a compressed message, or another message unchanged. A limit bounds the memory: 64 KiB can
/// hold 64 MiB of zeros.
fn decompress(message: &[u8]) -> Result<Vec<u8>, Rejection> {
    let parsed = Message::from_bytes(message).map_err(|error| malformed(&error))?;
    let Message::Compressed { reader, .. } = parsed else { return Ok(message.to_vec()) };
    let reader = BufReader::new(reader.decompress().map_err(|error| malformed(&error))?);
    let mut content = Vec::new();
    reader.take(MAX_MESSAGE as u64 + 1).read_to_end(&mut content).map_err(|error| malformed(&error))?;
    if content.len() > MAX_MESSAGE {
        return Err(Rejection::TooLong { limit: MAX_MESSAGE });
    }
    Ok(content)
}

/// Checks the type and the times of a signature that a key made.
fn check_signature(signature: &Signature, key_created: Timestamp, now: SystemTime) -> Result<(), Rejection> {
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    if signature.typ() != Some(SignatureType::Binary)
        || !signature.hash_alg().is_some_and(|hash| strong.contains(&hash))
    {
        return Err(malformed(&"its signature is not over binary data with SHA-2 or SHA-3"));
    }
    let created = signature.created().ok_or_else(|| malformed(&"its signature has no date"))?;
    if created < key_created || SystemTime::from(created) > now + MAX_AHEAD {
        return Err(malformed(&"its signature is older than the key, or from the future"));
    }
    let lifetime = signature.signature_expiration_time().map_or(0, |lifetime| lifetime.as_secs());
    if super::openpgp_key::is_over(created, lifetime, now) {
        return Err(Rejection::Expired("the signature"));
    }
    Ok(())
}

fn malformed(reason: &dyn fmt::Display) -> Rejection {
    Rejection::Malformed { part: PART, reason: reason.to_string().into() }
}
