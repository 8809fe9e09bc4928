//! One test for each difference from manifest-tool 2.2.1 in `docs/reference/differences-from-2.2.1.md`. The behavior of
//! 2.2.1 was found by running it.

use indoc::indoc;
use serde_json::{Value, json};

use crate::support::images::push_image;
use crate::support::recorded::recorded_registry;
use crate::support::{Outcome, Registry, Sandbox, ScriptedServer, push_from_args};

const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn recorded_sandbox() -> Sandbox {
    Sandbox::with_registry(recorded_registry())
}

/// Writes the spec to `s.yaml` and runs a command line.
fn run(sandbox: &Sandbox, spec: &str, args: &[&str]) -> Outcome {
    sandbox.write("s.yaml", spec);
    sandbox.run(args)
}

fn push(sandbox: &Sandbox, spec: &str) -> Outcome {
    run(sandbox, spec, &["push", "from-spec", "s.yaml"])
}

/// Reads the index `app:v1` back from the registry.
fn pushed_index(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&sandbox.registry.manifest("app", "v1").unwrap().bytes).unwrap()
}

const SPEC: &str = indoc! {"
    image: HOST/app:v1
    manifests: [{image: HOST/app:amd64}]
"};

#[test]
fn flags_with_one_dash_are_read_with_a_note() {
    let sandbox = recorded_sandbox();
    let outcome = run(&sandbox, SPEC, &["push", "-type", "oci", "from-spec", "s.yaml"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, "note: use --type instead of -type\n"), "{outcome:?}");
}

#[test]
fn wrong_usage_exits_with_2() {
    let sandbox = recorded_sandbox();
    for args in [
        &["inspect"][..],
        &["push", "from-args"],
        &["--no-such-flag"],
        &["push", "--type", "OCI", "from-spec", "s.yaml"],
    ] {
        assert_eq!(run(&sandbox, SPEC, args).exit, 2, "{args:?}");
    }
}

#[test]
fn an_unknown_type_is_rejected() {
    // 2.2.1 takes every word except "oci" as "docker".
    let sandbox = recorded_sandbox();
    run(&sandbox, SPEC, &["push", "--type", "Oci", "from-spec", "s.yaml"])
        .fails(2, "[possible values: docker, oci, auto]");
}

#[test]
fn a_misspelled_key_is_rejected_with_the_key_that_was_meant() {
    let sandbox = recorded_sandbox();
    for (spec, meant) in [
        (format!("{SPEC}tag: [a]\n"), "tags"),
        (format!("{SPEC}Tags: [a]\n"), "tags"),
        (SPEC.replace("amd64}", "amd64, platfrom: {}}"), "platform"),
        (SPEC.replace("amd64}", "amd64, platform: {varient: v7}}"), "variant"),
        (SPEC.replace("amd64}", "amd64, platform: {osVersion: 1}}"), "osversion"),
    ] {
        push(&sandbox, &spec).fails(1, &format!("did you mean \"{meant}\"?"));
    }
}

/// 2.2.1 ignores all of these keys.
#[test]
fn keys_that_2_2_1_lacks_take_effect() {
    let sandbox = recorded_sandbox();
    let pushed_with = |lines: &str| {
        let outcome = push(&sandbox, &format!("{SPEC}{lines}"));
        assert_eq!(outcome.exit, 0, "{lines}: {outcome:?}");
        pushed_index(&sandbox)
    };
    assert_eq!(pushed_with("")["mediaType"], LIST);
    assert_eq!(pushed_with("type: oci\n")["mediaType"], INDEX);
    assert_eq!(
        pushed_with("type: oci\nartifactType: application/vnd.example\n")["artifactType"],
        "application/vnd.example"
    );
    assert!(pushed_with("type: oci\nsubject: HOST/app:arm64\n")["subject"].is_object());
    let platforms = "platforms: [linux/s390x]\ntemplate: HOST/app:ARCH\n";
    assert_eq!(pushed_with(platforms)["manifests"][0]["platform"]["architecture"], "s390x");
    pushed_with("");
    let spec = indoc! {"
        image: HOST/app:v1
        append: true
        manifests: [{image: HOST/app:arm64, annotations: {a: b}}]
    "};
    run(&sandbox, spec, &["push", "--settle", "1ms", "from-spec", "s.yaml"]).success();
    let appended = pushed_index(&sandbox);
    assert_eq!(appended["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(appended["manifests"][1]["annotations"], json!({"a": "b"}));
    for key in ["os.version: 10.0.1", "os.features: [win32k]"] {
        let spec = SPEC.replace("amd64}", &format!("win, platform: {{os: windows, architecture: amd64, {key}}}}}"));
        push(&sandbox, &spec).success();
        let (key, value) = key.split_once(": ").unwrap();
        let pushed = pushed_index(&sandbox)["manifests"][0]["platform"][key].to_string();
        assert!(pushed.contains(value.trim_matches(['[', ']'])), "{key}: {pushed}");
    }
}

#[test]
fn every_document_of_a_file_is_pushed() {
    let sandbox = recorded_sandbox();
    push(&sandbox, &format!("{SPEC}---\n{}", SPEC.replace("app:v1", "app:v2"))).success();
    assert!(sandbox.registry.manifest("app", "v2").is_some());
}

#[test]
fn flags_and_files_after_the_first_file_take_effect() {
    let sandbox = recorded_sandbox();
    run(&sandbox, SPEC, &["push", "from-spec", "s.yaml", "--type", "oci"]).success();
    assert_eq!(pushed_index(&sandbox)["mediaType"], INDEX);
    run(&sandbox, SPEC, &["push", "from-spec", "s.yaml", "gone.yaml"]).fails(1, "cannot read gone.yaml");
}

#[test]
fn an_index_without_a_tag_or_an_image_is_rejected() {
    // 2.2.1 pushes an index without a tag by digest, and an index without images as an empty index.
    let sandbox = recorded_sandbox();
    push(&sandbox, &SPEC.replace("app:v1", "app")).fails(1, "has no tag");
    push(&sandbox, "image: HOST/app:v1\nmanifests:\n-\n").fails(1, "an index needs at least one image");
    assert!(sandbox.registry.manifest("app", "v1").is_none());
}

#[test]
fn a_target_with_a_digest_is_rejected() {
    let sandbox = recorded_sandbox();
    let target = format!("app@sha256:{}", "0".repeat(64));
    push(&sandbox, &format!("{}tags: [a]\n", SPEC.replace("app:v1", &target))).fails(1, "has a digest");
}

#[test]
fn a_duplicate_key_is_rejected_even_below_an_ignored_key() {
    let sandbox = recorded_sandbox();
    for more in ["image: HOST/app:v2\n", "foo: {a: 1, a: 2}\n", "x-own: {a: 1, a: 2}\n"] {
        push(&sandbox, &format!("{SPEC}{more}")).fails(1, "duplicate mapping key");
    }
}

#[test]
fn a_user_name_or_password_without_the_other_is_rejected() {
    let sandbox = recorded_sandbox();
    for args in [["--username", "u"], ["--password", "p"]] {
        let outcome = run(&sandbox, SPEC, &[&args[..], &["push", "from-spec", "s.yaml"]].concat());
        assert_eq!(outcome.exit, 2, "{outcome:?}");
    }
}

#[test]
fn inspect_rejects_a_second_image() {
    let sandbox = recorded_sandbox();
    assert_eq!(sandbox.run(&["inspect", "HOST/app:amd64", "HOST/app:arm64"]).exit, 2);
}

#[test]
fn every_placeholder_of_a_template_is_replaced() {
    let sandbox = recorded_sandbox();
    push_image(&sandbox.registry, "amd64/amd64", "linux-linux", "amd64");
    push_from_args(&sandbox.registry.host, "linux/amd64", "ARCH/ARCH:OS-OS", "app:v1", &[]).success();
}

#[test]
fn platforms_or_a_template_without_the_other_is_rejected() {
    let sandbox = recorded_sandbox();
    for (line, error) in [
        ("platforms: [linux/amd64]", "\"platforms\" needs a \"template\""),
        ("template: HOST/app:ARCH", "\"template\" needs \"platforms\""),
    ] {
        push(&sandbox, &format!("{SPEC}\n{line}\n")).fails(1, error);
    }
}

#[test]
fn annotation_values_may_contain_commas_and_equals_signs_and_an_empty_key_is_rejected() {
    let sandbox = recorded_sandbox();
    let from_args = ["push", "from-args", "--platforms", "linux/amd64", "--target", "HOST/app:v1"];
    let push = |annotations: &str| {
        let flags = ["--template=HOST/app:ARCH", "--type", "oci", "--annotations", annotations];
        sandbox.run(&[&from_args[..], &flags].concat())
    };
    push("a=Hello, world,b=x?y=z").success();
    assert_eq!(pushed_index(&sandbox)["annotations"], json!({"a": "Hello, world", "b": "x?y=z"}));
    assert_eq!(push("=x").exit, 2);
}

#[test]
fn ignore_missing_does_not_skip_an_image_that_is_forbidden() {
    let sandbox = recorded_sandbox();
    let proxy = ScriptedServer::in_front_of(&sandbox.registry, |request| {
        request.line.contains("/manifests/arm64").then(|| (403, Vec::new(), Vec::new()))
    });
    push_from_args(&proxy.host, "linux/amd64,linux/arm64", "app:ARCH", "app:v1", &["--ignore-missing"]).fails(1, "403");
}

#[test]
fn ignore_missing_does_not_skip_an_unknown_platform() {
    let sandbox = recorded_sandbox();
    push_from_args(&sandbox.registry.host, "linux/amd64,linux/amd46", "app:ARCH", "app:v1", &["--ignore-missing"])
        .fails(2, "did you mean linux/amd64?");
}

#[test]
fn sources_in_other_registries_are_accepted() {
    let (sandbox, other) = (recorded_sandbox(), Registry::start());
    push_image(&other, "parts", "amd64", "amd64");
    let spec = SPEC.replace("HOST/app:amd64", &format!("{}/parts:amd64", other.host));
    push(&sandbox, &spec).success();
}

#[test]
fn capital_letters_and_transports_are_not_parsed_as_hosts_or_repositories() {
    let sandbox = recorded_sandbox();
    for (image, error) in [("MyOrg/app:v1", "repository names are lowercase"), ("file:v1", "the transport file:")] {
        push(&sandbox, &SPEC.replace("HOST/app:amd64", image)).fails(1, error);
    }
}

#[test]
fn a_password_on_the_command_line_gives_a_warning() {
    let sandbox = recorded_sandbox();
    let args = ["--username", "u", "--password", "p", "push", "from-spec", "s.yaml"];
    let outcome = run(&sandbox, SPEC, &args).success();
    assert!(outcome.stderr.contains("--password exposes the password"), "{outcome:?}");
}

/// The page has a line for each test of this file, and for differences that other files test.
#[test]
fn the_documentation_lists_every_difference() {
    let page = include_str!("../docs/reference/differences-from-2.2.1.md");
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
        "`platforms` without `template`",
        "annotation",
        "`--ignore-missing`",
        "another registry",
        "MyOrg/app",
        "`file:x`",
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
        assert!(page.contains(part), "the page lacks {part}");
    }
}
