//! Existing content of the places to which signatures are written, and several signers of one image.

use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{SIMPLE_SIGNING, SignedFixture, key};
use crate::support::images::{OCI_INDEX, descriptor, push_image};
use crate::support::{ScriptedServer, signal, spawn, wait};

#[test]
fn concurrent_signers_keep_each_others_signatures() {
    let keys = ["p256", "p384", "ed25519", "rsa"];
    for form in ["--sig-tag", "--no-progress"] {
        let fixture = SignedFixture::new();
        let signers = keys.map(|name| {
            let key = key(&format!("{name}.key"));
            spawn(fixture.sandbox.command(&["sign", "--key", &key, form, "HOST/app:v1"]))
        });
        for signer in signers {
            wait(signer).success();
        }
        for name in keys {
            let outcome = fixture.verify(&format!("{name}.pub"), &["--signatures"]);
            assert_eq!(outcome.stdout.matches(": valid, made by key ").count(), 1, "{form} {name}: {outcome:?}");
        }
    }
}

#[test]
fn a_tag_with_other_content_is_not_overwritten() {
    let fixture = SignedFixture::new();
    let tag = format!("{}.sig", fixture.digest(0).replace(':', "-"));
    let image = push_image(&fixture.sandbox.registry, "app", &tag, "amd64");
    for args in [&["--sig-tag", "--dry-run"][..], &["--sig-tag"]] {
        fixture.sign("p256.key", args).fails(1, "this tag must hold signatures, but it holds other content");
    }
    assert_eq!(fixture.sandbox.registry.manifest("app", &tag).unwrap().digest, image["digest"]);
}

#[test]
fn a_full_tag_is_not_extended() {
    let fixture = SignedFixture::new();
    fixture.push_sig_tag(fixture.digest(0), &vec![(&b"{}"[..], "bm8="); 100]);
    fixture.sign("p256.key", &["--sig-tag"]).fails(1, "it already has 100 signatures, the most that are read");
}

/// A tag that another tool wrote with the media types of Docker keeps them.
#[test]
fn a_tag_with_docker_media_types_is_extended() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    let fixture = SignedFixture::new();
    let registry = &fixture.sandbox.registry;
    let config = descriptor(DOCKER_CONFIG, &registry.push_blob("app", b"{}"), b"{}");
    let payload = descriptor(SIMPLE_SIGNING, &registry.push_blob("app", b"[]"), b"[]");
    let manifest = json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": [payload]}).to_string();
    let tag = format!("{}.sig", fixture.digest(0).replace(':', "-"));
    registry.push_manifest("app", &tag, DOCKER, manifest.as_bytes());
    fixture.sign("p256.key", &["--sig-tag"]).success();
    let stored = registry.manifest("app", &tag).unwrap();
    assert_eq!(stored.media_type, DOCKER);
    let stored: Value = serde_json::from_slice(&stored.bytes).unwrap();
    assert_eq!(stored["config"]["mediaType"], DOCKER_CONFIG, "{stored}");
    assert_eq!(stored["layers"][0], payload, "{stored}");
    let config = std::fs::read(fixture.blob_file(stored["config"]["digest"].as_str().unwrap())).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let digests = json!([payload["digest"], stored["layers"][1]["digest"]]);
    assert_eq!(config["rootfs"]["diff_ids"], digests, "{config}");
    fixture.verify("p256.pub", &["--signatures"]).exits(5).stdout_contains(": valid, made by key sha256:");
}

/// A server that answers requests for the list of referrers, but ignores the subjects of manifests.
#[test]
fn a_referrer_that_the_api_does_not_list_is_listed_in_the_tag() {
    let fixture = SignedFixture::new();
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, |request| {
        let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).to_string().into_bytes();
        let headers = vec![("Content-Type", OCI_INDEX.to_owned())];
        request.line.contains("/referrers/").then_some((200, headers, list))
    });
    let image = format!("{}/app:v1", server.host);
    fixture.sandbox.run(&["sign", "--key", &key("p256.key"), &image]).success();
    assert_eq!(fixture.referrers(fixture.digest(0)).len(), 1);
}

/// The run is interrupted between writing the tag and reading it back, which is a second later.
#[test]
fn a_signature_that_is_not_read_back_is_reported_as_signed() {
    for (form, suffix, recursive) in
        [("--sig-tag", ".sig", false), ("--no-progress", "", false), ("--sig-tag", ".sig", true)]
    {
        let fixture = SignedFixture::new();
        let tag = format!("{}{suffix}", fixture.digest(usize::from(recursive)).replace(':', "-"));
        let mut args = vec!["sign", "--key", "KEY", "--output", "json", form, "HOST/app:v1"];
        let private = key("p256.key");
        args[2] = &private;
        args.extend(recursive.then_some("--recursive"));
        let child = spawn(fixture.sandbox.command(&args));
        while fixture.sandbox.registry.manifest("app", &tag).is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(&child, "INT");
        let outcome = wait(child).exits(130);
        let document = outcome.json();
        let manifests = document["images"][0]["manifests"].as_array().unwrap();
        assert!(!manifests.is_empty(), "{outcome:?}");
        for manifest in manifests {
            assert_eq!((&manifest["state"], &manifest["unconfirmed"]), (&json!("signed"), &json!(true)), "{outcome:?}");
            let image = format!("HOST/app@{}", manifest["digest"].as_str().unwrap());
            let verified = ["verify", "--key", &key("p256.pub"), "--signatures", &image];
            fixture.sandbox.run(&verified).stdout_contains(": valid, made by key ");
        }
        let message = match recursive {
            true => "\n  signed, but not read back: linux/amd64 ",
            false => ": signed, but the signature was not read back: ",
        };
        assert!(outcome.stderr.contains(message), "{outcome:?}");
        assert_eq!(outcome.stderr.contains("\n  not started: "), recursive, "{outcome:?}");
    }
}

#[test]
fn a_signature_that_names_another_repository_or_none_is_not_enough() {
    let fixture = SignedFixture::new();
    let (sandbox, digest) = (&fixture.sandbox, fixture.digest(0));
    let payload = json!({
        "critical": {
            "identity": {"docker-reference": ""},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    sandbox.write("payload.json", &payload.to_string());
    let openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", &key("p256.key"), "payload.json"])
        .current_dir(sandbox.folder())
        .output()
        .unwrap();
    let signature = BASE64_STANDARD.encode(openssl.stdout);
    fixture.push_sig_tag(digest, &[(payload.to_string().as_bytes(), &signature)]);
    fixture.verify("p256.pub", &["--signatures"]).stdout_contains(": valid, made by key sha256:");
    for args in [&["--sig-tag"][..], &["--sig-tag", "--signed-as", "r.example/app"]] {
        fixture
            .sign("p256.key", args)
            .success()
            .stdout_is(&format!("Signed: {}\n", sandbox.fill(&format!("HOST/app@{digest}"))));
        let again = fixture.sign("p256.key", args).success();
        assert!(again.stdout.starts_with("Already signed: "), "{again:?}");
    }
    let stored = sandbox.registry.manifest("app", &format!("{}.sig", digest.replace(':', "-"))).unwrap();
    let stored: Value = serde_json::from_slice(&stored.bytes).unwrap();
    assert_eq!(stored["layers"].as_array().unwrap().len(), 3, "{stored}");
}
