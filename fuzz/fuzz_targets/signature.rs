//! Verifies signatures: the first byte selects what the rest is, a bundle, or a payload or statement that is signed here.
//! What is accepted must name the image and have the type of a signature. The parser ignores unknown keys, whose values
//! serde_json may reject, such as numbers out of range.

#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use libfuzzer_sys::fuzz_target;
use manifest_tool::image::{Digest, Reference};
use manifest_tool::signature::{PublicKey, SigningKey, bundle, simple_signing};
use serde_json::{Value, json};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let pem = include_bytes!("../../integration/data/signatures/ed25519.key");
    SigningKey::parse(pem, None).expect("the key of the test data")
});
static MANIFEST: &[u8] = include_bytes!("../../integration/data/signatures/manifest.json");
const STATEMENT: &str = "application/vnd.in-toto+json";

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let (keys, digest) = ([KEY.public_key().clone()], Digest::sha256(MANIFEST));
    match first {
        b'p' => payload(&keys, rest, &digest),
        b's' => statement(&keys, rest, &digest),
        _ => {
            // This key signed only the seeds, which are about the image.
            let other = Digest::sha256(b"");
            assert!(bundle::verify(&keys, rest, &other, b"").is_err());
            let _ = bundle::verify(&keys, rest, &digest, MANIFEST);
        }
    }
});

fn payload(keys: &[PublicKey], payload: &[u8], digest: &Digest) {
    let signature = simple_signing::sign(&KEY, payload).expect("signing");
    let repository: Reference = "registry.example/app".parse().expect("a reference");
    if simple_signing::verify(keys, payload, &signature, digest, Some(&repository)).is_ok() {
        let Ok(value) = serde_json::from_slice::<Value>(payload) else { return };
        let critical = &value["critical"];
        assert_eq!(critical["image"]["docker-manifest-digest"], digest.as_str());
        assert!(critical["type"].as_str().is_some_and(|kind| kind.ends_with("signature")));
    }
}

fn statement(keys: &[PublicKey], statement: &[u8], digest: &Digest) {
    let head = format!("DSSEv1 {} {STATEMENT} {} ", STATEMENT.len(), statement.len());
    let signature = KEY.sign(&[head.as_bytes(), statement].concat()).expect("signing");
    let bundle = json!({
        "mediaType": bundle::MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {}},
        "dsseEnvelope": {
            "payload": BASE64_STANDARD.encode(statement),
            "payloadType": STATEMENT,
            "signatures": [{"sig": BASE64_STANDARD.encode(signature)}],
        },
    });
    if bundle::verify(keys, bundle.to_string().as_bytes(), digest, b"").is_ok() {
        let Ok(value) = serde_json::from_slice::<Value>(statement) else { return };
        let hex = digest.as_str().trim_start_matches("sha256:");
        assert_eq!(value["predicateType"], bundle::SIGN_PREDICATE);
        let subjects = value["subject"].as_array().expect("a list");
        assert!(subjects.iter().any(|subject| subject["digest"]["sha256"] == hex));
    }
}
