//! Platforms as the field has them: variants, twins of one platform, entries without one.

use serde_json::{Value, json};

use crate::support::images::{DOCKER, OCI, OCI_INDEX, descriptor, push_image, push_image_with, push_index};
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, manifest_tool, push_from_args};

const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

fn tool(registry: &Registry, args: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let args: Vec<String> = args.iter().map(|arg| arg.replace("HOST", &registry.host)).collect();
    let args: Vec<&str> = std::iter::once("--plain-http").chain(args.iter().map(String::as_str)).collect();
    manifest_tool(folder.path(), &args)
}

fn push_spec(registry: &Registry, more: &[&str], spec: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.yaml"), spec.replace("HOST", &registry.host)).unwrap();
    manifest_tool(folder.path(), &[&["--plain-http", "push"], more, &["from-spec", "s.yaml"]].concat())
}

fn entries(registry: &Registry, tag: &str) -> Vec<Value> {
    let index: Value = serde_json::from_slice(&registry.manifest("app", tag).unwrap().bytes).unwrap();
    index["manifests"].as_array().unwrap().clone()
}

/// An image for `linux/ARCHITECTURE/VARIANT` under a tag, as an entry for its platform.
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
    let registry = Registry::start();
    for (architecture, variants) in [
        ("amd64", &["v1", "v2", "v3"][..]),
        ("arm", &["v5", "v6", "v7", "v8"]),
        ("arm64", &["v8", "v8.1", "v9"]),
        ("ppc64le", &["power8", "power9", "power10", "power11"]),
        ("riscv64", &["rva20u64", "rva22u64", "rva23u64"]),
    ] {
        let (mut configs, mut given, mut listed) = (String::new(), String::new(), Vec::new());
        for variant in variants {
            let tag = format!("{architecture}-{variant}");
            listed.push(image(&registry, &tag, architecture, variant));
            push_image(&registry, "app", &format!("plain-{tag}"), architecture);
            configs += &format!("- image: HOST/app:{tag}\n");
            given += &format!(
                "- image: HOST/app:plain-{tag}\n  platform: {{os: linux, architecture: {architecture}, variant: {variant}}}\n"
            );
        }
        push_index(&registry, "app", "listed", &listed);
        for manifests in [configs.as_str(), given.as_str(), "- image: HOST/app:listed\n"] {
            let outcome = push_spec(
                &registry,
                &["--type", "oci", "--strict"],
                &format!("image: HOST/app:v1\nmanifests:\n{manifests}"),
            );
            assert_eq!(outcome.exit, 0, "{manifests}: {outcome:?}");
            let pushed = entries(&registry, "v1");
            let found: Vec<&str> = pushed.iter().map(|entry| entry["platform"]["variant"].as_str().unwrap()).collect();
            assert_eq!(found, variants);
        }
        let names: Vec<String> = variants.iter().map(|variant| format!("linux/{architecture}/{variant}")).collect();
        let outcome = push_from_args(
            &registry.host,
            &names.join(","),
            "app:ARCH-VARIANT",
            "app:args",
            &["--type", "oci", "--strict"],
        );
        assert_eq!(outcome.exit, 0, "{outcome:?}");
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
        let outcome = push_spec(&registry, &[], &spec);
        assert!(outcome.exit == 1 && outcome.stderr.contains(part), "{outcome:?}");
    }
}

#[test]
fn an_image_without_a_variant_is_the_one_with_the_variant_that_it_stands_for() {
    let registry = Registry::start();
    for (tag, listed) in [
        ("arm", &[("arm", "v6"), ("arm", "v7")][..]),
        ("plain-arm", &[("arm", "v6"), ("arm", "")]),
        ("both-arms", &[("arm", ""), ("arm", "v7")]),
        ("amd64", &[("amd64", "v3"), ("amd64", "v1")]),
        ("plain-amd64", &[("amd64", "v3"), ("amd64", "")]),
    ] {
        let listed: Vec<Value> = listed
            .iter()
            .map(|(name, variant)| image(&registry, &format!("{tag}-{name}{variant}"), name, variant))
            .collect();
        push_index(&registry, "app", tag, &listed);
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
        assert_eq!(tool(&registry, &["query", "--platform", platform, &source]).exit, 0, "{index} {platform}");
        let digest = registry.manifest("app", chosen).unwrap().digest;
        let shown = tool(&registry, &["inspect", "--platform", platform, "--output", "json", &source]);
        assert!(shown.exit == 0 && shown.stdout.contains(&digest), "{index} {platform}: {shown:?}");
        let copied = tool(&registry, &["copy", "--platform", platform, &source, "HOST/app:copied"]);
        assert_eq!(copied.exit, 0, "{copied:?}");
        assert_eq!(registry.manifest("app", "copied").unwrap().digest, digest, "{index} {platform}");
        // Of a copy of the index it takes out the same.
        assert_eq!(tool(&registry, &["copy", &source, "HOST/app:less"]).exit, 0);
        let removed = tool(&registry, &["remove", "--settle", "1ms", "--platform", platform, "HOST/app:less"]);
        assert_eq!(removed.exit, 0, "{removed:?}");
        assert!(entries(&registry, "less").iter().all(|entry| entry["digest"] != *digest), "{index} {platform}");
    }
    let none = tool(&registry, &["query", "--platform", "linux/amd64/v2", "HOST/app:plain-amd64"]);
    assert!(none.exit == 3 && !none.stderr.contains("did you mean"), "{none:?}");
    for args in [
        &["query", "--platform", "linux/x86_64", "HOST/app:amd64"][..],
        &["inspect", "--platform", "linux/x86_64", "HOST/app:amd64"],
        &["copy", "--platform", "linux/x86_64", "HOST/app:amd64", "HOST/app:copied"],
        &["remove", "--platform", "linux/x86_64", "HOST/app:amd64"],
    ] {
        let outcome = tool(&registry, args);
        assert!(outcome.exit != 0 && outcome.stderr.contains("; did you mean linux/amd64?"), "{args:?}: {outcome:?}");
    }

    // What is appended takes the place of the same platform, in whatever spelling; an exact match first.
    image(&registry, "new-arm", "arm", "v7");
    for (index, expected) in [("plain-arm", &["v6", "v7"][..]), ("both-arms", &["", "v7"])] {
        let spec = format!("image: HOST/app:{index}\nappend: true\nmanifests: [{{image: HOST/app:new-arm}}]\n");
        let outcome = push_spec(&registry, &["--settle", "1ms"], &spec);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        let now = entries(&registry, index);
        let found: Vec<&str> = now.iter().map(|entry| entry["platform"]["variant"].as_str().unwrap_or("")).collect();
        assert_eq!(found, expected, "{index}");
        assert_eq!(now[1]["digest"], registry.manifest("app", "new-arm").unwrap().digest, "{index}");
    }
}

#[test]
fn twins_of_a_platform_are_kept_and_the_plain_one_is_chosen() {
    let registry = Registry::start();
    let plain = image(&registry, "plain", "amd64", "");
    let mut zstd = image(&registry, "zstd", "amd64", "");
    zstd["annotations"] = json!({"io.github.containers.compression.zstd": "true"});
    let mut soci = image(&registry, "soci", "amd64", "");
    soci["artifactType"] = "application/vnd.amazon.soci.index.v2+json".into();
    let mut other = image(&registry, "other", "amd64", "");
    other["artifactType"] = "application/vnd.example.v1".into();
    push_index(&registry, "app", "twins", &[zstd.clone(), soci.clone(), plain.clone(), other.clone()]);
    let outcome = push_spec(
        &registry,
        &["--type", "oci", "--strict"],
        "image: HOST/app:v1\nmanifests: [{image: HOST/app:twins}]\n",
    );
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(entries(&registry, "v1"), [zstd, soci, plain.clone(), other]);
    let copied = tool(&registry, &["copy", "--platform", "linux/amd64", "HOST/app:twins", "HOST/app:copied"]);
    assert_eq!(copied.exit, 0, "{copied:?}");
    assert_eq!(plain["digest"], registry.manifest("app", "copied").unwrap().digest);
    assert_eq!(tool(&registry, &["query", "--platform", "linux/amd64", "HOST/app:twins"]).exit, 0);

    // A new image for the platform takes the place of all of them, whose content is that of the old one.
    image(&registry, "new", "amd64", "");
    let spec = "image: HOST/app:v1\nappend: true\nmanifests: [{image: HOST/app:new}]\n";
    assert_eq!(push_spec(&registry, &["--settle", "1ms"], spec).exit, 0);
    let now = entries(&registry, "v1");
    assert_eq!(now.len(), 1, "{now:?}");
    assert_eq!(now[0]["digest"], registry.manifest("app", "new").unwrap().digest);

    // Two that nothing tells apart clash, as in 2.2.1.
    let again = image(&registry, "again", "amd64", "");
    push_index(&registry, "app", "clash", &[plain, again]);
    let outcome =
        push_spec(&registry, &["--type", "oci"], "image: HOST/app:v2\nmanifests: [{image: HOST/app:clash}]\n");
    assert!(outcome.exit == 1 && outcome.stderr.contains("two entries for platform linux/amd64"), "{outcome:?}");
}

#[test]
fn the_type_of_an_artifact_is_in_its_entry() {
    let registry = Registry::start();
    let config = descriptor("application/vnd.oci.empty.v1+json", &registry.push_blob("app", b"{}"), b"{}");
    let artifact = json!({
        "schemaVersion": 2, "mediaType": OCI, "artifactType": "application/vnd.example.v1", "config": config,
        "layers": [config],
    });
    registry.push_manifest("app", "artifact", OCI, artifact.to_string().as_bytes());
    let spec =
        "image: HOST/app:v1\nmanifests:\n- image: HOST/app:artifact\n  platform: {os: linux, architecture: amd64}\n";
    let outcome = push_spec(&registry, &["--type", "oci"], spec);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(entries(&registry, "v1")[0]["artifactType"], "application/vnd.example.v1");
    // A Docker list has no place for it.
    assert_eq!(push_spec(&registry, &[], spec).exit, 0);
    assert_eq!(entries(&registry, "v1")[0].get("artifactType"), None);
}

/// An index whose entries name no platform, as some builders write it, or an empty one.
#[test]
fn every_command_finds_an_image_whose_entry_has_no_platform() {
    for platform in [json!(null), json!({}), json!({"os": "", "architecture": ""})] {
        finds_images_without(&platform);
    }
}

fn finds_images_without(platform: &Value) {
    let registry = Registry::start();
    let bare = |mut entry: Value| {
        entry["platform"] = platform.clone();
        entry
    };
    let (amd64, arm) = (bare(image(&registry, "amd64", "amd64", "")), bare(image(&registry, "arm", "arm", "v7")));
    push_index(&registry, "app", "bare", &[amd64.clone(), arm.clone()]);
    assert_eq!(tool(&registry, &["query", "--platform", "linux/arm/v7", "HOST/app:bare"]).exit, 0);
    let arm_digest = arm["digest"].as_str().unwrap();
    let shown = tool(&registry, &["inspect", "--platform", "linux/arm", "--output", "json", "HOST/app:bare"]);
    assert!(shown.exit == 0 && shown.stdout.contains(arm_digest), "{shown:?}");
    let copied = tool(&registry, &["copy", "--platform", "linux/arm/v7", "HOST/app:bare", "HOST/app:copied"]);
    assert_eq!(copied.exit, 0, "{copied:?}");
    assert_eq!(registry.manifest("app", "copied").unwrap().digest, arm_digest);
    for args in [
        &["query", "--platform", "linux/s390x", "HOST/app:bare"][..],
        &["inspect", "--platform", "linux/s390x", "HOST/app:bare"],
        &["copy", "--platform", "linux/s390x", "HOST/app:bare", "HOST/app:x"],
        &["remove", "--platform", "linux/s390x", "HOST/app:bare"],
    ] {
        assert_ne!(tool(&registry, args).exit, 0, "{args:?}");
    }
    let removed = tool(&registry, &["remove", "--settle", "1ms", "--platform", "linux/arm/v7", "HOST/app:bare"]);
    assert_eq!(removed.exit, 0, "{removed:?}");
    let [left] = &entries(&registry, "bare")[..] else { panic!("one") };
    assert_eq!(left["digest"], amd64["digest"]);
}

#[test]
fn one_image_that_is_listed_twice_is_removed_and_copied() {
    let registry = Registry::start();
    let (amd64, arm64) = (image(&registry, "amd64", "amd64", ""), image(&registry, "arm64", "arm64", ""));
    push_index(&registry, "app", "v1", &[amd64.clone(), arm64.clone(), amd64]);
    assert_eq!(tool(&registry, &["copy", "--platform", "linux/amd64", "HOST/app:v1", "HOST/app:one"]).exit, 0);
    let removed = tool(&registry, &["remove", "--settle", "1ms", "--platform", "linux/amd64", "HOST/app:v1"]);
    assert_eq!(removed.exit, 0, "{removed:?}");
    assert_eq!(entries(&registry, "v1"), [arm64]);
}

/// 2.2.1 lists an index in an index where that has a platform and is in the target's repository.
#[test]
fn an_index_in_an_index_is_listed_in_its_own_repository_with_a_warning() {
    let registry = Registry::start();
    let amd64 = image(&registry, "amd64", "amd64", "");
    let inner = push_index(&registry, "app", "inner", &[amd64]);
    let bytes = registry.manifest("app", "inner").unwrap().bytes;
    let mut entry = descriptor(OCI_INDEX, &inner, &bytes);
    entry["platform"] = json!({"architecture": "arm64", "os": "linux"});
    push_index(&registry, "app", "outer", &[entry.clone()]);
    let spec = "image: HOST/app:v1\nmanifests: [{image: HOST/app:outer}]\n";
    let outcome = push_spec(&registry, &["--type", "oci"], spec);
    assert!(outcome.exit == 0 && outcome.stderr.contains("holds another index"), "{outcome:?}");
    assert_eq!(entries(&registry, "v1"), [entry.clone()]);
    assert_eq!(push_spec(&registry, &["--type", "oci", "--strict"], spec).exit, 1);
    let elsewhere = push_spec(&registry, &["--type", "oci"], &spec.replace("HOST/app:v1", "HOST/other:v1"));
    assert!(elsewhere.exit == 1 && elsewhere.stderr.contains("name the images of that one"), "{elsewhere:?}");
    entry["platform"] = json!(null);
    push_index(&registry, "app", "outer", &[entry]);
    assert_eq!(push_spec(&registry, &["--type", "oci"], spec).exit, 1);
}

#[test]
fn many_images_for_one_platform_are_not_all_named() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let platforms = vec!["linux/amd64"; 300].join(",");
    let outcome = push_from_args(&registry.host, &platforms, "app:ARCH", "app:v1", &[]);
    assert!(outcome.exit == 1 && outcome.stderr.ends_with("and 279 more such pairs\n"), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 21);
}

#[test]
fn a_config_with_text_that_is_no_unicode_does_not_stop_a_push() {
    let registry = Registry::start();
    let config = |label: &[u8]| {
        let (start, end) =
            (br#"{"config":{"Labels":{"l":""#, br#""}},"os":"linux","architecture":"arm","variant":"v7"}"#);
        [&start[..], label, &end[..]].concat()
    };
    for (tag, label) in [("surrogate", &br"\ud800"[..]), ("bytes", b"\xff\xfe"), ("both", b"\xc3\\udc00")] {
        push_image_with(&registry, "app", tag, &config(label), tag.as_bytes());
        for platform in ["", "\n  platform: {os: linux, architecture: arm}"] {
            let spec = format!("image: HOST/app:v1\nmanifests:\n- image: HOST/app:{tag}{platform}\n");
            let outcome = push_spec(&registry, &["--type", "oci", "--strict"], &spec);
            assert_eq!(outcome.exit, 0, "{tag}: {outcome:?}");
            assert_eq!(entries(&registry, "v1")[0]["platform"]["variant"], "v7", "{tag}");
        }
        let query = tool(&registry, &["query", "--platform", "linux/arm/v7", &format!("HOST/app:{tag}")]);
        assert_eq!(query.exit, 0, "{query:?}");
    }
}

#[test]
fn fields_that_are_not_known_stay_in_an_index_that_is_changed() {
    let registry = Registry::start();
    for (media_type, kind) in [(OCI_INDEX, OCI), (LIST, DOCKER)] {
        let mut images: Vec<Value> = Vec::new();
        for architecture in ["amd64", "arm64", "s390x"] {
            let mut entry = image(&registry, architecture, architecture, "");
            if kind == DOCKER {
                let bytes = registry.manifest("app", architecture).unwrap().bytes;
                let text = String::from_utf8(bytes).unwrap().replace(OCI, DOCKER);
                registry.push_manifest("app", architecture, DOCKER, text.as_bytes());
                let platform = entry["platform"].take();
                entry = descriptor(DOCKER, &sha256(text.as_bytes()), text.as_bytes());
                entry["platform"] = platform;
            }
            images.push(entry);
        }
        let [amd64, arm64, _] = &mut images[..] else { panic!("three") };
        amd64["platform"]["features"] = json!(["sse4"]);
        amd64["x-entry"] = json!({"a": [1, null]});
        let index = json!({
            "schemaVersion": 2, "mediaType": media_type, "manifests": [amd64, arm64], "x-index": "kept",
        });
        registry.push_manifest("app", "v1", media_type, index.to_string().as_bytes());
        let spec = "image: HOST/app:v1\nappend: true\nmanifests: [{image: HOST/app:s390x}]\n";
        let outcome = push_spec(&registry, &["--settle", "1ms"], spec);
        assert_eq!(outcome.exit, 0, "{outcome:?}");
        let check = |count: usize| {
            let now: Value = serde_json::from_slice(&registry.manifest("app", "v1").unwrap().bytes).unwrap();
            assert_eq!(now["x-index"], "kept", "{now}");
            let entries = now["manifests"].as_array().unwrap();
            assert_eq!(entries.len(), count, "{now}");
            assert_eq!(entries[0]["platform"]["features"], json!(["sse4"]), "{now}");
            assert_eq!(entries[0]["x-entry"], json!({"a": [1, null]}), "{now}");
        };
        check(3);
        let removed = tool(&registry, &["remove", "--settle", "1ms", "--platform", "linux/arm64", "HOST/app:v1"]);
        assert_eq!(removed.exit, 0, "{removed:?}");
        check(2);
    }
}

/// Fields that the spec leaves out are not compared.
#[test]
fn a_part_of_a_platform_is_compared_with_that_part_of_an_indexs_images() {
    let registry = Registry::start();
    push_index(&registry, "app", "index", &[image(&registry, "amd64", "amd64", "v1")]);
    for (platform, is_other) in [
        ("variant: v1", false),
        ("os: linux", false),
        ("os.version: \"1\"", false),
        ("os: linux, architecture: amd64", false),
        ("variant: v3", true),
        ("os: linux, architecture: arm64", true),
    ] {
        let spec = format!("image: HOST/app:v1\nmanifests:\n- image: HOST/app:index\n  platform: {{{platform}}}\n");
        let pushed = push_spec(&registry, &["--type", "oci"], &spec);
        let warned = pushed.stderr.contains("and is an index: all its images are taken");
        assert_eq!((pushed.exit, warned), (0, is_other), "{platform}: {pushed:?}");
    }
}
