//! Layers that do not match their descriptor or diff_id: an error names each of them, and the target is not written.

use super::*;

/// A zstd frame whose header declares a window of 256 MiB (RFC 8878, section 3.1.1.1.2).
const WIDE_WINDOW: [u8; 12] = [0x28, 0xb5, 0x2f, 0xfd, 0, 18 << 3, 0b0001_1001, 0, 0, b'a', b'b', b'c'];

fn wrong(media_type_suffix: &str, bytes: Vec<u8>, diff_id: String) -> Layer {
    Layer { media_type: format!("{OCI_LAYER}{media_type_suffix}"), bytes, diff_id }
}

#[test]
fn each_wrong_layer_is_named_and_nothing_is_written() {
    let images = Images::new();
    let tar = layer_tar("x");
    let packed = gzip(&tar);
    let cut = packed[..packed.len() - 9].to_vec();
    let layers = [
        layer("sound", "+zstd"),
        wrong("+gzip", tar.clone(), sha256(&tar)),
        wrong("+zstd", packed.clone(), sha256(&tar)),
        wrong("+gzip", gzip(b"other content"), sha256(&tar)),
        wrong("+gzip", cut, sha256(&tar)),
        wrong("+zstd", WIDE_WINDOW.to_vec(), sha256(b"abc")),
        wrong("+gzip", [packed.clone(), b"more".to_vec()].concat(), sha256(&tar)),
        wrong("+gzip", packed, "sha256:short".to_owned()),
    ];
    let digests: Vec<String> = layers.iter().map(|layer| sha256(&layer.bytes)).collect();
    images.push("v1", &images.image(OCI, "amd64", &layers));
    let before = images.sandbox.registry.snapshot();
    let outcome = images.copy(&["--decompress", "HOST/app:v1", "HOST/new:v1"]);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    for (number, reason) in [
        (2, "it is not compressed, but its media type declares gzip".to_owned()),
        (3, "it is gzip, but its media type declares zstd".to_owned()),
        (
            4,
            format!(
                "its uncompressed digest is {}, but the config declares {}",
                sha256(b"other content"),
                sha256(&tar)
            ),
        ),
        (5, "cannot decompress it: it is truncated".to_owned()),
        (6, "cannot decompress it: it needs a window of 256 MiB, more than the limit of 128 MiB".to_owned()),
        (7, "cannot decompress it: ".to_owned()),
        (8, "its diff_id".to_owned()),
    ] {
        let line = format!("layer {number} {}: {reason}", digests[number - 1]);
        assert!(outcome.stderr.contains(&line), "{line}: {}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("layer 1 "), "{}", outcome.stderr);
    assert_eq!(images.sandbox.registry.snapshot(), before);
}

#[test]
fn a_config_without_a_diff_id_for_each_layer_is_refused() {
    let images = Images::new();
    let mut image = images.image(OCI, "amd64", &[layer("a", "+gzip"), layer("b", "+gzip")]);
    image["layers"].as_array_mut().unwrap().pop();
    images.push("v1", &image);
    let outcome = images.copy(&["--decompress", "HOST/app:v1", "HOST/new:v1"]);
    outcome.fails(1, "it has 2 layers (diff_ids), but the manifest has 1");
    // Nothing needs a diff_id if no layer changes.
    images.copy(&["--compress", "gzip", "HOST/app:v1", "HOST/new:v1"]).success();
}

#[test]
fn a_layer_with_other_bytes_or_none_is_refused_and_leaves_no_temporary_file() {
    let images = Images::new();
    images.push_index();
    images.copy(&["HOST/app:amd64", "oci:layout:v1"]).success();
    let manifest = parsed(&images.manifest("oci:layout:v1"));
    let digest = manifest["layers"][1]["digest"].as_str().unwrap();
    let blob = images.sandbox.path("layout/blobs").join(digest.replace(':', "/"));
    let temporary = images.sandbox.path("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let copy = || {
        let mut command = images.sandbox.command(&["copy", "--compress", "zstd", "oci:layout:v1", "oci:new:v1"]);
        crate::support::run(
            {
                command.env("TMPDIR", &temporary);
                command
            },
            "",
        )
    };
    let size = std::fs::metadata(&blob).unwrap().len() as usize;
    std::fs::write(&blob, vec![b'x'; size]).unwrap();
    copy().fails(1, "its bytes have digest");
    std::fs::write(&blob, b"x").unwrap();
    assert_eq!(copy().exit, 1);
    std::fs::remove_file(&blob).unwrap();
    assert_eq!(copy().exit, 1);
    assert!(!images.sandbox.path("new").exists());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    images.copy(&["HOST/app:amd64", "oci:layout:v1"]).success();
    copy().success();
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    std::fs::remove_dir(&temporary).unwrap();
    copy().fails(1, "the folder for temporary files");
}
