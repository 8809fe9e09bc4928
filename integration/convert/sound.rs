//! Unusual sources: a conversion either fails and writes nothing, or its target is sound.

use super::*;

const ATTESTATION: &str = "vnd.docker.reference.type";

/// Returns the entry of an image for a platform.
fn entry(mut descriptor: Value, architecture: &str) -> Value {
    descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
    descriptor
}

fn attestation(mut descriptor: Value, image: &Value) -> Value {
    descriptor["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    descriptor["annotations"] =
        json!({ATTESTATION: "attestation-manifest", "vnd.docker.reference.digest": image["digest"]});
    descriptor
}

fn zstd_marked(mut entry: Value) -> Value {
    entry["annotations"] = json!({"io.github.containers.compression.zstd": "true"});
    entry
}

/// Pushes the unusual sources, and returns their tags.
fn push_sources(images: &Images) -> Vec<&'static str> {
    let mut tags = Vec::new();
    let mut push = |tag: &'static str, manifest: &Value| {
        tags.push(tag);
        images.push(tag, manifest)
    };
    let index = |media_type: &str, entries: &[&Value]| json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries});
    let (one, two) = (layer("one", "+gzip"), layer("two", "+gzip"));
    let image = push("image", &images.image(OCI, "amd64", std::slice::from_ref(&one)));
    let docker_layer = Layer { media_type: format!("{DOCKER_LAYER}.gzip"), ..one.clone() };
    let docker = push("docker", &images.image(DOCKER, "amd64", &[docker_layer]));
    let statement = Layer { media_type: "application/vnd.in-toto+json".into(), ..layer("statement", "") };
    let attested = push("statement", &images.image(OCI, "unknown", &[statement]));

    // A Docker list with an attestation, which Docker's format cannot hold.
    push(
        "docker-attested",
        &index(DOCKER_LIST, &[&entry(docker.clone(), "amd64"), &attestation(attested.clone(), &docker)]),
    );
    push("oci-attested", &index(OCI_INDEX, &[&entry(image.clone(), "amd64"), &attestation(attested, &image)]));
    // One manifest as an image and as an attestation.
    push("two-roles", &index(OCI_INDEX, &[&entry(image.clone(), "amd64"), &attestation(image.clone(), &image)]));
    // A layer that is also the blob of an artifact, and content of another type.
    let mut artifact = images.image(OCI, "none", &[Layer { media_type: "application/x-tgz".into(), ..one.clone() }]);
    artifact["artifactType"] = "application/vnd.example".into();
    artifact["config"] =
        descriptor("application/vnd.oci.empty.v1+json", &images.sandbox.registry.push_blob("app", b"{}"), b"{}");
    let artifact = push("artifact", &artifact);
    push("shared-blob", &index(OCI_INDEX, &[&entry(image.clone(), "amd64"), &entry(artifact, "arm64")]));
    let same = Layer { media_type: "application/vnd.example".into(), ..one.clone() };
    push("two-types", &images.image(OCI, "amd64", &[one.clone(), same]));
    push("twice", &images.image(OCI, "amd64", &[one.clone(), one.clone()]));
    // Unknown fields that cannot be written as they were read.
    for (tag, field) in [("huge", json!(1.5)), ("exact", json!(7)), ("nested", json!({"a": [{"b": "c"}]}))] {
        let mut manifest = images.image(OCI, "amd64", std::slice::from_ref(&two));
        manifest["x-field"] = field;
        push(tag, &manifest);
    }
    // The zstd copy of an image: as the only entry, and beside the image.
    let zstd = push("zstd", &images.image(OCI, "amd64", &[layer("one", "+zstd")]));
    push("only-marked", &index(OCI_INDEX, &[&zstd_marked(entry(zstd.clone(), "amd64"))]));
    push("pair", &index(OCI_INDEX, &[&entry(image, "amd64"), &zstd_marked(entry(zstd, "amd64"))]));
    // Docker's format with fields that it does not have.
    for (tag, name, field) in [
        ("docker-annotated", "annotations", json!({"org.example": "x"})),
        ("docker-subject", "subject", docker.clone()),
        ("docker-artifact", "artifactType", json!("application/x")),
    ] {
        let mut manifest = images.image(DOCKER, "amd64", &[]);
        manifest[name] = field;
        push(tag, &manifest);
    }
    tags
}

#[test]
fn a_conversion_fails_without_a_target_or_its_target_is_sound() {
    let images = Images::new();
    let tags = push_sources(&images);
    let mut converted = 0;
    for (number, flags) in [
        &["--format", "docker"][..],
        &["--format", "docker", "--drop-annotations"],
        &["--format", "docker", "--drop-annotations", "--compress", "gzip"],
        &["--format", "oci"],
        &["--format", "oci", "--compress", "zstd"],
        &["--compress", "gzip"],
        &["--compress", "zstd"],
        &["--decompress"],
    ]
    .into_iter()
    .enumerate()
    {
        for tag in &tags {
            let (source, target) = (format!("HOST/app:{tag}"), format!("oci:{tag}-{number}:v1"));
            let outcome = images.copy(&[flags, &[&source, &target]].concat());
            let verified = images.sandbox.run(&["verify", &target]);
            match outcome.exit {
                0 => assert_eq!(verified.exit, 0, "{flags:?} {tag}: {outcome:?} {verified:?}"),
                _ => assert!(!images.sandbox.path(&format!("{tag}-{number}")).exists(), "{flags:?} {tag}: {outcome:?}"),
            }
            converted += usize::from(outcome.exit == 0);
            // What was converted is not converted again.
            if outcome.exit == 0 && number % 3 == 1 {
                let again = format!("oci:again-{tag}-{number}:v1");
                images.copy(&[flags, &["--preserve-digests", &target, &again]].concat()).success();
            }
        }
    }
    assert!(converted > 90, "{converted}");
}

#[test]
fn what_only_docker_names_allowed_is_refused_in_docker_manifests_too() {
    let images = Images::new();
    push_sources(&images);
    let before = images.sandbox.registry.snapshot();
    for (tag, reason) in [
        ("docker-attested", "is an attestation, which an annotation marks"),
        ("docker-annotated", "it has annotations: org.example"),
        ("docker-subject", "it has subject"),
        ("docker-artifact", "it has artifactType"),
        ("huge", "its JSON cannot be rewritten: the number 1.5 is not an integer of 64 bits"),
    ] {
        images.copy(&["--format", "docker", &format!("HOST/app:{tag}"), "HOST/new:v1"]).fails(1, reason);
    }
    let both = "differs from another image only in its compression, and both would be the same";
    for flags in [&["--compress", "gzip"][..], &["--compress", "zstd"], &["--decompress"]] {
        images.copy(&[flags, &["HOST/app:pair", "HOST/new:v1"]].concat()).fails(1, both);
    }
    assert_eq!(images.sandbox.registry.snapshot(), before);
    // Without annotations, one image stays.
    images.copy(&["--format", "docker", "--drop-annotations", "HOST/app:docker-attested", "HOST/new:v1"]).success();
    assert_eq!(parsed(&images.manifest("HOST/new:v1"))["manifests"].as_array().unwrap().len(), 1);
    images.copy(&["--format", "docker", "--drop-annotations", "HOST/app:docker-annotated", "HOST/new:v2"]).success();
    assert_eq!(parsed(&images.manifest("HOST/new:v2"))["annotations"], Value::Null);
    // An image whose layers are no longer zstd is not marked as such.
    images.copy(&["--compress", "gzip", "HOST/app:only-marked", "HOST/new:v3"]).success();
    assert_eq!(parsed(&images.manifest("HOST/new:v3"))["manifests"][0]["annotations"], Value::Null);
}

#[test]
fn a_repeated_platform_and_an_artifact_change_nothing() {
    let images = Images::new();
    images.push_index();
    let twice = ["--preserve-digests", "--platform", "linux/amd64,linux/amd64", "HOST/app:v1", "HOST/new:v1"];
    images.copy(&twice).success();
    // An artifact that borrows the media type of an image config.
    let mut artifact = images.image(OCI, "none", &[layer("a", "+gzip")]);
    let config = images.sandbox.registry.push_blob("app", b"{}");
    artifact["config"] = descriptor("application/vnd.oci.image.config.v1+json", &config, b"{}");
    images.push("artifact", &artifact);
    images.copy(&["--preserve-digests", "--compress", "zstd", "HOST/app:artifact", "HOST/new:v2"]).success();
    assert_eq!(images.digest("HOST/new:v2"), images.digest("HOST/app:artifact"));
}

#[test]
fn a_dry_run_of_many_tags_recompresses_each_layer_once_and_in_little_memory() {
    let images = Images::new();
    let content: Vec<u8> = (0..24 << 20).map(|n: u32| (n / 64) as u8).collect();
    let large = Layer { media_type: OCI_LAYER.to_owned(), diff_id: sha256(&content), bytes: content };
    for tag in ["a1", "a2", "a3", "a4", "a5", "a6"] {
        images.push(tag, &images.image(OCI, tag, &[large.clone(), layer(tag, "")]));
    }
    let mark = images.sandbox.registry.requests(0).len();
    let args = ["copy", "--dry-run", "--tags", "a*", "--compress", "zstd:19", "HOST/app", "HOST/new"];
    let (outcome, peak) = crate::support::run_with_peak_memory(images.sandbox.command(&args));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(peak < 200 << 10, "{peak} kB");
    let reads = images.sandbox.registry.requests(mark);
    let read = format!("GET /v2/app/blobs/{}", sha256(&large.bytes));
    assert_eq!(reads.iter().filter(|request| **request == read).count(), 1);
}
