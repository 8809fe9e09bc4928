use zeroize::Zeroizing;

use super::KeyError;
use super::algorithm::{Algorithm, malformed};
use super::der::{BIT_STRING, CONTEXT_0, CONTEXT_1, INTEGER, OBJECT_ID, OCTET_STRING, PRIMITIVE_1, Reader, SEQUENCE};

/// The parts of a private key. They are erased from memory when they are dropped.
pub(super) struct PrivateKey {
    pub(super) algorithm: Algorithm,
    /// The number of ECDSA, the seed of Ed25519, or the `RSAPrivateKey` in DER.
    pub(super) secret: Zeroizing<Vec<u8>>,
    /// The public key, if the private key has it beside the secret. An RSA key does not.
    pub(super) public: Option<Vec<u8>>,
}

impl PrivateKey {
    /// Parses a `PrivateKeyInfo` or `OneAsymmetricKey` (RFC 5958).
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(der).enter(SEQUENCE).ok_or_else(malformed)?;
        if !matches!(reader.read(INTEGER), Some([0 | 1])) {
            return Err(malformed());
        }
        let algorithm = Algorithm::read(&mut reader)?;
        let inner = reader.read(OCTET_STRING).ok_or_else(malformed)?;
        match algorithm {
            Algorithm::P256 | Algorithm::P384 => Self::from_sec1(inner, Some(algorithm)),
            Algorithm::Rsa => Ok(Self::from_pkcs1(inner)),
            Algorithm::Ed25519 => {
                let secret = Reader::new(inner).read(OCTET_STRING).ok_or_else(malformed)?;
                // Attributes may precede the public key.
                reader.read(CONTEXT_0);
                let public = reader.read(PRIMITIVE_1).and_then(|bits| bits.strip_prefix(&[0]));
                let old_form = || reader.enter(CONTEXT_1)?.read_bits();
                let public = public.or_else(old_form).map(<[u8]>::to_vec);
                Ok(Self { algorithm, secret: secret.to_vec().into(), public })
            }
        }
    }

    /// Takes an `RSAPrivateKey` (RFC 8017). It is checked when a signing key is made of it.
    pub(super) fn from_pkcs1(der: &[u8]) -> Self {
        Self { algorithm: Algorithm::Rsa, secret: der.to_vec().into(), public: None }
    }

    /// Parses an `ECPrivateKey` (RFC 5915). `outer` is the algorithm in the structure around it; without one the key
    /// must name the curve itself.
    pub(super) fn from_sec1(der: &[u8], outer: Option<Algorithm>) -> Result<Self, KeyError> {
        let mut reader = Reader::new(der).enter(SEQUENCE).ok_or_else(malformed)?;
        if reader.read(INTEGER) != Some(&[1]) {
            return Err(malformed());
        }
        let secret = reader.read(OCTET_STRING).ok_or_else(malformed)?;
        let curve = reader.enter(CONTEXT_0).map(|mut parameters| parameters.read(OBJECT_ID).unwrap_or_default());
        let own = curve.map(Algorithm::of_curve).transpose()?;
        let algorithm = own.or(outer).ok_or_else(malformed)?;
        if outer.is_some_and(|outer| outer != algorithm) {
            return Err(malformed());
        }
        let public = reader.enter(CONTEXT_1).and_then(|mut inner| inner.read(BIT_STRING)?.strip_prefix(&[0]));
        Ok(Self { algorithm, secret: secret.to_vec().into(), public: public.map(<[u8]>::to_vec) })
    }
}
