//! Writers that change the index or its tags between the first read and the write.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::{
    READ_INDEX, append, architectures, entries, index_writes, push, registry_with_parts, remove, with_concurrent_write,
};
use crate::support::images::{DOCKER, push_image};
use crate::support::registry::sha256;
use crate::support::{Registry, Sandbox, ScriptedServer, push_from_args};

#[test]
fn append_merges_an_image_that_another_writer_added_before_the_write() {
    let registry = registry_with_parts(&["amd64", "arm64", "s390x"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let server = with_concurrent_write(&registry, "HEAD /v2/whole/manifests/v1", 1, |registry| {
        append(&registry.host, "linux/s390x", &[]).success();
    });
    append(&server.host, "linux/arm64", &[])
        .success()
        .stderr_contains("/whole:v1 was changed by another writer; applying the change to its current index");
    assert_eq!(architectures(&registry, "v1"), ["amd64", "s390x", "arm64"]);
    assert_eq!(index_writes(&server), 1, "the other writer's index is not overwritten");
}

#[test]
fn additional_tags_follow_a_change_of_the_target() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    let (writer, writes) = (Arc::clone(&registry), AtomicUsize::new(0));
    let server = ScriptedServer::in_front_of(&registry, move |request| {
        if request.writes_manifest("latest") && writes.fetch_add(1, Ordering::SeqCst) == 0 {
            append(&writer.host, "linux/arm64", &["--tags", "latest"]).success();
        }
        None
    });
    let outcome = append(&server.host, "linux/amd64", &["--tags", "latest"]).success();
    let [v1, latest] = ["v1", "latest"].map(|tag| registry.manifest("whole", tag).unwrap());
    assert_eq!(v1.digest, latest.digest);
    assert_eq!(entries(&registry, "latest").len(), 2);
    outcome.stdout_is(&format!("Digest: {} {}\n", v1.digest, v1.bytes.len()));
}

#[test]
fn if_match_stops_append_and_remove_on_another_digest() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let before = registry.manifest("whole", "v1").unwrap().digest;
    let append_if = |digest: &str| append(&registry.host, "linux/arm64", &["--if-match", digest]);
    append_if(&sha256(b"")).fails(3, "no tag was written");
    assert_eq!(registry.manifest("whole", "v1").unwrap().digest, before);
    append_if(&before).success();
    remove(&registry.host, &["--if-match", &before, "--platform", "linux/arm64"]).exits(3);
}

/// An unreadable index is not treated as a missing one.
#[test]
fn append_writes_nothing_if_the_index_cannot_be_read() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let server = ScriptedServer::in_front_of(&registry, |request| {
        let denied = || (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec());
        (request.line == READ_INDEX).then(denied)
    });
    append(&server.host, "linux/arm64", &[]).fails(1, "DENIED").stdout_is("");
    let requests = server.requests();
    assert!(!requests.iter().any(|request| request.line.starts_with("PUT ")), "{requests:?}");
}

#[test]
fn a_batch_sends_no_other_request_between_reading_a_tag_and_writing_it() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "parts", "amd64", "amd64");
    let server = ScriptedServer::in_front_of(&sandbox.registry, |_| {
        std::thread::sleep(Duration::from_millis(15));
        None
    });
    let sandbox = sandbox.with(|workspace| workspace.placeholder("SLOW", &server.host));
    let spec = |n: u32| {
        indoc::formatdoc! {"
            ---
            image: SLOW/whole:t{n}
            append: true
            manifests: [{{image: \"SLOW/parts:amd64\"}}]
        "}
    };
    sandbox.write("many.yaml", &(0..12).map(spec).collect::<String>());
    let args = ["--concurrency", "1", "push", "--settle", "50ms", "from-spec", "many.yaml"];
    let outcome = sandbox.run(&args).success();
    let requests = server.requests();
    let writes: Vec<usize> = (0..requests.len())
        .filter(|position| requests[*position].line.starts_with("PUT /v2/whole/manifests/t"))
        .collect();
    assert_eq!(writes.len(), 12, "{outcome:?}");
    for position in writes {
        // A missing tag takes a HEAD and a GET. One request of another index may already be under way, and one write.
        let read = requests[position].line.replace("PUT ", "GET ");
        let before: Vec<&str> = requests[position - 3..position].iter().map(|request| request.line.as_str()).collect();
        assert!(before.contains(&read.as_str()), "{read}: {before:?}");
    }
}

#[test]
fn strict_also_checks_images_that_another_writer_added() {
    let registry = registry_with_parts(&["amd64"]);
    push_docker_image(&registry, "s390x");
    for (args, tag, read_tag, exit) in [
        (&["--strict"][..], "whole:v1", "HEAD /v2/whole/manifests/v1", 1),
        (&[], "whole:loose", "HEAD /v2/whole/manifests/loose", 0),
    ] {
        let server = with_concurrent_write(&registry, read_tag, 1, move |registry| {
            push_from_args(&registry.host, "linux/amd64", "parts:ARCH", tag, &["--type", "docker"]).success();
        });
        let args = [&["--append", "--settle", "1ms"], args].concat();
        push_from_args(&server.host, "linux/s390x", "parts:ARCH", tag, &args)
            .exits(exit)
            .stderr_contains("the index lists 1 Docker and 1 OCI images");
    }
}

fn push_docker_image(registry: &Registry, architecture: &str) {
    let config = json!({"os": "linux", "architecture": architecture}).to_string();
    let config = json!({
        "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(),
        "digest": registry.push_blob("parts", config.as_bytes()),
    });
    let docker = json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": []}).to_string();
    registry.push_manifest("parts", architecture, DOCKER, docker.as_bytes());
}

/// A registry whose replicas answer HEAD and GET differently.
#[test]
fn append_gives_up_when_head_and_get_never_agree() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let server = ScriptedServer::in_front_of(&registry, |request| {
        let other = sha256(b"content of a replica");
        let is_head = request.line == "HEAD /v2/whole/manifests/v1";
        is_head.then(|| (200, vec![("Docker-Content-Digest", other), ("Content-Length", "0".into())], vec![]))
    });
    append(&server.host, "linux/arm64", &["--quiet"])
        .fails(1, "/whole:v1: not written: other writers changed it before each attempt; run this again")
        .stdout_is("");
    assert_eq!(entries(&registry, "v1").len(), 1);
}

#[test]
fn remove_keeps_what_another_writer_pushes_after_it() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    push_image(&registry, "whole", "later", "arm64");
    push_image(&registry, "whole", "single", "s390x");
    for later in ["index", "image"] {
        push(&registry.host, "linux/amd64,linux/arm64", &[]).success();
        let server = with_concurrent_write(&registry, READ_INDEX, 2, move |registry| match later {
            "index" => drop(push_from_args(&registry.host, "linux/arm64", "whole:later", "whole:v1", &[]).success()),
            _ => {
                let single = registry.manifest("whole", "single").unwrap();
                registry.push_manifest("whole", "v1", &single.media_type, &single.bytes);
            }
        });
        let args = ["--platform", "linux/arm64", "--output", "json"];
        let result = remove(&server.host, &args).success().json();
        let current = registry.manifest("whole", "v1").unwrap().digest;
        assert_eq!((&result["indexes"][0]["digest"], index_writes(&server)), (&json!(current), 1), "{later}");
    }
}
