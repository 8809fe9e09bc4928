//! Registries, layouts and specs that hold more than fits into memory: each run ends with an error that names the limit,
//! and the process stays below 300 MB. What real repositories hold fits.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::images::{OCI, OCI_INDEX};
use crate::support::registry::sha256;
use crate::support::scripted::{Answer, Asked, Scripted};
use crate::support::{Outcome, command, peak_of};

/// In kB.
const MOST: u64 = 300 << 10;
const OVER_LIMIT: &str = "does not fit into the 96 MiB of memory that a run may use for what it reads";

/// Runs it over plain HTTP.
fn run(args: &[&str]) -> (Outcome, u64) {
    let folder = tempfile::tempdir().unwrap();
    let args: Vec<&str> = ["--plain-http", "--retries", "0"].iter().chain(args).copied().collect();
    peak_of(command(folder.path(), &args))
}

fn stays_within_limits(args: &[&str]) {
    let (outcome, peak) = run(args);
    assert_eq!(outcome.exit, 1, "{args:?}: {:.2000} {:.2000}", outcome.stdout, outcome.stderr);
    assert!(outcome.stderr.contains(OVER_LIMIT), "{args:?}: {:.2000}", outcome.stderr);
    assert!(peak < MOST, "{args:?}: {peak} kB");
}

fn json_answer(media_type: &str, body: &str) -> Answer {
    (200, vec![("Content-Type", media_type.to_owned())], body.as_bytes().to_vec())
}

/// A manifest with padding in an annotation, so that each differs.
fn image(number: usize, padding: usize, layers: &[Value]) -> String {
    let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(b"{}"), "size": 2});
    let annotations = json!({"number": number.to_string(), "padding": "x".repeat(padding)});
    json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers, "annotations": annotations})
        .to_string()
}

/// A repository of one index, `app:v1`, whose images have their bytes made when they are asked for; it takes whatever is
/// written to it.
fn index_of(images: usize, make: impl Fn(usize) -> String + Send + Sync + 'static) -> Scripted {
    let digests: Vec<(String, usize)> =
        (0..images).map(&make).map(|bytes| (sha256(bytes.as_bytes()), bytes.len())).collect();
    let entry = |(number, (digest, size)): (usize, &(String, usize))| {
        let platform = json!({"os": "linux", "architecture": "arm", "variant": format!("v{number}")});
        json!({"mediaType": OCI, "digest": digest, "size": size, "platform": platform})
    };
    let entries: Vec<Value> = digests.iter().enumerate().map(entry).collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string();
    let index_digest = sha256(index.as_bytes());
    Scripted::start(move |asked: &Asked, _| {
        let (method, target) = asked.line.split_once(' ').unwrap();
        let of = |name: &str| target.ends_with(&format!("/app/manifests/{name}"));
        match method {
            "GET" if of("v1") || of(&index_digest) => json_answer(OCI_INDEX, &index),
            "GET" if target.contains("/app/blobs/") => json_answer("application/octet-stream", "{}"),
            "GET" => match digests.iter().position(|(digest, _)| of(digest)) {
                Some(number) => json_answer(OCI, &make(number)),
                None => (404, Vec::new(), br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()),
            },
            "POST" if target.contains("mount=") => (201, Vec::new(), Vec::new()),
            "PUT" => (201, vec![("Docker-Content-Digest", sha256(&asked.body))], Vec::new()),
            _ => (404, Vec::new(), Vec::new()),
        }
    })
}

#[test]
fn an_index_of_huge_manifests_is_not_read_whole() {
    let server = index_of(20, |number| image(number, 7 << 20, &[]));
    let from = format!("{}/app:v1", server.host);
    let to = format!("{}/other:v1", server.host);
    stays_within_limits(&["--output", "json", "inspect", &from]);
    stays_within_limits(&["verify", &from]);
    stays_within_limits(&["copy", &from, &to]);
    stays_within_limits(&[
        "push",
        "--type",
        "oci",
        "from-args",
        "--platforms",
        "linux/amd64",
        "--template",
        &from,
        "--target",
        &to,
    ]);
}

#[test]
fn a_config_of_many_elements_is_not_parsed() {
    let config = Arc::new(format!("[{}0]", "0,".repeat(3 << 20)));
    let digest = sha256(config.as_bytes());
    let described =
        json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI, "config": described, "layers": []}).to_string();
    let server = Scripted::start(move |asked: &Asked, _| match asked.line.contains("/blobs/") {
        true => json_answer("application/octet-stream", &config),
        false => json_answer(OCI, &manifest),
    });
    let image = format!("{}/app:v1", server.host);
    for args in [&["inspect", &image][..], &["--output", "json", "inspect", &image], &["query", &image]] {
        stays_within_limits(args);
    }
}

/// Each blob is a piece of work of some 40 kB: they are not all begun at once.
#[test]
fn an_image_of_thousands_of_layers_is_copied_with_little_memory() {
    let server = index_of(1, |number| {
        let layer = |layer: usize| {
            let digest = sha256(format!("{number} {layer}").as_bytes());
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 7})
        };
        image(number, 0, &(0..9_999).map(layer).collect::<Vec<_>>())
    });
    let (from, to) = (format!("{}/app:v1", server.host), format!("{}/other:v1", server.host));
    let (outcome, peak) = run(&["copy", &from, &to]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(peak < MOST / 2, "{peak} kB");
    let mounts = server.asked().iter().filter(|asked| asked.line.contains("mount=")).count();
    assert_eq!(mounts, 9_999 + 1, "each layer, and the config");
}

#[test]
fn an_index_of_500_images_fits() {
    let server = index_of(500, |number| {
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
        assert!(peak < MOST, "{args:?}: {peak} kB");
    }
}

fn empty_index() -> String {
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).to_string()
}

/// A list that goes on and on, each page of it 1 MB.
fn endless_list(of: &'static str, media_type: &'static str, page: String) -> Scripted {
    Scripted::start(move |asked: &Asked, _| {
        let (mut answer, target) = (json_answer(media_type, &page), asked.line.split_once(' ').unwrap().1);
        if !target.contains(of) {
            return json_answer(OCI_INDEX, &empty_index());
        }
        let number: usize = target.split_once("last=").map_or(0, |(_, number)| number.parse().unwrap());
        let next = format!("<{}?last={}>; rel=\"next\"", target.split('?').next().unwrap(), number + 1);
        answer.1.push(("Link", next));
        answer
    })
}

#[test]
fn a_list_without_end_is_not_read_to_its_end() {
    let tags: Vec<String> = (0..50_000).map(|number| format!("a-tag-{number}")).collect();
    let server = endless_list("/tags/list", "application/json", json!({"name": "app", "tags": tags}).to_string());
    let (repository, digest) = (format!("{}/app", server.host), sha256(empty_index().as_bytes()));
    stays_within_limits(&["tags", &repository]);
    stays_within_limits(&["--output", "json", "tags", &repository]);
    stays_within_limits(&["copy", "--tags", "*", &repository, &format!("{}/other", server.host)]);
    // What the guard cannot see to its end it does not act on.
    let (outcome, peak) = run(&["delete", &format!("{repository}@{digest}")]);
    assert!(outcome.exit == 1 && peak < MOST, "{peak} kB {outcome:?}");
    assert!(outcome.stderr.contains("which these are cannot be told"), "{outcome:?}");
    assert!(server.asked().iter().all(|asked| !asked.line.starts_with("DELETE")));

    let referrer = json!({"mediaType": OCI, "digest": digest, "size": 7, "artifactType": "application/x"});
    let page = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": vec![referrer; 5_000]}).to_string();
    let server = endless_list("/referrers/", OCI_INDEX, page);
    let (from, to) = (format!("{}/app:v1", server.host), format!("{}/other:v1", server.host));
    stays_within_limits(&["copy", "--referrers", &from, &to]);
    let (outcome, peak) = run(&["--output", "json", "inspect", &from]);
    assert!(outcome.exit == 0 && peak < MOST, "{peak} kB {:.2000}", outcome.stderr);
}

#[test]
fn ten_thousand_tags_fit() {
    let tags: Vec<String> = (0..10_000).map(|number| format!("v1.{number}-alpine-with-a-long-name")).collect();
    let list = json!({"name": "app", "tags": tags}).to_string();
    let server = Scripted::start(move |_, _| json_answer("application/json", &list));
    let (outcome, peak) = run(&["--output", "json", "tags", &format!("{}/app", server.host)]);
    assert!(outcome.exit == 0 && peak < MOST / 4, "{peak} kB {:.2000}", outcome.stderr);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["tags"].as_array().unwrap().len(), 10_000);
}

/// Runs `lint` on a spec of these lines below `manifests:` and with variables of 100 kB.
fn lint(lines: &str) -> (Outcome, u64) {
    let folder = tempfile::tempdir().unwrap();
    let spec = format!("image: r.example/app:v1\n{lines}");
    std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    let mut command = command(folder.path(), &["lint", "--env", "spec.yaml"]);
    command.env("LONG", "x".repeat(100_000));
    peak_of(command)
}

#[test]
fn a_spec_does_not_expand_without_end() {
    let entry = |annotation: &str| format!("- image: r.example/app:v1-amd64\n  annotations: {{a: \"{annotation}\"}}\n");
    let platforms = "linux/arm/v7, ".repeat(100_000);
    let anchored =
        format!("  annotations: &many {{{}}}\n", (0..20_000).map(|n| format!("k{n}: v, ")).collect::<String>());
    for (lines, says) in [
        (format!("manifests:\n{}", entry(&"${LONG}".repeat(2_000_000))), "is longer than 1048576 bytes"),
        (format!("manifests:\n{}", entry("${LONG}").repeat(2_000)), "takes more than 64 MiB of memory"),
        (
            format!("platforms: [{platforms}]\ntemplate: r.example/{}:ARCH\n", "a".repeat(200)),
            "takes more than 64 MiB of memory",
        ),
        (format!("platforms: [linux/arm]\ntemplate: {}\n", "ARCH".repeat(3_000)), "a template has 8192 bytes at most"),
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
        assert_eq!(outcome.exit, 1, "{says}: {:.2000}", outcome.stderr);
        assert!(outcome.stderr.contains(says), "{says}: {:.2000}", outcome.stderr);
        assert!(peak < MOST, "{says}: {peak} kB");
    }
}
