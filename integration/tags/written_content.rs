//! Responses to a write that name another digest than that of the pushed manifest.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{digest_of, push};
use crate::support::Outcome;
use crate::support::faults::Fault;
use crate::support::images::OCI_INDEX;
use crate::support::push_fixture::{PushFixture, TAGS};
use crate::support::registry::sha256;

/// Returns the warnings that a response header named another digest than that of the pushed manifest.
fn digest_warnings(outcome: &Outcome) -> Vec<&str> {
    outcome.stderr.lines().filter(|line| line.contains(": the registry reported digest ")).collect()
}

/// The tag is read back, and its content is the pushed manifest.
#[test]
fn a_wrong_digest_header_is_a_warning_if_the_content_is_right() {
    let fixture = PushFixture::new();
    // Only the response to the write is wrong, or those to reads too.
    for everywhere in [false, true] {
        let repository = fixture.new_target();
        let proxy = fixture.proxy(move |request| {
            let is_tag = request.writes_manifest(TAGS[0]) || (everywhere && request.line.ends_with("/manifests/v1"));
            (is_tag && !request.line.starts_with("HEAD ")).then_some(Fault::WrongDigest)
        });
        let outcome = push(&proxy, &repository, &[]).success();
        fixture.check(&repository, &outcome).unwrap();
        let [warning] = digest_warnings(&outcome)[..] else { panic!("{outcome:?}") };
        let (wrong, right) = (sha256(b"another"), digest_of(&fixture, &repository, TAGS[0]));
        assert!(warning.contains(&wrong) && warning.contains(&right) && warning.contains(":v1: "), "{warning}");
        let read = format!("GET /v2/{repository}/manifests/");
        assert_eq!(
            proxy.count(|request| request.line.starts_with(&read)),
            1,
            "only the tag with the wrong header is read"
        );
    }
}

#[test]
fn a_wrong_digest_header_for_a_child_is_a_warning() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let proxy = fixture.proxy(|request| {
        let is_child = request.line.starts_with("PUT ") && request.line.contains("/manifests/sha256:");
        is_child.then_some(Fault::WrongDigest)
    });
    let outcome = push(&proxy, &repository, &[]);
    assert_eq!((outcome.exit, digest_warnings(&outcome).len()), (0, 2), "{outcome:?}");
    fixture.check(&repository, &outcome).unwrap();
}

/// The tag is missing at first, or still holds the old index.
#[test]
fn a_tag_with_a_wrong_digest_header_is_read_until_it_has_the_content() {
    let fixture = PushFixture::new();
    let old = fixture.new_target();
    let before = fixture.registry.manifest(&old, TAGS[0]).unwrap().bytes;
    let before: &'static str = String::from_utf8(before).unwrap().leak();
    for stale in [
        Fault::CannedResponse(404, vec![], ""),
        Fault::CannedResponse(200, vec![("Content-Type", OCI_INDEX.into())], before),
    ] {
        let repository = fixture.new_target();
        let reads = AtomicUsize::new(0);
        let proxy = fixture.proxy(move |request| {
            let is_read = request.line.starts_with("GET ") && request.line.ends_with("/manifests/v1");
            if is_read && reads.fetch_add(1, Ordering::SeqCst) < 2 {
                return Some(stale.clone());
            }
            request.writes_manifest(TAGS[0]).then_some(Fault::WrongDigest)
        });
        let outcome = push(&proxy, &repository, &[]);
        assert_eq!((outcome.exit, digest_warnings(&outcome).len()), (0, 1), "{outcome:?}");
        fixture.check(&repository, &outcome).unwrap();
    }
}

/// The response names another digest, and the tag has other content.
#[test]
fn a_tag_with_other_content_than_was_written_is_an_error() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let old = digest_of(&fixture, &repository, TAGS[0]);
    let header = vec![("Docker-Content-Digest", old.clone())];
    let proxy = fixture
        .proxy(move |request| request.writes_manifest(TAGS[0]).then(|| Fault::CannedResponse(201, header.clone(), "")));
    let outcome = push(&proxy, &repository, &["--retries", "1"]);
    let new = sha256(&proxy.requests().iter().find(|request| request.writes_manifest(TAGS[0])).unwrap().body);
    assert_eq!((outcome.exit, digest_warnings(&outcome).len()), (1, 0), "{outcome:?}");
    let unknown = format!("not known: {}/{repository}:v1", proxy.host);
    let outcome = outcome.stderr_contains(&old).stderr_contains(&new).stderr_contains(&unknown);
    fixture.check_except(&repository, &outcome, &[TAGS[0]]).unwrap();
}

#[test]
fn a_child_with_other_content_than_was_written_leaves_the_tags_unwritten() {
    let fixture = PushFixture::new();
    let repository = fixture.new_target();
    let header = vec![("Docker-Content-Digest", sha256(b"another"))];
    let proxy = fixture.proxy(move |request| match request.line.split_once("/manifests/sha256:") {
        Some((start, _)) if start.starts_with("PUT ") => Some(Fault::CannedResponse(201, header.clone(), "")),
        Some((start, _)) if start.starts_with("GET /v2/target") => Some(Fault::CannedResponse(200, vec![], "other")),
        _ => None,
    });
    let outcome = push(&proxy, &repository, &["--retries", "1"])
        .fails(1, "no tag was written")
        .stderr_contains(&sha256(b"other"));
    fixture.check(&repository, &outcome).unwrap();
}
