//! Signatures of images by a key: cosign's simple signing, and Sigstore bundles. Verifies and makes them.
//!
//! This module does no I/O: it does not read files, the environment or the network. Verification is offline and needs
//! only the public key of the signer. Entries of transparency logs and timestamps are ignored, so a signature counts
//! whenever it was made. Keyless signatures, which need certificates and a log, are rejected.
//!
//! - [`PublicKey`] and [`SigningKey`] are parsed from PEM text.
//! - [`simple_signing`] is the form of cosign 1 and 2, in tags that end in `.sig`.
//! - [`bundle`] is the form of cosign 3, in manifests that refer to the image.
//! - `openpgp`, with the feature of that name, verifies the signatures of skopeo and Podman. It makes none.
//!
//! ```
//! use manifest_tool::image::Digest;
//! use manifest_tool::signature::{SigningKey, bundle};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pem = std::fs::read("integration/data/signatures/p256.key")?;
//! let key = SigningKey::parse(&pem, None)?;
//! let manifest = br#"{"schemaVersion": 2, "manifests": []}"#;
//! let digest = Digest::sha256(manifest);
//!
//! let signed = bundle::sign(&key, &digest)?;
//! let keys = [key.public_key().clone()];
//! assert_eq!(bundle::verify(&keys, &signed, &digest, manifest), Ok(0));
//! # Ok(())
//! # }
//! ```

mod algorithm;
mod base64_text;
pub mod bundle;
mod der;
mod json;
mod key_error;
#[cfg(feature = "openpgp")]
pub mod openpgp;
#[cfg(feature = "openpgp")]
mod openpgp_key;
mod pem;
mod private_key;
mod public_key;
mod rejection;
mod sealed_key;
mod signing_key;
pub mod simple_signing;
mod statement;
#[cfg(test)]
mod tests;

pub use key_error::{KeyError, KeyForm};
pub use public_key::PublicKey;
pub use rejection::Rejection;
pub use signing_key::SigningKey;
