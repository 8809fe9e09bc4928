use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{data, image, text};
use crate::image::{Digest, Reference};
use crate::signature::openpgp::Keyring;
use crate::signature::{KeyError, Rejection};

/// A moment shortly after the test data was made.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_760_000)
}

fn keyring(name: &str) -> Keyring {
    Keyring::parse(&data(&format!("openpgp/{name}"))).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Verifies a message for the image of the test data, without a repository.
fn verify_at(message: &[u8], now: SystemTime) -> Result<String, Rejection> {
    keyring("keyring.asc").verify(message, &image(), None, now).map(|fingerprint| fingerprint.to_string())
}

fn malformed(reason: &str) -> Rejection {
    Rejection::Malformed { part: "the OpenPGP message", reason: reason.into() }
}

#[test]
fn signatures_of_skopeo_and_gpg_are_accepted() {
    let (armored, binary) = (keyring("keyring.asc"), keyring("keyring.gpg"));
    let fingerprints: Vec<String> = armored.fingerprints().map(|fingerprint| fingerprint.to_string()).collect();
    assert_eq!(binary.fingerprints().count(), 5);
    let repository: Reference = "registry.example/app".parse().unwrap();
    let other: Reference = "registry.example/other".parse().unwrap();
    // The keys are in the order in which they were made.
    for (name, key) in [("rsa2048", 0), ("ed25519", 1), ("subkey", 3), ("uncompressed", 1)] {
        let message = data(&format!("openpgp/{name}.gpg"));
        for keyring in [&armored, &binary] {
            let verify = |digest: &Digest, repository: Option<&Reference>| {
                keyring.verify(&message, digest, repository, now()).map(|fingerprint| fingerprint.to_string())
            };
            assert_eq!(verify(&image(), Some(&repository)).as_ref(), Ok(&fingerprints[key]), "{name}");
            let named = Rejection::OtherReference("registry.example/app:v1".into());
            assert_eq!(verify(&image(), Some(&other)), Err(named), "{name}");
            let digest = Rejection::OtherDigest(image().as_str().into());
            assert_eq!(verify(&Digest::sha256(b""), None), Err(digest), "{name}");
        }
        let verified = keyring("other.asc").verify(&message, &image(), None, now());
        assert_eq!(verified, Err(Rejection::NoKey), "{name}");
    }
}

#[test]
fn signatures_that_do_not_count_are_rejected() {
    let strength = malformed("its signature is not over binary data with SHA-2 or SHA-3");
    for (name, expected) in [
        ("other.gpg", Rejection::NoKey),
        ("revoked.gpg", Rejection::Revoked),
        ("expired.gpg", Rejection::Expired("the key")),
        ("sha1.gpg", strength.clone()),
        ("text.gpg", strength),
        ("two.gpg", malformed("it does not have exactly one signature")),
    ] {
        assert_eq!(verify_at(&data(&format!("openpgp/{name}")), now()), Err(expected), "{name}");
    }
    for name in ["detached.gpg", "armored.asc", "keyring.gpg", "payload.json"] {
        let verified = verify_at(&data(&format!("openpgp/{name}")), now());
        assert!(matches!(verified, Err(Rejection::Malformed { .. })), "{name}: {verified:?}");
    }
}

#[test]
fn times_are_compared_with_now() {
    let day = Duration::from_secs(24 * 60 * 60);
    let message = data("openpgp/expired-signature.gpg");
    assert!(verify_at(&message, now()).is_ok());
    assert_eq!(verify_at(&message, now() + day), Err(Rejection::Expired("the signature")));
    let future = malformed("its signature is older than the key, or from the future");
    assert_eq!(verify_at(&message, now() - 2 * day), Err(future));
    // In June 2020 the key that expired in 2021 was valid.
    let june = UNIX_EPOCH + Duration::from_secs(1_592_000_000);
    assert!(verify_at(&data("openpgp/expired.gpg"), june).is_ok());
}

#[test]
fn a_cut_or_changed_message_is_rejected() {
    for name in ["ed25519", "uncompressed", "subkey"] {
        let message = data(&format!("openpgp/{name}.gpg"));
        for end in 0..message.len() {
            assert!(verify_at(&message[..end], now()).is_err(), "{name} cut at {end}");
            let mut changed = message.clone();
            changed[end] ^= 1;
            // Some bytes are not signed, such as the name of the file. Another payload must not be accepted.
            let other = keyring("keyring.gpg").verify(&changed, &Digest::sha256(b""), None, now());
            assert!(other.is_err(), "{name} changed at {end}");
        }
    }
}

#[test]
fn a_message_that_unpacks_to_much_is_rejected() {
    use std::io::Write as _;
    let mut packed = flate2::write::DeflateEncoder::new(vec![0xa3, 1], flate2::Compression::best());
    packed.write_all(&vec![0; 16 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 20_000);
    assert_eq!(verify_at(&packed, now()), Err(Rejection::TooLong { limit: 131_072 }));
    assert_eq!(verify_at(&vec![0; 131_073], now()), Err(Rejection::TooLong { limit: 131_072 }));
}

#[test]
fn what_is_not_a_keyring_is_an_error() {
    let error = |bytes: &[u8]| Keyring::parse(bytes).err().unwrap();
    for bytes in
        [&b""[..], b"x", &data("p256.pub"), &data("openpgp/ed25519.gpg"), b"-----BEGIN PGP PUBLIC KEY BLOCK-----"]
    {
        assert!(matches!(error(bytes), KeyError::Malformed(_)), "{bytes:?}");
    }
    assert_eq!(error(&vec![0; (4 << 20) + 1]), KeyError::TooLong { limit: 4 << 20 });
    let armored = text("openpgp/keyring.asc");
    for end in (0..armored.len()).step_by(50) {
        let _ = Keyring::parse(&armored.as_bytes()[..end]);
    }
}
