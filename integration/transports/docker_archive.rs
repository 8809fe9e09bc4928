//! `docker-archive:`, beside skopeo and Podman. Docker itself is in [`super::engine`].

use super::{File, Images, config, gzip, podman, run, tar};
use crate::support::images::layer_tar;
use crate::support::registry::sha256;

#[test]
fn archives_of_podman_and_skopeo_are_read_by_name_and_without_one() {
    let images = Images::new();
    let folder = images.sandbox.folder();
    let source = images.sandbox.fill("docker://HOST/app:amd64");
    images.skopeo(&["--src-tls-verify=false", "docker://HOST/app:amd64", "docker-archive:FOLDER/skopeo.tar:app:v1"]);
    run(podman(folder).args(["pull", "-q", "--tls-verify=false", &source]));
    run(podman(folder).args(["tag", &images.sandbox.fill("HOST/app:amd64"), "docker.io/library/app:v1"]));
    run(podman(folder).args(["save", "--format", "docker-archive", "-o"]).arg(folder.join("podman.tar")).arg("app:v1"));
    let wanted = images.config("HOST/app:amd64");
    for file in ["skopeo.tar", "podman.tar"] {
        for name in ["", ":app:v1", ":docker.io/library/app:v1", ":@0"] {
            assert_eq!(images.config(&format!("docker-archive:{file}{name}")), wanted, "{file}{name}");
        }
        images.sandbox.run(&["verify", "--layers", &format!("docker-archive:{file}")]).success();
        let tags = images.sandbox.run(&["tags", &format!("docker-archive:{file}")]).success();
        assert!(tags.stdout.contains("app:v1\n"), "{tags:?}");
        let other = images.sandbox.run(&["inspect", &format!("docker-archive:{file}:app:v2")]);
        other.fails(1, "not found in the archive; it holds :");
    }
    // The layers are the same, so the manifests that are made for them are too.
    assert_eq!(images.digest("docker-archive:skopeo.tar"), images.digest("docker-archive:podman.tar"));
}

/// The other forms of `podman save`.
#[test]
fn every_form_that_podman_saves_is_read() {
    let images = Images::new();
    let folder = images.sandbox.folder();
    let source = images.sandbox.fill("docker://HOST/app:amd64");
    run(podman(folder).args(["pull", "-q", "--tls-verify=false", &source]));
    let name = images.sandbox.fill("HOST/app:amd64");
    for (format, transport) in [
        ("docker-archive", "docker-archive"),
        ("oci-archive", "oci-archive"),
        ("oci-dir", "oci"),
        ("docker-dir", "dir"),
    ] {
        run(podman(folder).args(["save", "--format", format, "-o"]).arg(folder.join(format)).arg(&name));
        let source = format!("{transport}:{format}");
        images.sandbox.run(&["copy", &source, &format!("HOST/{format}:v1")]).success();
        images.sandbox.run(&["verify", &format!("HOST/{format}:v1")]).success();
        assert_eq!(images.config(&source), images.config("HOST/app:amd64"), "{format}");
    }
}

#[test]
fn builds_that_end_in_an_archive_per_platform_are_merged() {
    let images = Images::new();
    for architecture in ["amd64", "arm64"] {
        let source = format!("docker://HOST/app:{architecture}");
        images.skopeo(&["--src-tls-verify=false", &source, &format!("docker-archive:FOLDER/{architecture}.tar")]);
    }
    let push = ["push", "from-images", "-t", "HOST/merged:v1", "docker-archive:amd64.tar", "docker-archive:arm64.tar"];
    let outcome = images.sandbox.run(&push).success();
    assert_eq!(outcome.stderr.matches("layers are not compressed").count(), 1, "{outcome:?}");
    images.sandbox.run(&["verify", "--layers", "--platforms", "linux/amd64,linux/arm64", "HOST/merged:v1"]).success();
    assert_eq!(images.sandbox.run(&push).success().stdout, outcome.stdout, "the digest is stable");
}

#[test]
fn a_written_archive_keeps_digests_and_is_read_by_skopeo_and_podman() {
    let images = Images::new();
    let folder = images.sandbox.folder();
    images.sandbox.run(&["copy", "HOST/app:amd64", "docker-archive:out.tar"]).success();
    assert_eq!(images.digest("docker-archive:out.tar"), images.amd64);
    let name = images.sandbox.fill("HOST/app:amd64");
    assert_eq!(images.digest(&format!("docker-archive:out.tar:{name}")), images.amd64);
    let loaded = run(podman(folder).args(["load", "-i"]).arg(folder.join("out.tar")));
    assert!(loaded.contains(&name), "{loaded}");
    images.skopeo(&["docker-archive:FOLDER/out.tar", "dir:FOLDER/back"]);
    assert_eq!(images.config("dir:back"), images.config("HOST/app:amd64"));
    // A name in the location is preferred to that of the source, and --tags adds tags of it.
    let copy = ["copy", "HOST/app:amd64", "docker-archive:named.tar:team/app:1", "--tags", "latest"];
    images.sandbox.run(&copy).success();
    let tags = images.sandbox.run(&["tags", "docker-archive:named.tar"]).success();
    assert_eq!(tags.stdout, "team/app:1\nteam/app:latest\n");
    images.skopeo(&["docker-archive:FOLDER/named.tar:team/app:latest", "dir:FOLDER/latest"]);
}

#[test]
fn several_tags_of_a_repository_fit_into_one_archive() {
    let images = Images::new();
    images.sandbox.run(&["copy", "--tags", "a*", "HOST/app", "docker-archive:many.tar"]).success();
    let several = images.sandbox.run(&["inspect", "docker-archive:many.tar"]);
    several.fails(1, "the archive holds several images; choose one by name; it holds :");
    for (position, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        let expected = images.digest(&format!("HOST/app:{architecture}"));
        assert_eq!(images.digest(&format!("docker-archive:many.tar:@{position}")), expected);
        images.skopeo(&[&format!("docker-archive:FOLDER/many.tar:HOST/app:{architecture}"), "dir:FOLDER/one"]);
    }
    images.sandbox.run(&["inspect", "docker-archive:many.tar:@2"]).fails(1, "not found in the archive");
}

#[test]
fn the_image_for_this_machine_is_chosen_from_an_index_and_said() {
    let images = Images::new();
    let copied = images.sandbox.run(&["copy", "HOST/app:v1", "docker-archive:out.tar"]).success();
    let chosen = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    copied.stderr_contains(&format!("copying its image for linux/{chosen}; --platform chooses another"));
    assert_eq!(images.digest("docker-archive:out.tar"), images.digest(&format!("HOST/app:{chosen}")));
    images.sandbox.run(&["copy", "--platform", "linux/arm64", "HOST/app:v1", "docker-archive:arm.tar"]).success();
    assert_eq!(images.digest("docker-archive:arm.tar"), images.digest("HOST/app:arm64"));
    let several = ["copy", "--platform", "linux/arm64,linux/amd64", "HOST/app:v1", "docker-archive:no.tar"];
    images.sandbox.run(&several).fails(1, "it holds images of one platform; choose one");
    let push = ["push", "from-images", "-t", "docker-archive:no.tar", "HOST/app:amd64"];
    images.sandbox.run(&push).fails(2, "which holds images of one platform");
    let referrers = ["copy", "--referrers", "HOST/app:amd64", "docker-archive:no.tar"];
    images.sandbox.run(&referrers).fails(1, "docker-archive: cannot hold signatures and other referrers");
    images.sandbox.run(&["delete", "docker-archive:out.tar:app:v1"]).fails(2, "delete works on registries, oci:");
    assert!(!images.sandbox.path("no.tar").exists());
}

/// crane writes layers as they are in the registry. Their digest is that of the file.
#[test]
fn compressed_layers_in_an_archive_keep_their_digest() {
    let images = Images::new();
    let layer = layer_tar("amd64");
    let compressed = gzip(&layer);
    let config = config(&[&layer]);
    let name = format!("{}.tar.gz", &sha256(&compressed)[7..]);
    let list = serde_json::json!([{"Config": "config.json", "RepoTags": ["r.example/app:v1"], "Layers": [name]}]);
    let list = list.to_string();
    let files = [
        File::Content("config.json", config.as_bytes()),
        File::Content(&name, &compressed),
        File::Content("manifest.json", list.as_bytes()),
    ];
    std::fs::write(images.sandbox.path("crane.tar"), tar(&files)).unwrap();
    let copied = images.sandbox.run(&["copy", "docker-archive:crane.tar", "HOST/crane:v1"]).success();
    copied.stderr_lacks("not compressed");
    images.sandbox.run(&["verify", "--layers", "HOST/crane:v1"]).success();
    assert!(images.registry().has_blob("crane", &sha256(&compressed)));
}

/// With containerd's store, Docker saves an index although it has the image for one platform only.
#[test]
fn an_archive_of_an_index_with_one_of_its_images_is_read_by_its_list() {
    let images = Images::new();
    images.sandbox.run(&["copy", "HOST/app:amd64", "oci:part:app"]).success();
    images.sandbox.run(&["copy", "HOST/app:v1", "oci:whole:app"]).success();
    let part = images.sandbox.path("part");
    let index = crate::support::layouts::blob_path(&images.index);
    std::fs::copy(images.sandbox.path("whole/index.json"), part.join("index.json")).unwrap();
    std::fs::copy(images.sandbox.path("whole").join(&index), part.join(&index)).unwrap();
    let manifest: serde_json::Value =
        serde_json::from_str(&images.sandbox.run(&["inspect", "--manifest", "HOST/app:amd64"]).success().stdout)
            .unwrap();
    let blob = |digest: &serde_json::Value| crate::support::layouts::blob_path(digest.as_str().unwrap());
    let list = serde_json::json!([{
        "Config": blob(&manifest["config"]["digest"]), "RepoTags": ["app:v1"], "Layers": [blob(&manifest["layers"][0]["digest"])],
    }]);
    std::fs::write(part.join("manifest.json"), list.to_string()).unwrap();
    run(std::process::Command::new("tar")
        .args(["-cf", "part.tar", "-C", "part", "."])
        .current_dir(images.sandbox.folder()));
    images.sandbox.run(&["copy", "docker-archive:part.tar:app:v1", "HOST/part:v1"]).success();
    images.sandbox.run(&["verify", "--layers", "HOST/part:v1"]).success();
    assert_eq!(images.config("HOST/part:v1"), images.config("HOST/app:amd64"));
}

#[test]
fn an_archive_that_is_read_is_not_replaced_in_another_form() {
    let images = Images::new();
    images.sandbox.run(&["copy", "--tags", "a*", "HOST/app", "docker-archive:many.tar"]).success();
    let copy = ["copy", "docker-archive:many.tar:@1", "oci-archive:many.tar:x"];
    images.sandbox.run(&copy).fails(1, "the archive is also a source and would be replaced");
    let clobber = ["copy", "--no-clobber", "HOST/app:amd64", "docker-archive:many.tar:other:v1"];
    images.sandbox.run(&clobber).fails(2, "exists, and an archive is replaced as a whole");
    assert_eq!(images.digest("docker-archive:many.tar:@1"), images.digest("HOST/app:arm64"));
    let position = ["copy", "HOST/app:amd64", "docker-archive:other.tar:@0"];
    images.sandbox.run(&position).fails(1, "a position names an image that exists");
    let bytes = gzip(&std::fs::read(images.sandbox.path("many.tar")).unwrap());
    std::fs::write(images.sandbox.path("g.tar.gz"), bytes).unwrap();
    images.sandbox.run(&["delete", "oci-archive:g.tar.gz:amd64"]).fails(1, "compressed with gzip; decompress it first");
}

#[test]
fn an_archive_compressed_with_gzip_is_read() {
    let images = Images::new();
    for transport in ["docker-archive", "oci-archive"] {
        images.sandbox.run(&["copy", "HOST/app:amd64", &format!("{transport}:out.tar")]).success();
        let bytes = std::fs::read(images.sandbox.path("out.tar")).unwrap();
        std::fs::write(images.sandbox.path("out.tar.gz"), gzip(&bytes)).unwrap();
        assert_eq!(images.digest(&format!("{transport}:out.tar.gz")), images.amd64, "{transport}");
        images.sandbox.run(&["copy", &format!("{transport}:out.tar.gz"), &format!("HOST/{transport}:v1")]).success();
    }
}
