//! `verify` of layouts and archives.

use super::VerifyFixture;

#[test]
fn damage_to_a_layout_is_found() {
    let fixture = VerifyFixture::new();
    let sandbox = &fixture.sandbox;
    for target in ["oci:out:v1", "oci-archive:out.tar:v1"] {
        sandbox.run(&["copy", "HOST/app:v1", target]).success();
        let outcome = sandbox.run(&["verify", "--layers", target]).success();
        assert!(outcome.stdout.starts_with(&format!("{target}: sound (")), "{outcome:?}");
    }
    let file = |digest: &str| sandbox.path("out/blobs").join(digest.replace(':', "/"));
    let flip_last_bit = |digest: &str| {
        let mut bytes = std::fs::read(file(digest)).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(file(digest), bytes).unwrap();
    };
    flip_last_bit(&fixture.layer_digest(1, 1));
    std::fs::remove_file(file(&fixture.layer_digest(0, 2))).unwrap();
    std::fs::write(file(&fixture.layer_digest(2, 2)), "short").unwrap();
    let config = fixture.config_digest(2);
    flip_last_bit(config);
    let outcome = sandbox.run(&["verify", "--layers", "oci:out:v1"]);
    for (part, digest, fault) in [
        ("linux/amd64 layer 3", &*fixture.layer_digest(0, 2), "missing: not found"),
        ("linux/arm64/v8 layer 2", &fixture.layer_digest(1, 1), "content: its bytes have digest"),
        ("linux/arm/v7 layer 3", &fixture.layer_digest(2, 2), "size: it has 5 bytes"),
        ("linux/arm/v7 config", config, "content: the file for sha256:"),
    ] {
        assert!(outcome.stdout.contains(&format!("  {part} {digest}: {fault}")), "{part} {fault}: {outcome:?}");
    }
    assert_eq!((outcome.exit, outcome.stdout.lines().count()), (5, 5), "{outcome:?}");
}

#[test]
fn a_listed_manifest_without_its_blob_is_missing_and_an_unlisted_name_is_an_error() {
    let fixture = VerifyFixture::new();
    let sandbox = &fixture.sandbox;
    sandbox.run(&["copy", "HOST/app:v1", "oci:out:v1"]).success();
    let digest = sandbox.registry.manifest("app", "v1").unwrap().digest;
    std::fs::remove_file(sandbox.path("out/blobs").join(digest.replace(':', "/"))).unwrap();
    let outcome = sandbox.run(&["verify", "oci:out:v1"]);
    outcome.exits(5).stdout_contains("  manifest: missing: not found\n");
    sandbox.run(&["verify", "oci:out:v2"]).exits(1).stdout_is("");
}
