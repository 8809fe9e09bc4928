//! Registries, layouts and specs whose content does not fit into memory: each run ends with an error that names the
//! limit, and the process stays below 300 MB. Content of the size of real repositories fits.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::images::{OCI, OCI_INDEX};
use crate::support::registry::sha256;
use crate::support::scripted_server::{ReceivedRequest, Response, ScriptedServer};
use crate::support::{Outcome, Workspace, run_with_peak_memory};

/// The memory limit of a run, in kB.
const MAX_MEMORY: u64 = 300 << 10;
const OVER_LIMIT: &str = "exceeds the 96 MiB of memory that a run may use for content";

/// Runs a command line over plain HTTP. Returns its peak memory in kB as well.
fn run(args: &[&str]) -> (Outcome, u64) {
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]);
    run_with_peak_memory(workspace.command(args))
}

#[track_caller]
fn fails_within_the_memory_limit(args: &[&str]) {
    let (outcome, peak) = run(args);
    assert_eq!(outcome.exit, 1, "{args:?}: {:.2000} {:.2000}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains(OVER_LIMIT), "{args:?}: {:.2000}", outcome.stderr);
    assert!(peak < MAX_MEMORY, "{args:?}: {peak} kB");
}

fn ok_response(media_type: &str, body: &str) -> Response {
    (200, vec![("Content-Type", media_type.to_owned())], body.as_bytes().to_vec())
}

/// Returns an image manifest. Annotations hold its number, so that each manifest differs, and padding.
fn image(number: usize, padding: usize, layers: &[Value]) -> String {
    let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(b"{}"), "size": 2});
    let annotations = json!({"number": number.to_string(), "padding": "x".repeat(padding)});
    json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers, "annotations": annotations})
        .to_string()
}

/// Serves an index `app:v1` of `images` images. `manifest` generates each manifest when it is requested. All writes
/// succeed.
fn serve_index(images: usize, manifest: impl Fn(usize) -> String + Send + Sync + 'static) -> ScriptedServer {
    let digests: Vec<(String, usize)> =
        (0..images).map(&manifest).map(|bytes| (sha256(bytes.as_bytes()), bytes.len())).collect();
    let entry = |(number, (digest, size)): (usize, &(String, usize))| {
        let platform = json!({"os": "linux", "architecture": "arm", "variant": format!("v{number}")});
        json!({"mediaType": OCI, "digest": digest, "size": size, "platform": platform})
    };
    let entries: Vec<Value> = digests.iter().enumerate().map(entry).collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string();
    let index_digest = sha256(index.as_bytes());
    ScriptedServer::start(move |request: &ReceivedRequest, _| {
        let (method, target) = request.line.split_once(' ').unwrap();
        let is_manifest = |name: &str| target.ends_with(&format!("/app/manifests/{name}"));
        match method {
            "GET" if is_manifest("v1") || is_manifest(&index_digest) => ok_response(OCI_INDEX, &index),
            "GET" if target.contains("/app/blobs/") => ok_response("application/octet-stream", "{}"),
            "GET" => match digests.iter().position(|(digest, _)| is_manifest(digest)) {
                Some(number) => ok_response(OCI, &manifest(number)),
                None => (404, Vec::new(), br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()),
            },
            "POST" if target.contains("mount=") => (201, Vec::new(), Vec::new()),
            "PUT" => (201, vec![("Docker-Content-Digest", sha256(&request.body))], Vec::new()),
            _ => (404, Vec::new(), Vec::new()),
        }
    })
}

#[test]
fn an_index_of_huge_manifests_is_not_read_into_memory() {
    let server = serve_index(20, |number| image(number, 7 << 20, &[]));
    let from = format!("{}/app:v1", server.host);
    let to = format!("{}/other:v1", server.host);
    fails_within_the_memory_limit(&["--output", "json", "inspect", &from]);
    fails_within_the_memory_limit(&["verify", &from]);
    fails_within_the_memory_limit(&["copy", &from, &to]);
    let push = ["push", "--type", "oci", "from-args", "--platforms", "linux/amd64"];
    fails_within_the_memory_limit(&[&push[..], &["--template", &from, "--target", &to]].concat());
}

#[test]
fn a_config_with_millions_of_elements_is_not_parsed() {
    let config = Arc::new(format!("[{}0]", "0,".repeat(3 << 20)));
    let digest = sha256(config.as_bytes());
    let descriptor =
        json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": descriptor, "layers": []}).to_string();
    let server = ScriptedServer::start(move |request: &ReceivedRequest, _| match request.line.contains("/blobs/") {
        true => ok_response("application/octet-stream", &config),
        false => ok_response(OCI, &manifest),
    });
    let image = format!("{}/app:v1", server.host);
    for args in [&["inspect", &image][..], &["--output", "json", "inspect", &image], &["query", &image]] {
        fails_within_the_memory_limit(args);
    }
}

/// Each blob task takes about 40 kB, so the copy must not start all of them concurrently.
#[test]
fn an_image_of_thousands_of_layers_is_copied_with_little_memory() {
    let server = serve_index(1, |number| {
        let layer = |layer: usize| {
            let digest = sha256(format!("{number} {layer}").as_bytes());
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 7})
        };
        image(number, 0, &(0..9_999).map(layer).collect::<Vec<_>>())
    });
    let (from, to) = (format!("{}/app:v1", server.host), format!("{}/other:v1", server.host));
    let (outcome, peak) = run(&["copy", &from, &to]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(peak < MAX_MEMORY / 2, "{peak} kB");
    let mounts = server.requests().iter().filter(|request| request.line.contains("mount=")).count();
    assert_eq!(mounts, 9_999 + 1, "one mount for each layer and for the config");
}

#[test]
fn an_index_of_500_images_fits() {
    let server = serve_index(500, |number| {
        let layer = |layer: usize| {
            let digest = sha256(format!("{} {layer}", number % 50).as_bytes());
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 7})
        };
        image(number, 500, &(0..40).map(layer).collect::<Vec<_>>())
    });
    let (from, to) = (format!("{}/app:v1", server.host), format!("{}/other:v1", server.host));
    for args in [
        &["--output", "json", "inspect", &from][..],
        &["inspect", "--raw", "--expand-config", &from],
        &["copy", &from, &to],
    ] {
        let (outcome, peak) = run(args);
        assert_eq!(outcome.exit, 0, "{args:?}: {:.2000}", outcome.stderr);
        assert!(peak < MAX_MEMORY, "{args:?}: {peak} kB");
    }
}

fn empty_index() -> String {
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).to_string()
}

/// Serves a list without a last page, each page of about 1 MB, to requests whose target contains `endpoint`.
fn endless_list(endpoint: &'static str, media_type: &'static str, page: String) -> ScriptedServer {
    ScriptedServer::start(move |request: &ReceivedRequest, _| {
        let (mut response, target) = (ok_response(media_type, &page), request.line.split_once(' ').unwrap().1);
        if !target.contains(endpoint) {
            return ok_response(OCI_INDEX, &empty_index());
        }
        let number: usize = target.split_once("last=").map_or(0, |(_, number)| number.parse().unwrap());
        let next = format!("<{}?last={}>; rel=\"next\"", target.split('?').next().unwrap(), number + 1);
        response.1.push(("Link", next));
        response
    })
}

#[test]
fn an_endless_list_ends_with_an_error() {
    let tags: Vec<String> = (0..50_000).map(|number| format!("a-tag-{number}")).collect();
    let server = endless_list("/tags/list", "application/json", json!({"name": "app", "tags": tags}).to_string());
    let (repository, digest) = (format!("{}/app", server.host), sha256(empty_index().as_bytes()));
    fails_within_the_memory_limit(&["tags", &repository]);
    fails_within_the_memory_limit(&["--output", "json", "tags", &repository]);
    fails_within_the_memory_limit(&["copy", "--tags", "*", &repository, &format!("{}/other", server.host)]);
    // A delete by digest needs the complete list of tags, so it sends no DELETE.
    let (outcome, peak) = run(&["delete", &format!("{repository}@{digest}")]);
    assert!(outcome.exit == 1 && peak < MAX_MEMORY, "{peak} kB {outcome:?}");
    assert!(outcome.stderr.contains("which cannot be listed"), "{outcome:?}");
    assert!(server.requests().iter().all(|request| !request.line.starts_with("DELETE")));

    let referrer = json!({"mediaType": OCI, "digest": digest, "size": 7, "artifactType": "application/x"});
    let page = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": vec![referrer; 5_000]}).to_string();
    let server = endless_list("/referrers/", OCI_INDEX, page);
    let (from, to) = (format!("{}/app:v1", server.host), format!("{}/other:v1", server.host));
    fails_within_the_memory_limit(&["copy", "--referrers", &from, &to]);
    let (outcome, peak) = run(&["--output", "json", "inspect", &from]);
    assert!(outcome.exit == 0 && peak < MAX_MEMORY, "{peak} kB {:.2000}", outcome.stderr);
}

#[test]
fn a_list_of_ten_thousand_tags_fits() {
    let tags: Vec<String> = (0..10_000).map(|number| format!("v1.{number}-alpine-with-a-long-name")).collect();
    let list = json!({"name": "app", "tags": tags}).to_string();
    let server = ScriptedServer::start(move |_, _| ok_response("application/json", &list));
    let (outcome, peak) = run(&["--output", "json", "tags", &format!("{}/app", server.host)]);
    assert!(outcome.exit == 0 && peak < MAX_MEMORY / 4, "{peak} kB {:.2000}", outcome.stderr);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["tags"].as_array().unwrap().len(), 10_000);
}

/// The manifests of all tags together do not fit into memory.
#[test]
fn many_tags_with_large_manifests_are_verified_and_listed_for_deletion() {
    const COUNT: usize = 100;
    let server = ScriptedServer::start(move |request: &ReceivedRequest, _| {
        let target = request.line.split_once(' ').unwrap().1;
        if target.contains("/tags/list") {
            let tags: Vec<String> = (0..COUNT).map(|number| format!("v{number}")).collect();
            return ok_response("application/json", &json!({"name": "app", "tags": tags}).to_string());
        }
        match target.rsplit_once("/manifests/v").and_then(|(_, number)| number.parse().ok()) {
            Some(number) => ok_response(OCI, &image(number, 2 << 20, &[])),
            None => ok_response("application/octet-stream", "{}"),
        }
    });
    let repository = format!("{}/app", server.host);
    for (args, last) in [
        (&["verify", "--tags", "v*", &repository][..], "100 tags: 100 sound, 0 unsound"),
        (&["delete", "--dry-run", "--tags", "v*", &repository], "note: registries do not list untagged manifests"),
    ] {
        let (outcome, peak) = run(args);
        assert_eq!(outcome.exit, 0, "{args:?}: {:.2000}", outcome.stderr);
        assert!(outcome.stderr.starts_with(last) && peak < MAX_MEMORY, "{peak} kB: {:.2000}", outcome.stderr);
        eprintln!("{args:?}: {peak} kB");
    }
}

/// Runs `lint` on a spec with these lines, and with an environment variable `LONG` of 100 kB.
fn lint(lines: &str) -> (Outcome, u64) {
    let workspace = Workspace::new().env("LONG", &"x".repeat(100_000));
    workspace.write("spec.yaml", &format!("image: r.example/app:v1\n{lines}"));
    run_with_peak_memory(workspace.command(&["lint", "--env", "spec.yaml"]))
}

#[test]
fn a_spec_that_expands_without_limit_is_rejected() {
    let entry = |annotation: &str| format!("- image: r.example/app:v1-amd64\n  annotations: {{a: \"{annotation}\"}}\n");
    let platforms = "linux/arm/v7, ".repeat(100_000);
    let anchored =
        format!("  annotations: &many {{{}}}\n", (0..20_000).map(|n| format!("k{n}: v, ")).collect::<String>());
    for (lines, reason) in [
        (format!("manifests:\n{}", entry(&"${LONG}".repeat(2_000_000))), "is longer than 1048576 bytes"),
        (format!("manifests:\n{}", entry("${LONG}").repeat(2_000)), "needs more than 64 MiB of memory"),
        (
            format!("platforms: [{platforms}]\ntemplate: r.example/{}:ARCH\n", "a".repeat(200)),
            "needs more than 64 MiB of memory",
        ),
        (
            format!("platforms: [linux/arm]\ntemplate: {}\n", "ARCH".repeat(3_000)),
            "a template may have at most 8192 bytes",
        ),
        (
            format!(
                "manifests:\n- image: r.example/app:a\n{anchored}{}",
                "- {image: r.example/app:b, annotations: *many}\n".repeat(90)
            ),
            "",
        ),
        (format!("manifests:\n{}", "- {image: \"no reference\"}\n".repeat(50_000)), "no reference"),
    ] {
        let (outcome, peak) = lint(&lines);
        assert_eq!(outcome.exit, 1, "{reason}: {:.2000}", outcome.stderr);
        assert!(outcome.stderr.contains(reason), "{reason}: {:.2000}", outcome.stderr);
        assert!(peak < MAX_MEMORY, "{reason}: {peak} kB");
    }
}
