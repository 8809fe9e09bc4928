//! `--dry-run`: it reports what the command would write, and writes nothing.

use serde_json::json;

use super::{ResultsFixture, result_document};
use crate::support::registry::sha256;
use crate::support::{ScriptedServer, push_from_args};

#[test]
fn a_dry_run_reports_what_the_push_then_does() {
    let fixture = ResultsFixture::new();
    let registry = &fixture.sandbox.registry;
    let before = (registry.snapshot(), fixture.far.snapshot());
    let outcome = fixture.push(&["--dry-run", "--exit-code"]).exits(4);
    let planned = fixture.push(&["--dry-run", "--output", "json"]).success();
    assert_eq!((registry.snapshot(), fixture.far.snapshot()), before, "nothing is written");

    let mut planned = result_document(&planned);
    let index = planned["indexes"][0].clone();
    let new = index["digest"].as_str().unwrap();
    let expected = indoc::formatdoc! {
        "
        plan: nothing is written
        HOST/whole:v1
            type       application/vnd.oci.image.index.v1+json
            digest     {new} {size}
            unchanged  linux/amd64                AMD64
          ~ replaced   linux/arm64                OLD -> ARM64
          + added      linux/riscv64              RISCV64
          + added      attestation of linux/arm64 ATTESTATION
          - removed    linux/s390x                GONE
          + mounted    4 blobs, {mounted} bytes
          + sent       2 blobs, {sent} bytes
          + pushed     3 manifests
          ~ updated    HOST/whole:v1 (now BEFORE)
          + created    HOST/whole:latest
        plan: 1 tag to create, 1 to update
        ",
        size = index["size"],
        mounted = index["blobs"]["mounted"]["bytes"],
        sent = index["blobs"]["uploaded"]["bytes"],
    };
    assert_eq!(fixture.normalize(&outcome.stdout), expected);

    // The push reports the same, except for the fields that compare the old index with the new one.
    let mut pushed = result_document(&fixture.push(&["--output", "json"]));
    assert_eq!((planned["dryRun"].take(), pushed["dryRun"].take()), (json!(true), json!(false)));
    let planned = planned["indexes"][0].as_object_mut().unwrap();
    assert!(planned.remove("removed").is_some());
    for entry in planned["entries"].as_array_mut().unwrap() {
        assert!(entry.as_object_mut().unwrap().remove("change").is_some());
        entry.as_object_mut().unwrap().remove("replaces");
    }
    assert_eq!(planned, pushed["indexes"][0].as_object().unwrap());
    assert_eq!(registry.manifest("whole", "v1").unwrap().digest, new);

    let again = fixture.push(&["--dry-run", "--exit-code"]).success();
    let (lines, count) = again.stdout.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(count, "plan: 2 tags unchanged");
    assert!(lines.lines().skip(4).all(|line| line.starts_with("    unchanged  ")), "{again:?}");
}

#[test]
fn a_dry_run_checks_if_match() {
    let fixture = ResultsFixture::new();
    let digest = fixture.digest("AMD64");
    fixture.push(&[]).success();
    // The tag already points at the index, so the condition does not matter.
    fixture.push(&["--dry-run", "--if-match", digest]).success();
    let args = ["remove", "HOST/whole:v1", "--platform", "linux/arm64", "--dry-run", "--if-match", &sha256(b"")];
    fixture.sandbox.run(&args).exits(3);
    fixture.sandbox.run(&["copy", "HOST/whole:old", "HOST/whole:v1"]).success();
    fixture.push(&["--dry-run", "--if-match", digest]).exits(3);
}

#[test]
fn a_dry_run_creates_no_layout_or_archive() {
    let sandbox = ResultsFixture::new().sandbox;
    for target in ["oci:new:v1", "oci-archive:new.tar:v1"] {
        let from_args =
            ["from-args", "--platforms", "linux/amd64", "--template", "HOST/whole:ARCH", "--target", target];
        let outcome = sandbox.run(&[&["push", "--dry-run"], &from_args[..]].concat());
        outcome.success().stdout_contains("  + sent       2 blobs, ");
        assert_eq!(std::fs::read_dir(sandbox.folder()).unwrap().count(), 1, "only spec.yaml");
    }
}

/// The dry run sends no more requests than the push, and counts blobs that several indexes share once.
#[test]
fn a_dry_run_of_many_indexes_counts_shared_blobs_once() {
    let sandbox = ResultsFixture::new().sandbox;
    let spec = |n: u32| {
        indoc::formatdoc! {"
            ---
            image: HOST/new:t{n}
            manifests: [{{image: \"HOST/whole:amd64\"}}]
        "}
    };
    sandbox.write("many.yaml", &(0..20).map(spec).collect::<String>());
    let mark = sandbox.registry.requests(0).len();
    let outcome = sandbox.run(&["push", "--dry-run", "from-spec", "many.yaml", "--output", "json"]);
    let result = result_document(&outcome);
    outcome.stderr_contains("20 indexes: 20 would change, 0 unchanged");
    let sum = |key: &str| {
        let indexes = result["indexes"].as_array().unwrap().iter();
        indexes.map(|index| index["blobs"][key]["count"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((sum("mounted"), sum("uploaded"), sum("existing")), (2, 0, 0));
    // Two for the image and its config, three to check the target for the image and its blobs, and one per target tag.
    let requests = sandbox.registry.requests(mark);
    assert_eq!(requests.len(), 2 + 3 + 20, "{requests:?}");
}

#[test]
fn a_dry_run_refuses_a_layout_or_archive_that_cannot_be_written() {
    let sandbox = ResultsFixture::new().sandbox;
    sandbox.write("full/file", "");
    for (target, part) in [
        ("oci:full:v1", "neither empty nor an image layout"),
        ("oci-archive:full:v1", "it is a folder"),
        ("oci-archive:none/x.tar:v1", "cannot write it"),
    ] {
        let from_args =
            ["from-args", "--platforms", "linux/amd64", "--template", "HOST/whole:ARCH", "--target", target];
        for dry_run in [&["--dry-run"][..], &[]] {
            sandbox.run(&[&["push", "--type", "oci"], dry_run, &from_args[..]].concat()).fails(1, part);
        }
    }
}

#[test]
fn a_dry_run_replaces_a_tag_whose_content_is_not_a_manifest() {
    let sandbox = ResultsFixture::new().sandbox;
    let server = ScriptedServer::in_front_of(&sandbox.registry, |request| {
        let reads_tag = request.line == "GET /v2/whole/manifests/v1";
        reads_tag.then(|| (200, vec![("Content-Type", "text/plain".into())], b"{}".to_vec()))
    });
    push_from_args(&server.host, "linux/amd64", "whole:ARCH", "whole:v1", &["--dry-run"])
        .success()
        .stdout_contains("  ~ updated    ");
}
