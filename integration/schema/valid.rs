//! Specs that both the schema and `lint` accept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    SCHEMA, assert_invalid, assert_valid, hex_digits, lint, schema_errors, spec_with, spec_with_entry, spec_with_images,
};
use crate::docs::markdown::Page;
use crate::support::Workspace;

fn repository_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_schema_is_valid_and_describes_every_key() {
    assert_eq!(SCHEMA["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::draft202012::meta::validate(&SCHEMA).unwrap();
    for level in ["", "/$defs/Entry", "/$defs/Platform"] {
        let level = SCHEMA.pointer(level).unwrap();
        for (key, property) in level["properties"].as_object().unwrap() {
            assert!(property["description"].as_str().is_some_and(|text| text.len() > 10), "{key}: {property}");
        }
    }
}

#[test]
fn specs_in_the_documentation_and_examples_are_valid() {
    let blocks = Page::read("docs/reference/spec.md").blocks().into_iter();
    let mut specs: Vec<String> =
        blocks.filter(|block| block.language() == Some("yaml")).map(|block| block.text).collect();
    assert!(!specs.is_empty());
    let shown = specs.len();
    for entry in std::fs::read_dir(repository_path("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            specs.push(std::fs::read_to_string(path).unwrap());
        }
    }
    assert!(specs.len() > shown);
    specs.iter().for_each(|spec| assert_valid(&["--type", "oci", "--set", "VERSION=1.2"], spec));
}

#[test]
fn recorded_specs_are_valid_except_those_that_failed() {
    let invalid = ["bad-reference", "bad-yaml", "unsupported-platform"];
    // The schema allows arm with v9, because it lists the variants of all architectures together.
    let invalid_for_lint = ["annotations-docker-refused", "duplicate-platform", "unsupported-variant"];
    let failed_at_the_registry = ["ignore-missing-all", "missing", "other-registry-refused"];
    let (mut failed, mut succeeded) = (BTreeSet::new(), 0);
    for entry in std::fs::read_dir(repository_path("integration/compat/cases")).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(folder.join("spec.yaml")) else { continue };
        let text = text.replace("REGISTRY", "127.0.0.1:5000");
        let case: Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
        let args: Vec<&str> = case["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let type_flag = args.windows(2).find(|pair| pair[0] == "--type").unwrap_or_default();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let outcome = lint(type_flag, &text);
        let (lint_accepts, schema_accepts) = (outcome.exit == 0, schema_errors(&text).is_empty());
        let expected = (!invalid.contains(&name) && !invalid_for_lint.contains(&name), !invalid.contains(&name));
        assert_eq!((lint_accepts, schema_accepts), expected, "{name}: {outcome:?}");
        if case["exit"] == 0 {
            succeeded += 1;
        } else {
            failed.insert(name.to_owned());
        }
    }
    let expected = [&invalid[..], &invalid_for_lint, &failed_at_the_registry].concat();
    assert_eq!(failed, expected.into_iter().map(str::to_owned).collect());
    assert!(succeeded > 10, "{succeeded}");
}

#[test]
fn the_schema_and_lint_check_the_same_keys() {
    let spec = json!({
        "image": "r.io/a:1", "type": "oci", "platforms": ["linux/arm64"], "template": "r.io/b:ARCH",
        "manifests": [{"image": "r.io/b:1", "platform": {"os": "linux", "architecture": "arm"}}],
    });
    // A valid and an invalid value for each key.
    let levels = [
        (
            "",
            "",
            json!({
                "image": ["r.io/a:2", "r.io/a"],
                "targets": [["r.io/b:1", "oci:out:v1"], "r.io/b:1"],
                "tags": [["1", 1.5, true, "r.io/b:2"], ["-x"]],
                "type": ["auto", "podman"],
                "append": [true, "maybe"],
                "annotations": [{"s": "v", "n": 1.5, "b": true, "none": null}, ["k"]],
                "annotationsFrom": ["labels", "config"],
                "artifactType": ["application/vnd.example.v1+json", ""],
                "subject": ["r.io/a:0", ""],
                "attestations": ["drop", "some"],
                "platforms": [["linux/amd64", " linux/arm/v7 "], ["linux"]],
                "template": ["docker://r.io/c:OS-ARCHVARIANT", ""],
                "manifests": [[], {}],
            }),
        ),
        (
            "/$defs/Entry",
            "/manifests/0",
            json!({
                "image": ["oci:parts", "r.io/b"],
                "platform": [{"os": "plan9", "architecture": 386}, "linux/amd64"],
                "annotations": [{"k": "v"}, {"k": ["v"]}],
                "select": [["linux/amd64"], ["linux"]],
            }),
        ),
        (
            "/$defs/Platform",
            "/manifests/0/platform",
            json!({
                "architecture": ["386", "amd65"],
                "os": ["windows", "lunix"],
                "variant": ["v7", "v10"],
                "osversion": [10.0, [10]],
                "os.version": ["10.0.20348.9", {}],
                "osfeatures": [["win32k", 1], "win32k"],
                "os.features": [["win32k"], "win32k"],
            }),
        ),
    ];
    assert_eq!(SCHEMA["$defs"].as_object().unwrap().len() + 1, levels.len(), "a level without values in this test");
    assert_valid(&[], &spec.to_string());
    for (level, path, values) in levels {
        let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
        assert_eq!(keys(&SCHEMA.pointer(level).unwrap()["properties"]), keys(&values), "{level}");
        let changed = |key: &str, value: &Value| {
            let mut spec = spec.clone();
            spec.pointer_mut(path).unwrap()[key] = value.clone();
            spec.to_string()
        };
        for (key, pair) in values.as_object().unwrap() {
            assert_valid(&[], &changed(key, &pair[0]));
            let invalid = changed(key, &pair[1]);
            assert!(!schema_errors(&invalid).is_empty() && lint(&[], &invalid).exit == 1, "{invalid}");
            assert_invalid(&changed(&format!("{key}s"), &pair[0]), path, &format!("unknown key \"{key}s\""));
        }
        assert_valid(&[], &changed("x-own", &json!({"any": [1, null]})));
    }
}

#[test]
fn optional_keys_empty_values_and_variables_are_valid() {
    for (args, text) in [
        (&[][..], spec_with("")),
        (&[], spec_with("append: false\ntype: docker\nattestations: keep\ntags: [1.10, 1, 'x']")),
        (&[], spec_with("tags:\ntype:\nappend:\nannotations:\nartifactType:\nsubject:\nattestations:")),
        (&[], spec_with("tags: [1.10, 1.1, 1, 1.0]\nannotations: {}\nappend: 'True'")),
        (&[], spec_with("append: TRUE")),
        (&[], spec_with(&format!("type: auto\nsubject: sha256:{}", hex_digits(64)))),
        (&[], spec_with_entry("platform:\n  annotations:")),
        (&[], spec_with_entry("platform: {os: , architecture: '', variant: , osversion: , osfeatures: }")),
        (&[], spec_with_entry("platform: {os: linux, architecture: arm64, variant: v8, x-own: 1}")),
        (&[], "image: r.io/a:1\nplatforms: [linux/amd64]\ntemplate: r.io/b:1".into()),
        (&[], "image: r.io/a:1\nplatforms: [linux/amd64]\ntemplate: r.io/b:1\nmanifests:".into()),
        (
            &[],
            indoc::indoc! {"
                x-base: &base {os: linux, architecture: amd64}
                image: r.io/a:1
                manifests: [{image: r.io/b:1, platform: {<<: *base}}]
            "}
            .into(),
        ),
        (&["--set", "V=oci"], spec_with("type: ${V}\nannotations: {a: '${V}'}")),
        (&["--set", "V=true"], spec_with("append: ${V}\ntags: ['${V}']")),
        (&["--set", "V=drop"], spec_with("attestations: ${V}")),
        (&["--set", "V=linux/arm64"], spec_with("platforms: ['${V}']\ntemplate: r.io/c:ARCH")),
        (&["--set", "V=linux"], spec_with_entry("platform: {os: '${V}', architecture: '386', osversion: '${V}'}")),
        (&["--set", "V=v7"], spec_with_entry("platform: {os: linux, architecture: arm, variant: '${V}'}")),
        (&["--set", "V=386"], spec_with_entry("platform: {os: linux, architecture: '${V}', os.features: ['${V}']}")),
        (&["--set", "V=r.io/b"], spec_with_images("${V}:1", "${V}:2")),
    ] {
        assert_valid(args, &text);
    }
    assert_valid(&[], "image: r.io/a\ntags: [x]\nmanifests: [{image: r.io/b:1}]\n");
    assert_valid(&[], "image: oci:out\ntags: [x, y]\nmanifests: [{image: r.io/b:1}]\n");
}

#[test]
fn every_form_of_reference_is_valid() {
    let longest_tag = format!("r.io/a:_{}", "A.b-9_".repeat(21));
    for target in [
        "a:1",
        "team/app:1.10",
        "r.io/a:1",
        "R.io/a:v1",
        "localhost:5000/a/b__c-d.e--f:v1",
        "[::1]:5000/a:1",
        "docker://r.io/a:1",
        "oci:out:v1",
        "oci:../out/x:v1",
        "oci:./5000/a:v1",
        "oci:5000/a:v1",
        "oci:out:docker.io/library/a:1",
        "oci-archive:/tmp/out.tar:v1",
        "oci:out:team/app",
        "oci:./a@b/out:v1",
        "[::ffff:1.2.3.4]:5000/a:1",
        &longest_tag,
    ] {
        assert_valid(&[], &spec_with_images(target, target));
    }
    let sha512 = format!("r.io/b:1@sha512:{}", hex_digits(128));
    let in_layout = format!("oci:parts@sha256:{}", hex_digits(64));
    let in_registry = in_layout.replace("oci:parts", "r.io/b");
    for source in ["oci:parts", "oci-archive:parts.tar", &in_layout, &sha512, &in_registry] {
        assert_valid(&[], &spec_with_images("r.io/a:1", source));
    }
}

#[test]
fn entries_whose_platforms_may_differ_are_valid() {
    for (one, other) in [
        ("os: linux, architecture: arm, variant: v6", "os: linux, architecture: arm, variant: v7"),
        ("os: windows, architecture: amd64, osversion: 10.0.1", "os: windows, architecture: amd64, osversion: 10.0.2"),
        // The configs may name different variants or versions.
        ("os: linux, architecture: arm", "os: linux, architecture: arm"),
        ("os: windows, architecture: amd64", "os: windows, architecture: amd64"),
        ("", ""),
    ] {
        let entry = |n: u8, platform: &str| format!("- {{image: r.io/b:{n}, platform: {{{platform}}}}}\n");
        assert_valid(&[], &format!("image: r.io/a:1\nmanifests:\n{}{}", entry(1, one), entry(2, other)));
    }
}

#[test]
fn the_schema_line_for_editors_is_ignored() {
    let help = Workspace::new().run(&["schema", "--help"]).stdout;
    let line = help.lines().find(|line| line.contains("yaml-language-server")).unwrap().trim();
    assert!(line.starts_with("# yaml-language-server: $schema="), "{line}");
    for args in [&[][..], &["--env"], &["--set", "V=1"]] {
        assert_valid(args, &format!("{line}\n{}", spec_with("tags: [x]")));
        assert_valid(args, &format!("{line} ${{NO}}\n---\n# ${{NO\n{}", spec_with("tags: [x]")));
        let outcome = lint(args, &format!("{line}\n{}", spec_with("tags: [x, .x]")));
        assert!(outcome.stderr.starts_with("error: 1 problem found\n<stdin>:4:11: invalid tag \".x\""), "{outcome:?}");
    }
}
