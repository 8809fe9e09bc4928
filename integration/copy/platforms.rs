//! `copy --platform` with several platforms: an index of only their images and attestations.

use serde_json::{Value, json};

use super::{CopyFixture, assert_complete, index, push_entry};
use crate::support::Registry;
use crate::support::images::{DOCKER, OCI_INDEX, descriptor, push_image, push_image_with, push_referrer};
use crate::support::registry::sha256;

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A [`CopyFixture`] with another index `multi:v1`: images for amd64, arm64/v8 and s390x, and attestations of amd64
/// and s390x.
struct PlatformsFixture {
    copy: CopyFixture,
    index: Value,
}

impl PlatformsFixture {
    fn new() -> Self {
        let copy = CopyFixture::new();
        let mut entries = ["amd64", "arm64", "s390x"].map(|name| push_entry(&copy.from, "multi", name)).to_vec();
        entries[1]["platform"]["variant"] = "v8".into();
        entries[1]["x-entry"] = "kept with its entry".into();
        let attestations = [push_attestation(&copy.from, &entries[0]), push_attestation(&copy.from, &entries[2])];
        entries.extend(attestations);
        let index = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "x-index": {"b": [1], "a": null},
            "annotations": {"z": "last", "a": "first"}, "manifests": entries,
        });
        copy.from.push_manifest("multi", "v1", OCI_INDEX, index.to_string().as_bytes());
        Self { copy, index }
    }

    /// Returns the bytes of the index with only the entries at these positions.
    fn filtered(&self, positions: &[usize]) -> Vec<u8> {
        let mut index = self.index.clone();
        index["manifests"] = positions.iter().map(|position| self.index["manifests"][position].clone()).collect();
        serde_json::to_vec_pretty(&index).unwrap()
    }

    fn entry_digest(&self, position: usize) -> &str {
        self.index["manifests"][position]["digest"].as_str().unwrap()
    }
}

fn push_attestation(registry: &Registry, image: &Value) -> Value {
    let name = format!("attestation of {}", image["digest"]);
    let mut entry = push_image_with(registry, "multi", "attestation", b"{}", name.as_bytes());
    entry["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    entry["annotations"] =
        json!({"vnd.docker.reference.digest": image["digest"], "vnd.docker.reference.type": "attestation-manifest"});
    entry
}

#[test]
fn several_platforms_are_copied_as_an_index_of_their_images_and_attestations() {
    let fixture = PlatformsFixture::new();
    let (from, to) = (&fixture.copy.from, &fixture.copy.to);
    let expected = fixture.filtered(&[0, 2, 3, 4]);
    let mark = from.requests(0).len();
    for (source, target) in [
        ("FROM/multi:v1", "TO/multi:v1"),
        ("FROM/multi:v1", "oci:layout:v1"),
        ("FROM/multi:v1", "oci-archive:app.tar:v1"),
        ("FROM/multi:v1", "FROM/multi:server"),
    ] {
        let stdout = fixture.copy.copied(&[source, target, "--platform", "linux/s390x,linux/amd64"]);
        assert_eq!(stdout, format!("Digest: {} {}\n", sha256(&expected), expected.len()), "{target}");
    }
    let read: Vec<String> = from.requests(mark);
    assert!(!read.iter().any(|line| line.contains(fixture.entry_digest(1))), "arm64 is not read: {read:?}");
    for (registry, tag) in [(to, "v1"), (from, "server")] {
        let stored = registry.manifest("multi", tag).unwrap();
        assert_eq!(String::from_utf8(stored.bytes), String::from_utf8(expected.clone()));
        assert_eq!(stored.media_type, OCI_INDEX);
        assert_complete(registry, "multi", tag);
    }
    assert!(to.manifest("multi", fixture.entry_digest(1)).is_none());
    for copied in ["oci:layout:v1", "oci-archive:app.tar:v1"] {
        fixture.copy.workspace.run(&["verify", copied, "--platforms", "linux/s390x,linux/amd64"]).success();
        fixture.copy.copied(&[copied, "TO/back:v1"]);
        assert_eq!(to.manifest("back", "v1").unwrap().bytes, expected);
    }
    let mark = to.requests(0).len();
    fixture.copy.copied(&["FROM/multi:v1", "TO/multi:v1", "--platform=linux/amd64", "--platform=linux/s390x"]);
    let requests = to.requests(mark);
    assert!(requests.iter().all(|line| line.starts_with("HEAD ")), "a repetition only reads: {requests:?}");
}

#[test]
fn a_docker_list_stays_a_docker_list() {
    let fixture = CopyFixture::new();
    let entries: Vec<Value> = ["amd64", "arm64", "s390x"]
        .map(|name| {
            push_image(&fixture.from, "list", name, name);
            let bytes = fixture.from.manifest("list", name).unwrap().bytes;
            let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
            manifest["mediaType"] = DOCKER.into();
            manifest["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
            let bytes = manifest.to_string();
            fixture.from.push_manifest("list", name, DOCKER, bytes.as_bytes());
            let mut entry = descriptor(DOCKER, &sha256(bytes.as_bytes()), bytes.as_bytes());
            entry["platform"] = json!({"os": "linux", "architecture": name, "features": ["kept"]});
            entry
        })
        .to_vec();
    let list = json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries});
    fixture.from.push_manifest("list", "v1", DOCKER_LIST, list.to_string().as_bytes());
    fixture.copied(&["FROM/list:v1", "TO/list", "--platform", "linux/arm64,linux/amd64", "--tags", "a", "--wait"]);
    let expected = json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries[..2]});
    for tag in ["v1", "a"] {
        let stored = fixture.to.manifest("list", tag).unwrap();
        assert_eq!(stored.media_type, DOCKER_LIST);
        assert_eq!(stored.bytes, serde_json::to_vec_pretty(&expected).unwrap());
        assert_complete(&fixture.to, "list", tag);
    }
}

#[test]
fn an_index_with_only_the_platforms_is_copied_byte_for_byte() {
    let fixture = PlatformsFixture::new();
    let source = fixture.copy.from.manifest("multi", "v1").unwrap();
    fixture.copy.copied(&["FROM/multi:v1", "TO/multi:v1", "--platform", "linux/arm64,linux/s390x,linux/amd64"]);
    assert_eq!(fixture.copy.to.manifest("multi", "v1").unwrap().bytes, source.bytes);
}

#[test]
fn an_index_is_replaced_under_its_own_tag() {
    let fixture = PlatformsFixture::new();
    fixture.copy.copied(&["FROM/multi:v1", "oci:layout:v1"]);
    for location in ["FROM/multi:v1", "oci:layout:v1"] {
        let stdout = fixture.copy.copied(&[location, location, "--platform", "linux/arm64,linux/amd64"]);
        assert!(stdout.contains(&sha256(&fixture.filtered(&[0, 1, 3]))), "{stdout}");
        let verify = ["verify", location, "--platforms", "linux/arm64,linux/amd64"];
        fixture.copy.workspace.run(&verify).success();
    }
}

#[test]
fn one_platform_in_two_spellings_is_copied_as_an_image() {
    let fixture = PlatformsFixture::new();
    for (tag, platforms) in [("a", "linux/arm64,linux/arm64/v8"), ("b", "linux/arm64/v8,linux/arm64/v8")] {
        fixture.copy.copied(&["FROM/multi:v1", &format!("TO/multi:{tag}"), "--platform", platforms]);
        assert_eq!(fixture.copy.to.manifest("multi", tag).unwrap().digest, fixture.entry_digest(1));
    }
}

#[test]
fn platforms_without_an_image_are_listed_and_nothing_is_written() {
    let fixture = PlatformsFixture::new();
    let before = fixture.copy.to.snapshot();
    for (source, platforms, exit, error) in [
        (
            "FROM/multi:v1",
            "linux/386,linux/amd64,linux/sparc64",
            1,
            "/multi:v1: no image for linux/386, linux/sparc64; available: linux/amd64, linux/arm64/v8, linux/s390x",
        ),
        (
            "FROM/multi:amd64",
            "linux/amd64,linux/arm64,linux/386",
            1,
            "/multi:amd64: it is a single image for linux/amd64, not for linux/arm64, linux/386",
        ),
        ("FROM/multi:v1", "linux/386,linux/x86_64", 2, "did you mean linux/amd64?"),
        ("FROM/multi:v1", "linux/amd64,arm64", 2, "invalid platform \"arm64\""),
        ("FROM/multi:v1", "linux/amd64,", 2, "invalid platform \"\""),
    ] {
        for dry_run in [&[][..], &["--dry-run"]] {
            let args = [&[source, "TO/multi:v1", "--platform", platforms], dry_run].concat();
            fixture.copy.copy(&args).fails(exit, error).stdout_is("");
        }
    }
    assert_eq!(fixture.copy.to.snapshot(), before);
}

#[test]
fn a_single_image_for_all_platforms_is_copied() {
    let fixture = CopyFixture::new();
    let config = json!({"os": "linux", "architecture": "arm", "variant": "v6"}).to_string();
    let image = push_image_with(&fixture.from, "app", "arm", config.as_bytes(), b"layer");
    fixture.copied(&["FROM/app:arm", "TO/app:arm", "--platform", "linux/arm,linux/arm/v6"]);
    assert_eq!(fixture.to.manifest("app", "arm").unwrap().digest, image["digest"]);
}

/// The configs of entries without a platform are read, because no entry names linux/arm64.
#[test]
fn entries_without_a_platform_are_selected_by_their_configs() {
    let fixture = CopyFixture::new();
    let mut entries = ["amd64", "arm64", "s390x"].map(|name| push_entry(&fixture.from, "bare", name));
    entries[1].as_object_mut().unwrap().remove("platform");
    entries[2].as_object_mut().unwrap().remove("platform");
    fixture.from.push_manifest("bare", "v1", OCI_INDEX, index(&entries).as_bytes());
    fixture.copied(&["FROM/bare:v1", "TO/bare:v1", "--platform", "linux/amd64,linux/arm64"]);
    let expected = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries[..2]});
    let stored = fixture.to.manifest("bare", "v1").unwrap();
    assert_eq!(stored.bytes, serde_json::to_vec_pretty(&expected).unwrap(), "entries stay without a platform");
    fixture
        .copy(&["FROM/bare:v1", "TO/bare:v2", "--platform", "linux/386,linux/arm64"])
        .fails(1, "no image for linux/386; available: linux/amd64, linux/arm64, linux/s390x");
}

#[test]
fn a_target_digest_is_compared_with_the_digest_of_the_written_index() {
    let fixture = PlatformsFixture::new();
    let expected = sha256(&fixture.filtered(&[0, 1, 3]));
    let source = fixture.copy.from.manifest("multi", "v1").unwrap().digest;
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    let target = format!("TO/multi@{source}");
    let outcome = fixture.copy.copy(&[&["FROM/multi:v1", &target], &platforms[..]].concat());
    outcome.fails(1, &format!("its digest is {expected}, not {source}"));
    for (from, target) in [
        ("FROM/multi:v1".to_owned(), format!("TO/multi@{expected}")),
        (format!("FROM/multi@{source}"), "TO/other".to_owned()),
    ] {
        fixture.copy.copied(&[&[&*from, &target], &platforms[..]].concat());
    }
    for repository in ["multi", "other"] {
        assert_complete(&fixture.copy.to, repository, &expected);
    }
}

#[test]
fn a_dry_run_and_the_metadata_file_report_the_written_index() {
    let fixture = PlatformsFixture::new();
    let workspace = &fixture.copy.workspace;
    let expected = fixture.filtered(&[1, 2, 4]);
    let digest = sha256(&expected);
    let args = ["FROM/multi:v1", "TO/multi:v1", "--platform", "linux/arm64,linux/s390x"];
    let planned = fixture.copy.copied(&[&args[..], &["--dry-run"]].concat());
    let size = expected.len();
    let expected_plan = indoc::formatdoc! {"
        plan: nothing is written
        TO/multi:v1
            source     FROM/multi:v1
            type       {OCI_INDEX}
            digest     {digest} {size}
          + created    TO/multi:v1
        plan: 1 tag to create
    "};
    assert_eq!(planned, workspace.fill(&expected_plan));
    assert!(fixture.copy.to.manifest("multi", "v1").is_none());
    fixture.copy.copied(&[&args[..], &["--metadata-file", "copied.json", "--digest-file", "digest"]].concat());
    let document: Value = serde_json::from_str(&workspace.read("copied.json")).unwrap();
    let copy = &document["copies"][0];
    assert_eq!((&copy["digest"], &copy["size"]), (&json!(digest), &json!(expected.len())), "{document}");
    assert_eq!(workspace.read("digest"), digest);
}

#[test]
fn every_selected_tag_of_a_repository_is_copied_with_only_the_platforms() {
    let fixture = PlatformsFixture::new();
    let entries = ["amd64", "s390x"].map(|name| push_entry(&fixture.copy.from, "multi", name));
    fixture.copy.from.push_manifest("multi", "v2", OCI_INDEX, index(&entries).as_bytes());
    let args = ["FROM/multi", "TO/multi", "--tags", "v*", "--platform", "linux/amd64,linux/s390x"];
    assert_eq!(fixture.copy.copied(&args).lines().count(), 2);
    let stored = |tag: &str| fixture.copy.to.manifest("multi", tag).unwrap().bytes;
    assert_eq!((stored("v1"), stored("v2")), (fixture.filtered(&[0, 2, 3, 4]), index(&entries).into_bytes()));
    // One tag without an image for a platform does not prevent the others.
    let args = ["FROM/multi", "TO/some", "--tags", "v*", "--platform", "linux/amd64,linux/arm64"];
    fixture.copy.copy(&args).fails(1, "/multi:v2: no image for linux/arm64; available: linux/amd64, linux/s390x");
    assert_complete(&fixture.copy.to, "some", "v1");
}

/// Signatures of the whole index refer to its digest, which the copy does not have.
#[test]
fn referrers_of_the_copied_images_are_copied_but_not_those_of_the_whole_index() {
    let fixture = PlatformsFixture::new();
    let (from, to) = (&fixture.copy.from, &fixture.copy.to);
    let whole = from.manifest("multi", "v1").unwrap();
    let whole = descriptor(OCI_INDEX, &whole.digest, &whole.bytes);
    let sign = |subject: &Value| {
        let signature = push_referrer(from, "multi", subject, "application/signature");
        signature["digest"].as_str().unwrap().to_owned()
    };
    let [amd64, arm64, of_whole] = [&fixture.index["manifests"][0], &fixture.index["manifests"][1], &whole].map(sign);
    let cosign_tag = format!("{}.sig", whole["digest"].as_str().unwrap().replace(':', "-"));
    push_image(from, "multi", &cosign_tag, "amd64");
    let args = ["FROM/multi:v1", "TO/multi:v1", "--referrers", "--platform", "linux/amd64,linux/s390x"];
    fixture.copy.copied(&args);
    assert_complete(to, "multi", &amd64);
    for name in [&arm64, &of_whole, &cosign_tag] {
        assert!(to.manifest("multi", name).is_none(), "{name}");
    }
    // After an earlier copy, the smaller index may have been signed.
    fixture.copy.copied(&["FROM/multi:v1", "FROM/multi:server", "--platform", "linux/amd64,linux/s390x"]);
    let server = from.manifest("multi", "server").unwrap();
    let of_server = sign(&descriptor(OCI_INDEX, &server.digest, &server.bytes));
    fixture.copy.copied(&args);
    assert_complete(to, "multi", &of_server);
    let list = to.manifest("multi", &server.digest.replace(':', "-")).unwrap();
    assert!(String::from_utf8(list.bytes).unwrap().contains(&of_server));
    assert!(to.manifest("multi", &of_whole).is_none());
}
