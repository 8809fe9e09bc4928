//! `--compress` and `--decompress`: each layer once, for readers of every kind, in little memory.

use super::*;
use crate::support::{run_with_peak_memory, signal, spawn, wait};

/// Returns the digests of the layers of an image.
fn layer_digests(images: &Images, image: &str) -> Vec<String> {
    let manifest = parsed(&images.manifest(image));
    manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_layers_of_an_index_are_recompressed_once_each_and_keep_their_content() {
    for flags in [&["--compress", "zstd"][..], &["--compress", "zstd:12"], &["--decompress"]] {
        let images = Images::new();
        let index = images.push_index();
        let before = images.sandbox.registry.requests(0).len();
        images.copy(&[flags, &["HOST/app:v1", "HOST/new:v1"]].concat()).success();
        let requests = images.sandbox.registry.requests(before);
        let count = |start: &str| requests.iter().filter(|request| request.starts_with(start)).count();
        // Two configs for their diff_ids, and three layers.
        assert_eq!(count("GET /v2/app/blobs/"), 2 + 3, "{flags:?}: {requests:#?}");
        images.verify("HOST/new:v1");
        for architecture in ["amd64", "arm64"] {
            let platform = format!("linux/{architecture}");
            let config = |image: &str| {
                images.sandbox.run(&["inspect", "--config", "--platform", &platform, image]).success().stdout
            };
            assert_eq!(config("HOST/new:v1"), config("HOST/app:v1"));
        }
        let before = images.sandbox.registry.snapshot();
        let again = images.copy(&[flags, &["HOST/app:v1", "HOST/new:v1"]].concat()).success();
        assert_eq!(images.sandbox.registry.snapshot(), before, "{flags:?}: the second run writes nothing: {again:?}");
        // Layers that have the wanted compression are unchanged.
        let mark = images.sandbox.registry.requests(0).len();
        images.copy(&[flags, &["--preserve-digests", "HOST/new:v1", "HOST/third:v1"]].concat()).success();
        let reads = images.sandbox.registry.requests(mark);
        assert!(!reads.iter().any(|request| request.starts_with("GET /v2/new/blobs/")), "{flags:?}: {reads:#?}");
        images.copy(&["--compress", "gzip", "HOST/new:v1", "oci:back:v1"]).success();
        images.verify("oci:back:v1");
        assert_ne!(images.digest("HOST/new:v1"), index);
    }
}

#[test]
fn skopeo_reads_what_was_recompressed_and_finds_the_same_content() {
    let images = Images::new();
    images.push_index();
    images.copy(&["--decompress", "HOST/app:amd64", "dir:plain"]).success();
    for encoding in ["gzip:1", "gzip:9", "zstd", "zstd:19"] {
        images.copy(&["--compress", encoding, "dir:plain", "oci:packed:v1"]).success();
        images.skopeo(&["--dest-decompress", "oci:FOLDER/packed:v1", "dir:FOLDER/unpacked"]);
        let unpacked = layer_digests(&images, "dir:unpacked");
        assert_eq!(unpacked, layer_digests(&images, "dir:plain"), "{encoding}");
    }
    // The other way: what skopeo compressed.
    for format in ["gzip", "zstd"] {
        images.skopeo(&[
            "--dest-compress",
            "--dest-compress-format",
            format,
            "dir:FOLDER/plain",
            "oci:FOLDER/theirs:v1",
        ]);
        images.copy(&["--decompress", "oci:theirs:v1", "dir:ours"]).success();
        assert_eq!(layer_digests(&images, "dir:ours"), layer_digests(&images, "dir:plain"), "{format}");
    }
}

#[test]
fn a_conversion_and_a_compression_are_one_step() {
    let images = Images::new();
    images.push("v1", &images.image(OCI, "amd64", &[layer("a", "+zstd"), layer("b", "")]));
    images.copy(&["--format", "docker", "--compress", "gzip", "HOST/app:v1", "HOST/docker:v1"]).success();
    let manifest = parsed(&images.manifest("HOST/docker:v1"));
    for layer in manifest["layers"].as_array().unwrap() {
        assert_eq!(layer["mediaType"], format!("{DOCKER_LAYER}.gzip"));
    }
    images.verify("HOST/docker:v1");
    images.skopeo(&["--dest-decompress", "docker://HOST/docker:v1", "dir:FOLDER/theirs"]);
    images.copy(&["--format", "oci", "--compress", "zstd", "HOST/docker:v1", "HOST/oci:v1"]).success();
    images.verify("HOST/oci:v1");
    images.copy(&["--format", "docker", "--decompress", "HOST/oci:v1", "HOST/tar:v1"]).success();
    assert_eq!(layer_digests(&images, "HOST/tar:v1"), [sha256(&layer_tar("a")), sha256(&layer_tar("b"))]);
}

/// The layer is larger than the memory that the process may use, except at the highest level.
#[test]
fn a_large_layer_is_recompressed_with_little_memory() {
    let images = Images::new();
    let mut state = 1u64;
    let content: Vec<u8> = (0..120 << 20)
        .map(|position| {
            // A small part of it is random, because the highest level takes long for that.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if position % 4096 < 64 { (state >> 56) as u8 } else { b'a' }
        })
        .collect();
    let large = Layer { media_type: OCI_LAYER.to_owned(), diff_id: sha256(&content), bytes: content };
    images.push("v1", &images.image(OCI, "amd64", &[large]));
    for (encoding, limit) in [("gzip:1", 80), ("zstd", 80), ("zstd:19", 200)] {
        let command = images.sandbox.command(&["copy", "--compress", encoding, "HOST/app:v1", "HOST/new:v1"]);
        let (outcome, peak) = run_with_peak_memory(command);
        assert_eq!(outcome.exit, 0, "{encoding}: {outcome:?}");
        assert!(peak < limit << 10, "{encoding}: {peak} kB");
    }
    images.verify("HOST/new:v1");
}

#[test]
fn an_interrupted_recompression_leaves_no_temporary_files_and_no_target() {
    let images = Images::new();
    let mut state = 1u64;
    let content = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 58) as u8
    });
    // At this level, more than half a minute of work.
    let content: Vec<u8> = content.take(100 << 20).collect();
    let large = Layer { media_type: OCI_LAYER.to_owned(), diff_id: sha256(&content), bytes: content };
    images.push("v1", &images.image(OCI, "amd64", &[large]));
    let temporary = images.sandbox.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let mut command = images.sandbox.command(&["copy", "--compress", "zstd:19", "HOST/app:v1", "oci:out:v1"]);
    command.env("TMPDIR", &temporary);
    let child = spawn(command);
    let is_writing = || {
        let folder = std::fs::read_dir(&temporary).unwrap().next()?.unwrap().path();
        let mut files = std::fs::read_dir(folder).ok()?.map(|file| file.unwrap().path());
        files.find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp")))
    };
    while is_writing().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    signal(&child, "INT");
    wait(child).exits(130);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    assert!(!images.sandbox.path("out").exists());
}
