//! Damaged and hostile Docker archives: a clear error, nothing half-written, and bounded memory.

use super::{File, Images, config, gzip, tar};
use crate::support::images::layer_tar;
use crate::support::run_with_peak_memory;

const LIST: &str = r#"[{"Config": "config.json", "RepoTags": ["app:v1"], "Layers": ["a/layer.tar"]}]"#;

/// Runs `inspect` and `copy` on an archive. Both must fail; returns what they print.
fn errors(images: &Images, bytes: &[u8]) -> String {
    std::fs::write(images.sandbox.path("bad.tar"), bytes).unwrap();
    let mut printed = String::new();
    for args in
        [&["verify", "--layers", "docker-archive:bad.tar"][..], &["copy", "docker-archive:bad.tar", "HOST/bad:v1"]]
    {
        let outcome = images.sandbox.run(args);
        assert!(outcome.exit == 1 || outcome.exit == 5, "{outcome:?}");
        printed += &format!("{}{}", outcome.stdout, outcome.stderr);
    }
    assert!(images.registry().manifest("bad", "v1").is_none());
    printed
}

#[test]
fn a_damaged_archive_is_an_error_that_names_what_is_wrong() {
    let images = Images::new();
    let layer = layer_tar("amd64");
    let (one, none) = (config(&[&layer]), config(&[]));
    let config_file = File::Content("config.json", one.as_bytes());
    for (files, reason) in [
        (vec![config_file], "it has no manifest.json"),
        (vec![File::Content("manifest.json", b"{}")], "its manifest.json is not valid"),
        (vec![File::Content("manifest.json", b"[{}]")], "its manifest.json is not valid"),
        (vec![File::Content("manifest.json", LIST.as_bytes())], "lists \"config.json\", which is not in the archive"),
        (
            vec![File::Content("manifest.json", LIST.as_bytes()), File::Content("config.json", one.as_bytes())],
            "lists \"a/layer.tar\", which is not in the archive",
        ),
        (
            vec![File::Content("manifest.json", LIST.as_bytes()), File::Content("config.json", none.as_bytes())],
            "has 1 layers, but its config names 0",
        ),
        (
            vec![File::Content("manifest.json", LIST.as_bytes()), File::Content("config.json", b"[]")],
            "the config \"config.json\" is not valid",
        ),
        (
            vec![
                File::Content("manifest.json", LIST.as_bytes()),
                File::Content("config.json", one.as_bytes()),
                File::Content("a/layer.tar", b"another layer"),
            ],
            "sha256:",
        ),
        (vec![File::Link("a/layer.tar", "../../etc/passwd")], "a link to a file outside of the archive"),
        (vec![File::Link("a/layer.tar", "/etc/passwd")], "a link to a file outside of the archive"),
        (vec![File::Content("../escaped", b"x")], "not a plain relative path"),
        (vec![File::Content("/escaped", b"x")], "not a plain relative path"),
        (vec![File::Content("a", b"x"), File::Content("a", b"y")], "contains \"a\" twice"),
        (
            vec![
                File::Content("manifest.json", LIST.as_bytes()),
                File::Content("config.json", one.as_bytes()),
                File::Link("a/layer.tar", "../b"),
                File::Link("b", "a/layer.tar"),
            ],
            "lists \"a/layer.tar\", which is not in the archive",
        ),
    ] {
        let printed = errors(&images, &tar(&files));
        assert!(printed.contains(reason), "{reason}: {printed}");
    }
}

#[test]
fn an_archive_cut_off_anywhere_is_an_error() {
    let images = Images::new();
    let layer = layer_tar("amd64");
    let config = config(&[&layer]);
    let whole = tar(&[
        File::Content("config.json", config.as_bytes()),
        File::Content("a/layer.tar", &layer),
        File::Content("manifest.json", LIST.as_bytes()),
    ]);
    std::fs::write(images.sandbox.path("good.tar"), &whole).unwrap();
    images.sandbox.run(&["verify", "--layers", "docker-archive:good.tar"]).success();
    // Without the two empty blocks at its end, an archive is still whole.
    let content = whole.len() - 1024 - 512 + LIST.len();
    for length in [1, 100, 512, 600, 1024, 1536, 2000, 2560, content - 1] {
        errors(&images, &whole[..length]);
    }
    let compressed = gzip(&whole);
    for length in [10, compressed.len() / 2, compressed.len() - 9] {
        let printed = errors(&images, &compressed[..length]);
        assert!(printed.contains("compressed with gzip, and cannot be decompressed"), "{printed}");
    }
}

/// A header may declare any size, and a link any number of links.
#[test]
fn memory_stays_bounded() {
    let images = Images::new();
    let mut header = tar::Header::new_gnu();
    header.set_path("manifest.json").unwrap();
    header.set_size(10 << 30);
    header.set_cksum();
    let path = images.sandbox.path("huge.tar");
    std::fs::write(&path, header.as_bytes()).unwrap();
    images.sandbox.run(&["inspect", "docker-archive:huge.tar"]).fails(1, "truncated in \"manifest.json\"");
    // A sparse file of that size is not read either.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(11 << 30).unwrap();
    let (outcome, peak) = run_with_peak_memory(images.sandbox.command(&["inspect", "docker-archive:huge.tar"]));
    outcome.fails(1, "exceeds the limit of");
    assert!(peak < 100 << 20, "{peak} bytes");
    // A list of many images with many layers each.
    let layer = layer_tar("amd64");
    let layers: Vec<&[u8]> = vec![&layer; 900];
    let config = config(&layers);
    let names = vec!["l"; 900];
    let image = serde_json::json!({"Config": "c", "RepoTags": null, "Layers": names});
    let list = serde_json::Value::from(vec![image; 1000]).to_string();
    let files = [
        File::Content("c", config.as_bytes()),
        File::Content("l", &layer),
        File::Content("manifest.json", list.as_bytes()),
    ];
    std::fs::write(&path, tar(&files)).unwrap();
    let (outcome, peak) = run_with_peak_memory(images.sandbox.command(&["inspect", "docker-archive:huge.tar"]));
    outcome.success();
    assert!(peak < 300 << 20, "{peak} bytes");
    // An image with a million names.
    let names = vec!["a"; 1_000_000];
    let list = serde_json::json!([{"Config": "c", "RepoTags": names, "Layers": []}]).to_string();
    let config = self::config(&[]);
    let files = [File::Content("c", config.as_bytes()), File::Content("manifest.json", list.as_bytes())];
    std::fs::write(&path, tar(&files)).unwrap();
    let (outcome, peak) = run_with_peak_memory(images.sandbox.command(&["inspect", "docker-archive:huge.tar"]));
    outcome.fails(1, "lists more than 10000 images and names");
    assert!(peak < 300 << 20, "{peak} bytes");
    // Signatures that are counted are not read, and those that are copied are limited in total.
    images.sandbox.run(&["copy", "HOST/app:amd64", "dir:signed"]).success();
    for number in 0..900 {
        let signature = std::fs::File::create(images.sandbox.path(&format!("signed/signature-{number}"))).unwrap();
        signature.set_len(1 << 20).unwrap();
    }
    for target in ["oci:out:x", "dir:out"] {
        let (outcome, peak) = run_with_peak_memory(images.sandbox.command(&["copy", "dir:signed", target]));
        assert_eq!(outcome.exit, i32::from(target == "dir:out"), "{outcome:?}");
        assert!(peak < 100 << 20, "{peak} bytes");
    }
    // What is not an archive is not decompressed as a whole.
    std::fs::write(&path, gzip(&vec![7; 64 << 20])).unwrap();
    images.sandbox.run(&["inspect", "docker-archive:huge.tar"]).fails(1, "what gzip compressed is not a tar archive");
}
