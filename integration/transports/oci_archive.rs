//! What `oci-archive:` holds for Docker, Podman and containerd.

use serde_json::{Value, json};

use super::{Images, podman, run};
use crate::support::layouts::blob_path;

fn file(images: &Images, archive: &str, name: &str) -> Option<Value> {
    let file = std::fs::File::open(images.sandbox.path(archive)).unwrap();
    let mut archive = tar::Archive::new(file);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let entry = entries.find(|entry| entry.path().unwrap().to_str() == Some(name))?;
    Some(serde_json::from_reader(entry).unwrap())
}

#[test]
fn an_archive_of_one_image_can_be_loaded_under_its_full_name() {
    let images = Images::new();
    let folder = images.sandbox.folder();
    let name = images.sandbox.fill("HOST/app:amd64");
    images.sandbox.run(&["copy", "HOST/app:amd64", "oci-archive:out.tar"]).success();
    let list = file(&images, "out.tar", "manifest.json").unwrap();
    assert_eq!(list[0]["RepoTags"], json!([name]));
    assert_eq!(list[0]["Config"], blob_path(&images.config("HOST/app:amd64")));
    let entry = &file(&images, "out.tar", "index.json").unwrap()["manifests"][0];
    let annotations = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "amd64"});
    assert_eq!((&entry["digest"], &entry["annotations"]), (&json!(images.amd64), &annotations));
    assert!(run(podman(folder).args(["load", "-i"]).arg(folder.join("out.tar"))).contains(&name));
    images.skopeo(&["oci-archive:FOLDER/out.tar:amd64", "dir:FOLDER/back"]);
    // The location may say the full name.
    images.sandbox.run(&["copy", "HOST/app:amd64", "oci-archive:out.tar:r.example/team/app:v1"]).success();
    assert_eq!(file(&images, "out.tar", "manifest.json").unwrap()[0]["RepoTags"], json!(["r.example/team/app:v1"]));
    assert_eq!(images.digest("oci-archive:out.tar:r.example/team/app:v1"), images.amd64);
}

#[test]
fn an_archive_of_an_index_has_no_list_for_docker_and_keeps_its_digest() {
    let images = Images::new();
    images.sandbox.run(&["copy", "HOST/app:v1", "oci-archive:out.tar"]).success();
    assert_eq!(file(&images, "out.tar", "manifest.json"), None);
    assert_eq!(images.digest("oci-archive:out.tar"), images.index);
    let entry = &file(&images, "out.tar", "index.json").unwrap()["manifests"][0];
    let name = images.sandbox.fill("HOST/app:v1");
    assert_eq!(entry["annotations"]["io.containerd.image.name"], json!(name));
}

/// Docker saves `app:v1` and `other:v1` with one short name.
#[test]
fn images_with_one_short_name_are_listed_by_names_that_work() {
    let images = Images::new();
    for (tag, name) in [("amd64", "r.example/app:v1"), ("arm64", "r.example/other:v1")] {
        let (source, target) = (format!("HOST/app:{tag}"), format!("oci:both:{name}"));
        images.sandbox.run(&["copy", &source, &target]).success();
    }
    let path = images.sandbox.path("both/index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for entry in index["manifests"].as_array_mut().unwrap() {
        let full = entry["annotations"]["org.opencontainers.image.ref.name"].clone();
        entry["annotations"] = json!({"io.containerd.image.name": full, "org.opencontainers.image.ref.name": "v1"});
    }
    std::fs::write(&path, index.to_string()).unwrap();
    let ambiguous = images.sandbox.run(&["inspect", "oci:both:v1"]);
    ambiguous.fails(1, "several images with this name; use :r.example/app:v1 or :r.example/other:v1");
    let unnamed = images.sandbox.run(&["inspect", "oci:both"]);
    unnamed.fails(1, "it holds :r.example/app:v1, :r.example/other:v1");
    assert_eq!(images.sandbox.run(&["tags", "oci:both"]).success().stdout, "r.example/app:v1\nr.example/other:v1\n");
    assert_eq!(images.digest("oci:both:r.example/app:v1"), images.amd64);
}
