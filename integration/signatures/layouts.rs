//! Signatures in layouts and folders, and after a copy.

use super::{SignedFixture, assert_unsigned, key};

#[test]
fn copied_referrers_stay_verifiable() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &["--recursive"]).success();
    fixture.sign("rsa.key", &["--recursive", "--sig-tag"]).success();
    let run = |args: &[&str]| fixture.sandbox.run(args);
    for target in ["HOST/copy:v1", "oci:layout:v1", "oci-archive:archive.tar:v1"] {
        run(&["copy", "--referrers", "HOST/app:v1", target]).success();
        run(&["verify", "--key", &key("p256.pub"), target]).success();
        run(&["verify", "--key", &key("ed25519.pub"), target]).exits(5);
    }
    // A payload names the repository; a layout has none to compare it with.
    run(&["verify", "--key", &key("rsa.pub"), "oci:layout:v1"]).success();
    let other = run(&["verify", "--key", &key("rsa.pub"), "HOST/copy:v1"]).exits(5);
    let app = fixture.sandbox.fill("HOST/app");
    let hint = format!("--signed-as {app} accepts signatures of that repository\n");
    assert_eq!(other.stdout.matches(&hint).count(), 3, "{other:?}");
    run(&["verify", "--key", &key("rsa.pub"), "--signed-as", &app, "HOST/copy:v1"]).success();
    run(&["verify", "--key", &key("rsa.pub"), "--signed-as", "HOST/other", "oci:layout:v1"]).exits(5);
}

#[test]
fn a_layout_is_signed_like_a_registry() {
    let fixture = SignedFixture::new();
    let run = |args: &[&str]| fixture.sandbox.run(args);
    run(&["copy", "HOST/app:v1", "oci:layout:v1"]).success();
    for (name, form) in [("p256", "--no-progress"), ("rsa", "--sig-tag")] {
        let key = key(&format!("{name}.key"));
        let sign = ["sign", "--key", &key, "--recursive", form, "oci:layout:v1"];
        let signed = run(&sign).success();
        assert_eq!(signed.stdout.matches("Signed: oci:layout@sha256:").count(), 3, "{signed:?}");
        let again = run(&sign).success();
        assert_eq!(again.stdout.matches("Already signed: ").count(), 3, "{again:?}");
    }
    for name in ["p256.pub", "rsa.pub"] {
        run(&["verify", "--key", &key(name), "oci:layout:v1"]).success();
    }
    // The index in the layout is that of the registry, and so are its signatures.
    run(&["copy", "--referrers", "oci:layout:v1", "HOST/copy:v1"]).success();
    run(&["verify", "--key", &key("rsa.pub"), "HOST/copy:v1"]).success();
    run(&["sign", "--key", &key("p256.key"), "oci-archive:a.tar"])
        .fails(2, "sign works on registries and oci:, not on oci-archive:");
    run(&["sign", "--key", &key("p256.key"), "dir:a"]).fails(2, "sign works on registries and oci:, not on dir:");
}

#[test]
fn files_beside_an_image_are_found_in_a_folder() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &["--recursive", "--sig-tag"]).success();
    let run = |args: &[&str]| fixture.sandbox.run(args);
    run(&["copy", "HOST/app:v1", "dir:folder"]).success();
    assert_unsigned(
        &fixture,
        &run(&["verify", "--key", &key("p256.pub"), "dir:folder"]),
        &[(0, "none found"), (1, "none found"), (2, "none found")],
    );
    for manifest in 0..3 {
        let digest = fixture.digest(manifest);
        let (layer, payload) = fixture.layer(&format!("{}.sig", digest.replace(':', "-")), 0);
        let payload = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, payload);
        let file = serde_json::json!({"mimeType": layer["mediaType"], "payload": payload, "annotations": layer["annotations"]});
        let name =
            if manifest == 0 { "folder/signature-1".into() } else { format!("folder/{}.signature-1", &digest[7..]) };
        fixture.sandbox.write(&name, &format!("\0sigstore-json\n{file}"));
    }
    fixture.sandbox.write("folder/signature-2", "\u{10}openpgp");
    run(&["verify", "--key", &key("p256.pub"), "dir:folder"]).success();
    let listed = run(&["verify", "--signatures", "dir:folder"]).success();
    let index = fixture.digest(0);
    for line in ["cosign signature signature-1", "OpenPGP signature signature-2"] {
        assert!(listed.stdout.contains(&format!("  signature of {index}: {line}\n")), "{listed:?}");
    }
    let tree = run(&["inspect", "--tree", "dir:folder"]).success();
    assert_eq!(tree.stdout.matches("cosign signature (file ").count(), 3, "{tree:?}");
    tree.stdout_contains("└─ OpenPGP signature (file signature-2)  sha256:");
    fixture.sandbox.write("folder/signature-1", "\0sigstore-json\n{");
    run(&["verify", "--key", &key("p256.pub"), "dir:folder"])
        .exits(5)
        .stdout_contains("cosign signature signature-1: it is malformed: ");
}

#[cfg(feature = "openpgp")]
#[test]
fn openpgp_signatures_in_a_folder_verify_with_a_keyring() {
    let sandbox = crate::support::Sandbox::new();
    let layout = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/layouts/amd64");
    sandbox.run(&["copy", &format!("oci:{}", layout.display()), "dir:folder"]).success();
    // The recorded image has the config of this one.
    let layer = "a81f43efff9877c1ee1c03f5c438ede86968bb97c5c65cecc8a4da954cb8efb4";
    for (name, file) in
        [("manifest.json", "manifest.json"), (layer, "layer.tar.gz"), ("signature-1", "openpgp/rsa2048.gpg")]
    {
        std::fs::copy(super::data(file), sandbox.path(&format!("folder/{name}"))).unwrap();
    }
    let verify = |keyring: &str, args: &[&str]| {
        sandbox.run(&[&["verify", "--openpgp-key", &key(keyring)], args, &["dir:folder"]].concat())
    };
    for keyring in ["openpgp/keyring.gpg", "openpgp/keyring.asc"] {
        let outcome = verify(keyring, &["--signatures"]).success();
        outcome.stdout_contains(": OpenPGP signature signature-1: valid, made by key ");
    }
    verify("openpgp/other.asc", &[]).exits(5).stdout_contains("OpenPGP signature signature-1: no key given made it");
    verify("openpgp/keyring.gpg", &["--signed-as", "r.example/other"]).exits(5).stdout_contains("; --signed-as ");
    verify("p256.pub", &[]).fails(2, "error: --openpgp-key ");
    sandbox.run(&["verify", "--key", &key("p256.pub"), "dir:folder"]).exits(5).stdout_contains("by an OpenPGP key");
}
