//! `delete --tags` does not break what stays: shared manifests, indexes, and tags that change during the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use super::tags::{NOTE, TagsFixture, deleted_tags};
use crate::support::images::push_index;
use crate::support::{ScriptedServer, signal, spawn, wait};

#[test]
fn a_manifest_stays_if_a_tag_outside_of_the_pattern_points_at_it() {
    let fixture = TagsFixture::new(&["v1", "v2"]);
    for (tag, other) in [("v1", "v1.0"), ("v1", "stable"), ("v2", "v2.0")] {
        fixture.retag(tag, other);
    }
    for args in [&["--tags", "v*"][..], &["--tags", "v*", "--yes"]] {
        let outcome = fixture.delete(args).success();
        let reason = "the registry deletes only whole manifests, and stable points at the same manifest";
        outcome.stderr_contains(&format!("kept v1: {reason}\n")).stderr_contains(&format!("kept v1.0: {reason}\n"));
        assert_eq!(fixture.tags(), ["stable", "v1", "v1.0"], "{args:?}");
        fixture.push("v2");
    }
}

#[test]
fn an_image_stays_if_a_remaining_index_lists_it() {
    let fixture = TagsFixture::new(&["v1-amd64", "v1-arm64", "v2-amd64", "v3-amd64"]);
    fixture.push_index("v1", &["v1-amd64", "v1-arm64"]);
    fixture.push_index("v2", &["v2-amd64"]);
    fixture.push_index("outer", &["v2"]);
    for args in [&["--tags", "*-a*"][..], &["--tags", "*-a*", "--yes"]] {
        let outcome = fixture.delete(args).success();
        let reason = "the registry deletes only whole manifests, and the";
        let outcome = outcome
            .stderr_contains(&format!("kept v1-amd64: {reason} index v1 lists its manifest\n"))
            .stderr_contains(&format!("kept v2-amd64: {reason} indexes outer, v2 list its manifest\n"));
        assert_eq!(deleted_tags(&outcome), ["v3-amd64"]);
        fixture.sandbox.run(&["verify", "HOST/app:v1", "HOST/app:outer"]).success();
        fixture.push("v3-amd64");
    }
    // The index goes first, and then the images that only it listed.
    let outcome = fixture.delete(&["--tags", "v1*"]).success();
    assert_eq!(deleted_tags(&outcome), ["v1", "v1-amd64", "v1-arm64"]);
    // A nested index stays with its images.
    fixture.delete(&["--tags", "v2*"]).success().stdout_is("");
    fixture.sandbox.run(&["verify", "HOST/app:outer"]).success();
}

#[test]
fn the_images_of_an_index_that_could_not_be_deleted_stay() {
    let fixture = TagsFixture::new(&["v1-amd64", "v1-arm64", "v2-amd64"]);
    let index = fixture.push_index("v1", &["v1-amd64", "v1-arm64"]);
    let failing = format!("DELETE /v2/app/manifests/{index}");
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        (request.line == failing).then(|| (403, vec![], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec()))
    });
    let outcome = fixture.delete_at(&server.host, &["--tags", "v*"]).exits(1);
    assert_eq!(deleted_tags(&outcome), ["v2-amd64"]);
    let outcome = outcome
        .stderr_contains(
            "kept v1-amd64: the registry deletes only whole manifests, and the index v1 lists its manifest\n",
        )
        .stderr_contains("4 tags: 1 deleted, 2 kept, 1 failed, 0 skipped\n");
    assert!(outcome.stderr.ends_with("error: 1 of 4 references were not deleted\n"), "{outcome:?}");
    fixture.sandbox.run(&["verify", "HOST/app:v1"]).success();
}

/// Replaces the image of `v2` when the first manifest is deleted.
#[test]
fn a_tag_that_moves_during_the_run_stays() {
    for is_deleting_tags in [false, true] {
        let fixture = TagsFixture::new(&["v1", "v2", "v3", "new"]);
        fixture.retag("v2", "v2.0");
        let (is_moved, registry) = (AtomicBool::new(false), &fixture.sandbox.registry);
        let (new, old) = (registry.manifest("app", "new").unwrap(), fixture.digest("v2"));
        let upstream = fixture.tag_deleting_server();
        let host = registry.host.clone();
        let url = format!("http://{host}/v2/app/manifests/v2");
        let media_type = new.media_type.clone();
        let server = ScriptedServer::start(move |request, host_of_server| {
            let is_delete = request.line.starts_with("DELETE ");
            if is_delete && !is_moved.swap(true, Ordering::SeqCst) {
                let agent = crate::support::registry::http_agent();
                agent.put(&url).header("Content-Type", &media_type).send(&new.bytes[..]).unwrap();
            }
            let upstream = if is_deleting_tags { &upstream.host } else { &host };
            crate::support::scripted_server::forward_request(request, upstream, host_of_server)
        });
        let outcome = fixture.delete_at(&server.host, &["--tags", "v*"]).success();
        let to = fixture.digest("new");
        let outcome = outcome.stderr_contains(&format!("kept v2: it points at {to} now\n"));
        assert_eq!(fixture.digest("v2"), to);
        if is_deleting_tags {
            assert_eq!(deleted_tags(&outcome), ["v1", "v2.0", "v3"]);
        } else {
            // Deleting the manifest of v2.0 would be right only if v2 were deleted as well.
            // The other client may also have moved v2 to the manifest of v3, or to an index that lists it.
            assert_eq!(deleted_tags(&outcome), ["v1"]);
            assert_eq!(fixture.digest("v2.0"), old);
            for tag in ["v2.0", "v3"] {
                let reason = format!("{tag}: another client moved v2 to {to} during the run");
                assert!(outcome.stderr.contains(&reason), "{outcome:?}");
            }
        }
    }
}

#[test]
fn nothing_is_deleted_if_a_tag_or_a_page_of_the_list_cannot_be_read() {
    let fixture = TagsFixture::new(&["v1", "v2", "other"]);
    fixture.push_index("index", &["v1"]);
    let before = fixture.sandbox.registry.snapshot();
    let inner = fixture.entry("index");
    let denied = || (403, vec![], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec());
    for (path, status) in [("/manifests/other", 403), ("/manifests/index", 404), ("/tags/list", 500)] {
        let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
            let is_failing = request.line.starts_with("GET ") && request.line.contains(path);
            is_failing.then(|| if status == 403 { denied() } else { (status, vec![], vec![]) })
        });
        let args = ["--retries", "0", "--tags", "v*", "--yes"];
        fixture.delete_at(&server.host, &args).exits(1).stdout_is("");
        assert!(server.requests().iter().all(|request| !request.line.starts_with("DELETE ")), "{path}");
    }
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, |request| {
        request.line.contains("/tags/list").then(|| {
            let body = json!({"name": "app", "tags": ["v1"]}).to_string().into_bytes();
            if request.line.contains("last=") {
                (404, vec![], vec![])
            } else {
                (200, vec![("Link", "</v2/app/tags/list?last=v1>; rel=\"next\"".to_owned())], body)
            }
        })
    });
    fixture.delete_at(&server.host, &["--tags", "v*"]).exits(1).stdout_is("");
    assert_eq!(fixture.sandbox.registry.snapshot(), before);
    // A nested index that cannot be read may list any image.
    push_index(&fixture.sandbox.registry, "app", "outer", std::slice::from_ref(&inner));
    fixture.push("index");
    let path = format!("/manifests/{}", inner["digest"].as_str().unwrap());
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        (request.line.contains(&path)).then(|| (403, vec![], br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()))
    });
    fixture.delete_at(&server.host, &["--tags", "v*"]).exits(1).stdout_is("");
    assert!(fixture.has("v1") && fixture.has("v2"));
}

#[test]
fn a_registry_that_deletes_nothing_is_asked_once() {
    let fixture = TagsFixture::new(&["v1", "v2", "v3"]);
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, |request| {
        let body = json!({"errors": [{"code": "UNSUPPORTED", "message": "no"}]}).to_string().into_bytes();
        request.line.starts_with("DELETE ").then_some((405, vec![], body))
    });
    let outcome = fixture.delete_at(&server.host, &["--tags", "v*"]);
    let host = &server.host;
    let stderr = indoc::formatdoc! {"
        3 tags: 0 deleted, 0 kept, 3 failed, 0 skipped
        {NOTE}error: 3 of 3 references were not deleted: refused by the registry (DELETE: HTTP 405; registry says: UNSUPPORTED: no)
          {host}/app:v1
          {host}/app:v2
          {host}/app:v3
    "};
    assert_eq!((outcome.exit, &*outcome.stdout, outcome.stderr), (1, "", stderr));
    // For the tag, and for its manifest.
    assert_eq!(server.requests().iter().filter(|request| request.line.starts_with("DELETE ")).count(), 2);
}

/// A registry that has deleted a tag refuses another for a reason of that tag.
#[test]
fn a_refusal_after_a_deleted_tag_deletes_no_manifest() {
    let fixture = TagsFixture::new(&["v1", "v2", "v3"]);
    let upstream = fixture.tag_deleting_server();
    let server = ScriptedServer::start(move |request, host| {
        if request.line == "DELETE /v2/app/manifests/v2" {
            return (400, vec![], br#"{"errors":[{"code":"TAG_INVALID","message":"immutable"}]}"#.to_vec());
        }
        crate::support::scripted_server::forward_request(request, &upstream.host, host)
    });
    let outcome = fixture.delete_at(&server.host, &["--tags", "v*"]).fails(1, "TAG_INVALID: immutable");
    assert_eq!(deleted_tags(&outcome), ["v1", "v3"]);
    assert_eq!(fixture.tags(), ["v2"]);
    assert!(server.requests().iter().all(|request| !request.line.starts_with("DELETE /v2/app/manifests/sha256:")));
}

#[test]
fn an_interrupted_run_reports_what_was_deleted() {
    let fixture = TagsFixture::new(&["v1", "v2", "v3", "v4"]);
    let deletions = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&deletions);
    let server = ScriptedServer::in_front_of(&fixture.sandbox.registry, move |request| {
        // The second deletion of a manifest is under way when the signal arrives.
        let is_manifest = request.line.starts_with("DELETE /v2/app/manifests/sha256:");
        if is_manifest && seen.fetch_add(1, Ordering::SeqCst) == 1 {
            std::thread::sleep(Duration::from_millis(800));
        }
        None
    });
    let repository = format!("{}/app", server.host);
    let child = spawn(fixture.sandbox.command(&["delete", "--tags", "v*", &repository]));
    while deletions.load(Ordering::SeqCst) < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "INT");
    let outcome = wait(child).exits(130);
    assert_eq!(deleted_tags(&outcome), ["v1", "v2"]);
    assert_eq!(fixture.tags(), ["v3", "v4"]);
    outcome
        .stderr_contains("4 tags: 2 deleted, 0 kept, 0 failed, 2 skipped\n")
        .stderr_contains("error: stopped before 2 of 4 tags were deleted\n");
}
