//! Specs and command lines of the shapes that people have. Each file of `integration/drop_in` was pushed with
//! manifest-tool 2.2.1 as well, and names the digest that it printed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::compat::{blob, case, fill};
use crate::support::images::OCI_INDEX;
use crate::support::{Registry, manifest_tool};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/drop_in")
}

/// Recorded images: Docker's in `app`, OCI's in `oci`, another tag of one, and an index of two.
pub fn registry() -> Registry {
    let registry = Registry::start();
    let docker = &case("windows-os-version")["registry"];
    let oci = &case("spec-docker-of-oci-images")["registry"]["app"];
    fill(&registry, docker);
    fill(&registry, &json!({"oci": oci}));
    let is_amd64 = |manifest: &&Value| manifest["tags"] == json!(["amd64"]);
    let amd64 = docker["app"]["manifests"].as_array().unwrap().iter().find(is_amd64).unwrap();
    let (digest, media_type) = (amd64["digest"].as_str().unwrap(), amd64["mediaType"].as_str().unwrap());
    registry.push_manifest("app", "amd64-too", media_type, &blob(digest));
    registry.push_manifest("app", "multi", OCI_INDEX, &std::fs::read(folder().join("multi.json")).unwrap());
    registry
}

/// A spec with what 2.2.1 did with it.
struct Shape {
    name: String,
    text: String,
    form: String,
    /// The line that 2.2.1 printed.
    stdout: String,
}

fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.trim_start_matches('\u{feff}').lines();
            let mut line = |start: &str| lines.next().unwrap().strip_prefix(start).unwrap().to_owned();
            let (form, stdout) = (line("# --type "), line("# ") + "\n");
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            shapes.push(Shape { name, text, form, stdout });
        }
    }
    shapes.sort_by(|one, other| one.name.cmp(&other.name));
    shapes
}

/// Warnings about a spec itself, by the name of its file.
const OF_SPECS: &[(&str, &[&str])] = &[
    (
        "anchor-named-platform",
        &[
            "3:1: unknown key \"platform\" in a spec is ignored; it is a key of an entry of \"manifests\": check the indentation",
        ],
    ),
    ("null-key-of-an-annotation", &["4:15: an annotation without a key is dropped"]),
    ("unrendered-template-in-an-unknown-key", &["3:1: unknown key \"zz\" in a spec is ignored"]),
    ("duplicate-tags", &["4:14: tag \"a\" is named twice", "4:17: tag \"a\" is named twice"]),
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
        &["8:5: unknown key \"features\" in \"platform\" is ignored; an index no longer lists features of CPUs"],
    ),
    ("platform-that-go-does-not-build", &["6:13: Go builds no programs for windows/s390x; check os and architecture"]),
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

/// Parts of warnings that take what the registry says, by the name of the file.
const OF_IMAGES: &[(&str, &[&str])] = &[
    ("docker-list-of-mixed-images", &["an OCI image in a Docker manifest list", "use --type auto"]),
    ("docker-list-of-oci-images", &["2 OCI images in a Docker manifest list", "use --type auto"]),
    ("image-for-two-platforms", &["its entry says linux/386, the image's config linux/amd64"]),
    (
        "index-with-a-platform",
        &[
            "REGISTRY/app:multi is given for linux/amd64, and is an index: all its images are taken (linux/amd64, linux/arm64)",
        ],
    ),
    (
        "one-digest-under-two-tags",
        &["one image is listed for several platforms, linux/amd64 and linux/386", "the image's config linux/amd64"],
    ),
    ("platform-that-go-does-not-build", &["the image's config linux/s390x"]),
    ("quoted-scalars-with-tags", &["its entry says linux/386, the image's config linux/amd64"]),
    ("yaml-tags", &["its entry says linux/386, the image's config linux/amd64"]),
    ("number-as-architecture", &["its entry says linux/386, the image's config linux/amd64"]),
    ("osversion", &["its entry says windows/amd64:10.0.1 [win32k x]"]),
    ("osversion-oci", &["its entry says windows/amd64:10.0.1 [win32k x]"]),
];

fn of<'t>(table: &[(&str, &'t [&'t str])], name: &str) -> &'t [&'t str] {
    table.iter().find(|(known, _)| *known == name).map_or(&[], |(_, warnings)| warnings)
}

#[test]
fn every_shape_of_a_spec_gives_the_bytes_of_2_2_1() {
    let registry = registry();
    let work = tempfile::tempdir().unwrap();
    let neutral = |text: &str| text.replace(&registry.host, "REGISTRY");
    for Shape { name, text, form, stdout } in shapes() {
        std::fs::write(work.path().join("s.yaml"), text.replace("REGISTRY", &registry.host)).unwrap();
        let push = |more: &[&str]| {
            let args = [&["--plain-http", "push", "--type", &form], more, &["from-spec", "s.yaml"]].concat();
            manifest_tool(work.path(), &args)
        };
        let (of_spec, of_images) = (of(OF_SPECS, &name), of(OF_IMAGES, &name));
        let is_odd = !of_spec.is_empty() || !of_images.is_empty();
        let mark = registry.requests(0).len();
        let strict = push(&["--strict", "--dry-run"]);
        assert_eq!(strict.exit, i32::from(is_odd), "{name}: {strict:?}");
        if !of_spec.is_empty() {
            assert_eq!(registry.requests(mark).len(), 0, "{name}: an error before any request");
        }
        let linted = manifest_tool(work.path(), &["lint", "--type", &form, "--strict", "s.yaml"]);
        assert_eq!(linted.exit, i32::from(!of_spec.is_empty()), "{name}: {linted:?}");
        for warning in of_spec {
            assert!(neutral(&strict.stderr).contains(&format!("s.yaml:{warning}\n")), "{name}: {strict:?}");
            assert!(neutral(&linted.stderr).contains(&format!("s.yaml:{warning}\n")), "{name}: {linted:?}");
        }

        let outcome = push(&[]);
        assert_eq!((outcome.exit, &outcome.stdout), (0, &stdout), "{name}: {outcome:?}");
        let told = neutral(&outcome.stderr);
        let lines: Vec<&str> = told.lines().filter(|line| line.contains("s.yaml:")).collect();
        let expected: Vec<String> = of_spec.iter().map(|warning| format!("warning: s.yaml:{warning}")).collect();
        assert_eq!(lines, expected, "{name}");
        assert!(of_images.iter().all(|part| told.contains(part)), "{name}: {told}");
        assert!(is_odd || told.is_empty(), "{name}: {told}");
        assert_eq!(manifest_tool(work.path(), &["lint", "--type", &form, "s.yaml"]).exit, 0, "{name}");
    }
}

/// As PowerShell writes a file.
#[test]
fn specs_in_utf_16_are_read() {
    let registry = registry();
    let plain = shapes().into_iter().find(|shape| shape.name == "plain").unwrap();
    let text = plain.text.replace("REGISTRY", &registry.host);
    let work = tempfile::tempdir().unwrap();
    let units: Vec<u16> = std::iter::once(0xfeff).chain(text.encode_utf16()).collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    let push = |bytes: &[u8]| {
        std::fs::write(work.path().join("s.yaml"), bytes).unwrap();
        manifest_tool(work.path(), &["--plain-http", "push", "from-spec", "s.yaml"])
    };
    for bytes in [&little, &big] {
        let outcome = push(bytes);
        assert_eq!((outcome.exit, &outcome.stdout), (0, &plain.stdout), "{outcome:?}");
    }
    for bytes in [&little[..little.len() - 1], &[&little[..], &[0x00, 0xd8]].concat(), b"\xff\xfe"] {
        let outcome = push(bytes);
        assert!(outcome.exit == 1 && outcome.stderr.starts_with("error: s.yaml"), "{outcome:?}");
    }
}

#[test]
fn warnings_about_a_spec_are_in_the_documents_and_quiet_hides_them() {
    let registry = registry();
    let work = tempfile::tempdir().unwrap();
    let spec =
        format!("name: x\nimage: {0}/app:v1\ntags: [a, a]\nmanifests: [{{image: \"{0}/app:amd64\"}}]\n", registry.host);
    std::fs::write(work.path().join("s.yaml"), spec).unwrap();
    let expected = ["s.yaml:1:1: unknown key \"name\" in a spec is ignored", "s.yaml:3:11: tag \"a\" is named twice"];
    let push = ["--plain-http", "push", "--output", "json", "from-spec", "s.yaml"];
    let pushed: Value = serde_json::from_str(&manifest_tool(work.path(), &push).stdout).unwrap();
    assert_eq!(pushed["indexes"][0]["warnings"], json!(expected));
    let linted = manifest_tool(work.path(), &["lint", "--output", "json", "s.yaml"]);
    let linted: Value = serde_json::from_str(&linted.stdout).unwrap();
    assert_eq!(linted["warnings"], json!(expected));
    let strict = manifest_tool(work.path(), &["lint", "--strict", "--output", "json", "s.yaml"]);
    let strict: Value = serde_json::from_str(&strict.stdout).unwrap();
    assert_eq!((&strict["problems"], &strict["warnings"]), (&json!(expected), &json!([])));
    for args in [&["--quiet", "--plain-http", "push", "from-spec", "s.yaml"][..], &["--quiet", "lint", "s.yaml"]] {
        let outcome = manifest_tool(work.path(), args);
        assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""), "{args:?}");
    }
}
