use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{data, image, public_key, signing_key, text};
use crate::image::{Digest, Reference};
use crate::signature::simple_signing::{docker_reference, payload, sign, verify};
use crate::signature::{PublicKey, Rejection};

fn repository(text: &str) -> Reference {
    text.parse().unwrap()
}

/// Signs a payload and verifies it for the image of the test data in `registry.example/app`.
fn verify_signed(payload: &str) -> Result<usize, Rejection> {
    let key = signing_key("ed25519.key");
    let signature = sign(&key, payload.as_bytes()).unwrap();
    let repository = repository("registry.example/app");
    verify(&[key.public_key().clone()], payload.as_bytes(), &signature, &image(), Some(&repository))
}

#[test]
fn signatures_of_openssl_and_cosign_are_accepted() {
    let cosign = ("cosign/cosign.pub", "cosign/payload.json", "cosign/payload.sig", "127.0.0.1:5581/app");
    let p384 = ("cosign/p384.pub", "cosign/p384-payload.json", "cosign/p384-payload.sig", "127.0.0.1:5581/app-p384");
    let openssl = [
        ("p256.pub", "p256.sig"),
        ("p384.pub", "p384.sig"),
        ("p384.pub", "p384-sha256.sig"),
        ("ed25519.pub", "ed25519.sig"),
        ("rsa.pub", "rsa.sig"),
        ("rsa.pub", "rsa-pss.sig"),
    ];
    let openssl = openssl.map(|(key, signature)| (key, "payload.json", signature, "registry.example/app"));
    for (key, payload, signature, named) in openssl.into_iter().chain([cosign, p384]) {
        let keys = [public_key("rsa-8192.pub"), public_key(key)];
        let (payload, signature, named) = (data(payload), text(signature), repository(named));
        for expected in [None, Some(&named)] {
            assert_eq!(verify(&keys, &payload, &signature, &image(), expected), Ok(1), "{key}");
        }
        let (other_image, other_name) = (Digest::sha256(b""), repository("registry.example/other"));
        for (keys, digest, repository, expected) in [
            (&keys[..1], &image(), &named, Rejection::NoKey),
            (&[], &image(), &named, Rejection::NoKey),
            (&keys, &other_image, &named, Rejection::OtherDigest(image().as_str().into())),
            (&keys, &image(), &other_name, Rejection::OtherReference(named.to_string().into())),
        ] {
            let verified = verify(keys, &payload, &signature, digest, Some(repository));
            assert_eq!(verified, Err(expected), "{key}");
        }
    }
}

#[test]
fn an_ed25519ph_signature_of_cosign_is_not_verified() {
    let key = public_key("cosign/ed25519ph.pub");
    let (payload, signature) = (data("cosign/ed25519ph-payload.json"), text("cosign/ed25519ph-payload.sig"));
    assert_eq!(verify(&[key], &payload, &signature, &image(), None), Err(Rejection::NoKey));
}

#[test]
fn a_change_of_any_byte_is_rejected() {
    for name in ["p256", "p384", "ed25519", "rsa"] {
        let keys = [public_key(&format!("{name}.pub"))];
        let (payload, signature) = (data("payload.json"), text(&format!("{name}.sig")));
        for position in 0..payload.len() {
            let mut changed = payload.clone();
            changed[position] ^= 1;
            let verified = verify(&keys, &changed, &signature, &image(), None);
            assert_eq!(verified, Err(Rejection::NoKey), "{name} {position}");
        }
        let bytes = BASE64_STANDARD.decode(&signature).unwrap();
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            let verified = verify(&keys, &payload, &BASE64_STANDARD.encode(changed), &image(), None);
            assert_eq!(verified, Err(Rejection::NoKey), "{name} {position}");
            let cut = BASE64_STANDARD.encode(&bytes[..position]);
            assert_eq!(verify(&keys, &payload, &cut, &image(), None), Err(Rejection::NoKey), "{name} cut {position}");
        }
    }
}

#[test]
fn payloads_are_written_as_cosign_writes_them() {
    assert_eq!(payload("127.0.0.1:5581/app", &image()), data("cosign/payload.json"));
    assert_eq!(payload("registry.example/app", &image()), data("payload.json"));
    let escaped = String::from_utf8(payload("<&>\u{2028}\"", &image())).unwrap();
    assert!(escaped.contains(r#""docker-reference":"\u003c\u0026\u003e\u2028\"""#), "{escaped}");
    for (reference, expected) in
        [("alpine:3", "index.docker.io/library/alpine"), ("registry.example:5000/a/b:v1", "registry.example:5000/a/b")]
    {
        assert_eq!(docker_reference(&repository(reference)), expected);
    }
}

#[test]
fn the_repository_in_a_payload_is_compared_without_its_tag() {
    let verify = |reference: &str, repository: &Reference| {
        let (key, payload) = (signing_key("ed25519.key"), payload(reference, &image()));
        let signature = sign(&key, &payload).unwrap();
        verify(&[key.public_key().clone()], &payload, &signature, &image(), Some(repository))
    };
    let hub = repository("docker.io/library/alpine:3");
    for reference in ["", "alpine", "alpine:2", "index.docker.io/library/alpine", "docker.io/library/alpine:v1"] {
        assert_eq!(verify(reference, &hub), Ok(0), "{reference}");
    }
    for reference in ["other/alpine", "registry.example/alpine", "ALPINE", "https://docker.io/library/alpine"] {
        assert_eq!(verify(reference, &hub), Err(Rejection::OtherReference(reference.into())), "{reference}");
    }
}

#[test]
fn signed_payloads_of_other_content_are_rejected() {
    let text = text("payload.json");
    let malformed = |reason: &str| Rejection::Malformed { part: "the payload", reason: reason.into() };
    assert_eq!(verify_signed(&text), Ok(0));
    assert_eq!(verify_signed(&text.replace("cosign container image", "atomic container")), Ok(0));
    assert_eq!(verify_signed(&text.replace("null", r#"{"creator":"x","timestamp":1e999}"#)), Ok(0));
    for (from, to, expected) in [
        ("cosign container image signature", "x", Rejection::UnknownType("x".into())),
        ("sha256:", "sha512:", Rejection::OtherDigest(image().as_str().replace("256:", "512:").into())),
        (r#""type":"#, r#""kind":"#, malformed("missing field `type` at line 1 column 219")),
        (
            r#""image":"#,
            r#""image":1,"images":"#,
            malformed("invalid type: integer `1`, expected struct Image at line 1 column 77"),
        ),
        (r#""type":"#, r#""type":"x","type":"#, malformed("duplicate field `type` at line 1 column 194")),
        ("null}", "null}x", malformed("trailing characters at line 1 column 237")),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(verify_signed(&text.replacen(from, to, 1)), Err(expected), "{to}");
    }
    for end in 0..text.len() {
        let verified = verify_signed(&text[..end]);
        assert!(matches!(verified, Err(Rejection::Truncated { part: "the payload", .. })), "{end}: {verified:?}");
    }
}

#[test]
fn long_payloads_and_signatures_without_base64_are_rejected_first() {
    let keys: [PublicKey; 0] = [];
    let long = vec![b' '; 65_537];
    assert_eq!(verify(&keys, &long, "", &image(), None), Err(Rejection::TooLong { limit: 65_536 }));
    let long = "A".repeat(65_537);
    assert_eq!(verify(&keys, b"", &long, &image(), None), Err(Rejection::TooLong { limit: 65_536 }));
    assert_eq!(verify(&keys, b"", "*", &image(), None), Err(Rejection::Base64("the signature")));
}
