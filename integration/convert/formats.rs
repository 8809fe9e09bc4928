//! `--format`: beside skopeo, there and back.

use super::*;

fn layers() -> [Layer; 2] {
    [layer("one", ""), layer("two", "+gzip")]
}

/// Returns the same layers with Docker's media types.
fn docker_layers() -> [Layer; 2] {
    layers()
        .map(|layer| Layer { media_type: layer.media_type.replace(OCI_LAYER, DOCKER_LAYER).replace('+', "."), ..layer })
}

#[test]
fn an_oci_image_becomes_the_docker_image_that_skopeo_writes() {
    let images = Images::new();
    let image = images.image(OCI, "amd64", &layers());
    images.push("v1", &image);
    images.copy(&["--format", "docker", "HOST/app:v1", "HOST/ours:v1"]).success();
    // skopeo compresses layers for a registry, but not for a folder.
    images.skopeo(&["--format", "v2s2", "docker://HOST/app:v1", "dir:FOLDER/theirs"]);
    let [ours, theirs] = ["HOST/ours:v1", "dir:theirs"].map(|image| images.manifest(image));
    assert_eq!(ours, theirs);
    images.verify("HOST/ours:v1");
    assert_eq!(parsed(&ours)["config"]["digest"], image["config"]["digest"]);
    images.copy(&["--format", "oci", "HOST/ours:v1", "HOST/back:v1"]).success();
    assert_eq!(images.digest("HOST/back:v1"), images.digest("HOST/app:v1"));
}

/// skopeo writes the config again, and leaves out what OCI does not define. Here it keeps its bytes.
#[test]
fn a_docker_image_becomes_an_oci_image_with_the_same_config_and_skopeo_converts_it_back() {
    let images = Images::new();
    let image = images.image(DOCKER, "amd64", &docker_layers());
    images.push("v1", &image);
    images.copy(&["--format", "oci", "HOST/app:v1", "HOST/oci:v1"]).success();
    images.verify("HOST/oci:v1");
    images.skopeo(&["--format", "oci", "docker://HOST/app:v1", "dir:FOLDER/theirs"]);
    let [mut ours, mut theirs] = ["HOST/oci:v1", "dir:theirs"].map(|image| parsed(&images.manifest(image)));
    assert_eq!(ours["config"]["digest"], image["config"]["digest"]);
    ours["config"] = Value::Null;
    theirs["config"] = Value::Null;
    assert_eq!(ours.to_string(), theirs.to_string(), "all but the config is the same");
    let config = images.sandbox.run(&["inspect", "--config", "HOST/oci:v1"]).success().stdout;
    assert!(config.contains("Healthcheck") && config.contains("Shell"), "{config}");
    images.skopeo(&["--format", "v2s2", "docker://HOST/oci:v1", "dir:FOLDER/back"]);
    images.copy(&["--format", "docker", "HOST/oci:v1", "dir:ours"]).success();
    assert_eq!(images.manifest("dir:ours"), images.manifest("dir:back"));
    let back = parsed(&images.manifest("dir:back"));
    assert_eq!(
        (&back["config"]["digest"], &back["layers"][1]["digest"]),
        (&image["config"]["digest"], &image["layers"][1]["digest"])
    );
}

#[test]
fn an_index_becomes_the_docker_list_that_skopeo_writes_and_back() {
    let images = Images::new();
    let index = images.push_index();
    let dry = images.copy(&["--dry-run", "--format", "docker", "HOST/app:v1", "HOST/ours:v1"]).success();
    images.copy(&["--format", "docker", "HOST/app:v1", "HOST/ours:v1"]).success();
    assert!(dry.stdout.contains(&images.digest("HOST/ours:v1")), "{}", dry.stdout);
    images.skopeo(&["--all", "--format", "v2s2", "docker://HOST/app:v1", "docker://HOST/theirs:v1"]);
    let [ours, theirs] = ["ours", "theirs"].map(|name| images.manifest(&format!("HOST/{name}:v1")));
    assert_eq!(ours, theirs);
    images.sandbox.run(&["verify", "--layers", "--platforms", "linux/amd64,linux/arm64", "HOST/ours:v1"]).success();
    images.copy(&["--format", "oci", "HOST/ours:v1", "oci:back:v1"]).success();
    assert_eq!(images.digest("oci:back:v1"), index);
    // A list in the wanted format is copied byte for byte.
    let again = images.copy(&["--format", "docker", "--preserve-digests", "HOST/ours:v1", "HOST/again:v1"]);
    again.success();
    assert_eq!(images.digest("HOST/again:v1"), images.digest("HOST/ours:v1"));
}

#[test]
fn the_indexes_of_an_index_are_converted_from_below() {
    let images = Images::new();
    images.push_index();
    let inner = images.sandbox.registry.manifest("app", "v1").unwrap();
    let entry = |digest: &str, size: usize| json!({"mediaType": OCI_INDEX, "digest": digest, "size": size, "platform": {"architecture": "amd64", "os": "linux"}});
    let entry = entry(&inner.digest, inner.bytes.len());
    images.push("nested", &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}));
    images.copy(&["--format", "docker", "HOST/app:nested", "HOST/docker:v1"]).success();
    let list = parsed(&images.manifest("HOST/docker:v1"));
    assert_eq!((&list["mediaType"], &list["manifests"][0]["mediaType"]), (&json!(DOCKER_LIST), &json!(DOCKER_LIST)));
    images.verify("HOST/docker:v1");
    images.copy(&["--format", "oci", "HOST/docker:v1", "HOST/back:v1"]).success();
    assert_eq!(images.digest("HOST/back:v1"), images.digest("HOST/app:nested"));
}

#[test]
fn every_transport_can_be_converted_and_several_tags_at_once() {
    let images = Images::new();
    images.push_index();
    images.copy(&["HOST/app:amd64", "docker-archive:docker.tar:app:v1"]).success();
    images.copy(&["--format", "docker", "HOST/app:v1", "dir:folder"]).success();
    images.verify("dir:folder");
    images.copy(&["--format", "oci", "dir:folder", "oci-archive:out.tar:v1"]).success();
    assert_eq!(images.digest("oci-archive:out.tar:v1"), images.digest("HOST/app:v1"));
    images.copy(&["--compress", "gzip", "--format", "oci", "docker-archive:docker.tar", "HOST/loaded:v1"]).success();
    images.verify("HOST/loaded:v1");
    images.copy(&["--format", "docker", "--tags", "a*", "HOST/app", "HOST/tags"]).success();
    for tag in ["amd64", "arm64"] {
        let manifest = parsed(&images.manifest(&format!("HOST/tags:{tag}")));
        assert_eq!(manifest["mediaType"], DOCKER);
    }
    let json = ["--output", "json", "copy", "--format", "docker", "HOST/app:v1", "HOST/json:v1"];
    let json = parsed(&images.sandbox.run(&json).success().stdout);
    assert!(json.to_string().contains(&images.digest("HOST/json:v1")), "{json}");
}
