//! Specs as users of manifest-tool 2.2.1 write them. Each file in `integration/drop_in` was pushed with that version as
//! well, and records the digest that it printed.

use indoc::indoc;
use serde_json::json;

use crate::support::Sandbox;
use crate::support::recorded::{drop_in_folder, recorded_registry};

/// A spec, and how 2.2.1 pushed it.
struct RecordedSpec {
    name: String,
    text: String,
    /// The value of `--type`.
    index_type: String,
    /// The line that 2.2.1 printed.
    stdout: String,
}

fn recorded_specs() -> Vec<RecordedSpec> {
    let mut specs = Vec::new();
    for entry in std::fs::read_dir(drop_in_folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.trim_start_matches('\u{feff}').lines();
            let mut line = |start: &str| lines.next().unwrap().strip_prefix(start).unwrap().to_owned();
            let (index_type, stdout) = (line("# --type "), line("# ") + "\n");
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            specs.push(RecordedSpec { name, text, index_type, stdout });
        }
    }
    specs.sort_by(|one, other| one.name.cmp(&other.name));
    specs
}

/// The warnings about a spec itself, by the name of its file.
const SPEC_WARNINGS: &[(&str, &[&str])] = &[
    (
        "anchor-named-platform",
        &[
            "3:1: unknown key \"platform\" in a spec is ignored; it is a key of an entry of \"manifests\": check the indentation",
        ],
    ),
    ("null-key-of-an-annotation", &["4:15: an annotation without a key is dropped"]),
    ("unrendered-template-in-an-unknown-key", &["3:1: unknown key \"zz\" in a spec is ignored"]),
    ("duplicate-tags", &["4:14: tag \"a\" is given twice", "4:17: tag \"a\" is given twice"]),
    ("image-for-two-platforms", &["7:3: REGISTRY/app:amd64 is given for two platforms, linux/amd64 and linux/386"]),
    (
        "keys-at-the-top",
        &[
            "3:1: unknown key \"version\" in a spec is ignored",
            "4:1: unknown key \"name\" in a spec is ignored",
            "5:1: unknown key \"maintainer\" in a spec is ignored",
        ],
    ),
    (
        "keys-in-an-entry",
        &[
            "5:3: unknown key \"name\" in an entry of \"manifests\" is ignored",
            "8:3: unknown key \"digest\" in an entry of \"manifests\" is ignored",
            "9:3: unknown key \"size\" in an entry of \"manifests\" is ignored",
        ],
    ),
    (
        "null-and-number-keys",
        &["3:1: unknown key \"null\" in a spec is ignored", "4:1: unknown key \"5\" in a spec is ignored"],
    ),
    (
        "null-entries",
        &["5:2: an empty entry of \"manifests\" is dropped", "8:3: an empty entry of \"manifests\" is dropped"],
    ),
    ("null-entry", &["9:2: an empty entry of \"manifests\" is dropped"]),
    ("null-tag", &["6:2: an empty item of \"tags\" is dropped", "7:3: an empty item of \"tags\" is dropped"]),
    (
        "platform-features",
        &["8:5: unknown key \"features\" in \"platform\" is ignored; an index no longer lists CPU features"],
    ),
    ("platform-that-go-does-not-build", &["6:13: Go does not support windows/s390x; check os and architecture"]),
    ("platform-version", &["15:7: unknown key \"version\" in \"platform\" is ignored"]),
    (
        "siblings-of-an-empty-platform",
        &[
            "7:3: unknown key \"architecture\" in an entry of \"manifests\" is ignored; it is a key of \"platform\": check \
             the indentation",
            "8:3: unknown key \"os\" in an entry of \"manifests\" is ignored; it is a key of \"platform\": check the \
             indentation",
            "11:3: unknown key \"architecture\" in an entry of \"manifests\" is ignored; it is a key of \"platform\": check \
             the indentation",
            "12:3: unknown key \"os\" in an entry of \"manifests\" is ignored; it is a key of \"platform\": check the \
             indentation",
            "13:3: unknown key \"variant\" in an entry of \"manifests\" is ignored; it is a key of \"platform\": check the \
             indentation",
        ],
    ),
];

/// Parts of the warnings that need a manifest or config from the registry, by the name of the spec file.
const IMAGE_WARNINGS: &[(&str, &[&str])] = &[
    ("docker-list-of-mixed-images", &["an OCI image in a Docker manifest list", "use --type auto"]),
    ("docker-list-of-oci-images", &["2 OCI images in a Docker manifest list", "use --type auto"]),
    ("image-for-two-platforms", &["its entry is for linux/386, but the image's config is for linux/amd64"]),
    (
        "index-with-a-platform",
        &[
            "REGISTRY/app:multi is listed for linux/amd64 but is an index: all its images are added (linux/amd64, linux/arm64)",
        ],
    ),
    (
        "one-digest-under-two-tags",
        &[
            "one image is listed for several platforms, linux/amd64 and linux/386",
            "the image's config is for linux/amd64",
        ],
    ),
    ("platform-that-go-does-not-build", &["the image's config is for linux/s390x"]),
    ("quoted-scalars-with-tags", &["its entry is for linux/386, but the image's config is for linux/amd64"]),
    ("yaml-tags", &["its entry is for linux/386, but the image's config is for linux/amd64"]),
    ("number-as-architecture", &["its entry is for linux/386, but the image's config is for linux/amd64"]),
    ("osversion", &["its entry is for windows/amd64:10.0.1 [win32k x]"]),
    ("osversion-oci", &["its entry is for windows/amd64:10.0.1 [win32k x]"]),
];

fn warnings_for<'t>(table: &[(&str, &'t [&'t str])], name: &str) -> &'t [&'t str] {
    table.iter().find(|(known, _)| *known == name).map_or(&[], |(_, warnings)| warnings)
}

fn recorded_sandbox() -> Sandbox {
    let registry = recorded_registry();
    let host = registry.host.clone();
    Sandbox::with_registry(registry).with(|workspace| workspace.placeholder("REGISTRY", &host))
}

#[test]
fn every_recorded_spec_gives_the_bytes_of_2_2_1() {
    let sandbox = recorded_sandbox();
    let registry = &sandbox.registry;
    let without_host = |text: &str| text.replace(&registry.host, "REGISTRY");
    for RecordedSpec { name, text, index_type, stdout } in recorded_specs() {
        sandbox.write("s.yaml", &text);
        let push =
            |more: &[&str]| sandbox.run(&[&["push", "--type", &index_type], more, &["from-spec", "s.yaml"]].concat());
        let (of_spec, of_images) = (warnings_for(SPEC_WARNINGS, &name), warnings_for(IMAGE_WARNINGS, &name));
        let has_warnings = !of_spec.is_empty() || !of_images.is_empty();
        let mark = registry.requests(0).len();
        let strict = push(&["--strict", "--dry-run"]);
        assert_eq!(strict.exit, i32::from(has_warnings), "{name}: {strict:?}");
        if !of_spec.is_empty() {
            assert_eq!(registry.requests(mark).len(), 0, "{name}: a request was sent before the error");
        }
        let linted = sandbox.run(&["lint", "--type", &index_type, "--strict", "s.yaml"]);
        assert_eq!(linted.exit, i32::from(!of_spec.is_empty()), "{name}: {linted:?}");
        for warning in of_spec {
            assert!(without_host(&strict.stderr).contains(&format!("s.yaml:{warning}\n")), "{name}: {strict:?}");
            assert!(without_host(&linted.stderr).contains(&format!("s.yaml:{warning}\n")), "{name}: {linted:?}");
        }

        let outcome = push(&[]);
        assert_eq!((outcome.exit, &outcome.stdout), (0, &stdout), "{name}: {outcome:?}");
        let stderr = without_host(&outcome.stderr);
        let lines: Vec<&str> = stderr.lines().filter(|line| line.contains("s.yaml:")).collect();
        let expected: Vec<String> = of_spec.iter().map(|warning| format!("warning: s.yaml:{warning}")).collect();
        assert_eq!(lines, expected, "{name}");
        assert!(of_images.iter().all(|part| stderr.contains(part)), "{name}: {stderr}");
        assert!(has_warnings || stderr.is_empty(), "{name}: {stderr}");
        assert_eq!(sandbox.run(&["lint", "--type", &index_type, "s.yaml"]).exit, 0, "{name}");
    }
}

/// PowerShell writes files in UTF-16.
#[test]
fn specs_in_utf_16_are_read() {
    let sandbox = recorded_sandbox();
    let plain = recorded_specs().into_iter().find(|spec| spec.name == "plain").unwrap();
    let text = sandbox.fill(&plain.text);
    let units: Vec<u16> = std::iter::once(0xfeff).chain(text.encode_utf16()).collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let push = |bytes: &[u8]| {
        std::fs::write(sandbox.path("s.yaml"), bytes).unwrap();
        sandbox.run(&["push", "from-spec", "s.yaml"])
    };
    for bytes in [&little, &big] {
        let outcome = push(bytes);
        assert_eq!((outcome.exit, &outcome.stdout), (0, &plain.stdout), "{outcome:?}");
    }
    for bytes in [&little[..little.len() - 1], &[&little[..], &[0x00, 0xd8]].concat(), b"\xff\xfe"] {
        let outcome = push(bytes).fails(1, "error: s.yaml");
        assert!(outcome.stderr.starts_with("error: s.yaml"), "{outcome:?}");
    }
}

#[test]
fn warnings_about_a_spec_are_in_the_json_output_and_hidden_by_quiet() {
    let sandbox = recorded_sandbox();
    sandbox.write(
        "s.yaml",
        indoc! {"
            name: x
            image: HOST/app:v1
            tags: [a, a]
            manifests: [{image: HOST/app:amd64}]
        "},
    );
    let expected = ["s.yaml:1:1: unknown key \"name\" in a spec is ignored", "s.yaml:3:11: tag \"a\" is given twice"];
    let pushed = sandbox.run(&["push", "--output", "json", "from-spec", "s.yaml"]).json();
    assert_eq!(pushed["indexes"][0]["warnings"], json!(expected));
    let objects = json!([
        {"message": "unknown key \"name\" in a spec is ignored", "file": "s.yaml", "line": 1, "column": 1},
        {"message": "tag \"a\" is given twice", "file": "s.yaml", "line": 3, "column": 11},
    ]);
    let linted = sandbox.run(&["lint", "--output", "json", "s.yaml"]).json();
    assert_eq!(linted["warnings"], objects);
    let strict = sandbox.run(&["lint", "--strict", "--output", "json", "s.yaml"]).json();
    assert_eq!((&strict["problems"], &strict["warnings"]), (&objects, &json!([])));
    for args in [&["--quiet", "push", "from-spec", "s.yaml"][..], &["--quiet", "lint", "s.yaml"]] {
        let outcome = sandbox.run(args);
        assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{args:?}");
    }
}
