//! Simple signing: a JSON payload that names an image, and a signature of the payload's bytes.
//!
//! cosign 1 and 2 write these as layers of a manifest with the tag `sha256-DIGEST.sig`, with the signature in an
//! annotation. Entries of transparency logs in other annotations are ignored.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::base64_text::decode;
use super::json::parse;
use super::public_key::position_of_signer;
use super::{KeyError, PublicKey, Rejection, SigningKey};
use crate::image::{Digest, Reference, to_compact_go_json};

/// The media type of the layer that holds a payload.
pub const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of that layer that holds the signature in base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// The annotation of that layer that holds the certificate of a keyless signature.
pub const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
/// Maximum size of a payload, in bytes. cosign's have about 250.
pub const MAX_PAYLOAD: usize = 64 << 10;

/// The types of payloads: of cosign, and of older tools such as skopeo.
const TYPES: [&str; 2] = ["cosign container image signature", "atomic container signature"];
const PART: &str = "the payload";

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    #[serde(skip_deserializing)]
    optional: (),
}

#[derive(Serialize, Deserialize)]
struct Critical {
    #[serde(default)]
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference", default)]
    reference: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Returns the name of a repository as cosign writes it into payloads: without a tag, and with `index.docker.io` for
/// Docker Hub.
#[must_use]
pub fn docker_reference(repository: &Reference) -> String {
    let registry = if repository.registry() == "docker.io" { "index.docker.io" } else { repository.registry() };
    format!("{registry}/{}", repository.repository())
}

/// Returns the payload that cosign writes for an image, byte for byte. `reference` names the repository, as
/// [`docker_reference`] returns it; it may be empty for an image outside of a registry.
#[must_use]
pub fn payload(reference: &str, digest: &Digest) -> Vec<u8> {
    let (identity, image) = (Identity { reference: reference.into() }, Image { digest: digest.as_str().into() });
    let payload = Payload { critical: Critical { identity, image, kind: TYPES[0].into() }, optional: () };
    // Writing strings to memory cannot fail. An empty payload would be refused by every verifier.
    to_compact_go_json(&payload).unwrap_or_default()
}

/// Signs a payload and returns the signature in base64, as [`SIGNATURE_ANNOTATION`] holds it.
///
/// # Errors
/// The key's numbers are inconsistent, or the system's random number generator failed.
pub fn sign(key: &SigningKey, payload: &[u8]) -> Result<String, KeyError> {
    Ok(BASE64_STANDARD.encode(key.sign(payload)?))
}

/// Verifies that one of `keys` signed the payload, that the payload is about the image with this digest, and that it
/// names the repository, if it names one. `signature` is in base64. `repository` is `None` for an image outside of a
/// registry; a tag or digest in it is ignored, as is one in the payload. Returns the position of the key.
///
/// The payload is parsed only after its signature was verified, so a signature by another key is
/// [`Rejection::NoKey`], whatever it is about.
///
/// # Errors
/// The signature does not count, for the reason in the [`Rejection`].
pub fn verify(
    keys: &[PublicKey],
    payload: &[u8],
    signature: &str,
    digest: &Digest,
    repository: Option<&Reference>,
) -> Result<usize, Rejection> {
    if payload.len() > MAX_PAYLOAD || signature.len() > MAX_PAYLOAD {
        return Err(Rejection::TooLong { limit: MAX_PAYLOAD });
    }
    let signature = decode(signature.trim()).ok_or(Rejection::Base64("the signature"))?;
    let position = position_of_signer(keys, payload, &signature).ok_or(Rejection::NoKey)?;
    check(payload, digest, repository)?;
    Ok(position)
}

/// Whether a payload names exactly this repository, or none if `repository` is `None`. A tag or digest in either is
/// ignored. False for content that is not a payload.
pub(crate) fn names_repository(payload: &[u8], repository: Option<&Reference>) -> bool {
    let Ok(payload) = parse::<Payload>(PART, payload) else { return false };
    let named = payload.critical.identity.reference;
    match repository {
        Some(expected) => named.parse().is_ok_and(|named: Reference| named.same_repository(expected)),
        None => named.is_empty(),
    }
}

/// Checks that a payload with a valid signature is about the image.
pub(super) fn check(payload: &[u8], digest: &Digest, repository: Option<&Reference>) -> Result<(), Rejection> {
    let Critical { identity, image, kind } = parse::<Payload>(PART, payload)?.critical;
    if !TYPES.contains(&kind.as_str()) {
        return Err(Rejection::UnknownType(kind.into()));
    }
    if image.digest != digest.as_str() {
        return Err(Rejection::OtherDigest(image.digest.into()));
    }
    let Some(expected) = repository.filter(|_| !identity.reference.is_empty()) else { return Ok(()) };
    let named = identity.reference.parse::<Reference>();
    if named.is_ok_and(|named| named.same_repository(expected)) {
        return Ok(());
    }
    Err(Rejection::OtherReference(identity.reference.into()))
}
