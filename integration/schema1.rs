//! Images of Docker's old schema 1: `inspect` shows them, everything else refuses them and says what to do.

use std::process::Command;

use serde_json::json;

use crate::support::images::{DOCKER, OCI_INDEX, layer_tar, push_image_with};
use crate::support::registry::sha256;
use crate::support::scripted_server::ScriptedServer;
use crate::support::{Registry, Sandbox, Workspace};

/// A manifest without signatures.
const VALID: &str = r#"{"schemaVersion":1,"fsLayers":[{"blobSum":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}],"history":[{"v1Compatibility":"{}"}]}"#;
const SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// Starts a registry with an image of schema 1, `old:v1`, which skopeo converted and signed. Returns its digest.
fn registry() -> (Sandbox, String) {
    let registry = Registry::start_with("compatibility:\n  schema1:\n    enabled: true\n", None);
    let (tar, step) = (layer_tar("amd64"), json!({"created": "2020-01-01T00:00:00Z", "created_by": "COPY name /"}));
    let rootfs = json!({"type": "layers", "diff_ids": [sha256(&tar)]});
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": rootfs, "history": [step]}).to_string();
    push_image_with(&registry, "app", "v1", config.as_bytes(), &tar);
    let sandbox = Sandbox::with_registry(registry);
    let copy = |format: &str, from: &str, to: &str| {
        let [from, to] = [from, to].map(|image| sandbox.fill(&format!("docker://HOST/{image}")));
        let flags =
            ["--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", "--format"];
        let output = Command::new("skopeo").args(flags).args([format, &from, &to]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    copy("v2s2", "app:v1", "docker:v1");
    copy("v2s1", "docker:v1", "old:v1");
    let url = sandbox.fill("http://HOST/v2/old/manifests/v1");
    let response = crate::support::registry::http_agent().get(url).header("Accept", SIGNED).call().unwrap();
    assert_eq!(response.headers()["content-type"], SIGNED);
    let digest = response.headers()["docker-content-digest"].to_str().unwrap().to_owned();
    (sandbox, digest)
}

#[test]
fn inspect_shows_the_platform_the_layers_and_the_history() {
    let (sandbox, digest) = registry();
    let layer = &sandbox.run(&["--output", "json", "inspect", "HOST/docker:v1"]).json()["layers"][0]["digest"].clone();
    let layer = layer.as_str().unwrap();
    for image in ["HOST/old:v1", &format!("HOST/old@{digest}")] {
        let text = sandbox.run(&["inspect", image]).success().stdout;
        for part in [
            &format!("(Type: {SIGNED})"),
            &format!("      Digest: {digest}"),
            "          OS: linux",
            "        Arch: amd64",
            "    # Layers: 1",
            &format!("      layer 01: digest = {layer}"),
            "     History:\n      - ",
        ] {
            assert!(text.contains(part), "{image}: {part}: {text}");
        }
        let json = sandbox.run(&["--output", "json", "inspect", image]).json();
        assert_eq!((&json["digest"], &json["mediaType"]), (&json!(digest), &json!(SIGNED)));
        assert_eq!((&json["platform"]["os"], &json["platform"]["architecture"]), (&json!("linux"), &json!("amd64")));
        assert_eq!(json["history"][0]["layer"], layer);
        let raw = sandbox.run(&["inspect", "--raw", image]).json();
        assert_eq!((&raw["schemaVersion"], &raw["digest"]), (&json!(1), &json!(digest)));
    }
}

#[test]
fn other_commands_refuse_it_and_say_what_to_do() {
    let (sandbox, digest) = registry();
    let before = sandbox.registry.snapshot();
    let by_digest = format!("HOST/old@{digest}");
    for args in [
        &["copy", "HOST/old:v1", "HOST/new:v1"][..],
        &["copy", &by_digest, "HOST/new:v1"],
        &["copy", "--format", "docker", "HOST/old:v1", "HOST/new:v1"],
        &["push", "from-images", "-t", "HOST/new:v1", "HOST/old:v1"],
        &["verify", "HOST/old:v1"],
        &["query", "HOST/old:v1"],
        &["inspect", "--tree", "HOST/old:v1"],
        &["inspect", "--config", "HOST/old:v1"],
        &["inspect", "--manifest", "HOST/old:v1"],
    ] {
        let outcome = sandbox.run(args);
        assert_eq!(outcome.exit, 1, "{args:?}: {outcome:?}");
        let text = format!("{}{}", outcome.stdout, outcome.stderr);
        let what = "a manifest of Docker's old schema 1; build and push the image again, or convert it";
        assert!(text.contains(what) && text.contains("skopeo copy --format v2s2"), "{args:?}: {text}");
    }
    assert_eq!(sandbox.registry.snapshot(), before);
}

#[test]
fn inspect_compares_the_platform() {
    let (sandbox, _) = registry();
    sandbox.run(&["inspect", "--platform", "linux/amd64", "HOST/old:v1"]).success();
    let other = sandbox.run(&["inspect", "--platform", "linux/arm64", "HOST/old:v1"]);
    other.fails(1, "it is a single image for linux/amd64, not for linux/arm64");
    let old = sandbox.run(&["--output", "json", "inspect", "HOST/old:v1"]).json();
    let entry = json!({"mediaType": DOCKER, "digest": old["digest"], "size": old["size"], "platform": {"os": "linux", "architecture": "amd64"}});
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).to_string();
    sandbox.registry.push_manifest("old", "list", OCI_INDEX, list.as_bytes());
    let image = sandbox.run(&["inspect", "--platform", "linux/amd64", "HOST/old:list"]);
    image.fails(1, "a manifest of Docker's old schema 1");
}

#[test]
fn a_signed_manifest_without_a_media_type_is_shown_and_refused_like_any_other() {
    let (sandbox, digest) = registry();
    let body = {
        let url = sandbox.fill("http://HOST/v2/old/manifests/v1");
        crate::support::registry::http_agent()
            .get(url)
            .header("Accept", SIGNED)
            .call()
            .unwrap()
            .body_mut()
            .read_to_vec()
    };
    let (body, header) = (body.unwrap(), digest.clone());
    let server = ScriptedServer::start(move |_, _| {
        let headers = vec![("Content-Type", "application/json".to_owned()), ("Docker-Content-Digest", header.clone())];
        (200, headers, body.clone())
    });
    let run = |args: &[&str]| Workspace::new().run(&[&["--plain-http"], args].concat());
    for image in [format!("{}/old:v1", server.host), format!("{}/old@{digest}", server.host)] {
        run(&["inspect", &image]).success().stdout_contains(&digest);
        run(&["copy", &image, "oci:out:v1"]).fails(1, "a manifest of Docker's old schema 1");
    }
}

#[test]
fn a_manifest_of_another_digest_or_without_layers_is_refused() {
    for (body, header, part) in [
        (r#"{"schemaVersion":1,"fsLayers":[],"history":[]}"#, None, Some("it has 0 layers and 0 steps")),
        (VALID, Some("sha256:0"), None),
        (VALID, None, None),
        (VALID, Some(&*format!("sha256:{}", "0".repeat(64))), Some("digest")),
        (
            r#"{"schemaVersion":1,"fsLayers":[],"history":[{"v1Compatibility":"{}"}]}"#,
            None,
            Some("it has 0 layers and 1 steps"),
        ),
        (r#"{"schemaVersion":1,"fsLayers":"x"}"#, None, Some("not a valid manifest")),
        (r#"{"schemaVersion":1"#, None, Some("not a valid manifest")),
    ] {
        let header = header.map(str::to_owned);
        let server = ScriptedServer::start(move |_, _| {
            let mut headers = vec![("Content-Type", SIGNED.to_owned())];
            headers.extend(header.clone().map(|digest| ("Docker-Content-Digest", digest)));
            (200, headers, body.as_bytes().to_vec())
        });
        let outcome =
            Workspace::new().run(&["--plain-http", "--retries", "0", "inspect", &format!("{}/a:v1", server.host)]);
        match part {
            Some(part) => drop(outcome.fails(1, part)),
            None => drop(outcome.success()),
        }
    }
}
