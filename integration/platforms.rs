//! Platforms in real indexes: variants, several images for one platform, and entries without a platform.

use serde_json::{Value, json};

use crate::support::images::{DOCKER, OCI, OCI_INDEX, descriptor, push_image, push_image_with, push_index};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, Sandbox, push_from_args};

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

fn push_spec(sandbox: &Sandbox, args: &[&str], spec: &str) -> Outcome {
    sandbox.write("spec.yaml", spec);
    sandbox.run(&[&["push"], args, &["from-spec", "spec.yaml"]].concat())
}

/// Runs `copy --platform` to `HOST/app:copied`.
fn copy_platform(sandbox: &Sandbox, platform: &str, source: &str) -> Outcome {
    sandbox.run(&["copy", "--platform", platform, source, "HOST/app:copied"])
}

fn remove_platform(sandbox: &Sandbox, platform: &str, target: &str) -> Outcome {
    sandbox.run(&["remove", "--settle", "1ms", "--platform", platform, target])
}

fn entries(registry: &Registry, tag: &str) -> Vec<Value> {
    let index: Value = serde_json::from_slice(&registry.manifest("app", tag).unwrap().bytes).unwrap();
    index["manifests"].as_array().unwrap().clone()
}

/// Pushes an image for `linux/ARCHITECTURE/VARIANT`, and returns its index entry.
fn image(registry: &Registry, tag: &str, architecture: &str, variant: &str) -> Value {
    let mut platform = json!({"architecture": architecture, "os": "linux"});
    if !variant.is_empty() {
        platform["variant"] = variant.into();
    }
    let mut entry = push_image_with(registry, "app", tag, platform.to_string().as_bytes(), tag.as_bytes());
    entry["platform"] = platform;
    entry
}

#[test]
fn every_variant_of_the_image_spec_is_pushed_from_a_config_a_spec_and_an_index() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    for (architecture, variants) in [
        ("amd64", &["v1", "v2", "v3"][..]),
        ("arm", &["v5", "v6", "v7", "v8"]),
        ("arm64", &["v8", "v8.1", "v9"]),
        ("ppc64le", &["power8", "power9", "power10", "power11"]),
        ("riscv64", &["rva20u64", "rva22u64", "rva23u64"]),
    ] {
        let (mut from_configs, mut from_spec, mut entries_of_index) = (String::new(), String::new(), Vec::new());
        for variant in variants {
            let tag = format!("{architecture}-{variant}");
            entries_of_index.push(image(registry, &tag, architecture, variant));
            push_image(registry, "app", &format!("plain-{tag}"), architecture);
            from_configs += &format!("- image: HOST/app:{tag}\n");
            from_spec += &indoc::formatdoc! {"
                - image: HOST/app:plain-{tag}
                  platform: {{os: linux, architecture: {architecture}, variant: {variant}}}
            "};
        }
        push_index(registry, "app", "listed", &entries_of_index);
        for manifests in [from_configs.as_str(), from_spec.as_str(), "- image: HOST/app:listed\n"] {
            push_spec(
                &sandbox,
                &["--type", "oci", "--strict"],
                &format!("image: HOST/app:v1\nmanifests:\n{manifests}"),
            )
            .success();
            let pushed = entries(registry, "v1");
            let pushed_variants: Vec<&str> =
                pushed.iter().map(|entry| entry["platform"]["variant"].as_str().unwrap()).collect();
            assert_eq!(pushed_variants, variants);
        }
        let names: Vec<String> = variants.iter().map(|variant| format!("linux/{architecture}/{variant}")).collect();
        push_from_args(
            &registry.host,
            &names.join(","),
            "app:ARCH-VARIANT",
            "app:args",
            &["--type", "oci", "--strict"],
        )
        .success();
    }
    for (platform, part) in [
        ("{os: linux, architecture: arm, variant: v9}", "the variants of arm are v5, v6, v7, v8"),
        ("{os: linux, architecture: amd64, variant: v8}", "the variants of amd64 are"),
        ("{os: linux, architecture: arm64, variant: v7}", "the variants of arm64 are"),
        ("{os: linux, architecture: s390x, variant: z13}", "s390x has no variants"),
        ("{os: linux, architecture: aarch64}", "did you mean linux/arm64?"),
    ] {
        let spec =
            format!("image: HOST/app:v2\nmanifests:\n- image: HOST/app:plain-arm64-v8\n  platform: {platform}\n");
        push_spec(&sandbox, &[], &spec).fails(1, part);
    }
}

#[test]
fn an_image_without_a_variant_matches_the_default_variant() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    for (tag, listed) in [
        ("arm", &[("arm", "v6"), ("arm", "v7")][..]),
        ("plain-arm", &[("arm", "v6"), ("arm", "")]),
        ("both-arms", &[("arm", ""), ("arm", "v7")]),
        ("amd64", &[("amd64", "v3"), ("amd64", "v1")]),
        ("plain-amd64", &[("amd64", "v3"), ("amd64", "")]),
    ] {
        let listed: Vec<Value> = listed
            .iter()
            .map(|(name, variant)| image(registry, &format!("{tag}-{name}{variant}"), name, variant))
            .collect();
        push_index(registry, "app", tag, &listed);
    }
    for (index, platform, chosen) in [
        ("arm", "linux/arm", "arm-armv7"),
        ("arm", "linux/arm/v6", "arm-armv6"),
        ("plain-arm", "linux/arm/v7", "plain-arm-arm"),
        ("plain-arm", "linux/arm", "plain-arm-arm"),
        ("both-arms", "linux/arm", "both-arms-arm"),
        ("both-arms", "linux/arm/v7", "both-arms-armv7"),
        ("amd64", "linux/amd64", "amd64-amd64v1"),
        ("plain-amd64", "linux/amd64/v1", "plain-amd64-amd64"),
        ("plain-amd64", "linux/amd64", "plain-amd64-amd64"),
        ("plain-amd64", "linux/amd64/v3", "plain-amd64-amd64v3"),
    ] {
        let source = format!("HOST/app:{index}");
        sandbox.run(&["query", "--platform", platform, &source]).success();
        let digest = registry.manifest("app", chosen).unwrap().digest;
        sandbox
            .run(&["inspect", "--platform", platform, "--output", "json", &source])
            .success()
            .stdout_contains(&digest);
        copy_platform(&sandbox, platform, &source).success();
        assert_eq!(registry.manifest("app", "copied").unwrap().digest, digest, "{index} {platform}");
        // `remove` selects the same image.
        sandbox.run(&["copy", &source, "HOST/app:reduced"]).success();
        remove_platform(&sandbox, platform, "HOST/app:reduced").success();
        assert!(entries(registry, "reduced").iter().all(|entry| entry["digest"] != *digest), "{index} {platform}");
    }
    sandbox
        .run(&["query", "--platform", "linux/amd64/v2", "HOST/app:plain-amd64"])
        .exits(3)
        .stderr_lacks("did you mean");
    for args in [
        &["query", "--platform", "linux/x86_64", "HOST/app:amd64"][..],
        &["inspect", "--platform", "linux/x86_64", "HOST/app:amd64"],
        &["copy", "--platform", "linux/x86_64", "HOST/app:amd64", "HOST/app:copied"],
        &["remove", "--platform", "linux/x86_64", "HOST/app:amd64"],
    ] {
        let outcome = sandbox.run(args);
        assert!(outcome.exit != 0 && outcome.stderr.contains("; did you mean linux/amd64?"), "{args:?}: {outcome:?}");
    }

    // An appended image replaces the one for the same platform. An exact match takes precedence over a default variant.
    image(registry, "new-arm", "arm", "v7");
    for (index, expected) in [("plain-arm", &["v6", "v7"][..]), ("both-arms", &["", "v7"])] {
        let spec = format!("image: HOST/app:{index}\nappend: true\nmanifests: [{{image: HOST/app:new-arm}}]\n");
        push_spec(&sandbox, &["--settle", "1ms"], &spec).success();
        let changed = entries(registry, index);
        let variants: Vec<&str> =
            changed.iter().map(|entry| entry["platform"]["variant"].as_str().unwrap_or("")).collect();
        assert_eq!(variants, expected, "{index}");
        assert_eq!(changed[1]["digest"], registry.manifest("app", "new-arm").unwrap().digest, "{index}");
    }
}

#[test]
fn several_images_for_one_platform_are_kept_and_the_plain_one_is_chosen() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let plain = image(registry, "plain", "amd64", "");
    let mut zstd = image(registry, "zstd", "amd64", "");
    zstd["annotations"] = json!({"io.github.containers.compression.zstd": "true"});
    let mut soci = image(registry, "soci", "amd64", "");
    soci["artifactType"] = "application/vnd.amazon.soci.index.v2+json".into();
    let mut other = image(registry, "other", "amd64", "");
    other["artifactType"] = "application/vnd.example.v1".into();
    push_index(registry, "app", "several", &[zstd.clone(), soci.clone(), plain.clone(), other.clone()]);
    push_spec(&sandbox, &["--type", "oci", "--strict"], "image: HOST/app:v1\nmanifests: [{image: HOST/app:several}]\n")
        .success();
    assert_eq!(entries(registry, "v1"), [zstd, soci, plain.clone(), other]);
    copy_platform(&sandbox, "linux/amd64", "HOST/app:several").success();
    assert_eq!(plain["digest"], registry.manifest("app", "copied").unwrap().digest);
    sandbox.run(&["query", "--platform", "linux/amd64", "HOST/app:several"]).success();

    // A new image for the platform replaces all of them, because they hold the content of the old image.
    image(registry, "new", "amd64", "");
    let spec = "image: HOST/app:v1\nappend: true\nmanifests: [{image: HOST/app:new}]\n";
    push_spec(&sandbox, &["--settle", "1ms"], spec).success();
    let changed = entries(registry, "v1");
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0]["digest"], registry.manifest("app", "new").unwrap().digest);

    // Two images that differ in no annotation or artifact type conflict, as in 2.2.1.
    let again = image(registry, "again", "amd64", "");
    push_index(registry, "app", "clash", &[plain, again]);
    push_spec(&sandbox, &["--type", "oci"], "image: HOST/app:v2\nmanifests: [{image: HOST/app:clash}]\n")
        .fails(1, "two entries for platform linux/amd64");
}

#[test]
fn the_artifact_type_is_written_to_oci_entries_only() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let config = descriptor("application/vnd.oci.empty.v1+json", &registry.push_blob("app", b"{}"), b"{}");
    let artifact = json!({
        "schemaVersion": 2, "mediaType": OCI, "artifactType": "application/vnd.example.v1", "config": config,
        "layers": [config],
    });
    registry.push_manifest("app", "artifact", OCI, artifact.to_string().as_bytes());
    let spec =
        "image: HOST/app:v1\nmanifests:\n- image: HOST/app:artifact\n  platform: {os: linux, architecture: amd64}\n";
    push_spec(&sandbox, &["--type", "oci"], spec).success();
    assert_eq!(entries(registry, "v1")[0]["artifactType"], "application/vnd.example.v1");
    // A Docker manifest list has no field for it.
    push_spec(&sandbox, &[], spec).success();
    assert_eq!(entries(registry, "v1")[0].get("artifactType"), None);
}

/// Some builders write indexes whose entries have no platform, or an empty one.
#[test]
fn every_command_finds_an_image_whose_entry_has_no_platform() {
    for platform in [json!(null), json!({}), json!({"os": "", "architecture": ""})] {
        assert_images_are_found_with_platform(&platform);
    }
}

fn assert_images_are_found_with_platform(platform: &Value) {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let with_platform = |mut entry: Value| {
        entry["platform"] = platform.clone();
        entry
    };
    let (amd64, arm) =
        (with_platform(image(registry, "amd64", "amd64", "")), with_platform(image(registry, "arm", "arm", "v7")));
    push_index(registry, "app", "bare", &[amd64.clone(), arm.clone()]);
    sandbox.run(&["query", "--platform", "linux/arm/v7", "HOST/app:bare"]).success();
    let arm_digest = arm["digest"].as_str().unwrap();
    sandbox
        .run(&["inspect", "--platform", "linux/arm", "--output", "json", "HOST/app:bare"])
        .success()
        .stdout_contains(arm_digest);
    copy_platform(&sandbox, "linux/arm/v7", "HOST/app:bare").success();
    assert_eq!(registry.manifest("app", "copied").unwrap().digest, arm_digest);
    for args in [
        &["query", "--platform", "linux/s390x", "HOST/app:bare"][..],
        &["inspect", "--platform", "linux/s390x", "HOST/app:bare"],
        &["copy", "--platform", "linux/s390x", "HOST/app:bare", "HOST/app:x"],
        &["remove", "--platform", "linux/s390x", "HOST/app:bare"],
    ] {
        assert_ne!(sandbox.run(args).exit, 0, "{args:?}");
    }
    remove_platform(&sandbox, "linux/arm/v7", "HOST/app:bare").success();
    let [remaining] = &entries(registry, "bare")[..] else { panic!("one entry") };
    assert_eq!(remaining["digest"], amd64["digest"]);
}

#[test]
fn an_image_that_is_listed_twice_is_copied_and_removed() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let (amd64, arm64) = (image(registry, "amd64", "amd64", ""), image(registry, "arm64", "arm64", ""));
    push_index(registry, "app", "v1", &[amd64.clone(), arm64.clone(), amd64]);
    sandbox.run(&["copy", "--platform", "linux/amd64", "HOST/app:v1", "HOST/app:one"]).success();
    remove_platform(&sandbox, "linux/amd64", "HOST/app:v1").success();
    assert_eq!(entries(registry, "v1"), [arm64]);
}

/// 2.2.1 lists a nested index if its entry has a platform and it is in the repository of the target.
#[test]
fn a_nested_index_in_the_target_repository_is_listed_with_a_warning() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let amd64 = image(registry, "amd64", "amd64", "");
    let inner = push_index(registry, "app", "inner", &[amd64]);
    let bytes = registry.manifest("app", "inner").unwrap().bytes;
    let mut entry = descriptor(OCI_INDEX, &inner, &bytes);
    entry["platform"] = json!({"architecture": "arm64", "os": "linux"});
    push_index(registry, "app", "outer", &[entry.clone()]);
    let spec = "image: HOST/app:v1\nmanifests: [{image: HOST/app:outer}]\n";
    push_spec(&sandbox, &["--type", "oci"], spec).success().stderr_contains("contains a nested index");
    assert_eq!(entries(registry, "v1"), [entry.clone()]);
    push_spec(&sandbox, &["--type", "oci", "--strict"], spec).exits(1);
    push_spec(&sandbox, &["--type", "oci"], &spec.replace("HOST/app:v1", "HOST/other:v1"))
        .fails(1, "use the images of that index");
    entry["platform"] = json!(null);
    push_index(registry, "app", "outer", &[entry]);
    push_spec(&sandbox, &["--type", "oci"], spec).exits(1);
}

#[test]
fn an_error_about_300_images_for_one_platform_names_20_pairs() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    push_image(registry, "app", "amd64", "amd64");
    let platforms = vec!["linux/amd64"; 300].join(",");
    let outcome = push_from_args(&registry.host, &platforms, "app:ARCH", "app:v1", &[]).exits(1);
    assert!(outcome.stderr.ends_with("and 279 more such pairs\n"), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 21);
}

#[test]
fn a_config_with_invalid_unicode_is_pushed() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    let config = |label: &[u8]| {
        let (start, end) =
            (br#"{"config":{"Labels":{"l":""#, br#""}},"os":"linux","architecture":"arm","variant":"v7"}"#);
        [&start[..], label, &end[..]].concat()
    };
    for (tag, label) in [("surrogate", &br"\ud800"[..]), ("bytes", b"\xff\xfe"), ("both", b"\xc3\\udc00")] {
        push_image_with(registry, "app", tag, &config(label), tag.as_bytes());
        for platform in ["", "\n  platform: {os: linux, architecture: arm}"] {
            let spec = format!("image: HOST/app:v1\nmanifests:\n- image: HOST/app:{tag}{platform}\n");
            push_spec(&sandbox, &["--type", "oci", "--strict"], &spec).success();
            assert_eq!(entries(registry, "v1")[0]["platform"]["variant"], "v7", "{tag}");
        }
        sandbox.run(&["query", "--platform", "linux/arm/v7", &format!("HOST/app:{tag}")]).success();
    }
}

#[test]
fn append_and_remove_keep_unknown_fields_of_the_index() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    for (media_type, image_type) in [(OCI_INDEX, OCI), (DOCKER_LIST, DOCKER)] {
        let mut images: Vec<Value> = Vec::new();
        for architecture in ["amd64", "arm64", "s390x"] {
            let mut entry = image(registry, architecture, architecture, "");
            if image_type == DOCKER {
                let bytes = registry.manifest("app", architecture).unwrap().bytes;
                let text = String::from_utf8(bytes).unwrap().replace(OCI, DOCKER);
                registry.push_manifest("app", architecture, DOCKER, text.as_bytes());
                let platform = entry["platform"].take();
                entry = descriptor(DOCKER, &sha256(text.as_bytes()), text.as_bytes());
                entry["platform"] = platform;
            }
            images.push(entry);
        }
        let [amd64, arm64, _] = &mut images[..] else { panic!("three images") };
        amd64["platform"]["features"] = json!(["sse4"]);
        amd64["x-entry"] = json!({"a": [1, null]});
        let index = json!({
            "schemaVersion": 2, "mediaType": media_type, "manifests": [amd64, arm64], "x-index": "kept",
        });
        registry.push_manifest("app", "v1", media_type, index.to_string().as_bytes());
        let spec = "image: HOST/app:v1\nappend: true\nmanifests: [{image: HOST/app:s390x}]\n";
        push_spec(&sandbox, &["--settle", "1ms"], spec).success();
        let check = |count: usize| {
            let index: Value = serde_json::from_slice(&registry.manifest("app", "v1").unwrap().bytes).unwrap();
            assert_eq!(index["x-index"], "kept", "{index}");
            let entries = index["manifests"].as_array().unwrap();
            assert_eq!(entries.len(), count, "{index}");
            assert_eq!(entries[0]["platform"]["features"], json!(["sse4"]), "{index}");
            assert_eq!(entries[0]["x-entry"], json!({"a": [1, null]}), "{index}");
        };
        check(3);
        remove_platform(&sandbox, "linux/arm64", "HOST/app:v1").success();
        check(2);
    }
}

#[test]
fn only_the_platform_fields_that_a_spec_sets_are_compared_with_a_source_index() {
    let sandbox = Sandbox::new();
    let registry = &sandbox.registry;
    push_index(registry, "app", "index", &[image(registry, "amd64", "amd64", "v1")]);
    for (platform, differs) in [
        ("variant: v1", false),
        ("os: linux", false),
        ("os.version: \"1\"", false),
        ("os: linux, architecture: amd64", false),
        ("variant: v3", true),
        ("os: linux, architecture: arm64", true),
    ] {
        let spec = format!("image: HOST/app:v1\nmanifests:\n- image: HOST/app:index\n  platform: {{{platform}}}\n");
        let pushed = push_spec(&sandbox, &["--type", "oci"], &spec);
        let warned = pushed.stderr.contains("but is an index: all its images are added");
        assert_eq!((pushed.exit, warned), (0, differs), "{platform}: {pushed:?}");
    }
}
