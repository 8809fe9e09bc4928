//! Tests with the keys and signatures in `integration/data/signatures`, by openssl and cosign.

mod bundles;
mod keys;
#[cfg(feature = "openpgp")]
mod openpgp;
mod payloads;
mod private_keys;

use super::{PublicKey, SigningKey};
use crate::image::Digest;

/// Returns a file of the test data.
fn data(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/integration/data/signatures");
    std::fs::read(format!("{folder}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text(name: &str) -> String {
    String::from_utf8(data(name)).unwrap()
}

fn public_key(name: &str) -> PublicKey {
    PublicKey::parse(&data(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn signing_key(name: &str) -> SigningKey {
    SigningKey::parse(&data(name), Some(b"test")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the digest of the image that every signature in the test data is of.
fn image() -> Digest {
    Digest::sha256(&data("manifest.json"))
}
