use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::keys::{block, malformed};
use super::{data, public_key, signing_key, text};
use crate::signature::{KeyError, KeyForm, SigningKey};

#[test]
fn what_a_private_key_signs_its_public_key_verifies() {
    for (private, public) in [
        ("p256.key", "p256.pub"),
        ("p256-sec1.key", "p256.pub"),
        ("p256-with-parameters.key", "p256.pub"),
        ("p384.key", "p384.pub"),
        ("ed25519.key", "ed25519.pub"),
        ("rsa.key", "rsa.pub"),
        ("rsa-pkcs1.key", "rsa.pub"),
        ("cosign/cosign.key", "cosign/cosign.pub"),
    ] {
        let (key, public) = (signing_key(private), public_key(public));
        assert_eq!(key.public_key(), &public, "{private}");
        let signature = key.sign(b"message").unwrap();
        assert!(public.verifies(b"message", &signature), "{private}");
        assert!(!public.verifies(b"massage", &signature), "{private}");
        assert_eq!(format!("{key:?}"), "SigningKey(****)");
    }
}

#[test]
fn only_keys_of_cosign_need_a_password() {
    for (name, expected) in [
        ("cosign/cosign.key", true),
        ("p256.key", false),
        ("p256-encrypted.key", false),
        ("cosign/cosign.pub", false),
        ("manifest.json", false),
    ] {
        assert_eq!(SigningKey::is_encrypted(&data(name)), expected, "{name}");
    }
    let old = text("cosign/cosign.key").replace("SIGSTORE", "COSIGN");
    assert!(SigningKey::is_encrypted(old.as_bytes()) && SigningKey::parse(old.as_bytes(), Some(b"test")).is_ok());
}

#[test]
fn a_missing_and_a_wrong_password_are_different_errors() {
    let pem = data("cosign/cosign.key");
    let error = |password| SigningKey::parse(&pem, password).unwrap_err();
    assert_eq!(error(None), KeyError::PasswordNeeded);
    assert_eq!(error(Some(b"Test")), KeyError::WrongPassword);
    assert_eq!(error(Some(b"")), KeyError::WrongPassword);
}

#[test]
fn what_is_not_a_supported_private_key_is_named() {
    let by_openssl = KeyError::OtherForm(KeyForm::EncryptedByOpenssl);
    for (name, expected) in [
        ("p256.pub", KeyError::PublicKey),
        ("rsa-pkcs1.pub", KeyError::PublicKey),
        ("certificate.pem", KeyError::Certificate),
        ("p256-encrypted.key", by_openssl.clone()),
        ("p256-encrypted-sec1.key", by_openssl),
        ("p256-without-public.key", KeyError::OtherForm(KeyForm::WithoutPublicKey)),
        ("manifest.json", KeyError::NotPem),
    ] {
        assert_eq!(SigningKey::parse(&data(name), None).unwrap_err(), expected, "{name}");
    }
    let ssh = block("OPENSSH PRIVATE KEY", "AA==");
    assert_eq!(SigningKey::parse(ssh.as_bytes(), None).unwrap_err(), KeyError::OtherForm(KeyForm::OpenSsh));
}

#[test]
fn an_ed25519_key_with_its_public_key_is_read_in_both_forms() {
    let (key, public) = (der("ed25519.key"), der("ed25519.pub"));
    let (seed, point) = (&key[key.len() - 34..], &public[public.len() - 32..]);
    let algorithm = [0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
    // RFC 5958 tags the public key 0x81. Older writers put a bit string inside of 0xa1.
    for head in [&[0x81, 33, 0][..], &[0xa1, 35, 3, 33, 0]] {
        let content = [&[2, 1, 1][..], &algorithm, &[4, 34], seed, head, point].concat();
        let pem = |content: &[u8]| {
            let der = [&[0x30, u8::try_from(content.len()).unwrap()], content].concat();
            block("PRIVATE KEY", &BASE64_STANDARD.encode(der))
        };
        let key = SigningKey::parse(pem(&content).as_bytes(), None).unwrap();
        assert_eq!(key.public_key(), &public_key("ed25519.pub"));
        // A key with another public key would reveal its secret by signing.
        let mut other = content;
        *other.last_mut().unwrap() ^= 1;
        let error = SigningKey::parse(pem(&other).as_bytes(), None).unwrap_err();
        assert_eq!(error, malformed("its numbers do not make a key (InconsistentComponents)"));
    }
}

#[test]
fn costly_and_invalid_parameters_of_scrypt_are_refused_before_they_are_used() {
    let json = String::from_utf8(der("cosign/cosign.key")).unwrap();
    let invalid = || malformed("the parameters of scrypt are invalid");
    let costly = || KeyError::TooCostly { limit: 256 };
    for (parameters, expected) in [
        (r#""N":65536,"r":8,"p":5"#, costly()),
        (r#""N":524288,"r":8,"p":1"#, costly()),
        (r#""N":262144,"r":8,"p":1"#, costly()),
        (r#""N":2,"r":65,"p":1"#, costly()),
        (r#""N":2,"r":1,"p":1048576"#, costly()),
        (r#""N":9223372036854775808,"r":4294967295,"p":4294967295"#, costly()),
        (r#""N":65535,"r":8,"p":1"#, invalid()),
        (r#""N":0,"r":8,"p":1"#, invalid()),
        (r#""N":1,"r":8,"p":1"#, invalid()),
        (r#""N":65536,"r":0,"p":1"#, invalid()),
        (r#""N":65536,"r":8,"p":0"#, invalid()),
    ] {
        let changed = json.replace(r#""N":65536,"r":8,"p":1"#, parameters);
        assert_ne!(changed, json);
        assert_eq!(open(&changed), expected, "{parameters}");
    }
    let other = json.replace("scrypt", "argon2");
    assert_eq!(open(&other), KeyError::OtherForm(KeyForm::EncryptedOtherwise));
    assert_eq!(open(&json.replace(r#""nonce":""#, r#""nonce":"AAAA"#)), malformed("the nonce does not have 24 bytes"));
    assert_eq!(open(&json.replace(r#""salt":""#, r#""salt":"*"#)), malformed("a value is not valid base64"));
    assert_eq!(open(&json.replace(r#""ciphertext":"r"#, r#""ciphertext":"s"#)), KeyError::WrongPassword);
    assert!(matches!(open(&json[..100]), KeyError::Malformed(_)));
    assert!(matches!(open(&"[".repeat(40_000)), KeyError::Malformed(_)));
}

#[test]
fn a_damaged_private_key_is_an_error_or_the_same_key() {
    for name in ["p256.key", "p256-sec1.key", "ed25519.key", "rsa.key"] {
        let (der, label) = (der(name), if name == "p256-sec1.key" { "EC PRIVATE KEY" } else { "PRIVATE KEY" });
        let parse = |der: &[u8]| SigningKey::parse(block(label, &BASE64_STANDARD.encode(der)).as_bytes(), None);
        for end in 0..der.len() {
            assert!(parse(&der[..end]).is_err(), "{name} cut at {end}");
        }
        for position in (0..der.len()).step_by(7) {
            let mut damaged = der.clone();
            damaged[position] ^= 1;
            // A signature of a key whose parts do not belong together may reveal the secret, so it must verify.
            let Ok(key) = parse(&damaged) else { continue };
            if let Ok(signature) = key.sign(b"message") {
                assert!(key.public_key().verifies(b"message", &signature), "{name} changed at {position}");
            }
        }
    }
}

fn der(name: &str) -> Vec<u8> {
    crate::signature::pem::decode(&data(name)).unwrap().to_vec()
}

/// Returns the error for a key of cosign with this content.
fn open(json: &str) -> KeyError {
    let pem = block("ENCRYPTED SIGSTORE PRIVATE KEY", &BASE64_STANDARD.encode(json));
    SigningKey::parse(pem.as_bytes(), Some(b"test")).unwrap_err()
}
