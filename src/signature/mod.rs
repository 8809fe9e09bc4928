//! Signatures of images by a key: cosign's simple signing, and Sigstore bundles. Verifies and makes them.
//!
//! This module does no I/O: it does not read files, the environment or the network. Verification is offline, with the
//! public keys of the signer. It ignores entries of transparency logs and timestamps, and so does not tell when a
//! signature was made. It does not verify keyless signatures, which need the certificates of Fulcio and a log.

pub mod bundle;
mod key_error;
mod public_key;
mod rejection;
mod signing_key;
pub mod simple_signing;

pub use key_error::KeyError;
pub use public_key::PublicKey;
pub use rejection::Rejection;
pub use signing_key::SigningKey;
