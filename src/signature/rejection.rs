use crate::image::UntrustedText;

/// Why a signature does not count. The message completes the sentence "the signature is not accepted: ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The payload or bundle is longer than the limit.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The JSON text ends early. Holds the part and the parser's reason.
    #[error("{part} is truncated: {reason}")]
    Truncated {
        /// The affected part, such as `the bundle`.
        part: &'static str,
        /// The parser's reason.
        reason: String,
    },
    /// The JSON text is malformed, or a value has the wrong type. Holds the part and the parser's reason.
    #[error("{part} is malformed: {reason}")]
    Malformed {
        /// The affected part, such as `the bundle`.
        part: &'static str,
        /// The parser's reason, which may quote the text.
        reason: UntrustedText,
    },
    /// A part is not valid base64. Holds the part.
    #[error("{0} is not valid base64")]
    Base64(&'static str),
    /// A bundle of a version that is not supported. Holds its media type.
    #[error("the bundle has an unsupported version, \"{0}\"")]
    BundleVersion(UntrustedText),
    /// The signature was made with a certificate, not a key.
    #[error("it is keyless (made with a certificate); cosign verify can verify it")]
    Keyless,
    /// The bundle names neither a public key nor a certificate.
    #[error("the bundle does not name a public key")]
    NoKeyMaterial,
    /// The bundle has both an envelope and a message signature.
    #[error("the bundle has both an envelope and a message signature")]
    TwoContents,
    /// The bundle has neither an envelope nor a message signature.
    #[error("the bundle has no signature")]
    NoContent,
    /// The envelope does not have exactly one signature. Holds their number.
    #[error("the envelope has {0} signatures, but one is expected")]
    SignatureCount(usize),
    /// The payload of the envelope has another type. Holds the type.
    #[error("the envelope holds a payload of type \"{0}\", not an in-toto statement")]
    PayloadType(UntrustedText),
    /// The payload is not a statement or signature of a known type. Holds the type.
    #[error("the payload has the unknown type \"{0}\"")]
    UnknownType(UntrustedText),
    /// The digest of the message has an algorithm that is not supported. Holds the algorithm.
    #[error("the message digest has an unsupported algorithm, \"{0}\"")]
    DigestAlgorithm(UntrustedText),
    /// The bundle is an attestation about the image, not a signature of it. Holds the type of the predicate.
    #[error("it is an attestation of type \"{0}\", not a signature of the image")]
    OtherPredicate(UntrustedText),
    /// The signature is over another image. Holds its digest.
    #[error("it is over another digest, {0}")]
    OtherDigest(UntrustedText),
    /// The signature names another repository. Holds the reference.
    #[error("it names another repository, \"{0}\"")]
    OtherReference(UntrustedText),
    /// The OpenPGP key that made the signature, or the signature, has expired. Holds which.
    #[error("{0} has expired")]
    Expired(&'static str),
    /// The OpenPGP key that made the signature was revoked.
    #[error("the key that made it was revoked")]
    Revoked,
    /// The OpenPGP key that made the signature does not sign: it is for another purpose, or a signature by which it says
    /// so of itself is missing or invalid.
    #[error("the key that made it is not for signing")]
    NotForSigning,
    /// No key verifies the signature: another key made it, or the signature or what it signs was changed.
    #[error("no key given made it, or it was changed")]
    NoKey,
}
