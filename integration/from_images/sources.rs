//! The kinds of images: by tag, by digest, in a layout, from a list, and their order and type.

use serde_json::{Value, json};

use super::{ARCHITECTURES, Fixture, architectures, index};
use crate::support::images::{DOCKER, descriptor, push_attested_index};
use crate::support::layouts::write_valid_layout;
use crate::support::{Registry, Sandbox};

#[test]
fn tags_digests_and_bare_digests_make_the_same_index() {
    let fixture = Fixture::new();
    let [amd64, arm64, s390x] = &fixture.digests;
    fixture.push(&["-t", "HOST/parts:one", "HOST/parts:amd64", "HOST/parts:arm64", "HOST/parts:s390x"]).success();
    let by_digest = format!("HOST/parts@{arm64}");
    fixture.push(&["--target", "HOST/parts:two", amd64, &by_digest, s390x]).success();
    let (one, two) = (index(fixture.registry(), "parts", "one"), index(fixture.registry(), "parts", "two"));
    assert_eq!(one, two);
    assert_eq!(
        (architectures(&one), &one["mediaType"]),
        (ARCHITECTURES.to_vec(), &json!("application/vnd.oci.image.index.v1+json"))
    );
}

#[test]
fn the_digest_is_printed_and_extra_tags_are_written() {
    let fixture = Fixture::new();
    let outcome = fixture.push(&["-t", "HOST/parts:v1", "--tags", "v1.2,latest", &fixture.digests[0]]).success();
    let stored = fixture.registry().manifest("parts", "v1").unwrap();
    assert_eq!(outcome.stdout, format!("Digest: {} {}\n", stored.digest, stored.bytes.len()));
    assert_eq!(outcome.stderr, "");
    for tag in ["v1.2", "latest"] {
        assert_eq!(fixture.registry().manifest("parts", tag).unwrap().digest, stored.digest);
    }
}

#[test]
fn a_list_on_stdin_has_one_image_per_line_and_comments() {
    let fixture = Fixture::new();
    let list = format!("# built by CI\n{}\r\n\n  HOST/parts:arm64  # second\n", fixture.digests[0]);
    let args = ["push", "from-images", "-t", "HOST/parts:v1", "-", "HOST/parts:s390x"];
    fixture.sandbox.run_with_stdin(&args, &list).success();
    assert_eq!(architectures(&index(fixture.registry(), "parts", "v1")), ARCHITECTURES);
}

#[test]
fn lists_and_files_of_powershell_are_read() {
    let fixture = Fixture::new();
    let [amd64, arm64, s390x] = &fixture.digests;
    let utf16 = |text: &str| {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    std::fs::create_dir(fixture.sandbox.path("digests")).unwrap();
    std::fs::write(fixture.sandbox.path("digests/amd64.txt"), utf16(&format!("{amd64}\r\n"))).unwrap();
    fixture.sandbox.write("digests/arm64.txt", &format!("\u{feff}{arm64}\r\n"));
    let descriptor = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": s390x, "size": 1});
    fixture.sandbox.write("meta.json", &format!("\u{feff}{descriptor}"));
    let args = ["push", "from-images", "-t", "HOST/parts:v1", "-", "--digests", "digests", "--metadata", "meta.json"];
    fixture.sandbox.run_with_stdin(&args, "\u{feff}# images\nHOST/parts:amd64\n").success();
    let pushed = index(fixture.registry(), "parts", "v1");
    let mut found = architectures(&pushed);
    found.sort_unstable();
    assert_eq!(found, ARCHITECTURES);
}

#[test]
fn images_in_layouts_and_archives_are_uploaded() {
    let fixture = Fixture::new();
    write_valid_layout(&fixture.sandbox.path("build"));
    fixture.sandbox.run(&["copy", "HOST/parts:s390x", "oci-archive:s390x.tar"]).success();
    let args = ["-t", "HOST/app:v1", "oci:build", "oci-archive:s390x.tar", "HOST/parts:arm64"];
    fixture.push(&args).success();
    let pushed = index(fixture.registry(), "app", "v1");
    assert_eq!(pushed["manifests"].as_array().unwrap().len(), 3);
    fixture.sandbox.run(&["verify", "HOST/app:v1"]).success();
}

#[test]
fn a_bare_digest_may_be_in_a_layout() {
    let fixture = Fixture::new();
    fixture.sandbox.run(&["copy", "HOST/parts:amd64", "oci:out:amd64"]).success();
    fixture.push(&["-t", "oci:out:v1", &fixture.digests[0]]).success();
    fixture.sandbox.run(&["verify", "oci:out:v1"]).success();
}

#[test]
fn the_type_is_docker_only_if_every_image_is() {
    let fixture = Fixture::new();
    let registry = fixture.registry();
    let docker = ["amd64", "arm64"].map(|architecture| push_docker_image(registry, architecture));
    fixture.push(&["-t", "HOST/parts:docker", &docker[0], &docker[1]]).success();
    fixture.push(&["-t", "HOST/parts:mixed", &docker[0], "HOST/parts:arm64"]).success();
    fixture.push_with(&["--type", "oci"], &["-t", "HOST/parts:oci", &docker[0]]).success();
    fixture.push_with(&["--type", "docker"], &["-t", "HOST/parts:list", "HOST/parts:arm64"]).success();
    for (tag, media_type) in [
        ("docker", "application/vnd.docker.distribution.manifest.list.v2+json"),
        ("mixed", "application/vnd.oci.image.index.v1+json"),
        ("oci", "application/vnd.oci.image.index.v1+json"),
        ("list", "application/vnd.docker.distribution.manifest.list.v2+json"),
    ] {
        assert_eq!(index(registry, "parts", tag)["mediaType"], media_type, "{tag}");
    }
}

fn push_docker_image(registry: &Registry, architecture: &str) -> String {
    let config = json!({"os": "linux", "architecture": architecture}).to_string();
    let config_type = "application/vnd.docker.container.image.v1+json";
    let config = descriptor(config_type, &registry.push_blob("parts", config.as_bytes()), config.as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": DOCKER, "config": config, "layers": []}).to_string();
    registry.push_manifest("parts", &format!("docker-{architecture}"), DOCKER, manifest.as_bytes());
    registry.manifest("parts", &format!("docker-{architecture}")).unwrap().digest
}

#[test]
fn append_keeps_the_form_of_the_target_and_defaults_to_auto() {
    let fixture = Fixture::new();
    let append = ["--append", "--settle", "1ms"];
    fixture.push_with(&append, &["-t", "HOST/parts:v1", "HOST/parts:amd64"]).success();
    fixture.push_with(&append, &["-t", "HOST/parts:v1", "HOST/parts:arm64"]).success();
    let pushed = index(fixture.registry(), "parts", "v1");
    assert_eq!(architectures(&pushed), ["amd64", "arm64"]);
    assert_eq!(pushed["mediaType"], "application/vnd.oci.image.index.v1+json");
    fixture.push_with(&["--type", "docker"], &["-t", "HOST/parts:list", "HOST/parts:amd64"]).success();
    fixture.push_with(&append, &["-t", "HOST/parts:list", "HOST/parts:arm64"]).success();
    let pushed = index(fixture.registry(), "parts", "list");
    assert_eq!(pushed["mediaType"], "application/vnd.docker.distribution.manifest.list.v2+json");
}

#[test]
fn indexes_of_single_builds_are_merged_with_their_attestations() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let built = ["amd64", "arm64"].map(|name| push_attested_index(registry, "app", name, name));
    sandbox.run(&["push", "from-images", "-t", "HOST/app:v1", &built[0].index, &built[1].index]).success();
    let merged = index(registry, "app", "v1");
    let digests: Vec<&str> =
        merged["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap()).collect();
    let [amd64, arm64] = &built;
    assert_eq!(digests, [&amd64.image, &arm64.image, &amd64.attestation, &arm64.attestation]);
}

#[test]
fn an_image_given_twice_is_kept_once() {
    let fixture = Fixture::new();
    let digest = &fixture.digests[0];
    let twice = ["-t", "HOST/parts:v1", "HOST/parts:amd64", "HOST/parts:amd64"];
    fixture.push(&twice).success().stderr_contains("parts:amd64 is given twice");
    fixture.push_with(&["--strict"], &twice).fails(2, "is given twice");
    let by_digest = ["-t", "HOST/parts:v2", "HOST/parts:amd64", digest];
    fixture.push(&by_digest).success().stderr_contains("is the same image as");
    fixture.push_with(&["--strict"], &by_digest).fails(1, "is the same image as");
    for tag in ["v1", "v2"] {
        assert_eq!(architectures(&index(fixture.registry(), "parts", tag)), ["amd64"]);
    }
}

#[test]
fn two_images_for_one_platform_are_refused() {
    let fixture = Fixture::new();
    crate::support::images::push_image(fixture.registry(), "parts", "again", "amd64");
    let before = fixture.registry().snapshot();
    fixture.push(&["-t", "HOST/parts:v1", "HOST/parts:amd64", "HOST/parts:again"]).fails(1, "two entries for platform");
    assert_eq!(fixture.registry().snapshot(), before);
}

#[test]
fn the_flags_of_push_apply() {
    let fixture = Fixture::new();
    let args = ["-t", "HOST/parts:v1", "HOST/parts:amd64", "HOST/parts:gone"];
    fixture.push(&args).fails(1, "parts:gone not found");
    fixture.push(&[&args[..], &["--ignore-missing"]].concat()).success().stderr_contains("skipped");
    let plan = fixture.push_with(&["--dry-run"], &["-t", "HOST/other:v1", "HOST/parts:amd64"]).success();
    assert!(plan.stdout.contains("created    ") && fixture.registry().manifest("other", "v1").is_none());
    fixture.push_with(&["--if-match", "none"], &args[..3]).exits(0);
    fixture.push_with(&["--if-match", "none"], &["-t", "HOST/parts:v1", "HOST/parts:arm64"]).exits(3);
    let files = ["--digest-file", "digest", "--metadata-file", "meta.json", "--wait"];
    fixture.push_with(&files, &["-t", "HOST/parts:v2", "HOST/parts:amd64"]).success();
    let metadata: Value = serde_json::from_str(&fixture.sandbox.read("meta.json")).unwrap();
    assert_eq!(metadata["indexes"][0]["digest"], fixture.sandbox.read("digest"));
    assert_eq!(fixture.registry().manifest("parts", "v2").unwrap().digest, fixture.sandbox.read("digest"));
}

#[test]
fn each_source_costs_a_manifest_and_a_config() {
    let fixture = Fixture::new();
    let registry = fixture.registry();
    let mark = registry.requests(0).len();
    let args = ["-t", "HOST/parts:v1", &fixture.digests[0], &fixture.digests[1], &fixture.digests[2]];
    fixture.push(&args).success();
    let requests = registry.requests(mark);
    let count = |method: &str, part: &str| {
        requests.iter().filter(|line| line.starts_with(method) && line.contains(part)).count()
    };
    assert_eq!((count("GET", "/manifests/"), count("GET", "/blobs/")), (3, 3), "{requests:#?}");
    // The tag is looked at before it is written.
    assert_eq!((count("HEAD", "/manifests/v1"), count("PUT", "/manifests/v1")), (1, 1), "{requests:#?}");
    assert_eq!(requests.len(), 8 + count("GET", "/v2/ "), "{requests:#?}");
}
