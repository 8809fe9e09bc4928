//! Signatures that do not count, and why: recorded ones of cosign and openssl, and damaged ones.

use serde_json::{Value, json};

use super::{BUNDLE, SignedFixture, assert_unsigned, data, key};
use crate::support::images::{OCI, descriptor};
use crate::support::{Outcome, ScriptedServer};

/// The image of the recorded signatures, as `app:one`, besides `app:v1`.
struct RecordedImage {
    fixture: SignedFixture,
    image: Value,
}

impl RecordedImage {
    fn new() -> Self {
        let fixture = SignedFixture::new();
        let layout = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/layouts/amd64");
        // The recorded image has the config of this one.
        fixture.sandbox.run(&["copy", &format!("oci:{}", layout.display()), "HOST/app:blobs"]).success();
        fixture.sandbox.registry.push_blob("app", &read("layer.tar.gz"));
        fixture.sandbox.registry.push_manifest("app", "one", OCI, &read("manifest.json"));
        let stored = fixture.sandbox.registry.manifest("app", "one").unwrap();
        let image = descriptor(&stored.media_type, &stored.digest, &stored.bytes);
        Self { fixture, image }
    }

    fn verify(&self, name: &str, args: &[&str]) -> Outcome {
        self.fixture.sandbox.run(&[&["verify", "--key", &key(name)], args, &["HOST/app:one"]].concat())
    }
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(data(name)).unwrap()
}

#[test]
fn recorded_bundles_count_or_are_rejected_with_the_reason() {
    let envelope = read("cosign/envelope.json");
    let truncated = envelope[..envelope.len() / 2].to_vec();
    for (bundle, public, reason) in [
        (envelope.clone(), "cosign/cosign.pub", None),
        (read("cosign/message.json"), "cosign/cosign.pub", None),
        (read("p256-message.json"), "p256.pub", None),
        (read("ed25519-envelope.json"), "ed25519.pub", None),
        (envelope, "p256.pub", Some("no key given made it")),
        (truncated, "cosign/cosign.pub", Some("the bundle is truncated: ")),
        (br#"{"mediaType":7}"#.to_vec(), "cosign/cosign.pub", Some("the bundle is malformed: ")),
        (
            read("cosign/attestation.json"),
            "cosign/cosign.pub",
            Some("it is an attestation of type \"https://spdx.dev/"),
        ),
    ] {
        let recorded = RecordedImage::new();
        recorded.fixture.attach_bundle(&recorded.image, &bundle);
        let outcome = recorded.verify(public, &["--signatures"]);
        match reason {
            None => outcome.success().stdout_contains(": valid, made by key sha256:"),
            Some(reason) => outcome.exits(5).stdout_contains(&format!(": rejected: {reason}")),
        };
    }
}

#[test]
fn a_signature_over_another_digest_is_rejected() {
    let recorded = RecordedImage::new();
    let entry = recorded.fixture.attach_bundle(&recorded.fixture.manifests[2], &read("cosign/envelope.json"));
    let outcome = recorded.fixture.verify("cosign/cosign.pub", &[]);
    let holder = &entry["digest"].as_str().unwrap()[..19];
    let reason =
        format!("Sigstore bundle {holder}: it is over another digest, {}", recorded.image["digest"].as_str().unwrap());
    assert_unsigned(&recorded.fixture, &outcome, &[(0, "none found"), (1, "none found"), (2, &reason)]);
}

#[test]
fn a_payload_must_name_the_repository_or_that_of_signed_as() {
    let recorded = RecordedImage::new();
    let (payload, signature) = (read("cosign/payload.json"), read("cosign/payload.sig"));
    let signature = String::from_utf8(signature).unwrap();
    let digest = recorded.image["digest"].as_str().unwrap();
    recorded.fixture.push_sig_tag(digest, &[(&payload, signature.trim())]);
    let other = "it names another repository, \"127.0.0.1:5581/app\"; --signed-as 127.0.0.1:5581/app accepts signatures of that repository\n";
    recorded.verify("cosign/cosign.pub", &[]).exits(5).stdout_contains(other);
    let document = recorded.verify("cosign/cosign.pub", &["--output", "json"]).exits(5).json();
    let finding = &document["images"][0]["findings"][0];
    assert_eq!(finding["fault"], "signature", "{document}");
    assert_eq!(finding["hint"], "--signed-as 127.0.0.1:5581/app accepts signatures of that repository", "{document}");
    recorded.verify("cosign/cosign.pub", &["--signed-as", "127.0.0.1:5581/app"]).success();
    recorded.verify("cosign/cosign.pub", &["--signed-as", "127.0.0.1:5581/app:v9"]).success();
    recorded.verify("cosign/cosign.pub", &["--signed-as", "127.0.0.1:5581/other"]).exits(5);
}

#[test]
fn a_signature_whose_content_is_missing_or_huge_is_rejected() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &[]).success();
    let [entry] = &fixture.referrers(fixture.digest(0))[..] else { panic!("one referrer") };
    let (layer, _) = fixture.layer(entry["digest"].as_str().unwrap(), 0);
    std::fs::remove_file(fixture.blob_file(layer["digest"].as_str().unwrap())).unwrap();
    fixture.push_sig_tag(fixture.digest(1), &[(&vec![b' '; 70_000], "bm8=")]);
    fixture.push_sig_tag(fixture.digest(2), &[(b"{}", "not base64")]);
    let outcome = fixture.verify("p256.pub", &["--signatures"]).exits(5);
    for reason in [
        ": its content is missing\n",
        ": it has 70000 bytes, more than the limit of 65536\n",
        "the signature is not valid base64\n",
    ] {
        assert!(outcome.stdout.contains(reason), "{reason}: {outcome:?}");
    }
}

/// An attestation by the key is not a signature of the image, and its content is not requested.
#[test]
fn a_bundle_that_is_listed_as_an_attestation_is_not_read() {
    let fixture = SignedFixture::new();
    let annotations = json!({"dev.sigstore.bundle.predicateType": "https://spdx.dev/Document"});
    let layer = descriptor(BUNDLE, &fixture.sandbox.registry.push_blob("app", b"{}"), b"{}");
    let entry = fixture.attach(&fixture.manifests[0], BUNDLE, &[layer], &annotations);
    let mark = fixture.sandbox.registry.requests(0).len();
    let outcome = fixture.verify("p256.pub", &[]);
    let holder = &entry["digest"].as_str().unwrap()[..19];
    let reason = format!(
        "Sigstore bundle {holder}: it is an attestation of type \"https://spdx.dev/Document\", not a signature of the image"
    );
    assert_unsigned(&fixture, &outcome, &[(0, &reason), (1, "none found"), (2, "none found")]);
    let requests = fixture.sandbox.registry.requests(mark);
    assert!(!requests.iter().any(|request| request.ends_with(entry["digest"].as_str().unwrap())), "{requests:?}");
}

#[test]
fn formats_that_a_key_cannot_verify_are_listed_and_rejected() {
    let fixture = SignedFixture::new();
    let layer = descriptor("application/jose+json", &fixture.sandbox.registry.push_blob("app", b"jws"), b"jws");
    let entry = fixture.attach(&fixture.manifests[0], "application/vnd.cncf.notary.signature", &[layer], &json!({}));
    let (index, holder) = (fixture.digest(0), entry["digest"].as_str().unwrap());
    let listed = fixture.sandbox.run(&["verify", "--signatures", "HOST/app:v1"]).success();
    listed.stdout_contains(&format!("  signature of {index}: Notation signature {holder}\n"));
    let none = format!("  signature of linux/arm64 {}: none\n", fixture.digest(2));
    fixture.verify("p256.pub", &["--signatures"]).exits(5).stdout_contains(&none);
    let document = fixture.sandbox.run(&["verify", "--signatures", "--output", "json", "HOST/app:v1"]).success().json();
    let signatures = &document["images"][0]["signatures"];
    let expected =
        json!({"manifest": index, "platform": null, "signatures": [{"kind": "notation", "manifest": holder}]});
    assert_eq!((signatures.as_array().unwrap().len(), &signatures[0]), (3, &expected), "no attestation: {document}");
}

#[test]
fn unreadable_signatures_leave_an_image_unchecked_unless_another_is_valid() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &["--recursive"]).success();
    let tag = fixture.digest(2).replace(':', "-");
    let path = format!("/manifests/{tag}");
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        (request.line.starts_with("GET") && request.line.ends_with(&path)).then(|| (500, vec![], vec![]))
    });
    let image = format!("{}/app:v1", server.host);
    let verify = |name: &str| fixture.sandbox.run(&["--retries", "0", "verify", "--key", &key(name), &image]);
    verify("p256.pub").fails(1, "cannot be checked completely").stdout_contains(": not wholly checked (");
    let outcome = verify("rsa.pub").fails(5, "cannot be checked completely");
    assert_eq!(outcome.stdout.matches("no valid signature: ").count(), 2, "{outcome:?}");
    let repository = server.host.clone() + "/app";
    fixture.sign("rsa.key", &["--recursive", "--sig-tag", "--signed-as", &repository]).success();
    verify("rsa.pub").success();
}
