use super::{data, public_key, text};
use crate::signature::{KeyError, KeyForm, PublicKey};

#[test]
fn public_keys_are_written_as_openssl_wrote_them() {
    for name in ["p256.pub", "p384.pub", "ed25519.pub", "rsa.pub", "rsa-8192.pub", "cosign/cosign.pub"] {
        assert_eq!(public_key(name).to_pem(), text(name), "{name}");
    }
}

#[test]
fn a_key_is_named_by_the_hash_of_its_der() {
    let key = public_key("cosign/cosign.pub");
    assert_eq!(key.bundle_hint(), "4jpWst+0cGGbQW+znkHK6K1Nbj+btVmByVsXan8O734=");
    assert_eq!(key.id(), "sha256:e23a56b2dfb47061");
    assert_eq!(format!("{key:?}"), "PublicKey(P256, sha256:e23a56b2dfb47061)");
    assert!(text("cosign/envelope.json").contains(&key.bundle_hint()));
}

#[test]
fn a_public_key_may_have_text_around_it_and_other_line_ends() {
    let pem = text("p256.pub");
    let key = public_key("p256.pub");
    for variant in [
        format!("the key of the release\n\n{pem}\nend\n"),
        pem.replace('\n', "\r\n"),
        pem.trim_end().to_owned(),
        pem.replace('=', ""),
    ] {
        assert_eq!(PublicKey::parse(variant.as_bytes()), Ok(key.clone()), "{variant}");
    }
}

#[test]
fn what_is_not_a_supported_public_key_is_named() {
    let pem = text("p256.pub");
    let unsupported = |name: &str| KeyError::UnsupportedAlgorithm(name.to_owned());
    let of_files = [
        ("p256.key", KeyError::PrivateKey),
        ("p256-sec1.key", KeyError::PrivateKey),
        ("p256-encrypted.key", KeyError::PrivateKey),
        ("cosign/cosign.key", KeyError::PrivateKey),
        ("certificate.pem", KeyError::Certificate),
        ("rsa-pkcs1.pub", KeyError::OtherForm(KeyForm::RsaPublicKey)),
        ("p256-compressed.pub", KeyError::OtherForm(KeyForm::CompressedPoint)),
        ("secp256k1.pub", unsupported("ECDSA secp256k1")),
        ("P-521.pub", unsupported("ECDSA P-521")),
        ("rsa-1024.pub", KeyError::RsaSize { bits: 1024, least: 2048, most: 8192 }),
        ("manifest.json", KeyError::NotPem),
    ];
    for (name, expected) in of_files {
        assert_eq!(PublicKey::parse(&data(name)), Err(expected), "{name}");
    }
    let of_text = [
        (String::new(), KeyError::NotPem),
        ("ssh-ed25519 AAAA me@host".to_owned(), KeyError::NotPem),
        (pem.repeat(3), KeyError::SeveralBlocks(3)),
        (block("PGP PUBLIC KEY BLOCK", "mQ=="), KeyError::OpenPgp),
        (block("CERTIFICATE REQUEST", "AA=="), KeyError::OtherBlock("CERTIFICATE REQUEST".into())),
        (" ".repeat(65_537), KeyError::TooLong { limit: 65_536 }),
        (pem.replace("-----END", "-----FIN"), malformed("its PEM block has no END line")),
        (pem.replacen("-----BEGIN", "-----END", 1), malformed("a PEM block ends that did not begin")),
        (format!("-----BEGIN X-----\n{pem}"), malformed("a PEM block begins inside of another")),
        (block("PUBLIC KEY", "*"), malformed("its content is not valid base64")),
        (block("PUBLIC KEY", ""), malformed("its ASN.1 structure is not that of a key")),
        // Object identifier 1.2.3, which no algorithm has.
        (block("PUBLIC KEY", "MAkwBAYCKgMDAQA="), unsupported("1.2.3")),
    ];
    for (text, expected) in of_text {
        assert_eq!(PublicKey::parse(text.as_bytes()), Err(expected), "{text:.100}");
    }
    assert_eq!(PublicKey::parse(&[0xff, 0xfe]), Err(KeyError::NotPem));
}

#[test]
fn a_damaged_public_key_is_an_error_or_verifies_nothing() {
    for name in ["p256.pub", "p384.pub", "ed25519.pub", "rsa.pub"] {
        let pem = data(name);
        for end in 0..pem.len() - 1 {
            assert!(PublicKey::parse(&pem[..end]).is_err(), "{name} cut at {end}");
        }
        for position in 0..pem.len() {
            let mut damaged = pem.clone();
            damaged[position] ^= 1;
            let message = data("payload.json");
            let signature = super::super::base64_text::decode(&text(&name.replace("pub", "sig"))).unwrap();
            let accepted = PublicKey::parse(&damaged).is_ok_and(|key| key.verifies(&message, &signature));
            // The last bits of unpadded base64 and the spaces around the block mean nothing.
            assert!(!accepted || PublicKey::parse(&damaged) == Ok(public_key(name)), "{name} changed at {position}");
        }
    }
}

#[test]
fn hints_name_commands_for_keys_that_can_be_converted() {
    for (name, hint) in [
        ("certificate.pem", Some("write its public key with: openssl x509 -in KEY -noout -pubkey -out NEW")),
        ("p256.key", Some("write its public key with: openssl pkey -in KEY -pubout -out NEW")),
        ("rsa-pkcs1.pub", Some("convert it with: openssl rsa -RSAPublicKey_in -in KEY -pubout -out NEW")),
        ("secp256k1.pub", None),
    ] {
        assert_eq!(PublicKey::parse(&data(name)).unwrap_err().hint(), hint, "{name}");
    }
}

pub(super) fn block(label: &str, base64: &str) -> String {
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

pub(super) fn malformed(reason: &str) -> KeyError {
    KeyError::Malformed(reason.into())
}
