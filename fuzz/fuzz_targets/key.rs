//! Parses public and private keys. A key that is accepted must be written as text that gives the same key, and verify
//! what it signs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manifest_tool::signature::{PublicKey, SigningKey};

fuzz_target!(|pem: &[u8]| {
    if let Ok(key) = PublicKey::parse(pem) {
        assert_eq!(PublicKey::parse(key.to_pem().as_bytes()), Ok(key.clone()));
        assert!(!key.verifies(b"message", b""));
    }
    // Without a password, because scrypt takes most of a second.
    if let Ok(key) = SigningKey::parse(pem, None) {
        assert!(!SigningKey::is_encrypted(pem));
        // ring refuses to sign with RSA keys whose numbers are inconsistent.
        let Ok(signature) = key.sign(b"message") else { return };
        assert!(key.public_key().verifies(b"message", &signature));
    }
});
