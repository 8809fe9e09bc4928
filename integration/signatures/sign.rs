//! `sign`, and what `verify` finds afterwards.

use serde_json::json;

use super::{SignedFixture, assert_unsigned, key};
use crate::support::ScriptedServer;

#[test]
fn what_a_key_signed_verifies_with_its_public_key_only() {
    for (private, public, other, form) in [
        ("p256.key", "p256.pub", "p384.pub", &[][..]),
        ("p384.key", "p384.pub", "ed25519.pub", &["--sig-tag"]),
        ("ed25519.key", "ed25519.pub", "rsa.pub", &[]),
        ("rsa.key", "rsa.pub", "p256.pub", &["--sig-tag"]),
    ] {
        let fixture = SignedFixture::new();
        fixture.sign(private, &[&["--recursive"], form].concat()).success();
        assert_unsigned(&fixture, &fixture.verify(public, &[]), &[]);
        fixture.verify(public, &["--key", &key(other)]).success().stdout_contains(", 3 signed)\n");
        let kind = if form.is_empty() { "Sigstore bundle" } else { "cosign signature" };
        let outcome = fixture.verify(other, &[]).exits(5);
        assert_eq!(outcome.stdout.matches(&format!("no valid signature: {kind} sha256:")).count(), 3, "{outcome:?}");
    }
}

#[test]
fn a_second_run_writes_nothing() {
    let fixture = SignedFixture::new();
    let [index, amd64, arm64] = [0, 1, 2].map(|manifest| fixture.digest(manifest));
    let lines = |word: &str| {
        let app = fixture.sandbox.fill("HOST/app");
        format!("{word}: {app}@{amd64} linux/amd64\n{word}: {app}@{arm64} linux/arm64\n{word}: {app}@{index}\n")
    };
    for form in [&["--recursive"][..], &["--recursive", "--sig-tag"]] {
        let before = fixture.sandbox.registry.snapshot();
        fixture.sign("p256.key", &[form, &["--dry-run"]].concat()).success().stdout_is(&lines("Would sign"));
        assert_eq!(fixture.sandbox.registry.snapshot(), before, "a dry run writes nothing");
        fixture.sign("p256.key", form).success().stdout_is(&lines("Signed"));
        let mark = fixture.sandbox.registry.requests(0).len();
        fixture.sign("p256.key", form).success().stdout_is(&lines("Already signed"));
        let requests = fixture.sandbox.registry.requests(mark);
        assert!(requests.iter().all(|request| request.starts_with("GET ")), "{requests:?}");
    }
    assert!(fixture.referrers(fixture.attestation["digest"].as_str().unwrap()).is_empty());
    let document = fixture.sign("p256.key", &["--output", "json"]).success().json();
    let manifest = json!({"digest": index, "platform": null, "state": "unchanged"});
    assert_eq!(document["images"][0]["manifests"], json!([manifest]), "{document}");
    let document = fixture.sign("rsa.key", &["--output", "json"]).success().json();
    let signature = &fixture.referrers(index)[1]["digest"];
    assert_eq!(document["images"][0]["manifests"][0]["signature"], *signature, "{document}");
}

#[test]
fn without_recursive_only_the_index_is_signed() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &[]).success();
    assert_unsigned(&fixture, &fixture.verify("p256.pub", &[]), &[(1, "none found"), (2, "none found")]);
    let image = format!("HOST/app@{}", fixture.digest(1));
    fixture.sandbox.run(&["sign", "--key", &key("p256.key"), &image]).success();
    assert_unsigned(&fixture, &fixture.verify("p256.pub", &[]), &[(2, "none found")]);
    fixture.sandbox.run(&["verify", "--key", &key("p256.pub"), &image]).success();
}

/// The manifest of a bundle has the fields by which cosign finds it.
#[test]
fn a_bundle_is_listed_as_cosign_lists_it() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &[]).success();
    let [entry] = &fixture.referrers(fixture.digest(0))[..] else { panic!("one referrer") };
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    assert_eq!(
        (&entry["artifactType"], entry["annotations"]["dev.sigstore.bundle.content"].as_str()),
        (&json!(bundle), Some("dsse-envelope"))
    );
    let predicate = entry["annotations"]["dev.sigstore.bundle.predicateType"].as_str();
    assert_eq!(predicate, Some("https://sigstore.dev/cosign/sign/v1"));
    let digest = entry["digest"].as_str().unwrap();
    let (layer, _) = fixture.layer(digest, 0);
    assert_eq!(layer["mediaType"], bundle);
    let manifest = fixture.sandbox.registry.manifest("app", digest).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap();
    assert_eq!(manifest["subject"], fixture.manifests[0]);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
}

#[test]
fn an_image_that_fails_leaves_its_index_unsigned() {
    let fixture = SignedFixture::new();
    let [index, amd64, arm64] = [0, 1, 2].map(|manifest| fixture.digest(manifest).to_owned());
    let tag = format!("{}.sig", arm64.replace(':', "-"));
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        let denied = br#"{"errors":[{"code":"DENIED"}]}"#.to_vec();
        request.writes_manifest(&tag).then_some((403, vec![], denied))
    });
    let image = format!("{}/app:v1", server.host);
    let sign = ["sign", "--key", &key("p256.key"), "--recursive", "--sig-tag", "--output", "json", &image];
    let outcome = fixture.sandbox.run(&sign).exits(1);
    for line in [
        format!("{image}: 2 of 3 manifests not signed\n"),
        format!("\n  failed: linux/arm64 {arm64}: "),
        format!("\n  not started: {index}\n"),
        format!("\n  signed: linux/amd64 {amd64}\n"),
    ] {
        assert!(outcome.stderr.contains(&line), "{line}: {outcome:?}");
    }
    let document = outcome.json();
    assert_eq!(document["images"][0]["manifests"][0]["digest"], amd64.as_str(), "{document}");
    let findings = [(0, "none found"), (2, "none found")];
    assert_unsigned(
        &fixture,
        &fixture.verify("p256.pub", &["--signed-as", &format!("{}/app", server.host)]),
        &findings,
    );
}

#[test]
fn an_encrypted_key_needs_its_password() {
    let fixture = SignedFixture::new();
    let sign = |password: Option<&str>| {
        let mut command = fixture.sandbox.command(&["sign", "--key", &key("cosign/cosign.key"), "HOST/app:v1"]);
        command.env_remove("COSIGN_PASSWORD");
        if let Some(password) = password {
            command.env("COSIGN_PASSWORD", password);
        }
        crate::support::run(command, "")
    };
    let requests = fixture.sandbox.registry.requests(0).len();
    sign(None).fails(2, "it is encrypted, and no password is given\nhint: COSIGN_PASSWORD passes the password");
    let wrong = sign(Some("not-the-password")).fails(2, "cosign.key: the password is wrong");
    assert!(!wrong.stderr.contains("not-the-password"), "{wrong:?}");
    sign(Some("")).fails(2, "the password is wrong");
    assert_eq!(fixture.sandbox.registry.requests(0).len(), requests, "the key is read first");
    sign(Some("test")).success();
    fixture.verify("cosign/cosign.pub", &["--signatures"]).exits(5).stdout_contains(": valid, made by key sha256:");
}

#[test]
fn unusable_keys_are_usage_errors_before_any_request() {
    let fixture = SignedFixture::new();
    let requests = fixture.sandbox.registry.requests(0).len();
    for (name, reason) in [
        ("p256.key", "it is a private key, but a public key is expected"),
        ("certificate.pem", "it is a certificate, not a key"),
        ("rsa-1024.pub", "it is an RSA key of 1024 bits"),
        ("README.md", "it is not a PEM file"),
        ("missing.pub", "cannot be read: No such file"),
    ] {
        let file = key(name);
        fixture.verify("p256.pub", &["--key", &file]).fails(2, &format!("error: --key {file}: {reason}"));
    }
    fixture.sign("p256.pub", &[]).fails(2, "it is a public key, but a private key is expected");
    fixture.sign("p256-encrypted.key", &[]).fails(2, "p256-encrypted.key: it is ");
    fixture.sandbox.run(&["verify", "--signed-as", "r.example/app", "HOST/app:v1"]).fails(2, "--key");
    fixture
        .sandbox
        .run(&["sign", "--key", &key("p256.key"), "--signed-as", "r.io/a", "HOST/app:v1"])
        .fails(2, "--sig-tag");
    assert_eq!(fixture.sandbox.registry.requests(0).len(), requests);
}
