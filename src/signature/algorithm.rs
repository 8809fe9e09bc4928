use super::KeyError;
use super::der::{INTEGER, OBJECT_ID, Reader, SEQUENCE, element, object_id_text};

/// The algorithm of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    P256,
    P384,
    Ed25519,
    Rsa,
}

const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const NULL: &[u8] = &[0x05, 0x00];

/// Names of algorithms and curves that are recognized, but not supported.
const OTHERS: [(&[u8], &str); 10] = [
    (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "ECDSA secp256k1"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x21], "ECDSA P-224"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "ECDSA P-521"),
    (&[0x2b, 0x65, 0x6e], "X25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a], "RSA-PSS"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "DSA"),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11], "ML-DSA-44"),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12], "ML-DSA-65"),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13], "ML-DSA-87"),
];

impl Algorithm {
    /// Reads an `AlgorithmIdentifier` (RFC 5280), as it is in public and private keys.
    pub(super) fn read(parent: &mut Reader<'_>) -> Result<Self, KeyError> {
        let mut reader = parent.enter(SEQUENCE).ok_or_else(malformed)?;
        match reader.read(OBJECT_ID).ok_or_else(malformed)? {
            ECDSA => match reader.read(OBJECT_ID) {
                Some(curve) => Self::of_curve(curve),
                None => Err(KeyError::UnsupportedAlgorithm("ECDSA with explicit curve parameters".into())),
            },
            ED25519 => Ok(Self::Ed25519),
            RSA => Ok(Self::Rsa),
            other => Err(unsupported(other)),
        }
    }

    /// Returns the algorithm for the object identifier of a curve.
    pub(super) fn of_curve(curve: &[u8]) -> Result<Self, KeyError> {
        match curve {
            P256 => Ok(Self::P256),
            P384 => Ok(Self::P384),
            other => Err(unsupported(other)),
        }
    }

    /// Returns the `AlgorithmIdentifier` in DER.
    pub(super) fn identifier(self) -> Vec<u8> {
        let object_id = |content| element(OBJECT_ID, content);
        element(
            SEQUENCE,
            &match self {
                Self::P256 => [object_id(ECDSA), object_id(P256)].concat(),
                Self::P384 => [object_id(ECDSA), object_id(P384)].concat(),
                Self::Ed25519 => object_id(ED25519),
                Self::Rsa => [&object_id(RSA), NULL].concat(),
            },
        )
    }
}

/// Checks the size of an RSA key, from the first number of its public or private form.
pub(super) fn check_rsa_size(modulus: &[u8], least: usize, most: usize) -> Result<(), KeyError> {
    let significant = modulus.iter().position(|byte| *byte != 0).and_then(|start| modulus.get(start..));
    let significant = significant.unwrap_or_default();
    let unused = significant.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = significant.len() * 8 - unused;
    if (least..=most).contains(&bits) { Ok(()) } else { Err(KeyError::RsaSize { bits, least, most }) }
}

/// Reads the modulus and the public exponent.
pub(super) fn read_rsa_modulus<'d>(reader: &mut Reader<'d>) -> Result<&'d [u8], KeyError> {
    let modulus = reader.read(INTEGER).ok_or_else(malformed)?;
    reader.read(INTEGER).ok_or_else(malformed)?;
    Ok(modulus)
}

fn unsupported(object_id: &[u8]) -> KeyError {
    let name = OTHERS.iter().find(|(id, _)| *id == object_id);
    let text = || object_id_text(object_id.get(..32).unwrap_or(object_id));
    KeyError::UnsupportedAlgorithm(name.map_or_else(text, |(_, name)| (*name).to_owned()))
}

/// Returns the error for a structure that is not that of a key.
pub(super) fn malformed() -> KeyError {
    KeyError::Malformed("its ASN.1 structure is not that of a key".into())
}
