//! Real clients that verify what `sign` writes.

use std::process::Command;

use serde_json::json;

use super::{SignedFixture, key};

/// skopeo applies the policy that Podman and CRI-O apply, too.
#[test]
fn skopeo_accepts_signatures_in_the_tag() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &["--recursive", "--sig-tag"]).success();
    let (sandbox, host) = (&fixture.sandbox, fixture.sandbox.fill("HOST"));
    sandbox.write("registries.d/default.yaml", "docker:\n  HOST:\n    use-sigstore-attachments: true\n");
    let copy = |name: &str| {
        let rule =
            json!({"type": "sigstoreSigned", "keyPath": key(name), "signedIdentity": {"type": "matchRepository"}});
        let policy = json!({"default": [{"type": "reject"}], "transports": {"docker": {(&host): [rule]}}});
        sandbox.write("policy.json", &policy.to_string());
        let source = format!("docker://{host}/app:v1");
        let copy =
            ["copy", "--all", "--policy", "policy.json", "--registries.d", "registries.d", "--src-tls-verify=false"];
        let mut skopeo = Command::new("skopeo");
        skopeo.args(copy).args([&source, &format!("dir:{name}")]).current_dir(sandbox.folder());
        let output = skopeo.env("HOME", sandbox.folder()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_accepted, messages) = copy("p256.pub");
    // Debian's skopeo 1.9 is built without it.
    if messages.contains("sigstore disabled") {
        eprintln!("skipped: this skopeo does not verify signatures of cosign");
        return;
    }
    assert!(is_accepted, "{messages}");
    let (is_accepted, messages) = copy("rsa.pub");
    assert!(!is_accepted, "{messages}");
}

/// skopeo stores signatures as files beside the image.
#[test]
fn verify_finds_the_files_that_skopeo_writes() {
    let fixture = SignedFixture::new();
    fixture.sign("p256.key", &["--recursive", "--sig-tag"]).success();
    let (sandbox, host) = (&fixture.sandbox, fixture.sandbox.fill("HOST"));
    sandbox.write("registries.d/default.yaml", "docker:\n  HOST:\n    use-sigstore-attachments: true\n");
    sandbox.write("policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#);
    let copy = ["copy", "--all", "--policy", "policy.json", "--registries.d", "registries.d", "--src-tls-verify=false"];
    let source = format!("docker://{host}/app:v1");
    let mut skopeo = Command::new("skopeo");
    skopeo.args(copy).args([&source, "dir:out"]).current_dir(sandbox.folder()).env("HOME", sandbox.folder());
    let output = skopeo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    sandbox.run(&["verify", "--key", &key("p256.pub"), "dir:out"]).success();
    sandbox.run(&["verify", "--key", &key("p256.pub"), "--signed-as", "HOST/app", "dir:out"]).success();
    sandbox.run(&["verify", "--key", &key("p256.pub"), "--signed-as", "HOST/other", "dir:out"]).exits(5);
}
