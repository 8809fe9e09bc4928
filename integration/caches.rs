//! Indexes that list blobs, such as BuildKit caches: they are copied, verified and shown, and rejected as push sources.

use serde_json::{Value, json};

use crate::support::images::{OCI_INDEX, descriptor, push_image, push_index};
use crate::support::registry::sha256;
use crate::support::{MemoryRegistry, Outcome, Registry, Sandbox, Workspace, push_from_args};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

/// `app:cache` is a build cache, and `app:mixed` an index of an image and the blobs of the cache.
struct CacheFixture {
    sandbox: Sandbox,
    /// Two layers and the config of the cache.
    entries: Vec<Value>,
}

impl CacheFixture {
    fn new() -> Self {
        let sandbox = Sandbox::new().with(|workspace| workspace.flags(&["--retries", "0"]));
        let registry = &sandbox.registry;
        let contents = [(LAYER, "one"), (LAYER, "two"), (CONFIG, r#"{"layers":[],"records":[]}"#)];
        let entries = contents.map(|(media_type, content)| {
            descriptor(media_type, &registry.push_blob("app", content.as_bytes()), content.as_bytes())
        });
        let mut image = push_image(registry, "app", "image", "amd64");
        image["platform"] = json!({"os": "linux", "architecture": "amd64"});
        push_index(registry, "app", "cache", &entries);
        push_index(registry, "app", "mixed", &[&[image], &entries[..]].concat());
        Self { sandbox, entries: entries.to_vec() }
    }

    fn run(&self, args: &[&str]) -> Outcome {
        self.sandbox.run(args)
    }

    /// Returns the file of a blob in the registry's storage.
    fn blob_file(&self, entry: &Value) -> std::path::PathBuf {
        let hex = digest(entry).trim_start_matches("sha256:");
        let storage = self.sandbox.registry.folder.path().join("storage/docker/registry/v2/blobs/sha256");
        storage.join(&hex[..2]).join(hex).join("data")
    }
}

fn index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
}

fn digest(entry: &Value) -> &str {
    entry["digest"].as_str().unwrap()
}

#[test]
fn append_refuses_a_cache() {
    let fixture = CacheFixture::new();
    for tag in ["cache", "mixed"] {
        let before = fixture.sandbox.registry.manifest("app", tag).unwrap().digest;
        push_from_args(
            &fixture.sandbox.registry.host,
            "linux/amd64",
            "app:image",
            &format!("app:{tag}"),
            &["--append", "--settle", "1ms", "--type", "oci"],
        )
        .fails(1, "it lists blobs, like a build cache");
        assert_eq!(fixture.sandbox.registry.manifest("app", tag).unwrap().digest, before);
    }
}

#[test]
fn a_cache_is_copied_between_registries_layouts_and_archives() {
    let (fixture, other) = (CacheFixture::new(), Registry::start());
    let in_other_registry = format!("{}/cache:v1", other.host);
    for tag in ["cache", "mixed"] {
        let digest_of_index = fixture.sandbox.registry.manifest("app", tag).unwrap().digest;
        let copies = [
            (format!("HOST/app:{tag}"), in_other_registry.clone()),
            (format!("HOST/app:{tag}"), format!("HOST/other:{tag}")),
            (in_other_registry.clone(), format!("oci:{tag}:v1")),
            (format!("oci:{tag}:v1"), format!("oci-archive:{tag}.tar:v1")),
            (format!("oci-archive:{tag}.tar:v1"), format!("HOST/back:{tag}")),
        ];
        for (from, to) in &copies {
            let outcome = fixture.run(&["copy", from, to]);
            assert_eq!(
                (outcome.exit, outcome.stdout.split(' ').nth(1)),
                (0, Some(digest_of_index.as_str())),
                "{outcome:?}"
            );
        }
        for repository in ["other", "back"] {
            assert_eq!(fixture.sandbox.registry.manifest(repository, tag).unwrap().digest, digest_of_index);
            assert!(fixture.entries.iter().all(|entry| fixture.sandbox.registry.has_blob(repository, digest(entry))));
        }
        assert!(fixture.entries.iter().all(|entry| other.has_blob("cache", digest(entry))));
        for target in [&in_other_registry, &format!("oci:{tag}:v1"), &format!("oci-archive:{tag}.tar:v1")] {
            fixture.run(&["verify", "--layers", target]).success();
        }
    }
}

#[test]
fn a_cache_is_copied_with_referrers_and_in_a_dry_run() {
    let fixture = CacheFixture::new();
    fixture.run(&["copy", "--dry-run", "HOST/app:cache", "HOST/planned:cache"]).success();
    assert!(fixture.sandbox.registry.manifest("planned", "cache").is_none());
    fixture.run(&["copy", "--referrers", "HOST/app:mixed", "oci:out:v1"]).success();
}

#[test]
fn a_copy_of_a_cache_with_a_missing_blob_writes_no_tag() {
    let fixture = CacheFixture::new();
    std::fs::remove_file(fixture.blob_file(&fixture.entries[1])).unwrap();
    fixture.run(&["copy", "HOST/app:cache", "oci:out:v1"]).fails(1, digest(&fixture.entries[1]));
    fixture.run(&["inspect", "oci:out:v1"]).exits(1);
}

#[test]
fn verify_checks_the_blobs_of_a_cache_and_their_content_with_layers() {
    let fixture = CacheFixture::new();
    for tag in ["cache", "mixed"] {
        let blobs = if tag == "cache" { "0 images, 3 blobs, 32 bytes" } else { "1 image, 5 blobs, " };
        fixture.run(&["verify", &format!("HOST/app:{tag}")]).success().stdout_contains(blobs);
    }
    let assert_finding = |args: &[&str], finding: Option<String>| {
        let outcome = fixture.run(&[&["verify", "HOST/app:cache"], args].concat());
        let findings: Vec<&str> = outcome.stdout.lines().skip(1).map(str::trim).collect();
        assert_eq!(findings, Vec::from_iter(finding.as_deref()), "{outcome:?}");
        assert_eq!(outcome.exit, if finding.is_some() { 5 } else { 0 }, "{outcome:?}");
    };
    assert_finding(&["--layers"], None);
    let (file, changed) = (fixture.blob_file(&fixture.entries[0]), digest(&fixture.entries[0]));
    std::fs::write(&file, "ONE").unwrap();
    assert_finding(&[], None);
    let content = format!("blob {changed}: content: its bytes have digest {}", sha256(b"ONE"));
    assert_finding(&["--layers"], Some(content));
    std::fs::write(&file, "longer").unwrap();
    assert_finding(&[], Some(format!("blob {changed}: size: it has 6 bytes, but its descriptor declares 3")));
    std::fs::remove_file(&file).unwrap();
    assert_finding(&[], Some(format!("blob {changed}: missing: not found")));
    assert_finding(&["--layers"], Some(format!("blob {changed}: missing: not found")));
    let report = fixture.run(&["verify", "--output", "json", "HOST/app:cache"]).json();
    let finding = &report["images"][0]["findings"][0];
    assert_eq!((&finding["part"], &finding["digest"]), (&json!("blob"), &json!(changed)), "{report}");
}

#[test]
fn inspect_shows_the_entries_of_a_cache() {
    let fixture = CacheFixture::new();
    for tag in ["cache", "mixed"] {
        let name = format!("HOST/app:{tag}");
        for args in [&["inspect", &name][..], &["inspect", "--raw", &name], &["inspect", "--output", "json", &name]] {
            let outcome = fixture.run(args).success();
            for entry in &fixture.entries {
                assert!(outcome.stdout.contains(digest(entry)), "{args:?}: {outcome:?}");
            }
            assert!(outcome.stdout.contains(CONFIG), "{args:?}: {outcome:?}");
        }
    }
}

#[test]
fn push_rejects_a_cache_as_source() {
    let fixture = CacheFixture::new();
    for tag in ["cache", "mixed"] {
        let index: Value =
            serde_json::from_slice(&fixture.sandbox.registry.manifest("app", tag).unwrap().bytes).unwrap();
        push_index(&fixture.sandbox.registry, "app", "amd64", index["manifests"].as_array().unwrap());
        for args in [&[][..], &["--ignore-missing"]] {
            let error = format!(
                "/app:amd64 cannot be a source: it lists {} of type {LAYER}, a blob",
                digest(&fixture.entries[0])
            );
            push_from_args(&fixture.sandbox.registry.host, "linux/amd64", "app:ARCH", "app:new", args).fails(1, &error);
        }
    }
    assert!(fixture.sandbox.registry.manifest("app", "new").is_none());
}

/// An entry of an unknown type is a blob if the source serves it as a blob.
#[test]
fn entries_of_unknown_types_are_copied_if_they_are_blobs() {
    let (from, to) = (MemoryRegistry::start(false), MemoryRegistry::start(false));
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]);
    let blob = from.put_blob("app", "application/vnd.example.data", b"data");
    let artifact_blob = from.put_blob("app", "text/plain", b"held");
    let artifact = from.put_manifest("app", "artifact", &json!({"mediaType": ARTIFACT, "blobs": [artifact_blob]}));
    let manifest = from.put_manifest("app", "manifest", &json!({"mediaType": "application/vnd.example.manifest"}));
    from.put_manifest("app", "copyable", &index(&[blob.clone(), artifact.clone()]));
    from.put_manifest("app", "unknown", &index(&[blob.clone(), manifest.clone()]));
    let copy = |tag: &str, to: &str| {
        let from = format!("{}/app:{tag}", from.server.host);
        workspace.run(&["copy", &from, to])
    };
    for to in [&format!("{}/app:copyable", to.server.host), "oci:out:copyable"] {
        copy("copyable", to).success();
    }
    assert!(to.manifest("app", "copyable").is_some() && to.manifest("app", digest(&artifact)).is_some());
    assert!([&blob, &artifact_blob].iter().all(|blob| to.blob("app", digest(blob)).is_some()));
    let error = format!("its entry {} is not an image, index or blob", digest(&manifest));
    copy("unknown", &format!("{}/app:unknown", to.server.host)).fails(1, &error);
    assert!(to.manifest("app", "unknown").is_none());
    // A registry may serve manifests as blobs, as layouts do. This one is not copied as a blob.
    let schema_1 = json!({"schemaVersion": 1, "fsLayers": []}).to_string();
    let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let old = from.put_blob("app", media_type, schema_1.as_bytes());
    from.put_manifest("app", "old", &index(&[blob, old.clone()]));
    let error = format!("its entry {} is not an image, index or blob but {media_type}", digest(&old));
    copy("old", &format!("{}/app:old", to.server.host)).fails(1, &error);
    assert!(to.manifest("app", "old").is_none());
}

#[test]
fn the_size_of_a_manifest_of_another_type_is_verified() {
    let registry = MemoryRegistry::start(false);
    let mut artifact = registry.put_manifest("app", "artifact", &json!({"mediaType": ARTIFACT, "blobs": []}));
    let size = artifact["size"].as_u64().unwrap();
    artifact["size"] = json!(1);
    registry.put_manifest("app", "v1", &index(&[artifact]));
    let reference = format!("{}/app:v1", registry.server.host);
    let finding = format!("size: it has {size} bytes, but its descriptor declares 1");
    Workspace::new().run(&["--plain-http", "verify", &reference]).exits(5).stdout_contains(&finding);
}

#[test]
fn query_lists_no_platform_for_a_blob() {
    let fixture = CacheFixture::new();
    let platforms_of = |tag: &str| {
        let outcome = fixture.run(&["query", &format!("HOST/app:{tag}")]).success();
        outcome.stdout.lines().filter(|line| line.trim().starts_with("- ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(platforms_of("cache"), [""; 0]);
    assert_eq!(platforms_of("mixed").len(), 1);
}
