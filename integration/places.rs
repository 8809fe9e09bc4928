//! From anywhere to anywhere: registries, layouts, archives.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::images::{OCI_INDEX, push_image};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, manifest_tool};

pub fn skopeo(args: &[&str]) {
    let output = Command::new("skopeo").args(["--insecure-policy"]).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The digest of what skopeo finds, and that it can read all of it.
fn read_by_skopeo(folder: &Path, at: &str) -> String {
    let to = tempfile::tempdir_in(folder).unwrap();
    let to = format!("dir:{}", to.path().display());
    let insecure = if at.starts_with("docker:") { "--src-tls-verify=false" } else { "--src-tls-verify=true" };
    skopeo(&["copy", "--all", "--preserve-digests", insecure, at, &to]);
    let manifest = std::fs::read(Path::new(to.trim_start_matches("dir:")).join("manifest.json")).unwrap();
    sha256(&manifest)
}

fn tool(folder: &Path, args: &[&str]) -> Outcome {
    let outcome = manifest_tool(folder, &[&["--plain-http"], args].concat());
    assert_eq!(outcome.exit, 0, "{args:?}: {outcome:?}");
    outcome
}

/// Two images of one platform each, in every kind of place.
struct Places {
    folder: tempfile::TempDir,
    one: Registry,
    other: Registry,
}

impl Places {
    fn new() -> Self {
        let (folder, one, other) = (tempfile::tempdir().unwrap(), Registry::start(), Registry::start());
        for architecture in ["amd64", "arm64"] {
            push_image(&one, "parts", architecture, architecture);
            let from = format!("docker://{}/parts:{architecture}", one.host);
            for to in [
                format!("oci:{}/layout:{architecture}", folder.path().display()),
                format!("oci-archive:{}/{architecture}.tar:{architecture}", folder.path().display()),
            ] {
                skopeo(&["copy", "--preserve-digests", "--src-tls-verify=false", &from, &to]);
            }
        }
        Self { folder, one, other }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

#[test]
fn push_from_every_place_to_every_place() {
    let places = Places::new();
    let (one, other) = (places.one.host.clone(), places.other.host.clone());
    let sources = [
        format!("{one}/parts:ARCH"),
        format!("docker://{one}/parts:ARCH"),
        "oci:layout:ARCH".to_owned(),
        "oci-archive:ARCH.tar:ARCH".to_owned(),
        "oci-archive:ARCH.tar".to_owned(),
    ];
    let mut digests = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        let targets = [
            (format!("{one}/whole{number}:v1"), format!("docker://{one}/whole{number}:v1")),
            (format!("{other}/whole{number}:v1"), format!("docker://{other}/whole{number}:v1")),
            (format!("oci:out{number}:v1"), format!("oci:{}/out{number}:v1", places.path().display())),
            (
                format!("oci-archive:out{number}.tar:v1"),
                format!("oci-archive:{}/out{number}.tar:v1", places.path().display()),
            ),
        ];
        for (target, at) in targets {
            let outcome = tool(
                places.path(),
                &[
                    "push",
                    "--type",
                    "oci",
                    "from-args",
                    "--platforms",
                    "linux/amd64,linux/arm64",
                    "--template",
                    source,
                    "--target",
                    &target,
                    "--tags",
                    "latest",
                ],
            );
            let said = outcome.stdout.split(' ').nth(1).unwrap().to_owned();
            assert_eq!(read_by_skopeo(places.path(), &at), said, "{source} to {target}");
            assert_eq!(read_by_skopeo(places.path(), &at.replace(":v1", ":latest")), said, "{source} to {target}");
            let shown = tool(places.path(), &["inspect", &target]).stdout;
            assert!(shown.contains("Arch: amd64") && shown.contains("Arch: arm64"), "{shown}");
            digests.push(said);
            // Again: nothing to do, and the same.
            let again = tool(
                places.path(),
                &[
                    "push",
                    "--type",
                    "oci",
                    "from-args",
                    "--platforms",
                    "linux/amd64,linux/arm64",
                    "--template",
                    source,
                    "--target",
                    &target,
                    "--tags",
                    "latest",
                ],
            );
            assert_eq!(again.stdout, outcome.stdout);
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "the same index from everywhere: {digests:?}");
}

/// What `skopeo copy --all` writes: the layout's index.json points at an index.
#[test]
fn a_layout_that_points_at_an_index() {
    let places = Places::new();
    let target = format!("{}/multi:v1", places.one.host);
    let template = format!("{}/parts:ARCH", places.one.host);
    let push =
        ["push", "--type", "oci", "from-args", "--platforms", "linux/amd64,linux/arm64", "--template", &template];
    tool(places.path(), &[&push[..], &["--target", &target]].concat());
    let layout = format!("oci:{}/multi:v1", places.path().display());
    skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &format!("docker://{target}"), &layout]);
    std::fs::write(
        places.path().join("spec.yaml"),
        format!("image: {}/whole:v1\nmanifests:\n- image: oci:multi\n", places.other.host),
    )
    .unwrap();
    tool(places.path(), &["push", "--type", "oci", "from-spec", "spec.yaml"]);
    let (there, whole) = (places.one.manifest("multi", "v1").unwrap(), places.other.manifest("whole", "v1").unwrap());
    assert_eq!(there.bytes, whole.bytes);
}

/// An archive in the form that BuildKit writes (`--output type=oci`): `./`-less names, folders, Docker's manifest.json
/// beside, an index in the index.
#[test]
fn an_archive_of_buildkit() {
    let places = Places::new();
    let registry = &places.one;
    let image = registry.manifest("parts", "amd64").unwrap();
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
        (blob(&sha256(inner.as_bytes())), inner.into_bytes()),
        (blob(&image.digest), image.bytes.clone()),
    ];
    for part in [&manifest["config"], &manifest["layers"][0]] {
        let digest = part["digest"].as_str().unwrap();
        let bytes = std::fs::read(places.path().join("layout").join(blob(digest))).unwrap();
        files.push((blob(digest), bytes));
    }
    let mut tar = tar::Builder::new(std::fs::File::create(places.path().join("built.tar")).unwrap());
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
        let shown = tool(places.path(), &["inspect", &format!("oci-archive:built.tar{name}")]).stdout;
        assert!(shown.contains("Arch: amd64"), "{shown}");
    }
    let target = format!("{}/built:v7", places.other.host);
    let push = ["push", "from-args", "--platforms", "linux/amd64", "--template", "oci-archive:built.tar:v7"];
    tool(places.path(), &[&push[..], &["--target", &target]].concat());
    read_by_skopeo(places.path(), &format!("docker://{target}"));
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// The same input, the same bytes, whenever and wherever it is written.
#[test]
fn an_archive_is_reproducible() {
    let places = Places::new();
    let push = |source: &str, name: &str| {
        let target = format!("oci-archive:{name}:v1");
        let args =
            ["push", "from-args", "--platforms", "linux/arm64,linux/amd64", "--template", source, "--target", &target];
        tool(places.path(), &args);
        std::fs::read(places.path().join(name)).unwrap()
    };
    let first = push("oci:layout:ARCH", "a.tar");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(first == push(&format!("{}/parts:ARCH", places.one.host), "b.tar"));
    assert!(first == push("oci:layout:ARCH", "a.tar"), "over what was there");
    let left: Vec<_> = std::fs::read_dir(places.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "nothing is left beside: {left:?}");
}

/// Names that were there stay, one that is written again moves.
#[test]
fn a_layout_keeps_what_it_holds() {
    let places = Places::new();
    let push = |platforms: &str, target: &str| {
        tool(
            places.path(),
            &["push", "from-args", "--platforms", platforms, "--template", "oci:layout:ARCH", "--target", target],
        );
    };
    push("linux/amd64", "oci:layout:whole");
    push("linux/amd64,linux/arm64", "oci:layout:whole");
    let index: Value =
        serde_json::from_slice(&std::fs::read(places.path().join("layout/index.json")).unwrap()).unwrap();
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["amd64", "arm64", "whole"]);
    let shown = tool(places.path(), &["inspect", "oci:layout:whole"]).stdout;
    assert!(shown.contains("Arch: arm64"), "{shown}");
    let outcome = manifest_tool(places.path(), &["inspect", "oci:layout"]);
    assert!(
        outcome.exit == 1
            && outcome.stderr.contains("several images, name one of them; it holds :amd64, :arm64, :whole"),
        "{outcome:?}"
    );
    let outcome = manifest_tool(places.path(), &["inspect", "oci:layout:gone"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("not found in the layout; it holds :amd64"), "{outcome:?}");
}
