//! Several tags in one request: registries that support it, do not support it, or support part of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{digest_of, error_response, push};
use crate::support::faults::Fault;
use crate::support::images::{OCI_INDEX, push_image};
use crate::support::multi_tag::{OciTag, multi_tag_registry, tags_in_request};
use crate::support::push_fixture::PushFixture;
use crate::support::scripted_server::ReceivedRequest;
use crate::support::{Outcome, Registry, ScriptedServer, Workspace, push_from_args};

/// Returns the tags of each write of an index, `digest` for a write without a tag.
fn index_writes(requests: &[ReceivedRequest], repository: &str) -> Vec<String> {
    let prefix = format!("PUT /v2/{repository}/manifests/");
    let writes = requests.iter().filter(|request| String::from_utf8_lossy(&request.body).contains("\"manifests\""));
    let writes = writes.filter_map(|request| Some((request, request.line.strip_prefix(&prefix)?)));
    let name = |(request, name): (&ReceivedRequest, &str)| match tags_in_request(request) {
        Some((_, tags)) => tags.join("+"),
        None if name.starts_with("sha256:") => "digest".to_owned(),
        None => name.to_owned(),
    };
    writes.map(name).collect()
}

#[test]
fn multi_tag_moves_all_tags_in_one_request() {
    for oci_tag in [OciTag::Headers, OciTag::List] {
        let fixture = PushFixture::new();
        let server = multi_tag_registry(&fixture.registry, oci_tag);
        let proxy = fixture.proxy_to(&server.host, |_| None);
        let repository = fixture.new_target();
        let outcome = push(&proxy, &repository, &["--multi-tag"]).success();
        fixture.check(&repository, &outcome).unwrap();
        assert_eq!(index_writes(&proxy.requests(), &repository), ["v1+v1.2+latest"]);
        // A repeated push writes nothing.
        let before = proxy.requests().len();
        push(&proxy, &repository, &["--multi-tag"]).success();
        assert!(proxy.requests()[before..].iter().all(|request| !request.line.starts_with("PUT ")));
    }
}

#[test]
fn only_tags_that_move_are_in_the_request() {
    let fixture = PushFixture::new();
    let server = multi_tag_registry(&fixture.registry, OciTag::Headers);
    let repository = fixture.new_target();
    push_from_args(&server.host, "linux/amd64,linux/arm64", "parts:ARCH", &format!("{repository}:v1.2"), &[]).success();
    let proxy = fixture.proxy_to(&server.host, |_| None);
    let outcome = push(&proxy, &repository, &["--multi-tag", "--output", "json"]).success();
    assert_eq!(index_writes(&proxy.requests(), &repository), ["v1+latest"]);
    let document = outcome.json();
    let tags = document["indexes"][0]["tags"].as_array().unwrap();
    let outcomes: Vec<&str> = tags.iter().map(|tag| tag["state"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["updated", "unchanged", "updated"], "{document}");
}

#[test]
fn tags_that_the_registry_does_not_confirm_are_written_one_after_another() {
    let fixture = PushFixture::new();
    // docker-registry writes the manifest and ignores the tags.
    let repository = fixture.new_target();
    let proxy = fixture.proxy(|_| None);
    let outcome = push(&proxy, &repository, &["--multi-tag"]).success();
    fixture.check(&repository, &outcome).unwrap();
    let expected = ["v1+v1.2+latest", "v1", "v1.2", "latest"];
    assert_eq!(index_writes(&proxy.requests(), &repository), expected);

    let server = multi_tag_registry(&fixture.registry, OciTag::FirstOnly);
    let (proxy, repository) = (fixture.proxy_to(&server.host, |_| None), fixture.new_target());
    let outcome = push(&proxy, &repository, &["--multi-tag"]).success();
    fixture.check(&repository, &outcome).unwrap();
    assert_eq!(index_writes(&proxy.requests(), &repository), ["v1+v1.2+latest", "v1.2", "latest"]);
}

#[test]
fn a_refused_request_is_followed_by_one_for_each_tag() {
    let fixture = PushFixture::new();
    for (status, code) in [(400, "UNSUPPORTED"), (404, "NOT_FOUND"), (405, "UNSUPPORTED"), (414, ""), (501, "")] {
        let repository = fixture.new_target();
        let proxy = fixture.proxy(move |request| {
            tags_in_request(request).map(|_| error_response(status, code, "several tags are not supported"))
        });
        let outcome = push(&proxy, &repository, &["--multi-tag"]).success();
        fixture.check(&repository, &outcome).unwrap();
        let expected = ["v1+v1.2+latest", "v1", "v1.2", "latest"];
        assert_eq!(index_writes(&proxy.requests(), &repository), expected, "{status}");
    }
}

#[test]
fn no_tag_moves_if_one_of_them_is_immutable() {
    let fixture = PushFixture::new();
    for (status, code, message) in
        [(409, "CONFLICT", ""), (400, "TAG_INVALID", "latest is immutable"), (403, "DENIED", "latest is immutable")]
    {
        let repository = fixture.new_target();
        let refuse = move |request: &ReceivedRequest| {
            (tags_in_request(request).is_some() || request.writes_manifest("latest"))
                .then(|| error_response(status, code, message))
        };
        let proxy = fixture.proxy(refuse);
        let old = digest_of(&fixture, &repository, "v1");
        let outcome =
            push(&proxy, &repository, &["--multi-tag"]).fails(1, &format!("points at {old} and the registry"));
        let outcome = outcome.stderr_contains("no tag was written");
        fixture.check(&repository, &outcome).unwrap();
        assert_eq!(fixture.moved_tags(&repository).unwrap(), [false; 3]);
        assert_eq!(index_writes(&proxy.requests(), &repository), ["v1+v1.2+latest"]);
    }
}

#[test]
fn if_match_holds_with_several_tags_in_one_request() {
    let fixture = PushFixture::new();
    let server = multi_tag_registry(&fixture.registry, OciTag::Headers);
    let repository = fixture.new_target();
    let proxy = fixture.proxy_to(&server.host, |_| None);
    let old = digest_of(&fixture, &repository, "v1");
    let outcome = push(&proxy, &repository, &["--multi-tag", "--if-match", "none"]).exits(3);
    fixture.check(&repository, &outcome).unwrap();
    let outcome = push(&proxy, &repository, &["--multi-tag", "--if-match", &old]).success();
    fixture.check(&repository, &outcome).unwrap();
    assert_eq!(index_writes(&proxy.requests(), &repository), ["v1+v1.2+latest"]);
}

/// Another writer moves the tag between the first check and the write.
#[test]
fn if_match_checks_again_just_before_the_request_for_several_tags() {
    let fixture = PushFixture::new();
    let server = multi_tag_registry(&fixture.registry, OciTag::Headers);
    let repository = fixture.new_target();
    let old = digest_of(&fixture, &repository, "v1");
    let other = br#"{"schemaVersion":2,"manifests":[],"annotations":{"a":"b"}}"#;
    let url = format!("http://{}/v2/{repository}/manifests/v1", fixture.registry.host);
    let proxy = fixture.proxy_to(&server.host, move |request| {
        if request.line.starts_with("PUT ") && request.line.contains("/manifests/sha256:") {
            let put = ureq::put(&url).header("Content-Type", OCI_INDEX);
            put.send(&other[..]).unwrap();
        }
        None
    });
    push(&proxy, &repository, &["--multi-tag", "--if-match", &old]).fails(3, "no tag was written");
    assert_eq!(index_writes(&proxy.requests(), &repository), [""; 0]);
}

#[test]
fn more_than_ten_tags_take_several_requests() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let server = multi_tag_registry(&registry, OciTag::List);
    let tags: Vec<String> = (1..=20).map(|number| format!("t{number}")).collect();
    let flags = ["--multi-tag", "--tags", &tags.join(",")];
    push_from_args(&server.host, "linux/amd64", "parts:ARCH", "whole:t0", &flags).success();
    let writes = index_writes(&server.requests(), "whole");
    assert_eq!(writes.iter().map(|tags| tags.split('+').count()).collect::<Vec<_>>(), [10, 10, 1]);
    let digest = registry.manifest("whole", "t0").unwrap().digest;
    assert!(tags.iter().all(|tag| registry.manifest("whole", tag).unwrap().digest == digest));
}

/// Pushes indexes, each with two tags, from a file, and returns the writes of indexes by repository.
fn push_many(server: &ScriptedServer, count: usize, flags: &[&str]) -> (Outcome, BTreeMap<String, Vec<String>>) {
    let workspace = Workspace::new().flags(&["--plain-http"]);
    let spec = |n: usize| {
        let host = &server.host;
        format!("image: {host}/whole{n}:v1\ntags: [latest]\nmanifests: [{{image: \"{host}/parts:amd64\"}}]\n")
    };
    let specs: Vec<String> = (0..count).map(spec).collect();
    workspace.write("specs.yaml", &specs.join("---\n"));
    let outcome = workspace.run(&[&["push", "from-spec", "specs.yaml"], flags].concat()).success();
    let requests = server.requests();
    let writes = (0..count).map(|n| format!("whole{n}"));
    let writes = writes.map(|repository| (index_writes(&requests, &repository), repository));
    (outcome, writes.map(|(writes, repository)| (repository, writes)).collect())
}

#[test]
fn a_run_of_three_indexes_tries_several_tags_once_and_uses_it_if_it_works() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let count = |writes: &BTreeMap<String, Vec<String>>, tags: &str| {
        writes.values().flatten().filter(|name| *name == tags).count()
    };
    // Only indexes that are written while the first response is on its way take two requests.
    let server = multi_tag_registry(&registry, OciTag::Headers);
    let (_, writes) = push_many(&server, 100, &[]);
    let together = count(&writes, "v1+latest");
    assert!(together >= 50, "{writes:?}");
    assert_eq!((count(&writes, "v1"), count(&writes, "latest")), (100 - together, 100 - together));

    // A registry without support costs one request.
    let plain = Registry::start();
    push_image(&plain, "parts", "amd64", "amd64");
    let server = ScriptedServer::in_front_of(&plain, |_| None);
    let (_, writes) = push_many(&server, 20, &[]);
    assert_eq!((count(&writes, "v1+latest"), count(&writes, "v1"), count(&writes, "latest")), (1, 20, 20));

    // With fewer indexes it is not tried.
    let two = Registry::start();
    push_image(&two, "parts", "amd64", "amd64");
    let server = multi_tag_registry(&two, OciTag::Headers);
    let (_, writes) = push_many(&server, 2, &[]);
    assert_eq!((count(&writes, "v1+latest"), count(&writes, "v1"), count(&writes, "latest")), (0, 2, 2));
}

#[test]
fn a_lost_response_is_repeated_and_all_tags_are_reported() {
    let fixture = PushFixture::new();
    let server = multi_tag_registry(&fixture.registry, OciTag::Headers);
    let repository = fixture.new_target();
    let has_lost = AtomicBool::new(false);
    let proxy = fixture.proxy_to(&server.host, move |request| {
        tags_in_request(request)?;
        (!has_lost.swap(true, Ordering::SeqCst)).then_some(Fault::LostResponse)
    });
    let outcome = push(&proxy, &repository, &["--multi-tag", "--retries", "2"]).success();
    fixture.check(&repository, &outcome).unwrap();
    assert_eq!(index_writes(&proxy.requests(), &repository), ["v1+v1.2+latest", "v1+v1.2+latest"]);
}
