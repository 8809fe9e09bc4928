//! Writers that overwrite the changed index after it was written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{
    READ_INDEX, append, architectures, entries, index_at, index_writes, push, registry_with_parts, remove,
    with_concurrent_write,
};
use crate::support::images::push_image;
use crate::support::registry::sha256;
use crate::support::scripted_server::forward_request;
use crate::support::{ScriptedServer, push_from_args};

#[test]
fn append_and_remove_are_repeated_when_another_writer_overwrites_them() {
    let registry = registry_with_parts(&["amd64", "arm64", "s390x"]);
    append(&registry.host, "linux/amd64,linux/s390x", &[]).success();
    let stale = registry.manifest("whole", "v1").unwrap();
    remove(&registry.host, &["--platform", "linux/s390x"]).success();
    for command in ["append", "remove"] {
        let (writer, bytes, media_type) = (Arc::clone(&registry), stale.bytes.clone(), stale.media_type.clone());
        let (writes, overwrites) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // The other writer read the index before this one's write, and writes after it.
        let server = ScriptedServer::in_front_of(&registry, move |request| {
            writes.fetch_add(usize::from(request.writes_manifest("v1")), Ordering::SeqCst);
            let reads_back = request.line == READ_INDEX && writes.load(Ordering::SeqCst) == 1;
            if reads_back && overwrites.fetch_add(1, Ordering::SeqCst) == 0 {
                writer.push_manifest("whole", "v1", &media_type, &bytes);
            }
            None
        });
        let (outcome, expected) = match command {
            "append" => (append(&server.host, "linux/arm64", &["--tags", "latest"]), vec!["amd64", "s390x", "arm64"]),
            _ => (remove(&server.host, &["--platform", "linux/amd64"]), vec!["s390x"]),
        };
        outcome.success().stderr_contains("was changed by another writer");
        assert_eq!(architectures(&registry, "v1"), expected);
        assert_eq!(index_writes(&server), 2);
        if command == "append" {
            assert_eq!(entries(&registry, "latest"), entries(&registry, "v1"));
            let requests = server.requests();
            let writes = requests.iter().filter(|request| request.writes_manifest("latest")).count();
            assert_eq!(writes, 1, "additional tags are written last");
        }
    }
}

#[test]
fn a_registry_that_loses_every_write_is_never_a_success() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let server = ScriptedServer::in_front_of(&registry, |request| {
        let digest = sha256(&request.body);
        request.writes_manifest("v1").then(|| (201, vec![("Docker-Content-Digest", digest)], vec![]))
    });
    append(&server.host, "linux/arm64", &["--deadline", "2s", "--tags", "latest"])
        .fails(124, "not known: ")
        .stderr_lacks("  written: ");
    assert!(registry.manifest("whole", "latest").is_none());
    let part = "/whole:v1: written 50 times, but other writers overwrote it; run this again when they are done";
    append(&server.host, "linux/arm64", &[]).fails(1, part).stdout_is("");
}

/// A writer that read the index earlier may still undo what is already present, so that is read back too.
#[test]
fn an_append_of_a_present_image_is_repeated_when_another_writer_removes_it() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let without = registry.manifest("whole", "v1").unwrap();
    append(&registry.host, "linux/arm64", &[]).success();
    let server = with_concurrent_write(&registry, READ_INDEX, 2, move |registry| {
        registry.push_manifest("whole", "v1", &without.media_type, &without.bytes);
    });
    append(&server.host, "linux/arm64", &[]).success();
    assert_eq!((entries(&registry, "v1").len(), index_writes(&server)), (2, 1));
}

#[test]
fn an_image_or_annotation_that_another_writer_sets_later_is_kept() {
    let registry = registry_with_parts(&["amd64", "arm64", "s390x"]);
    push_image(&registry, "whole", "later", "arm64");
    append(&registry.host, "linux/amd64", &["--type", "oci", "--annotations", "by=nobody"]).success();
    let server = with_concurrent_write(&registry, READ_INDEX, 2, |registry| {
        let args = ["--append", "--settle", "1ms", "--annotations", "by=other"];
        push_from_args(&registry.host, "linux/arm64", "whole:later", "whole:v1", &args).success();
    });
    let args = ["--annotations", "by=this", "--tags", "latest", "--output", "json"];
    let result = append(&server.host, "linux/arm64", &args).success().json();
    assert_eq!((index_writes(&server), &index_at(&registry, "v1")["annotations"]["by"]), (1, &json!("other")));
    // The result and the additional tag are of the other writer's index, to which the target points.
    let current = registry.manifest("whole", "v1").unwrap().digest;
    let index = &result["indexes"][0];
    assert_eq!(index["digest"], current);
    assert_eq!(registry.manifest("whole", "latest").unwrap().digest, current);
    let sources: Vec<&Value> = index["entries"].as_array().unwrap().iter().map(|entry| &entry["source"]).collect();
    assert_eq!(sources, [&Value::Null, &Value::Null]);
}

#[test]
fn a_write_that_is_undone_and_not_repeated_leaves_the_tag_unknown() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    append(&registry.host, "linux/amd64", &[]).success();
    let old = registry.manifest("whole", "v1").unwrap();
    let undo = || {
        let (media_type, bytes) = (old.media_type.clone(), old.bytes.clone());
        with_concurrent_write(&registry, READ_INDEX, 2, move |registry| {
            registry.push_manifest("whole", "v1", &media_type, &bytes);
        })
    };
    // Exit code 3 would mean that no tag was changed.
    let outcome = append(&undo().host, "linux/arm64", &["--if-match", &old.digest, "--output", "json"])
        .fails(1, "written once, but other writers overwrote it");
    let result = outcome.json();
    let index = &result["indexes"][0];
    let tag = &index["tags"][0];
    assert_eq!((&tag["state"], &tag["was"], &index["changed"]), (&json!("unknown"), &json!(old.digest), &json!(true)));

    let (writes, undoing) = (AtomicUsize::new(0), undo());
    let server = ScriptedServer::start(move |request, host| {
        if request.writes_manifest("v1") && writes.fetch_add(1, Ordering::SeqCst) == 1 {
            return (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec());
        }
        forward_request(request, &undoing.host, host)
    });
    append(&server.host, "linux/arm64", &[]).fails(1, "not known: ");
}

#[test]
fn a_removal_that_cannot_be_repeated_leaves_the_tag_unknown() {
    let registry = registry_with_parts(&["amd64", "arm64"]);
    push(&registry.host, "linux/amd64,linux/arm64", &[]).success();
    let server = with_concurrent_write(&registry, READ_INDEX, 2, |registry| {
        push(&registry.host, "linux/arm64", &[]).success();
    });
    let outcome = remove(&server.host, &["--platform", "linux/arm64", "--output", "json"])
        .fails(1, "no image would be left")
        .stderr_contains("the tag was written, but other writers overwrote it");
    let result = outcome.json();
    let index = &result["indexes"][0];
    assert_eq!((&index["changed"], &index["tags"][0]["state"]), (&json!(true), &json!("unknown")));
}
