//! Pushes and reads between registries, layouts and archives, compared with skopeo.

use std::process::Command;

use indoc::indoc;
use serde_json::{Value, json};

use crate::support::images::{OCI_INDEX, push_image};
use crate::support::layouts::blob_path;
use crate::support::registry::sha256;
use crate::support::{Registry, Sandbox};

fn skopeo(args: &[&str]) {
    let output = Command::new("skopeo").args(["--insecure-policy"]).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Two images of one platform each, in a registry `HOST` (`parts`), a layout and two archives, and an empty registry
/// `OTHER`. `FOLDER` is the path of the working folder.
struct Places {
    sandbox: Sandbox,
    other: Registry,
}

impl Places {
    fn new() -> Self {
        let (sandbox, other) = (Sandbox::new(), Registry::start());
        let folder = sandbox.folder().display().to_string();
        let sandbox =
            sandbox.with(|workspace| workspace.placeholder("OTHER", &other.host).placeholder("FOLDER", &folder));
        for architecture in ["amd64", "arm64"] {
            push_image(&sandbox.registry, "parts", architecture, architecture);
            let source = sandbox.fill(&format!("docker://HOST/parts:{architecture}"));
            for target in [
                format!("oci:{folder}/layout:{architecture}"),
                format!("oci-archive:{folder}/{architecture}.tar:{architecture}"),
            ] {
                skopeo(&["copy", "--preserve-digests", "--src-tls-verify=false", &source, &target]);
            }
            let folder = format!("dir:{folder}/{architecture}.dir");
            skopeo(&["copy", "--preserve-digests", "--src-tls-verify=false", &source, &folder]);
            // skopeo makes other manifests for a Docker archive; this program keeps them.
            let archive = format!("docker-archive:{architecture}.docker.tar");
            sandbox.run(&["copy", &format!("HOST/parts:{architecture}"), &archive]).success();
        }
        Self { sandbox, other }
    }

    /// Copies an image and all its content with skopeo. Returns the digest of its manifest.
    fn digest_read_by_skopeo(&self, source: &str) -> String {
        let copy = tempfile::tempdir_in(self.sandbox.folder()).unwrap();
        let verify = if source.starts_with("docker:") { "--src-tls-verify=false" } else { "--src-tls-verify=true" };
        let (source, target) = (self.sandbox.fill(source), format!("dir:{}", copy.path().display()));
        skopeo(&["copy", "--all", "--preserve-digests", verify, &source, &target]);
        sha256(&std::fs::read(copy.path().join("manifest.json")).unwrap())
    }
}

#[test]
fn a_push_from_every_kind_of_place_to_every_other_gives_the_same_index() {
    let places = Places::new();
    let mut digests = Vec::new();
    let sources = [
        "HOST/parts:ARCH",
        "docker://HOST/parts:ARCH",
        "oci:layout:ARCH",
        "oci-archive:ARCH.tar:ARCH",
        "oci-archive:ARCH.tar",
        "docker-archive:ARCH.docker.tar",
        "dir:ARCH.dir",
    ];
    for (number, source) in sources.into_iter().enumerate() {
        let targets = [
            (format!("HOST/whole{number}:v1"), format!("docker://HOST/whole{number}:v1")),
            (format!("OTHER/whole{number}:v1"), format!("docker://OTHER/whole{number}:v1")),
            (format!("oci:out{number}:v1"), format!("oci:FOLDER/out{number}:v1")),
            (format!("oci-archive:out{number}.tar:v1"), format!("oci-archive:FOLDER/out{number}.tar:v1")),
            (format!("dir:out{number}.dir"), format!("dir:FOLDER/out{number}.dir")),
        ];
        for (target, skopeo_name) in targets {
            let push = ["push", "--type", "oci", "from-args", "--platforms", "linux/amd64,linux/arm64"];
            let tags: &[&str] = if target.starts_with("dir:") { &[] } else { &["--tags", "latest"] };
            let push = [&push[..], &["--template", source, "--target", &target], tags].concat();
            let outcome = places.sandbox.run(&push).success();
            let digest = outcome.stdout.split(' ').nth(1).unwrap().to_owned();
            for name in [&skopeo_name, &skopeo_name.replace(":v1", ":latest")] {
                assert_eq!(places.digest_read_by_skopeo(name), digest, "{source} to {target}");
            }
            let inspected = places.sandbox.run(&["inspect", &target]).success().stdout;
            assert!(inspected.contains("Arch: amd64") && inspected.contains("Arch: arm64"), "{inspected}");
            digests.push(digest);
            // A second push writes nothing and prints the same digest.
            assert_eq!(places.sandbox.run(&push).success().stdout, outcome.stdout);
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "the digest depends on the source or target: {digests:?}");
}

/// `skopeo copy --all` writes a layout whose `index.json` points at an index.
#[test]
fn a_layout_that_points_at_an_index_is_pushed_unchanged() {
    let places = Places::new();
    let push = ["push", "--type", "oci", "from-args", "--platforms", "linux/amd64,linux/arm64"];
    places
        .sandbox
        .run(&[&push[..], &["--template", "HOST/parts:ARCH", "--target", "HOST/multi:v1"]].concat())
        .success();
    let (source, layout) = (places.sandbox.fill("docker://HOST/multi:v1"), places.sandbox.fill("oci:FOLDER/multi:v1"));
    skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &source, &layout]);
    places.sandbox.write(
        "spec.yaml",
        indoc! {"
            image: OTHER/whole:v1
            manifests:
            - image: oci:multi
        "},
    );
    places.sandbox.run(&["push", "--type", "oci", "from-spec", "spec.yaml"]).success();
    let original = places.sandbox.registry.manifest("multi", "v1").unwrap();
    assert_eq!(places.other.manifest("whole", "v1").unwrap().bytes, original.bytes);
}

/// The archive has the form that BuildKit writes with `--output type=oci`: names without `./`, entries for folders, an
/// additional `manifest.json` for Docker, and an index inside of `index.json`.
#[test]
fn an_archive_from_buildkit_is_read_by_each_of_its_names() {
    let places = Places::new();
    let sandbox = &places.sandbox;
    let image = sandbox.registry.manifest("parts", "amd64").unwrap();
    let mut entry = json!({"mediaType": image.media_type, "digest": image.digest, "size": image.bytes.len()});
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let inner = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).to_string();
    let top = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{
        "mediaType": OCI_INDEX, "digest": sha256(inner.as_bytes()), "size": inner.len(), "annotations": {
            "io.containerd.image.name": "docker.io/team/app:v7",
            "org.opencontainers.image.created": "2026-11-21T00:00:00Z",
            "org.opencontainers.image.ref.name": "v7",
        },
    }]});
    let manifest: Value = serde_json::from_slice(&image.bytes).unwrap();
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), top.to_string().into_bytes()),
        ("manifest.json".to_owned(), b"[{}]".to_vec()),
        (blob_path(&sha256(inner.as_bytes())), inner.into_bytes()),
        (blob_path(&image.digest), image.bytes.clone()),
    ];
    for part in [&manifest["config"], &manifest["layers"][0]] {
        let digest = part["digest"].as_str().unwrap();
        let bytes = std::fs::read(sandbox.path("layout").join(blob_path(digest))).unwrap();
        files.push((blob_path(digest), bytes));
    }
    let mut tar = tar::Builder::new(std::fs::File::create(sandbox.path("built.tar")).unwrap());
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        tar.append_data(&mut header, folder, &[][..]).unwrap();
    }
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tar.finish().unwrap();
    for name in ["", ":v7", ":docker.io/team/app:v7"] {
        let inspected = sandbox.run(&["inspect", &format!("oci-archive:built.tar{name}")]).success().stdout;
        assert!(inspected.contains("Arch: amd64"), "{inspected}");
    }
    let push = ["push", "from-args", "--platforms", "linux/amd64", "--template", "oci-archive:built.tar:v7"];
    sandbox.run(&[&push[..], &["--target", "OTHER/built:v7"]].concat()).success();
    places.digest_read_by_skopeo("docker://OTHER/built:v7");
}

/// The bytes of an archive depend only on its content, not on time, source or existing files.
#[test]
fn an_archive_is_reproducible() {
    let Places { sandbox, .. } = Places::new();
    let push = |source: &str, name: &str| {
        let target = format!("oci-archive:{name}:v1");
        let args =
            ["push", "from-args", "--platforms", "linux/arm64,linux/amd64", "--template", source, "--target", &target];
        sandbox.run(&args).success();
        std::fs::read(sandbox.path(name)).unwrap()
    };
    let first = push("oci:layout:ARCH", "a.tar");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(first == push("HOST/parts:ARCH", "b.tar"), "from a registry");
    assert!(first == push("oci:layout:ARCH", "a.tar"), "over an existing archive");
    let files: Vec<_> = std::fs::read_dir(sandbox.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.iter().all(|name| !name.to_string_lossy().starts_with('.')), "a temporary file remains: {files:?}");
}

#[test]
fn a_push_into_a_layout_keeps_other_names_and_moves_its_own() {
    let Places { sandbox, .. } = Places::new();
    let push = |platforms: &str| {
        let args = ["push", "from-args", "--platforms", platforms, "--template", "oci:layout:ARCH"];
        sandbox.run(&[&args[..], &["--target", "oci:layout:whole"]].concat()).success();
    };
    push("linux/amd64");
    push("linux/amd64,linux/arm64");
    let index: Value = serde_json::from_str(&sandbox.read("layout/index.json")).unwrap();
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["amd64", "arm64", "whole"]);
    let inspected = sandbox.run(&["inspect", "oci:layout:whole"]).success().stdout;
    assert!(inspected.contains("Arch: arm64"), "{inspected}");
    sandbox
        .run(&["inspect", "oci:layout"])
        .fails(1, "several images; choose one by name; it holds :amd64, :arm64, :whole");
    sandbox.run(&["inspect", "oci:layout:gone"]).fails(1, "not found in the layout; it holds :amd64");
}
