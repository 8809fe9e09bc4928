//! What README.md, "Where it differs", says of manifest-tool 2.2.1: a test for each line. What 2.2.1 does was seen by
//! running it.

use serde_json::{Value, json};

use crate::drop_in::registry;
use crate::support::images::push_image;
use crate::support::{Outcome, Registry, Scripted, manifest_tool, push_from_args};

const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Runs a command line with `s.yaml` in the folder.
fn run(registry: &Registry, spec: &str, args: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.yaml"), spec.replace("HOST", &registry.host)).unwrap();
    let args: Vec<String> = args.iter().map(|arg| arg.replace("HOST", &registry.host)).collect();
    let args: Vec<&str> = std::iter::once("--plain-http").chain(args.iter().map(String::as_str)).collect();
    manifest_tool(folder.path(), &args)
}

fn index(registry: &Registry, tag: &str) -> Value {
    serde_json::from_slice(&registry.manifest("app", tag).unwrap().bytes).unwrap()
}

const SPEC: &str = "image: HOST/app:v1\nmanifests: [{image: HOST/app:amd64}]\n";
const FROM_ARGS: [&str; 7] =
    ["push", "from-args", "--platforms", "linux/amd64", "--target", "HOST/app:v1", "--template=HOST/app:ARCH"];

#[test]
fn flags_with_one_dash_are_read_with_a_note() {
    let registry = registry();
    let outcome = run(&registry, SPEC, &["push", "-type", "oci", "from-spec", "s.yaml"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, "note: -type is written --type\n"), "{outcome:?}");
}

#[test]
fn bad_usage_ends_with_2() {
    let registry = registry();
    for args in [
        &["inspect"][..],
        &["push", "from-args"],
        &["--no-such-flag"],
        &["push", "--type", "OCI", "from-spec", "s.yaml"],
    ] {
        assert_eq!(run(&registry, SPEC, args).exit, 2, "{args:?}");
    }
}

#[test]
fn a_word_that_is_no_type_is_refused() {
    // 2.2.1 takes every word but "oci" for "docker".
    let registry = registry();
    let outcome = run(&registry, SPEC, &["push", "--type", "Oci", "from-spec", "s.yaml"]);
    assert!(outcome.exit == 2 && outcome.stderr.contains("[possible values: docker, oci, auto]"), "{outcome:?}");
}

#[test]
fn a_near_miss_of_a_key_is_refused() {
    let registry = registry();
    for (spec, meant) in [
        (format!("{SPEC}tag: [a]\n"), "tags"),
        (format!("{SPEC}Tags: [a]\n"), "tags"),
        (SPEC.replace("amd64}", "amd64, platfrom: {}}"), "platform"),
        (SPEC.replace("amd64}", "amd64, platform: {varient: v7}}"), "variant"),
        (SPEC.replace("amd64}", "amd64, platform: {osVersion: 1}}"), "osversion"),
    ] {
        let outcome = run(&registry, &spec, &["push", "from-spec", "s.yaml"]);
        assert!(outcome.exit == 1 && outcome.stderr.contains(&format!("did you mean \"{meant}\"?")), "{outcome:?}");
    }
}

/// Keys that 2.2.1 ignores.
#[test]
fn keys_that_2_2_1_does_not_have_count() {
    let registry = registry();
    let push = |more: &str| {
        let outcome = run(&registry, &format!("{SPEC}{more}"), &["push", "from-spec", "s.yaml"]);
        assert_eq!(outcome.exit, 0, "{more}: {outcome:?}");
        index(&registry, "v1")
    };
    assert_eq!(push("")["mediaType"], LIST);
    assert_eq!(push("type: oci\n")["mediaType"], INDEX);
    assert_eq!(push("type: oci\nartifactType: application/vnd.example\n")["artifactType"], "application/vnd.example");
    assert!(push("type: oci\nsubject: HOST/app:arm64\n")["subject"].is_object());
    let platforms = "platforms: [linux/s390x]\ntemplate: HOST/app:ARCH\n";
    assert_eq!(push(platforms)["manifests"][0]["platform"]["architecture"], "s390x");
    push("");
    let spec = "image: HOST/app:v1\nappend: true\nmanifests: [{image: HOST/app:arm64, annotations: {a: b}}]\n";
    assert_eq!(run(&registry, spec, &["push", "--settle", "1ms", "from-spec", "s.yaml"]).exit, 0);
    let appended = index(&registry, "v1");
    assert_eq!(appended["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(appended["manifests"][1]["annotations"], json!({"a": "b"}));
    for key in ["os.version: 10.0.1", "os.features: [win32k]"] {
        let spec = SPEC.replace("amd64}", &format!("win, platform: {{os: windows, architecture: amd64, {key}}}}}"));
        assert_eq!(run(&registry, &spec, &["push", "from-spec", "s.yaml"]).exit, 0);
        let (key, value) = key.split_once(": ").unwrap();
        assert!(
            index(&registry, "v1")["manifests"][0]["platform"][key]
                .to_string()
                .contains(value.trim_matches(['[', ']']))
        );
    }
}

#[test]
fn every_document_of_a_file_is_pushed() {
    let registry = registry();
    let two = format!("{SPEC}---\n{}", SPEC.replace("app:v1", "app:v2"));
    assert_eq!(run(&registry, &two, &["push", "from-spec", "s.yaml"]).exit, 0);
    assert!(registry.manifest("app", "v2").is_some());
}

#[test]
fn flags_and_files_after_the_first_file_count() {
    let registry = registry();
    assert_eq!(run(&registry, SPEC, &["push", "from-spec", "s.yaml", "--type", "oci"]).exit, 0);
    assert_eq!(index(&registry, "v1")["mediaType"], INDEX);
    let outcome = run(&registry, SPEC, &["push", "from-spec", "s.yaml", "gone.yaml"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("cannot read gone.yaml"), "{outcome:?}");
}

#[test]
fn an_index_must_have_a_tag_and_an_image() {
    // 2.2.1 pushes the one by digest only, and the other empty.
    let registry = registry();
    let untagged = SPEC.replace("app:v1", "app");
    let outcome = run(&registry, &untagged, &["push", "from-spec", "s.yaml"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("has no tag"), "{outcome:?}");
    let empty = "image: HOST/app:v1\nmanifests:\n-\n";
    let outcome = run(&registry, empty, &["push", "from-spec", "s.yaml"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("an index needs at least one image"), "{outcome:?}");
    assert!(registry.manifest("app", "v1").is_none());
}

#[test]
fn a_target_with_a_digest_is_refused() {
    let registry = registry();
    let digest = format!("app@sha256:{}", "0".repeat(64));
    let outcome =
        run(&registry, &format!("{}tags: [a]\n", SPEC.replace("app:v1", &digest)), &["push", "from-spec", "s.yaml"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("has a digest"), "{outcome:?}");
}

#[test]
fn a_key_that_stands_twice_is_refused_also_in_what_is_ignored() {
    let registry = registry();
    for more in ["image: HOST/app:v2\n", "foo: {a: 1, a: 2}\n", "x-own: {a: 1, a: 2}\n"] {
        let outcome = run(&registry, &format!("{SPEC}{more}"), &["push", "from-spec", "s.yaml"]);
        assert!(outcome.exit == 1 && outcome.stderr.contains("duplicate mapping key"), "{outcome:?}");
    }
}

#[test]
fn half_of_a_user_name_and_password_is_refused() {
    let registry = registry();
    for args in [["--username", "u"], ["--password", "p"]] {
        let outcome = run(&registry, SPEC, &[&args[..], &["push", "from-spec", "s.yaml"]].concat());
        assert_eq!(outcome.exit, 2, "{outcome:?}");
    }
}

#[test]
fn inspect_takes_one_image() {
    let registry = registry();
    assert_eq!(run(&registry, SPEC, &["inspect", "HOST/app:amd64", "HOST/app:arm64"]).exit, 2);
}

#[test]
fn every_placeholder_of_a_template_is_replaced() {
    let registry = registry();
    push_image(&registry, "amd64/amd64", "linux-linux", "amd64");
    let outcome = push_from_args(&registry.host, "linux/amd64", "ARCH/ARCH:OS-OS", "app:v1", &[]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
}

#[test]
fn platforms_and_a_template_are_refused_without_each_other() {
    let registry = registry();
    for (line, said) in [
        ("platforms: [linux/amd64]", "\"platforms\" needs a \"template\""),
        ("template: HOST/app:ARCH", "\"template\" needs \"platforms\""),
    ] {
        let outcome = run(&registry, &format!("{SPEC}\n{line}\n"), &["push", "from-spec", "s.yaml"]);
        assert!(outcome.exit == 1 && outcome.stderr.contains(said), "{line}: {outcome:?}");
    }
}

#[test]
fn values_of_annotations_may_have_commas_and_equals_signs_but_no_key_is_empty() {
    let registry = registry();
    let push = |annotations: &str| {
        run(&registry, SPEC, &[&FROM_ARGS[..], &["--type", "oci", "--annotations", annotations]].concat())
    };
    assert_eq!(push("a=Hello, world,b=x?y=z").exit, 0);
    assert_eq!(index(&registry, "v1")["annotations"], json!({"a": "Hello, world", "b": "x?y=z"}));
    assert_eq!(push("=x").exit, 1);
}

#[test]
fn only_an_image_that_does_not_exist_is_skipped() {
    let registry = registry();
    let broken = Scripted::before(&registry, |request| {
        request.line.contains("/manifests/arm64").then(|| (403, Vec::new(), Vec::new()))
    });
    let outcome = push_from_args(&broken.host, "linux/amd64,linux/arm64", "app:ARCH", "app:v1", &["--ignore-missing"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("403"), "{outcome:?}");
}

#[test]
fn a_platform_that_does_not_exist_is_no_missing_image() {
    let registry = registry();
    let outcome =
        push_from_args(&registry.host, "linux/amd64,linux/amd46", "app:ARCH", "app:v1", &["--ignore-missing"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("did you mean linux/amd64?"), "{outcome:?}");
}

#[test]
fn images_of_other_registries_are_taken() {
    let (registry, other) = (registry(), Registry::start());
    push_image(&other, "parts", "amd64", "amd64");
    let spec = SPEC.replace("HOST/app:amd64", &format!("{}/parts:amd64", other.host));
    assert_eq!(run(&registry, &spec, &["push", "from-spec", "s.yaml"]).exit, 0);
}

#[test]
fn capitals_and_transports_are_not_taken_for_hosts_and_repositories() {
    let registry = registry();
    for (image, part) in [("MyOrg/app:v1", "repository names are lowercase"), ("dir:v1", "the transport dir:")] {
        let outcome = run(&registry, &SPEC.replace("HOST/app:amd64", image), &["push", "from-spec", "s.yaml"]);
        assert!(outcome.exit == 1 && outcome.stderr.contains(part), "{outcome:?}");
    }
}

#[test]
fn a_password_on_the_command_line_is_warned_of() {
    let registry = registry();
    let outcome = run(&registry, SPEC, &["--username", "u", "--password", "p", "push", "from-spec", "s.yaml"]);
    assert!(outcome.exit == 0 && outcome.stderr.contains("--password shows the password"), "{outcome:?}");
}

/// The README has a line for each test here, and one for what the tests of other files show.
#[test]
fn the_readme_lists_every_difference() {
    let readme = include_str!("../README.md");
    let section =
        readme.split("## Where it differs from the Go program\n").nth(1).unwrap().split("\n## ").next().unwrap();
    for part in [
        "One dash",
        "exits with 2",
        "`--type`",
        "near miss",
        "`type`, `append`",
        "os.version",
        "further YAML documents",
        "after the first FILE",
        "without any tag",
        "no entries",
        "every `OS`, `ARCH` and `VARIANT`",
        "`platforms` or `template` alone",
        "annotation",
        "`--ignore-missing`",
        "another registry",
        "MyOrg/app",
        "dir:x",
        "image-spec 1.1.1",
        "Twins",
        "artifactType",
        "`--password`",
        "stands twice",
        "with a digest",
        "`inspect`",
        "--expand-config",
        "attestation",
    ] {
        assert!(section.contains(part), "{part} is not in\n{section}");
    }
}
