//! `verify`: an index broken in each way, in a real registry's storage, and each found and named.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::images::{DOCKER, OCI, OCI_INDEX, descriptor, push_index};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, manifest_tool};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A layer: how it is packed, and what is in it.
struct Layer {
    kind: &'static str,
    packed: Vec<u8>,
    unpacked: Vec<u8>,
}

fn gzip(text: &str) -> Layer {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text.as_bytes()).unwrap();
    Layer { kind: "+gzip", packed: out.finish().unwrap(), unpacked: text.into() }
}

fn zstd(text: &str) -> Layer {
    let packed = ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    Layer { kind: "+zstd", packed, unpacked: text.into() }
}

fn tar(text: &str) -> Layer {
    Layer { kind: "", packed: text.into(), unpacked: text.into() }
}

/// An index of three images with three layers each, one of which all share, and an attestation of the first.
struct Scene {
    registry: Registry,
    entries: Vec<Value>,
    manifests: Vec<Value>,
}

impl Scene {
    fn new() -> Self {
        let registry = Registry::start();
        let mut scene = Self { registry, entries: Vec::new(), manifests: Vec::new() };
        for (os, architecture, variant) in [("linux", "amd64", ""), ("linux", "arm64", "v8"), ("linux", "arm", "v7")] {
            let name = format!("{architecture} {}", "text ".repeat(1000));
            let layers = [tar("shared"), gzip(&name), zstd(&name)];
            let mut platform = json!({"architecture": architecture, "os": os});
            if !variant.is_empty() {
                platform["variant"] = variant.into();
            }
            let mut entry = scene.push_image(&platform, &layers);
            entry["platform"] = platform;
            scene.entries.push(entry);
        }
        let of = scene.entries[0]["digest"].as_str().unwrap().to_owned();
        let unknown = json!({"architecture": "unknown", "os": "unknown"});
        let statement = Layer { kind: "", packed: b"{}".to_vec(), unpacked: b"{}".to_vec() };
        let mut attestation = scene.push_image(&unknown, &[statement]);
        attestation["platform"] = unknown;
        attestation["annotations"] =
            json!({"vnd.docker.reference.digest": of, "vnd.docker.reference.type": "attestation-manifest"});
        scene.entries.push(attestation);
        push_index(&scene.registry, "app", "v1", &scene.entries);
        scene
    }

    fn push_image(&mut self, platform: &Value, layers: &[Layer]) -> Value {
        let registry = &self.registry;
        let mut config = platform.clone();
        let diff_ids: Vec<String> = layers.iter().map(|layer| sha256(&layer.unpacked)).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let blob = |kind: &str, bytes: &[u8]| descriptor(kind, &registry.push_blob("app", bytes), bytes);
        let layers: Vec<Value> =
            layers.iter().map(|layer| blob(&format!("{LAYER}{}", layer.kind), &layer.packed)).collect();
        let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        self.push_manifest(&json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": layers}))
    }

    fn push_manifest(&mut self, manifest: &Value) -> Value {
        let text = manifest.to_string();
        self.registry.push_manifest("app", &sha256(text.as_bytes()), OCI, text.as_bytes());
        self.manifests.push(manifest.clone());
        descriptor(OCI, &sha256(text.as_bytes()), text.as_bytes())
    }

    /// Another index, in which one thing is otherwise.
    fn index_with(&self, tag: &str, change: impl Fn(&mut Vec<Value>)) {
        let mut entries = self.entries.clone();
        change(&mut entries);
        push_index(&self.registry, "app", tag, &entries);
    }

    /// An index that the registry would not take, written into its storage in the place of another.
    fn write_index(&self, tag: &str, entries: &[Value]) {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string();
        let digest = self.registry.push_blob("app", index.as_bytes());
        let hex = digest.strip_prefix("sha256:").unwrap();
        push_index(&self.registry, "app", tag, &self.entries[..1]);
        let tag = format!("repositories/app/_manifests/tags/{tag}/current/link");
        for link in [format!("repositories/app/_manifests/revisions/sha256/{hex}/link"), tag] {
            let link = self.storage(&link);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::fs::write(link, &digest).unwrap();
        }
    }

    fn storage(&self, path: &str) -> PathBuf {
        self.registry.folder.path().join("storage/docker/registry/v2").join(path)
    }

    fn file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.storage(&format!("blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    /// Takes a blob or manifest out of the repository.
    fn lose(&self, digest: &str) {
        let hex = digest.strip_prefix("sha256:").unwrap();
        for of in ["_layers", "_manifests/revisions"] {
            let _ = std::fs::remove_dir_all(self.storage(&format!("repositories/app/{of}/sha256/{hex}")));
        }
    }

    fn flip(&self, digest: &str) {
        let mut bytes = std::fs::read(self.file(digest)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(self.file(digest), bytes).unwrap();
    }

    fn layer(&self, image: usize, layer: usize) -> String {
        self.manifests[image]["layers"][layer]["digest"].as_str().unwrap().to_owned()
    }

    fn entry(&self, at: usize) -> String {
        self.entries[at]["digest"].as_str().unwrap().to_owned()
    }

    fn verify(&self, tag: &str, more: &[&str]) -> Outcome {
        let image = format!("{}/app:{tag}", self.registry.host);
        let args = [&["--plain-http", "--retries", "1", "verify", &image][..], more].concat();
        manifest_tool(Path::new("/"), &args)
    }

    /// What is found: nothing but these lines, in their order, and exit code 5.
    #[track_caller]
    fn check(&self, tag: &str, more: &[&str], lines: &[String]) {
        let outcome = self.verify(tag, more);
        let found: Vec<&str> = outcome.stdout.lines().skip(1).map(str::trim).collect();
        assert_eq!(found, lines, "{outcome:?}");
        assert_eq!((outcome.exit, &*outcome.stderr), (if lines.is_empty() { 0 } else { 5 }, ""), "{outcome:?}");
        let count = if lines.len() == 1 { "1 finding ".into() } else { format!("{} findings ", lines.len()) };
        let verdict = if lines.is_empty() { "sound ".into() } else { format!("unsound, {count}") };
        assert!(outcome.stdout.contains(&format!("/app:{tag}: {verdict}(")), "{outcome:?}");
    }
}

#[test]
fn a_sound_index() {
    let scene = Scene::new();
    let mark = scene.registry.requests(0).len();
    scene.check("v1", &[], &[]);
    let blobs = 4 + 1 + 3 * 2 + 1;
    // The index, its manifests, its configs, and a look at each layer, once.
    assert_eq!(scene.registry.requests(mark).len(), 1 + 4 + blobs);
    scene.check("v1", &["--layers"], &[]);
    let outcome = scene.verify("v1", &["--output", "json"]);
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let image = &told["images"][0];
    assert_eq!((&image["sound"], &image["findings"], &image["unchecked"]), (&json!(true), &json!([]), &json!([])));
    assert_eq!((&image["images"], &image["attestations"]), (&json!(3), &json!(1)));
    assert_eq!(image["blobs"]["count"], blobs);
}

#[test]
fn what_is_missing() {
    let scene = Scene::new();
    scene.lose(&scene.layer(1, 1));
    let layer = format!("linux/arm64/v8 layer 2 {}: missing: it is not there", scene.layer(1, 1));
    scene.check("v1", &[], std::slice::from_ref(&layer));
    scene.check("v1", &["--layers"], std::slice::from_ref(&layer));
    scene.lose(&scene.layer(0, 0));
    let shared = |platform: &str| format!("{platform} layer 1 {}: missing: it is not there", scene.layer(0, 0));
    let lines = [shared("linux/amd64"), shared("linux/arm64/v8"), layer, shared("linux/arm/v7")];
    scene.check("v1", &[], &lines);

    let scene = Scene::new();
    let config = scene.manifests[0]["config"]["digest"].as_str().unwrap();
    scene.lose(config);
    scene.check("v1", &[], &[format!("linux/amd64 config {config}: missing: it is not there")]);
    scene.lose(&scene.entry(2));
    let child = format!("linux/arm/v7 manifest {}: missing: it is not there", scene.entry(2));
    scene.check("v1", &[], &[format!("linux/amd64 config {config}: missing: it is not there"), child]);
}

#[test]
fn what_the_index_says_wrongly() {
    let scene = Scene::new();
    let [amd64, arm64, arm] = [0, 1, 2].map(|at| scene.entry(at));
    scene.index_with("size", |entries| entries[1]["size"] = 7.into());
    let size = scene.entries[1]["size"].as_u64().unwrap();
    let line = format!("manifest {arm64}: size: it has {size} bytes, its descriptor says 7");
    scene.check("size", &[], &[format!("linux/arm64/v8 {line}")]);

    scene.index_with("type", |entries| entries[0]["mediaType"] = DOCKER.into());
    let line = format!("manifest {amd64}: mediaType: it is {OCI}, its descriptor says {DOCKER}");
    scene.check("type", &[], &[format!("linux/amd64 {line}")]);

    for (tag, key, value, shown) in [
        ("os", "os", "windows", "windows/arm/v7"),
        ("architecture", "architecture", "386", "linux/386/v7"),
        ("variant", "variant", "v6", "linux/arm/v6"),
    ] {
        scene.index_with(tag, |entries| entries[2]["platform"][key] = value.into());
        let line = format!("{shown} manifest {arm}: platform: the index says {shown}, its config linux/arm/v7");
        scene.check(tag, &[], &[line]);
    }

    scene.index_with("twice", |entries| entries[2]["platform"] = entries[0]["platform"].clone());
    let wrong = format!("linux/amd64 manifest {arm}: platform: the index says linux/amd64, its config linux/arm/v7");
    let line = format!("linux/amd64 manifest {arm}: ambiguous: {amd64} is for the same platform");
    scene.check("twice", &[], &[wrong, line]);

    let other = sha256(b"other");
    scene.index_with("dangling", |entries| entries[3]["annotations"]["vnd.docker.reference.digest"] = json!(other));
    let line = format!("dangling: an attestation of {other}, which is no image of the index");
    scene.check("dangling", &[], &[format!("attestation manifest {}: {line}", scene.entry(3))]);
}

#[test]
fn os_version() {
    let mut scene = Scene::new();
    let windows = |version: &str| json!({"architecture": "amd64", "os": "windows", "os.version": version});
    let mut entry = scene.push_image(&windows("10.0.20348.9"), &[tar("w")]);
    entry["platform"] = windows("10.0.17763.9");
    let digest = entry["digest"].as_str().unwrap().to_owned();
    push_index(&scene.registry, "app", "windows", &[entry]);
    let said = "windows/amd64:10.0.17763.9";
    let line = format!("platform: the index says {said}, its config windows/amd64:10.0.20348.9");
    scene.check("windows", &[], &[format!("{said} manifest {digest}: {line}")]);
}

/// A manifest that says other sizes and types than its blobs have.
#[test]
fn what_a_manifest_says_wrongly() {
    let mut scene = Scene::new();
    let mut manifest = scene.manifests[0].clone();
    let packed = manifest["layers"][1]["size"].as_u64().unwrap();
    manifest["layers"][1]["size"] = 7.into();
    manifest["layers"][2]["mediaType"] = format!("{LAYER}+gzip").into();
    let mut entry = scene.push_manifest(&manifest);
    entry["platform"] = scene.entries[0]["platform"].clone();
    push_index(&scene.registry, "app", "lies", &[entry]);
    let size = format!("linux/amd64 layer 2 {}: size", scene.layer(0, 1));
    scene.check("lies", &[], &[format!("{size}: it has {packed} bytes, its descriptor says 7")]);
    let longer = format!("{size}: it has more than the 7 bytes that its descriptor says");
    let packing = format!("linux/amd64 layer 3 {}: mediaType: it is zstd, its media type says gzip", scene.layer(0, 2));
    scene.check("lies", &["--layers"], &[longer, packing]);

    let mut manifest = scene.manifests[0].clone();
    manifest["layers"].as_array_mut().unwrap().swap(1, 2);
    scene.push_manifest(&manifest);
    let text = manifest.to_string();
    scene.registry.push_manifest("app", "swapped", OCI, text.as_bytes());
    scene.check("swapped", &[], &[]);
    let outcome = scene.verify("swapped", &["--layers"]);
    // Both are of the same text, packed in two ways.
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let layers = manifest["layers"].as_array_mut().unwrap();
    layers.swap(0, 1);
    scene.registry.push_manifest("app", "mixed", OCI, manifest.to_string().as_bytes());
    let outcome = scene.verify("mixed", &["--layers"]);
    assert_eq!(
        (outcome.exit, outcome.stdout.matches(": diffId: unpacked it is sha256:").count()),
        (5, 2),
        "{outcome:?}"
    );
    manifest["layers"].as_array_mut().unwrap().pop();
    scene.registry.push_manifest("app", "short", OCI, manifest.to_string().as_bytes());
    let outcome = scene.verify("short", &[]);
    let line = "diffId: the config has 3 layers (diff_ids), the manifest 2";
    assert!(outcome.exit == 5 && outcome.stdout.contains(line), "{outcome:?}");
}

/// A bit flips on the registry's disk.
#[test]
fn flipped_bytes() {
    let scene = Scene::new();
    for (layer, name) in [(0, "tar"), (1, "gzip"), (2, "zstd")] {
        let digest = scene.layer(2, layer);
        scene.flip(&digest);
        scene.check("v1", &[], &[]);
        let outcome = scene.verify("v1", &["--layers"]);
        let part = format!("linux/arm/v7 layer {} {digest}: content: its bytes have digest sha256:", layer + 1);
        assert!(outcome.exit == 5 && outcome.stdout.contains(&part), "{name}: {outcome:?}");
        let lines = if layer == 0 { 3 } else { 1 };
        assert_eq!(outcome.stdout.lines().count(), 1 + lines, "{name}: {outcome:?}");
        scene.flip(&digest);
    }
    let config = scene.manifests[1]["config"]["digest"].as_str().unwrap();
    scene.flip(config);
    let outcome = scene.verify("v1", &[]);
    let part = format!("linux/arm64/v8 config {config}: content: the bytes received have digest sha256:");
    assert!(outcome.exit == 5 && outcome.stdout.contains(&part), "{outcome:?}");
    scene.flip(config);
    scene.check("v1", &["--layers"], &[]);
    // In the manifest, in the middle of a digest: it stays a manifest, of other bytes.
    scene.flip(&scene.entry(0));
    let outcome = scene.verify("v1", &[]);
    let part = format!("linux/amd64 manifest {}: content: ", scene.entry(0));
    assert!(outcome.exit == 5 && outcome.stdout.contains(&part), "{outcome:?}");
}

#[test]
fn layouts_are_verified_likewise() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{}/app:v1", scene.registry.host);
    for target in ["oci:out:v1", "oci-archive:out.tar:v1"] {
        assert_eq!(manifest_tool(folder.path(), &["--plain-http", "copy", &source, target]).exit, 0);
        let outcome = manifest_tool(folder.path(), &["verify", "--layers", target]);
        assert!(outcome.exit == 0 && outcome.stdout.starts_with(&format!("{target}: sound (")), "{outcome:?}");
    }
    let file = |digest: &str| folder.path().join("out/blobs").join(digest.replace(':', "/"));
    let flip = |digest: &str| {
        let mut bytes = std::fs::read(file(digest)).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(file(digest), bytes).unwrap();
    };
    flip(&scene.layer(1, 1));
    std::fs::remove_file(file(&scene.layer(0, 2))).unwrap();
    std::fs::write(file(&scene.layer(2, 2)), "short").unwrap();
    let config = scene.manifests[2]["config"]["digest"].as_str().unwrap();
    flip(config);
    let outcome = manifest_tool(folder.path(), &["verify", "--layers", "oci:out:v1"]);
    for (part, digest, fault) in [
        ("linux/amd64 layer 3", &*scene.layer(0, 2), "missing: it is not there"),
        ("linux/arm64/v8 layer 2", &scene.layer(1, 1), "content: its bytes have digest"),
        ("linux/arm/v7 layer 3", &scene.layer(2, 2), "size: it has 5 bytes"),
        ("linux/arm/v7 config", config, "content: the file of"),
    ] {
        assert!(outcome.stdout.contains(&format!("  {part} {digest}: {fault}")), "{part} {fault}: {outcome:?}");
    }
    assert_eq!((outcome.exit, outcome.stdout.lines().count()), (5, 5), "{outcome:?}");
    // Listed, and lost.
    std::fs::remove_file(file(&scene.registry.manifest("app", "v1").unwrap().digest)).unwrap();
    let outcome = manifest_tool(folder.path(), &["verify", "oci:out:v1"]);
    assert!(outcome.exit == 5 && outcome.stdout.contains("  manifest: missing: it is not there\n"), "{outcome:?}");
    let outcome = manifest_tool(folder.path(), &["verify", "oci:out:v2"]);
    assert!(outcome.exit == 1 && outcome.stdout.is_empty(), "{outcome:?}");
}

/// What nobody could look at is no finding, and does not hide one.
#[test]
fn what_cannot_be_checked() {
    use crate::support::Scripted;
    let scene = Scene::new();
    let digest = scene.layer(0, 1);
    let wanted = format!("/blobs/{digest}");
    let front = Scripted::before(&scene.registry, move |asked| {
        asked
            .line
            .contains(&wanted)
            .then(|| (403, vec![], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec()))
    });
    let image = format!("{}/app:v1", front.host);
    let verify = |more: &[&str]| manifest_tool(Path::new("/"), &[&["--plain-http", "verify", &image], more].concat());
    let outcome = verify(&[]);
    assert!(outcome.exit == 1 && outcome.stdout.contains(": not wholly checked ("), "{outcome:?}");
    assert!(outcome.stderr.contains("not all of it can be checked") && outcome.stderr.contains(&digest), "{outcome:?}");
    let told: Value = serde_json::from_str(&verify(&["--output", "json"]).stdout).unwrap();
    assert_eq!((&told["images"][0]["sound"], &told["error"]["exitCode"]), (&json!(false), &json!(1)), "{told}");
    scene.lose(&scene.layer(1, 1));
    let outcome = verify(&[]);
    assert!(outcome.exit == 5 && outcome.stdout.contains("linux/arm64/v8 layer 2"), "{outcome:?}");
    assert!(outcome.stderr.contains("not all of it can be checked"), "{outcome:?}");
    let none = manifest_tool(Path::new("/"), &["--plain-http", "verify", &image.replace(":v1", ":none")]);
    assert!(none.exit == 1 && none.stderr.contains("app:none not found"), "{none:?}");
}

#[test]
fn indexes_in_indexes_and_other_types() {
    let scene = Scene::new();
    let inner = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": &scene.entries[..2]}).to_string();
    scene.registry.push_manifest("app", "inner", OCI_INDEX, inner.as_bytes());
    let entry = descriptor(OCI_INDEX, &sha256(inner.as_bytes()), inner.as_bytes());
    push_index(&scene.registry, "app", "outer", &[entry, scene.entries[2].clone()]);
    scene.check("outer", &["--layers"], &[]);
    assert!(scene.verify("outer", &[]).stdout.contains("3 images, "));
    scene.lose(&scene.layer(1, 1));
    let line = format!("linux/arm64/v8 layer 2 {}: missing: it is not there", scene.layer(1, 1));
    scene.check("outer", &[], &[line]);
}

/// What is listed a thousand times is read once, and what is wrong with it said once.
#[test]
fn one_image_in_many_entries() {
    let scene = Scene::new();
    let many = vec![scene.entries[0].clone(); 1000];
    push_index(&scene.registry, "app", "many", &many);
    let mark = scene.registry.requests(0).len();
    scene.check("many", &[], &[]);
    assert_eq!(scene.registry.requests(mark).len(), 1 + 1 + 4);
    scene.lose(&scene.layer(0, 1));
    let line = format!("linux/amd64 layer 2 {}: missing: it is not there", scene.layer(0, 1));
    scene.check("many", &["--layers"], &[line]);
}

/// Artifacts call their files tar, and are for a platform that they do not run on.
#[test]
fn artifacts_are_no_images() {
    let mut scene = Scene::new();
    let registry = &scene.registry;
    let blob = |kind: &str, bytes: &[u8]| descriptor(kind, &registry.push_blob("app", bytes), bytes);
    let file = blob(LAYER, &gzip("a file").packed);
    let typed = blob("application/vnd.example.config.v1+json", b"{}");
    let bare = blob("application/vnd.oci.image.config.v1+json", b"{}");
    let manifests =
        [&typed, &bare].map(|config| json!({"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [file]}));
    let mut entries = manifests.map(|manifest| scene.push_manifest(&manifest));
    push_index(&scene.registry, "app", "bare", &entries);
    scene.check("bare", &["--layers"], &[]);
    entries.iter_mut().for_each(|entry| entry["platform"] = json!({"architecture": "amd64", "os": "linux"}));
    push_index(&scene.registry, "app", "artifacts", &[scene.entries[0].clone(), entries[0].clone()]);
    scene.check("artifacts", &["--layers"], &[]);

    // What is not opened is looked for.
    let other = json!({"mediaType": "application/vnd.example.other", "digest": file["digest"], "size": file["size"]});
    let image = scene.entries[0].clone();
    let mut gone = other.clone();
    gone["digest"] = sha256(b"gone").into();
    scene.write_index("others", &[image, other, gone]);
    let line = format!("manifest {}: missing: it is not there", sha256(b"gone"));
    scene.check("others", &[], &[line]);
    assert!(scene.verify("others", &[]).stdout.contains(", 2 of another type, not opened"));
}

/// A registry's words are no lines of ours.
#[test]
fn a_forged_verdict() {
    let scene = Scene::new();
    scene.index_with("forged", |entries| entries[0]["platform"]["os"] = "linux\nHOST/app:v1: sound (1 image)\n".into());
    let outcome = scene.verify("forged", &[]);
    assert!(outcome.exit == 5 && !outcome.stdout.contains("\nHOST/app"), "{outcome:?}");
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome:?}");
}

#[test]
fn a_deadline_while_it_waits_for_another_try() {
    use crate::support::Scripted;
    let scene = Scene::new();
    let front =
        Scripted::before(&scene.registry, |asked| asked.line.contains("/blobs/").then(|| (503, vec![], vec![])));
    let image = format!("{}/app:v1", front.host);
    for layers in [&[][..], &["--layers"]] {
        let args = ["--plain-http", "--deadline", "700ms", "verify", &image];
        let outcome = manifest_tool(Path::new("/"), &[&args[..], layers].concat());
        assert_eq!(outcome.exit, 124, "{outcome:?}");
    }
    // Reasons are told, whatever becomes of others.
    let none = image.replace(":v1", ":none");
    let args = ["--plain-http", "--retries", "0", "verify", &none, &image];
    let outcome = manifest_tool(Path::new("/"), &args);
    assert!(outcome.exit == 1 && outcome.stderr.contains("not all of it can be checked"), "{outcome:?}");
    assert!(outcome.stderr.contains("app:none not found") && outcome.stderr.contains("HTTP 503"), "{outcome:?}");
}

/// The registry redirects to a storage service, which has lost a layer.
#[test]
fn what_is_lost_behind_a_redirect() {
    use crate::support::Scripted;
    let scene = Scene::new();
    let body = b"<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
    let storage = Scripted::start(move |_, _| (404, vec![], body.to_vec()));
    let digest = scene.layer(1, 1);
    let (wanted, to) = (format!("/blobs/{digest}"), format!("http://{}/bucket/x", storage.host));
    let front = Scripted::before(&scene.registry, move |asked| {
        asked.line.contains(&wanted).then(|| (307, vec![("Location", to.clone())], vec![]))
    });
    for more in [&[][..], &["--layers"]] {
        let image = format!("{}/app:v1", front.host);
        let args = [&["--plain-http", "--retries", "0", "verify", &image], more].concat();
        let outcome = manifest_tool(Path::new("/"), &args);
        let line = format!("  linux/arm64/v8 layer 2 {digest}: missing: it is not there\n");
        assert!(outcome.exit == 5 && outcome.stdout.ends_with(&line), "{outcome:?}");
    }
}

/// What is mixed up on the way once is no finding.
#[test]
fn a_layer_that_comes_wrong_once() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::support::Scripted;
    let scene = Scene::new();
    let (digest, first) = (scene.layer(1, 1), AtomicBool::new(true));
    let mut bytes = std::fs::read(scene.file(&digest)).unwrap();
    bytes[20] ^= 1;
    let wanted = format!("GET /v2/app/blobs/{digest}");
    let front = Scripted::before(&scene.registry, move |asked| {
        (asked.line == wanted && first.swap(false, Ordering::SeqCst)).then(|| (200, vec![], bytes.clone()))
    });
    let outcome =
        manifest_tool(Path::new("/"), &["--plain-http", "verify", "--layers", &format!("{}/app:v1", front.host)]);
    assert!(outcome.exit == 0, "{outcome:?}");
}

/// Clients run an entry that names a platform, whatever its annotations say of it.
#[test]
fn an_entry_that_names_a_platform_is_not_an_attestation() {
    let scene = Scene::new();
    let of = scene.entries[0]["digest"].clone();
    for (platform, is_image) in [
        (json!({"os": "linux", "architecture": "s390x"}), true),
        (json!({"os": "unknown", "architecture": "s390x"}), true),
        (json!({"os": "unknown", "architecture": "unknown"}), false),
        (json!({"os": "unknown", "architecture": "unknown", "variant": "v1"}), false),
        (json!({}), false),
        (Value::Null, false),
    ] {
        // An image for linux/arm64.
        let mut entry = scene.entries[1].clone();
        entry["annotations"] =
            json!({"vnd.docker.reference.digest": of, "vnd.docker.reference.type": "attestation-manifest"});
        entry["platform"] = platform.clone();
        if platform.is_null() {
            entry.as_object_mut().unwrap().remove("platform");
        }
        push_index(&scene.registry, "app", "odd", &[scene.entries[0].clone(), entry]);
        let image = format!("{}/app:odd", scene.registry.host);
        let args = ["--plain-http", "verify", "--layers", "--output", "json", &image];
        let outcome = manifest_tool(Path::new("/"), &args);
        let found: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let found = &found["images"][0];
        let counts = (found["images"].as_u64().unwrap(), found["attestations"].as_u64().unwrap());
        let faults: Vec<_> = found["findings"].as_array().unwrap().iter().map(|finding| &finding["fault"]).collect();
        let expected = if is_image { ((2, 0), vec!["platform"], 5) } else { ((1, 1), vec![], 0) };
        assert_eq!((counts, outcome.exit), (expected.0, expected.2), "{platform}: {outcome:?}");
        assert_eq!(faults, expected.1, "{platform}: {outcome:?}");
    }
}
