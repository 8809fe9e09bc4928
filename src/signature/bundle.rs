//! Sigstore bundles, version 0.3: a JSON document with a signature and what is needed to verify it.
//!
//! cosign 3 attaches a bundle to an image as a manifest that refers to it. The signature is either an envelope (DSSE)
//! around a statement about the image's digest, which cosign writes, or one of the manifest's bytes (`cosign
//! sign-blob`). Entries of transparency logs and timestamps are ignored.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::base64_text::decode;
use super::json::parse;
use super::public_key::position_of_signer;
use super::{KeyError, PublicKey, Rejection, SigningKey, statement};
use crate::image::{Digest, UntrustedText};

/// The media type of a bundle, and the artifact type of the manifest that holds it.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The media type in its older spelling.
const OLD_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle+json;version=0.3";
/// The type of the predicate of a signature of an image, as cosign 3 writes it.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// Maximum size of a bundle, in bytes. A signature has about 700, but an attestation in the same form holds a whole
/// document, such as an SBOM of a few MiB.
pub const MAX_BUNDLE: usize = 4 << 20;

const PART: &str = "the bundle";
const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    #[serde(default)]
    media_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    verification_material: Option<Material>,
    dsse_envelope: Option<Envelope>,
    message_signature: Option<MessageSignature>,
}

/// What verifies the signature: one of these is present.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Option<IgnoredAny>,
    certificate: Option<IgnoredAny>,
    #[serde(rename = "x509CertificateChain")]
    certificate_chain: Option<IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature {
    message_digest: Option<MessageDigest>,
    signature: String,
}

#[derive(Deserialize)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

/// A bundle that this module writes, with its keys in cosign's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    media_type: &'static str,
    verification_material: SignedMaterial,
    dsse_envelope: Envelope,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedMaterial {
    public_key: Hint,
}

#[derive(Serialize)]
struct Hint {
    hint: String,
}

/// Returns whether a media type or artifact type is that of a bundle, of any version.
#[must_use]
pub fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.dev.sigstore.bundle")
}

/// Signs an image and returns the bundle: an envelope around a statement about the digest, which names the key by its
/// hint and has no entry of a transparency log. `cosign verify --key KEY --insecure-ignore-tlog` of cosign 3 accepts
/// it; for a P-384 key it needs `--signature-digest-algorithm sha384` as well.
///
/// # Errors
/// The key's numbers are inconsistent, or the system's random number generator failed.
pub fn sign(key: &SigningKey, digest: &Digest) -> Result<Vec<u8>, KeyError> {
    let payload = statement::write(digest, SIGN_PREDICATE).map_err(|_| KeyError::SigningFailed)?;
    let signature = key.sign(&encoded_for_signing(STATEMENT_TYPE, &payload))?;
    let bundle = Signed {
        media_type: MEDIA_TYPE,
        verification_material: SignedMaterial { public_key: Hint { hint: key.public_key().bundle_hint() } },
        dsse_envelope: Envelope {
            payload: BASE64_STANDARD.encode(payload),
            payload_type: STATEMENT_TYPE.to_owned(),
            signatures: vec![Signature { sig: BASE64_STANDARD.encode(signature) }],
        },
    };
    serde_json::to_vec(&bundle).map_err(|_| KeyError::SigningFailed)
}

/// Verifies that the bundle is a signature by one of `keys` of the image with this digest. `manifest` holds the bytes
/// of the image's manifest, which only a signature of these bytes needs. Returns the position of the key.
///
/// The hint in the bundle is ignored: every key is tried. The content of an envelope is parsed only after its signature
/// was verified, so a bundle by another key is [`Rejection::NoKey`], whatever it is about.
///
/// # Errors
/// The signature does not count, for the reason in the [`Rejection`].
pub fn verify(keys: &[PublicKey], bundle: &[u8], digest: &Digest, manifest: &[u8]) -> Result<usize, Rejection> {
    if bundle.len() > MAX_BUNDLE {
        return Err(Rejection::TooLong { limit: MAX_BUNDLE });
    }
    let Version { media_type } = parse(PART, bundle)?;
    if ![MEDIA_TYPE, OLD_MEDIA_TYPE].contains(&media_type.as_str()) {
        return Err(Rejection::BundleVersion(media_type.into()));
    }
    let Bundle { verification_material, dsse_envelope, message_signature } = parse(PART, bundle)?;
    let material = verification_material.ok_or(Rejection::NoKeyMaterial)?;
    if material.certificate.is_some() || material.certificate_chain.is_some() {
        return Err(Rejection::Keyless);
    }
    material.public_key.ok_or(Rejection::NoKeyMaterial)?;
    match (dsse_envelope, message_signature) {
        (Some(_), Some(_)) => Err(Rejection::TwoContents),
        (None, None) => Err(Rejection::NoContent),
        (Some(envelope), None) => verify_envelope(keys, &envelope, digest),
        (None, Some(message)) => verify_message(keys, &message, digest, manifest),
    }
}

fn verify_envelope(keys: &[PublicKey], envelope: &Envelope, digest: &Digest) -> Result<usize, Rejection> {
    let [signature] = envelope.signatures.as_slice() else {
        return Err(Rejection::SignatureCount(envelope.signatures.len()));
    };
    let payload = decode(&envelope.payload).ok_or(Rejection::Base64("the payload of the envelope"))?;
    let signature = decode(&signature.sig).ok_or(Rejection::Base64("the signature"))?;
    let signed = encoded_for_signing(&envelope.payload_type, &payload);
    let position = position_of_signer(keys, &signed, &signature).ok_or(Rejection::NoKey)?;
    if envelope.payload_type != STATEMENT_TYPE {
        return Err(Rejection::PayloadType(envelope.payload_type.as_str().into()));
    }
    statement::check(&payload, digest, SIGN_PREDICATE)?;
    Ok(position)
}

fn verify_message(
    keys: &[PublicKey],
    message: &MessageSignature,
    digest: &Digest,
    manifest: &[u8],
) -> Result<usize, Rejection> {
    let signature = decode(&message.signature).ok_or(Rejection::Base64("the signature"))?;
    if !digest.matches(manifest) {
        return Err(Rejection::OtherDigest(Digest::sha256(manifest).as_str().into()));
    }
    if let Some(stated) = &message.message_digest {
        check_message_digest(stated, manifest)?;
    }
    position_of_signer(keys, manifest, &signature).ok_or(Rejection::NoKey)
}

fn check_message_digest(stated: &MessageDigest, manifest: &[u8]) -> Result<(), Rejection> {
    let (name, algorithm) = match stated.algorithm.as_str() {
        "SHA2_256" => ("sha256", &ring::digest::SHA256),
        "SHA2_384" => ("sha384", &ring::digest::SHA384),
        "SHA2_512" => ("sha512", &ring::digest::SHA512),
        other => return Err(Rejection::DigestAlgorithm(other.into())),
    };
    let bytes = decode(&stated.digest).ok_or(Rejection::Base64("the message digest"))?;
    if bytes == ring::digest::digest(algorithm, manifest).as_ref() {
        return Ok(());
    }
    let hex: String = bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
    Err(Rejection::OtherDigest(UntrustedText::from(format!("{name}:{hex}"))))
}

/// Returns what an envelope's signature is over: type and payload with their lengths (DSSE, "Pre-Authentication
/// Encoding").
fn encoded_for_signing(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}
