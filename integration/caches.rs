//! Indexes that list blobs, as BuildKit's caches do: copied, verified and shown, and refused as sources of a push.

use serde_json::{Value, json};

use crate::support::images::{OCI_INDEX, descriptor, push_image};
use crate::support::registry::sha256;
use crate::support::{MemoryRegistry, Outcome, Registry, manifest_tool, push_from_args};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";

struct Scene {
    folder: tempfile::TempDir,
    registry: Registry,
    /// Two layers and the config of the cache.
    entries: Vec<Value>,
}

impl Scene {
    /// `app:cache` is a cache, and `app:mixed` an index of an image and the cache's blobs.
    fn new() -> Self {
        let registry = Registry::start();
        let contents = [(LAYER, "one"), (LAYER, "two"), (CONFIG, r#"{"layers":[],"records":[]}"#)];
        let entries = contents.map(|(media_type, content)| {
            descriptor(media_type, &registry.push_blob("app", content.as_bytes()), content.as_bytes())
        });
        let scene = Self { folder: tempfile::tempdir().unwrap(), registry, entries: entries.to_vec() };
        scene.push("cache", &scene.entries);
        let mut image = push_image(&scene.registry, "app", "image", "amd64");
        image["platform"] = json!({"os": "linux", "architecture": "amd64"});
        scene.push("mixed", &[&[image], &scene.entries[..]].concat());
        scene
    }

    fn push(&self, tag: &str, entries: &[Value]) {
        self.registry.push_manifest("app", tag, OCI_INDEX, index(entries).to_string().as_bytes());
    }

    fn run(&self, args: &[&str]) -> Outcome {
        let args: Vec<String> = args.iter().map(|arg| arg.replace("HOST", &self.registry.host)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        manifest_tool(self.folder.path(), &[&["--plain-http", "--retries", "0"], &args[..]].concat())
    }

    /// The file of a blob in the registry's storage.
    fn file(&self, entry: &Value) -> std::path::PathBuf {
        let hex = digest(entry).trim_start_matches("sha256:");
        let storage = self.registry.folder.path().join("storage/docker/registry/v2/blobs/sha256");
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
fn nothing_is_appended_to_a_cache() {
    let scene = Scene::new();
    for tag in ["cache", "mixed"] {
        let before = scene.registry.manifest("app", tag).unwrap().digest;
        let outcome = push_from_args(
            &scene.registry.host,
            "linux/amd64",
            "app:image",
            &format!("app:{tag}"),
            &["--append", "--settle", "1ms", "--type", "oci"],
        );
        assert!(outcome.exit == 1 && outcome.stderr.contains("it lists blobs, as build caches do"), "{outcome:?}");
        assert_eq!(scene.registry.manifest("app", tag).unwrap().digest, before);
    }
}

#[test]
fn a_cache_is_copied_to_and_from_every_kind_of_place() {
    let (scene, other) = (Scene::new(), Registry::start());
    let there = format!("{}/cache:v1", other.host);
    for tag in ["cache", "mixed"] {
        let found = scene.registry.manifest("app", tag).unwrap().digest;
        let ways = [
            (format!("HOST/app:{tag}"), there.clone()),
            (format!("HOST/app:{tag}"), format!("HOST/other:{tag}")),
            (there.clone(), format!("oci:{tag}:v1")),
            (format!("oci:{tag}:v1"), format!("oci-archive:{tag}.tar:v1")),
            (format!("oci-archive:{tag}.tar:v1"), format!("HOST/back:{tag}")),
        ];
        for (from, to) in &ways {
            let outcome = scene.run(&["copy", from, to]);
            assert_eq!((outcome.exit, outcome.stdout.split(' ').nth(1)), (0, Some(found.as_str())), "{outcome:?}");
        }
        for repository in ["other", "back"] {
            assert_eq!(scene.registry.manifest(repository, tag).unwrap().digest, found);
            assert!(scene.entries.iter().all(|entry| scene.registry.has_blob(repository, digest(entry))));
        }
        assert!(scene.entries.iter().all(|entry| other.has_blob("cache", digest(entry))));
        for place in [&there, &format!("oci:{tag}:v1"), &format!("oci-archive:{tag}.tar:v1")] {
            let outcome = scene.run(&["verify", "--layers", place]);
            assert_eq!(outcome.exit, 0, "{outcome:?}");
        }
    }
}

#[test]
fn a_copy_with_referrers_or_without_writing_takes_a_cache_as_well() {
    let scene = Scene::new();
    let planned = scene.run(&["copy", "--dry-run", "HOST/app:cache", "HOST/planned:cache"]);
    assert_eq!(planned.exit, 0, "{planned:?}");
    assert!(scene.registry.manifest("planned", "cache").is_none());
    let copied = scene.run(&["copy", "--referrers", "HOST/app:mixed", "oci:out:v1"]);
    assert_eq!(copied.exit, 0, "{copied:?}");
}

#[test]
fn a_blob_of_a_cache_that_is_lost_ends_a_copy_before_its_tag() {
    let scene = Scene::new();
    std::fs::remove_file(scene.file(&scene.entries[1])).unwrap();
    let outcome = scene.run(&["copy", "HOST/app:cache", "oci:out:v1"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains(digest(&scene.entries[1])), "{outcome:?}");
    assert_eq!(scene.run(&["inspect", "oci:out:v1"]).exit, 1);
}

#[test]
fn verify_looks_for_the_blobs_of_a_cache_and_reads_them_with_layers() {
    let scene = Scene::new();
    for tag in ["cache", "mixed"] {
        let sound = scene.run(&["verify", &format!("HOST/app:{tag}")]);
        let blobs = if tag == "cache" { "0 images, 3 blobs, 32 bytes" } else { "1 image, 5 blobs, " };
        assert!(sound.exit == 0 && sound.stdout.contains(blobs), "{sound:?}");
    }
    let check = |more: &[&str], line: Option<String>| {
        let outcome = scene.run(&[&["verify", "HOST/app:cache"], more].concat());
        let found: Vec<&str> = outcome.stdout.lines().skip(1).map(str::trim).collect();
        assert_eq!(found, Vec::from_iter(line.as_deref()), "{outcome:?}");
        assert_eq!(outcome.exit, if line.is_some() { 5 } else { 0 }, "{outcome:?}");
    };
    check(&["--layers"], None);
    let (file, changed) = (scene.file(&scene.entries[0]), digest(&scene.entries[0]));
    std::fs::write(&file, "ONE").unwrap();
    check(&[], None);
    let content = format!("blob {changed}: content: its bytes have digest {}", sha256(b"ONE"));
    check(&["--layers"], Some(content));
    std::fs::write(&file, "longer").unwrap();
    check(&[], Some(format!("blob {changed}: size: it has 6 bytes, its descriptor says 3")));
    std::fs::remove_file(&file).unwrap();
    check(&[], Some(format!("blob {changed}: missing: it is not there")));
    check(&["--layers"], Some(format!("blob {changed}: missing: it is not there")));
    let told = scene.run(&["verify", "--output", "json", "HOST/app:cache"]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let finding = &told["images"][0]["findings"][0];
    assert_eq!((&finding["part"], &finding["digest"]), (&json!("blob"), &json!(changed)), "{told}");
}

#[test]
fn inspect_shows_the_entries_of_a_cache() {
    let scene = Scene::new();
    for tag in ["cache", "mixed"] {
        let name = format!("HOST/app:{tag}");
        for args in [&["inspect", &name][..], &["inspect", "--raw", &name], &["inspect", "--output", "json", &name]] {
            let outcome = scene.run(args);
            assert_eq!(outcome.exit, 0, "{args:?}: {outcome:?}");
            for entry in &scene.entries {
                assert!(outcome.stdout.contains(digest(entry)), "{args:?}: {outcome:?}");
            }
            assert!(outcome.stdout.contains(CONFIG), "{args:?}: {outcome:?}");
        }
    }
}

#[test]
fn push_refuses_a_cache_as_its_source() {
    let scene = Scene::new();
    for tag in ["cache", "mixed"] {
        let held: Value = serde_json::from_slice(&scene.registry.manifest("app", tag).unwrap().bytes).unwrap();
        scene.push("amd64", held["manifests"].as_array().unwrap());
        for more in [&[][..], &["--ignore-missing"]] {
            let outcome = push_from_args(&scene.registry.host, "linux/amd64", "app:ARCH", "app:new", more);
            let said = format!(
                "/app:amd64 cannot be a source: it lists {} of type {LAYER}, a blob",
                digest(&scene.entries[0])
            );
            assert!(outcome.exit == 1 && outcome.stderr.contains(&said), "{tag}: {outcome:?}");
        }
    }
    assert!(scene.registry.manifest("app", "new").is_none());
}

/// An entry of an unknown type is a blob if the source has it as a blob.
#[test]
fn entries_of_other_types_are_copied_where_they_are_blobs() {
    let (from, to) = (MemoryRegistry::start(false), MemoryRegistry::start(false));
    let folder = tempfile::tempdir().unwrap();
    let blob = from.put_blob("app", "application/vnd.example.data", b"data");
    let held = from.put_blob("app", "text/plain", b"held");
    let artifact = from.put_manifest("app", "artifact", &json!({"mediaType": ARTIFACT, "blobs": [held]}));
    let manifest = from.put_manifest("app", "manifest", &json!({"mediaType": "application/vnd.example.manifest"}));
    from.put_manifest("app", "good", &index(&[blob.clone(), artifact.clone()]));
    from.put_manifest("app", "bad", &index(&[blob.clone(), manifest.clone()]));
    let copy = |tag: &str, to: &str| {
        let from = format!("{}/app:{tag}", from.server.host);
        manifest_tool(folder.path(), &["--plain-http", "--retries", "0", "copy", &from, to])
    };
    for to in [&format!("{}/app:good", to.server.host), "oci:out:good"] {
        let good = copy("good", to);
        assert_eq!(good.exit, 0, "{good:?}");
    }
    assert!(to.manifest("app", "good").is_some() && to.manifest("app", digest(&artifact)).is_some());
    assert!([&blob, &held].iter().all(|blob| to.blob("app", digest(blob)).is_some()));
    let bad = copy("bad", &format!("{}/app:bad", to.server.host));
    let said = format!("it holds {}, which is neither image, index nor blob", digest(&manifest));
    assert!(bad.exit == 1 && bad.stderr.contains(&said), "{bad:?}");
    assert!(to.manifest("app", "bad").is_none());
    // A registry that holds manifests among its blobs, as layouts do.
    let schema_1 = json!({"schemaVersion": 1, "fsLayers": []}).to_string();
    let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let old = from.put_blob("app", media_type, schema_1.as_bytes());
    from.put_manifest("app", "old", &index(&[blob, old.clone()]));
    let copied = copy("old", &format!("{}/app:old", to.server.host));
    let said = format!("it holds {}, which is neither image, index nor blob but {media_type}", digest(&old));
    assert!(copied.exit == 1 && copied.stderr.contains(&said), "{copied:?}");
    assert!(to.manifest("app", "old").is_none());
}

#[test]
fn the_size_of_a_manifest_of_another_type_is_verified() {
    let registry = MemoryRegistry::start(false);
    let mut artifact = registry.put_manifest("app", "artifact", &json!({"mediaType": ARTIFACT, "blobs": []}));
    let size = artifact["size"].as_u64().unwrap();
    artifact["size"] = json!(1);
    registry.put_manifest("app", "v1", &index(&[artifact]));
    let folder = tempfile::tempdir().unwrap();
    let name = format!("{}/app:v1", registry.server.host);
    let verified = manifest_tool(folder.path(), &["--plain-http", "verify", &name]);
    let said = format!("size: it has {size} bytes, its descriptor says 1");
    assert!(verified.exit == 5 && verified.stdout.contains(&said), "{verified:?}");
}

#[test]
fn query_shows_no_platform_of_a_blob() {
    let scene = Scene::new();
    let shown = |tag: &str| {
        let outcome = scene.run(&["query", &format!("{}/app:{tag}", scene.registry.host)]);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        outcome.stdout.lines().filter(|line| line.trim().starts_with("- ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown("cache"), [""; 0]);
    assert_eq!(shown("mixed").len(), 1);
}
