use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{data, image, public_key, signing_key, text};
use crate::image::Digest;
use crate::signature::bundle::{MAX_BUNDLE, MEDIA_TYPE, is_bundle, sign, verify};
use crate::signature::{PublicKey, Rejection};

const TYPE: &str = "application/vnd.in-toto+json";

/// Verifies the bundle for the image of the test data.
fn verify_with(keys: &[PublicKey], bundle: &str) -> Result<usize, Rejection> {
    verify(keys, bundle.as_bytes(), &image(), &data("manifest.json"))
}

/// Wraps a payload in an envelope, signs it, and verifies the bundle for the image of the test data.
fn verify_signed(payload_type: &str, payload: &str) -> Result<usize, Rejection> {
    let key = signing_key("ed25519.key");
    let signed = format!("DSSEv1 {} {payload_type} {} {payload}", payload_type.len(), payload.len());
    let signature = BASE64_STANDARD.encode(key.sign(signed.as_bytes()).unwrap());
    let payload = BASE64_STANDARD.encode(payload);
    let envelope = format!(
        r#""dsseEnvelope":{{"payload":"{payload}","payloadType":"{payload_type}","signatures":[{{"sig":"{signature}"}}]}}"#
    );
    let material = r#""verificationMaterial":{"publicKey":{}}"#;
    verify_with(&[key.public_key().clone()], &format!(r#"{{"mediaType":"{MEDIA_TYPE}",{material},{envelope}}}"#))
}

#[test]
fn bundles_of_openssl_and_cosign_are_accepted() {
    let names = ["p256", "p384", "ed25519", "rsa"];
    let openssl = names.iter().flat_map(|name| ["envelope", "message"].map(|form| (*name, format!("{name}-{form}"))));
    let openssl = openssl.map(|(key, bundle)| (format!("{key}.pub"), format!("{bundle}.json")));
    let cosign = [("cosign", "envelope"), ("cosign", "message"), ("p384", "p384-envelope")];
    let cosign = cosign.map(|(key, bundle)| (format!("cosign/{key}.pub"), format!("cosign/{bundle}.json")));
    for (key, bundle) in openssl.chain(cosign) {
        let keys = [public_key("rsa-8192.pub"), public_key(&key)];
        let text = text(&bundle);
        assert_eq!(verify_with(&keys, &text), Ok(1), "{bundle}");
        assert_eq!(verify_with(&keys[..1], &text), Err(Rejection::NoKey), "{bundle}");
        assert_eq!(verify_with(&[], &text), Err(Rejection::NoKey), "{bundle}");
        let verified = verify(&keys, text.as_bytes(), &Digest::sha256(b"x"), b"x");
        assert_eq!(verified, Err(Rejection::OtherDigest(image().as_str().into())), "{bundle}");
    }
}

#[test]
fn a_signature_of_the_manifest_needs_its_bytes() {
    let keys = [public_key("p256.pub")];
    let verified = verify(&keys, &data("p256-message.json"), &image(), b"x");
    assert_eq!(verified, Err(Rejection::OtherDigest(Digest::sha256(b"x").as_str().into())));
    // An envelope holds the digest, so the manifest is not used.
    assert_eq!(verify(&keys, &data("p256-envelope.json"), &image(), b"x"), Ok(0));
}

#[test]
fn an_ed25519ph_signature_of_cosign_is_not_verified() {
    let verified = verify_with(&[public_key("cosign/ed25519ph.pub")], &text("cosign/ed25519ph-envelope.json"));
    assert_eq!(verified, Err(Rejection::NoKey));
}

#[test]
fn what_is_signed_here_is_accepted_here() {
    for name in ["p256.key", "p384.key", "ed25519.key", "rsa.key", "cosign/cosign.key"] {
        let key = signing_key(name);
        let keys = [key.public_key().clone()];
        for digest in [image(), Digest::parse(&format!("sha512:{}", "a".repeat(128))).unwrap()] {
            let bundle = sign(&key, &digest).unwrap();
            assert_eq!(verify(&keys, &bundle, &digest, b""), Ok(0), "{name}");
            let other = Digest::sha256(b"");
            let rejection = Rejection::OtherDigest(digest.as_str().into());
            assert_eq!(verify(&keys, &bundle, &other, b""), Err(rejection), "{name}");
        }
    }
}

#[test]
fn a_bundle_has_the_bytes_that_cosign_writes() {
    let (ours, theirs) = (sign(&signing_key("cosign/cosign.key"), &image()).unwrap(), text("cosign/envelope.json"));
    let ours = String::from_utf8(ours).unwrap();
    let without_signature = |text: &str| text.split_once(r#""sig":"#).unwrap().0.to_owned();
    assert_eq!(without_signature(&ours), without_signature(&theirs));
}

#[test]
fn a_bundle_that_is_cut_at_any_byte_is_truncated() {
    for name in ["p256-envelope.json", "p256-message.json", "cosign/envelope.json", "cosign/message.json"] {
        let text = text(name);
        for end in 0..text.len() {
            let verified = verify_with(&[public_key("p256.pub")], &text[..end]);
            let is_truncated = matches!(verified, Err(Rejection::Truncated { part: "the bundle", .. }));
            assert!(is_truncated, "{name} cut at {end}: {verified:?}");
        }
    }
}

#[test]
fn a_change_of_any_byte_that_is_signed_is_rejected() {
    for name in ["p256", "p384", "ed25519", "rsa"] {
        let keys = [public_key(&format!("{name}.pub"))];
        for (form, fields) in [("envelope", &["payload", "sig"][..]), ("message", &["signature", "digest"])] {
            let text = text(&format!("{name}-{form}.json"));
            for field in fields {
                let (head, rest) = text.split_once(&format!(r#""{field}":""#)).unwrap();
                let (value, tail) = rest.split_once('"').unwrap();
                let bytes = BASE64_STANDARD.decode(value).unwrap();
                for position in 0..bytes.len() {
                    let mut changed = bytes.clone();
                    changed[position] ^= 1;
                    let changed = BASE64_STANDARD.encode(changed);
                    let verified = verify_with(&keys, &format!(r#"{head}"{field}":"{changed}"{tail}"#));
                    let expected = match verified {
                        Err(Rejection::OtherDigest(_)) => *field == "digest",
                        verified => verified == Err(Rejection::NoKey),
                    };
                    assert!(expected, "{name} {form} {field} {position}");
                }
            }
        }
    }
}

#[test]
fn a_changed_byte_anywhere_never_makes_another_bundle_valid() {
    let (keys, bundle) = ([public_key("p256.pub")], data("p256-envelope.json"));
    for position in 0..bundle.len() {
        for bit in 0..8 {
            let mut changed = bundle.clone();
            changed[position] ^= 1 << bit;
            let verified = verify(&keys, &changed, &Digest::sha256(b"x"), b"x");
            assert!(verified.is_err(), "{position} {bit}");
        }
    }
}

#[test]
fn attestations_and_other_payloads_are_not_signatures() {
    let attestation = verify_with(&[public_key("cosign/cosign.pub")], &text("cosign/attestation.json"));
    assert_eq!(attestation, Err(Rejection::OtherPredicate("https://spdx.dev/Document".into())));

    let statement = text("statement.json");
    let malformed = |reason: &str| Rejection::Malformed { part: "the statement", reason: reason.into() };
    let digests = r#"[{"digest":{"sha256":""#;
    assert_eq!(verify_signed(TYPE, &statement), Ok(0));
    assert_eq!(verify_signed(TYPE, &statement.replace("ent/v1", "ent/v0.1")), Ok(0));
    let second = r#"[{"name":"x"},{"digest":{"sha1":"x","sha256":""#;
    assert_eq!(verify_signed(TYPE, &statement.replace(digests, second)), Ok(0));
    for (from, to, expected) in [
        ("ent/v1", "ent/v2", Rejection::UnknownType("https://in-toto.io/Statement/v2".into())),
        ("sign/v1", "sign/v2", Rejection::OtherPredicate("https://sigstore.dev/cosign/sign/v2".into())),
        (r#""sha256":"bf"#, r#""sha256":"BF"#, Rejection::OtherDigest(image().as_str().replacen("bf", "BF", 1).into())),
        (r#"{"digest""#, r#"{"digests""#, malformed("it has no digest")),
        (digests, r#"[],"x":[{"digest":{"sha256":""#, malformed("it has no digest")),
        (r#""subject":"#, r#""subject":[],"subject":"#, malformed("duplicate field `subject` at line 1 column 65")),
    ] {
        assert!(statement.contains(from), "{from}");
        assert_eq!(verify_signed(TYPE, &statement.replacen(from, to, 1)), Err(expected), "{to}");
    }
    assert_eq!(verify_signed("text/plain", &statement), Err(Rejection::PayloadType("text/plain".into())));
    let truncated = verify_signed(TYPE, &statement[..100]);
    assert!(matches!(truncated, Err(Rejection::Truncated { part: "the statement", .. })), "{truncated:?}");
}

#[test]
fn each_defect_of_a_bundle_is_named() {
    let (keys, envelope, message) = ([public_key("p256.pub")], text("p256-envelope.json"), text("p256-message.json"));
    let (_, content) = message.split_once(r#""messageSignature""#).unwrap();
    let both = format!(r#"{},"messageSignature"{content}"#, envelope.strip_suffix('}').unwrap());
    let no_content = envelope.replace("dsseEnvelope", "x");
    let version = |version: &str| Rejection::BundleVersion(version.into());
    let old = "application/vnd.dev.sigstore.bundle+json;version=0.1";
    let key = r#""publicKey":{"#;
    for (text, expected) in [
        (both, Rejection::TwoContents),
        (no_content, Rejection::NoContent),
        (envelope.replace(MEDIA_TYPE, old), version(old)),
        (envelope.replace("mediaType", "type"), version("")),
        (envelope.replace(key, r#""certificate":{"#), Rejection::Keyless),
        (envelope.replace(key, r#""x509CertificateChain":{"#), Rejection::Keyless),
        (envelope.replace(key, r#""certificate":{"rawBytes":""},"publicKey":{"#), Rejection::Keyless),
        (envelope.replace(key, r#""publicKeys":{"#), Rejection::NoKeyMaterial),
        (envelope.replace("verificationMaterial", "x"), Rejection::NoKeyMaterial),
        (envelope.replace(r#"[{"sig""#, r#"[{"sig":"x"},{"sig""#), Rejection::SignatureCount(2)),
        (envelope.replace(r#"[{"sig""#, r#"[],"x":[{"sig""#), Rejection::SignatureCount(0)),
        (envelope.replace(r#""sig":""#, r#""sig":"*"#), Rejection::Base64("the signature")),
        (envelope.replace(r#""payload":""#, r#""payload":"*"#), Rejection::Base64("the payload of the envelope")),
        (message.replace(r#""digest":""#, r#""digest":"*"#), Rejection::Base64("the message digest")),
        (message.replace(r#""signature":""#, r#""signature":"*"#), Rejection::Base64("the signature")),
        (message.replace("SHA2_256", "MD5"), Rejection::DigestAlgorithm("MD5".into())),
    ] {
        assert_eq!(verify_with(&keys, &text), Err(expected), "{text}");
    }
    let long = " ".repeat(MAX_BUNDLE + 1);
    assert_eq!(verify_with(&keys, &long), Err(Rejection::TooLong { limit: MAX_BUNDLE }));
}

#[test]
fn fields_that_are_ignored_do_not_change_the_result() {
    let (keys, envelope) = ([public_key("p256.pub")], text("p256-envelope.json"));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for value in ["null", "1e999999999", "-99999999999999999999999999999999", &deep, r#"{"tlogEntries":[{}]}"#] {
        let extended = envelope.replacen('{', &format!(r#"{{"other":{value},"#), 1);
        assert_eq!(verify_with(&keys, &extended), Ok(0), "{value:.50}");
    }
    let with_log = envelope.replace(r#""publicKey""#, r#""tlogEntries":[{"logIndex":"1"}],"publicKey""#);
    assert_eq!(verify_with(&keys, &with_log), Ok(0));
    let old = envelope.replace(MEDIA_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.3");
    assert_eq!(verify_with(&keys, &old), Ok(0));
    let (head, signature) = envelope.split_once(r#""sig":""#).unwrap();
    let url_safe = format!(r#"{head}"sig":"{}"#, signature.replace('+', "-").replace('/', "_").replace('=', ""));
    assert_eq!(verify_with(&keys, &url_safe), Ok(0));
    let message = text("p256-message.json").replace("messageDigest", "x");
    assert_eq!(verify_with(&keys, &message), Ok(0), "without a message digest");
}

#[test]
fn media_types_of_every_version_are_bundles() {
    for media_type in [MEDIA_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.1"] {
        assert!(is_bundle(media_type), "{media_type}");
    }
    assert!(!is_bundle("application/vnd.dev.cosign.simplesigning.v1+json"));
}
