//! `schema` and `lint` say the same of a spec, but for what a schema cannot know, and neither needs a registry.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{Outcome, Scripted, command, manifest_tool, manifest_tool_with_stdin, run};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let outcome = manifest_tool(folder.path(), &["schema"]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    assert_eq!(manifest_tool(folder.path(), &["schema", "--output", "json"]).stdout, outcome.stdout);
    serde_json::from_str(&outcome.stdout).unwrap()
});

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(&SCHEMA).unwrap());

const NO_YAML: &str = "no YAML";

/// Where an editor would find something wrong: paths in the document, which is read as YAML 1.2, where `yes` is text.
fn wrong_by_schema(text: &str) -> Vec<String> {
    match serde_saphyr::from_str_with_options::<Value>(text, serde_saphyr::options! { strict_booleans: true }) {
        Ok(spec) => VALIDATOR.iter_errors(&spec).map(|error| error.instance_path().to_string()).collect(),
        Err(_) => vec![NO_YAML.into()],
    }
}

fn run_lint(args: &[&str], text: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    manifest_tool_with_stdin(folder.path(), &[&["lint", "-"], args].concat(), text)
}

/// Its outcome is a problem or a spec without a warning.
fn lint(args: &[&str], text: &str) -> Outcome {
    let outcome = run_lint(args, text);
    let quiet = if outcome.exit == 0 { &outcome.stderr } else { &outcome.stdout };
    assert!(quiet.is_empty() && [0, 1].contains(&outcome.exit), "{text}\n{outcome:?}");
    outcome
}

#[track_caller]
fn both_accept(args: &[&str], text: &str) {
    assert_eq!(wrong_by_schema(text), [""; 0], "the schema refuses\n{text}");
    let outcome = lint(args, text);
    assert_eq!(outcome.exit, 0, "{text}\n{outcome:?}");
}

/// The schema at this path, `lint` with these words.
#[track_caller]
fn both_refuse(text: &str, path: &str, message: &str) {
    let wrong = wrong_by_schema(text);
    assert!(wrong.iter().any(|found| found == path), "the schema finds {wrong:?}\n{text}");
    let outcome = lint(&[], text);
    assert!(outcome.exit == 1 && outcome.stderr.contains(message), "{text}\n{outcome:?}");
}

/// Something that 2.2.1 accepts: the schema finds it at this path, `lint` warns of it, and refuses it with `--strict`.
#[track_caller]
fn both_warn(text: &str, path: &str, message: &str) {
    let wrong = wrong_by_schema(text);
    assert!(wrong.iter().any(|found| found == path), "the schema finds {wrong:?}\n{text}");
    lint_alone_warns_at(text, message);
}

/// Something that 2.2.1 accepts, and a schema cannot know.
#[track_caller]
fn lint_alone_warns(text: &str, message: &str) {
    assert_eq!(wrong_by_schema(text), [""; 0], "the schema knows, so this belongs to what both warn of\n{text}");
    lint_alone_warns_at(text, message);
}

#[track_caller]
fn lint_alone_warns_at(text: &str, message: &str) {
    let (outcome, strict) = (run_lint(&[], text), lint(&["--strict"], text));
    assert!(outcome.exit == 0 && outcome.stderr.contains(message), "{text}\n{outcome:?}");
    assert!(outcome.stderr.lines().all(|line| line.starts_with("warning: ")), "{text}\n{outcome:?}");
    assert!(strict.exit == 1 && strict.stderr.contains(message), "{text}\n{strict:?}");
}

#[track_caller]
fn lint_alone_refuses(args: &[&str], text: &str, message: &str) {
    assert_eq!(wrong_by_schema(text), [""; 0], "the schema knows, so this belongs to what both refuse\n{text}");
    let outcome = lint(args, text);
    assert!(outcome.exit == 1 && outcome.stderr.contains(message), "{text}\n{outcome:?}");
}

fn with(more: &str) -> String {
    format!("image: r.io/a:1\nmanifests: [{{image: r.io/b:1}}]\n{more}\n")
}

fn with_entry(more: &str) -> String {
    format!("image: r.io/a:1\nmanifests:\n- image: r.io/b:1\n  {more}\n")
}

fn with_images(target: &str, source: &str) -> String {
    format!("image: {}\nmanifests: [{{image: {}}}]\n", json!(target), json!(source))
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn hex(length: usize) -> String {
    "0a".repeat(length / 2)
}

#[test]
fn the_schema_is_one_for_editors() {
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
fn specs_that_are_shown_are_good() {
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let mut specs: Vec<String> =
        readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    assert!(!specs.is_empty());
    let shown = specs.len();
    for entry in std::fs::read_dir(root("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            specs.push(std::fs::read_to_string(path).unwrap());
        }
    }
    assert!(specs.len() > shown);
    specs.iter().for_each(|spec| both_accept(&["--type", "oci", "--set", "VERSION=1.2"], spec));
}

#[test]
fn recorded_specs_are_good_but_for_some() {
    let refused = ["bad-reference", "bad-yaml", "unsupported-platform"];
    // v9 is a variant of arm64.
    let refused_by_lint = ["annotations-docker-refused", "duplicate-platform", "unsupported-variant"];
    let failed_in_the_registry = ["ignore-missing-all", "missing", "other-registry-refused"];
    let (mut seen, mut good) = (BTreeSet::new(), 0);
    for entry in std::fs::read_dir(root("integration/compat/cases")).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(folder.join("spec.yaml")) else { continue };
        let text = text.replace("REGISTRY", "127.0.0.1:5000");
        let case: Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
        let args: Vec<&str> = case["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let form = args.windows(2).find(|pair| pair[0] == "--type").unwrap_or_default();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let outcome = lint(form, &text);
        let (by_lint, by_schema) = (outcome.exit == 0, wrong_by_schema(&text).is_empty());
        let expected = (!refused.contains(&name) && !refused_by_lint.contains(&name), !refused.contains(&name));
        assert_eq!((by_lint, by_schema), expected, "{name}: {outcome:?}");
        if case["exit"] == 0 {
            good += 1;
        } else {
            seen.insert(name.to_owned());
        }
    }
    let failed = [&refused[..], &refused_by_lint, &failed_in_the_registry].concat();
    assert_eq!(seen, failed.into_iter().map(str::to_owned).collect());
    assert!(good > 10, "{good}");
}

#[test]
fn every_key_is_known_to_both_and_counts() {
    let spec = json!({
        "image": "r.io/a:1", "type": "oci", "platforms": ["linux/arm64"], "template": "r.io/b:ARCH",
        "manifests": [{"image": "r.io/b:1", "platform": {"os": "linux", "architecture": "arm"}}],
    });
    // A good value and a bad one of each key.
    let levels = [
        (
            "",
            "",
            json!({
                "image": ["r.io/a:2", "r.io/a"],
                "tags": [["1", 1.5, true], ["-x"]],
                "type": ["auto", "podman"],
                "append": [true, "maybe"],
                "annotations": [{"s": "v", "n": 1.5, "b": true, "none": null}, ["k"]],
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
    assert_eq!(SCHEMA["$defs"].as_object().unwrap().len() + 1, levels.len(), "a level that is not tried");
    both_accept(&[], &spec.to_string());
    for (level, place, values) in levels {
        let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
        assert_eq!(keys(&SCHEMA.pointer(level).unwrap()["properties"]), keys(&values), "{level}");
        let changed = |key: &str, value: &Value| {
            let mut spec = spec.clone();
            spec.pointer_mut(place).unwrap()[key] = value.clone();
            spec.to_string()
        };
        for (key, pair) in values.as_object().unwrap() {
            both_accept(&[], &changed(key, &pair[0]));
            let bad = changed(key, &pair[1]);
            assert!(!wrong_by_schema(&bad).is_empty() && lint(&[], &bad).exit == 1, "{bad}");
            both_refuse(&changed(&format!("{key}s"), &pair[0]), place, &format!("unknown key \"{key}s\""));
        }
        both_accept(&[], &changed("x-own", &json!({"any": [1, null]})));
    }
}

#[test]
fn good_specs() {
    let digest = format!("r.io/b:1@sha512:{}", hex(128));
    for (args, text) in [
        (&[][..], with("")),
        (&[], with("append: false\ntype: docker\nattestations: keep\ntags: [1.10, 1, 'x']")),
        (&[], with("tags:\ntype:\nappend:\nannotations:\nartifactType:\nsubject:\nattestations:")),
        (&[], with("tags: [1.10, 1.1, 1, 1.0]\nannotations: {}\nappend: 'True'")),
        (&[], with("append: TRUE")),
        (&[], with(&format!("type: auto\nsubject: sha256:{}", hex(64)))),
        (&[], with_entry("platform:\n  annotations:")),
        (&[], with_entry("platform: {os: , architecture: '', variant: , osversion: , osfeatures: }")),
        (&[], with_entry("platform: {os: linux, architecture: arm64, variant: v8, x-own: 1}")),
        (&[], "image: r.io/a:1\nplatforms: [linux/amd64]\ntemplate: r.io/b:1".into()),
        (&[], "image: r.io/a:1\nplatforms: [linux/amd64]\ntemplate: r.io/b:1\nmanifests:".into()),
        (
            &[],
            "x-base: &base {os: linux, architecture: amd64}\nimage: r.io/a:1\nmanifests: [{image: r.io/b:1, platform: {<<: *base}}]".into(),
        ),
        (&["--set", "V=oci"], with("type: ${V}\nannotations: {a: '${V}'}")),
        (&["--set", "V=true"], with("append: ${V}\ntags: ['${V}']")),
        (&["--set", "V=drop"], with("attestations: ${V}")),
        (&["--set", "V=linux/arm64"], with("platforms: ['${V}']\ntemplate: r.io/c:ARCH")),
        (&["--set", "V=linux"], with_entry("platform: {os: '${V}', architecture: '386', osversion: '${V}'}")),
        (&["--set", "V=v7"], with_entry("platform: {os: linux, architecture: arm, variant: '${V}'}")),
        (&["--set", "V=386"], with_entry("platform: {os: linux, architecture: '${V}', os.features: ['${V}']}")),
        (&["--set", "V=r.io/b"], with_images("${V}:1", "${V}:2")),
    ] {
        both_accept(args, &text);
    }
    let long = format!("r.io/a:_{}", "A.b-9_".repeat(21));
    both_accept(&[], "image: r.io/a\ntags: [x]\nmanifests: [{image: r.io/b:1}]\n");
    both_accept(&[], "image: oci:out\ntags: [x, y]\nmanifests: [{image: r.io/b:1}]\n");
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
        &long,
    ] {
        both_accept(&[], &with_images(target, target));
    }
    let whole = format!("oci:parts@sha256:{}", hex(64));
    for source in ["oci:parts", "oci-archive:parts.tar", &whole, &digest, &whole.replace("oci:parts", "r.io/b")] {
        both_accept(&[], &with_images("r.io/a:1", source));
    }
}

#[test]
fn bad_specs() {
    for (text, path, message) in [
        ("[]", "", "a spec must be a mapping"),
        ("text", "", "a spec must be a mapping"),
        ("image: r.io/a:1", "", "\"manifests\" is missing"),
        ("image: r.io/a:1\nmanifests:", "", "\"manifests\" is empty"),
        ("image: r.io/a:1\nmanifests: []", "", "\"manifests\" is empty"),
        ("image: r.io/a:1\nmanifests: r.io/b:1", "/manifests", "must be a list"),
        ("image: r.io/a:1\nmanifests: {image: r.io/b:1}", "/manifests", "must be a list"),
        ("image: r.io/a:1\nmanifests: [r.io/b:1]", "/manifests/0", "must be a mapping"),
        ("image: r.io/a:1\nmanifests: [~]", "/manifests/0", "\"manifests\" is empty"),
        ("image: r.io/a:1\nmanifests: [{platform: {os: linux}}]", "/manifests/0", "\"image\" is missing"),
        ("manifests: [{image: r.io/b:1}]", "", "\"image\" is missing"),
        ("image: r.io/a:1\nplatforms: [linux/amd64]", "", "\"platforms\" needs a \"template\""),
        ("image: r.io/a:1\ntemplate: r.io/b:ARCH", "", "\"template\" needs \"platforms\""),
        ("image: r.io/a:1\ntemplate: r.io/b:ARCH\nplatforms: []", "/platforms", "\"platforms\" is empty"),
        ("image: r.io/a:1\ntemplate: r.io/b:ARCH\nplatforms:", "/platforms", "\"platforms\" is empty"),
        ("image: r.io/a:1\nplatforms: [linux/amd64]\ntemplate:", "/template", "linux/amd64: "),
        ("image: ~\nmanifests: [{image: r.io/b:1}]", "/image", "it is empty"),
        ("image: 1.5\nmanifests: [{image: r.io/b:1}]", "/image", "has no tag"),
        ("image: [r.io/a:1]\nmanifests: [{image: r.io/b:1}]", "/image", "must be a single value"),
    ] {
        both_refuse(text, path, message);
    }
    let long = format!("tags: [{}]", "t".repeat(129));
    for (more, path, message) in [
        ("tag: [a]", "", "unknown key \"tag\" in a spec; did you mean \"tags\"?"),
        ("tags: v1", "/tags", "must be a list"),
        ("tags: [-1]", "/tags/0", "invalid tag \"-1\""),
        ("artifactType: json", "/artifactType", "not a media type"),
        ("platforms: [linux/amd65]\ntemplate: r.io/b:ARCH", "/platforms/0", "unsupported platform linux/amd65"),
        ("platforms: []\ntemplate: r.io/b:ARCH", "/platforms", "\"platforms\" is empty"),
        ("tags: [a, -b]", "/tags/1", "invalid tag \"-b\""),
        ("tags: ['']", "/tags/0", "the tag is empty"),
        ("tags: [a/b]", "/tags/0", "invalid tag \"a/b\""),
        ("tags: [[a]]", "/tags/0", "must be a single value"),
        (&long, "/tags/0", "longer than 128"),
        ("type: podman", "/type", "expected docker, oci, auto"),
        ("type: OCI", "/type", "expected docker, oci, auto"),
        ("type: ''", "/type", "expected docker, oci, auto"),
        ("type: [oci]", "/type", "must be a single value"),
        ("append: maybe", "/append", "expected true or false"),
        ("append: 1", "/append", "expected true or false"),
        ("append: {}", "/append", "must be a single value"),
        ("type: oci\nannotations: [a]", "/annotations", "must be a mapping"),
        ("type: oci\nannotations: a=b", "/annotations", "must be a mapping"),
        ("type: oci\nannotations: {a: {b: c}}", "/annotations/a", "must be a single value"),
        ("type: oci\nartifactType: 5", "/artifactType", "not a media type"),
        ("type: oci\nartifactType: ''", "/artifactType", "not a media type"),
        ("type: oci\nsubject: ''", "/subject", "it is empty"),
        ("type: oci\nsubject: {}", "/subject", "must be a single value"),
        ("attestations: some", "/attestations", "expected keep, drop"),
        ("attestations: false", "/attestations", "expected keep, drop"),
        ("platforms: [linux/amd64]", "", "\"platforms\" needs a \"template\""),
        ("template: r.io/b:ARCH", "", "\"template\" needs \"platforms\""),
        ("platforms: linux/amd64\ntemplate: r.io/b:ARCH", "/platforms", "must be a list"),
        ("platforms: [linux]\ntemplate: r.io/b:ARCH", "/platforms/0", "invalid platform \"linux\""),
        ("platforms: [linux/]\ntemplate: r.io/b:ARCH", "/platforms/0", "invalid platform \"linux/\""),
        ("platforms: [linux/arm/v7/x]\ntemplate: r.io/b:ARCH", "/platforms/0", "invalid platform \"linux/arm/v7/x\""),
        ("platforms: [~]\ntemplate: r.io/b:ARCH", "/platforms/0", "\"platforms\" is empty"),
        ("platforms: [linux/amd64]\ntemplate: ''", "/template", "it is empty"),
        ("platforms: [linux/amd64]\ntemplate: [r.io/b:ARCH]", "/template", "must be a single value"),
    ] {
        both_refuse(&with(more), path, message);
    }
    for (more, part, message) in [
        (
            "plattform: {os: linux}",
            "",
            "unknown key \"plattform\" in an entry of \"manifests\"; did you mean \"platform\"?",
        ),
        ("annotations: a", "/annotations", "must be a mapping"),
        ("platform: linux/amd64", "/platform", "must be a mapping"),
        ("platform: [linux, amd64]", "/platform", "must be a mapping"),
        ("platform: {arch: amd64}", "/platform", "unknown key \"arch\" in \"platform\""),
        ("platform: {os: linux, architecture: amd65}", "/platform", "unsupported platform linux/amd65"),
        ("platform: {os: linux, architecture: x86_64}", "/platform", "unsupported platform linux/x86_64"),
        ("platform: {os: linux, architecture: 387}", "/platform", "unsupported platform linux/387"),
        ("platform: {os: Linux, architecture: amd64}", "/platform", "unsupported platform Linux/amd64"),
        ("platform: {os: linux, architecture: arm, variant: v10}", "/platform", "unsupported platform linux/arm/v10"),
        ("platform: {os: linux, architecture: arm, variant: 7}", "/platform", "unsupported platform linux/arm/7"),
        ("platform: {os: [linux], architecture: arm}", "/platform", "must be a single value"),
        ("platform: {os.version: [10]}", "/platform", "must be a single value"),
        ("platform: {os.features: win32k}", "/platform", "must be a list"),
        ("platform: {osfeatures: [[win32k]]}", "/platform", "must be a single value"),
    ] {
        both_refuse(&with_entry(more), &format!("/manifests/0{part}"), message);
    }
    for (target, message) in [
        ("oci:out".to_owned(), "has no tag"),
        ("oci-archive:app.tar".to_owned(), "has no tag"),
        (format!("oci:out:v1@sha256:{}", hex(64)), "has a digest"),
        (format!("r.io/a:1@sha256:{}", hex(64)), "has a digest"),
        ("-r.io/a:1".to_owned(), "is not"),
        ("r.io//a:1".to_owned(), "may have only"),
        ("r.io/a___b:1".to_owned(), "may have only"),
    ] {
        both_refuse(&with_images(&target, "r.io/b:1"), "/image", message);
    }
    for more in ["{osversion: 5, os.version: }", "{os.version: , osversion: 5}", "{osfeatures: [], os.features: [a]}"] {
        both_refuse(&with_entry(&format!("platform: {more}")), "/manifests/0/platform", "in both spellings");
    }
    both_refuse(&with_entry("platform: {variant: v10}"), "/manifests/0/platform", "unsupported variant v10");
    both_refuse(&with_entry("platform: {architecture: amd65}"), "/manifests/0/platform", "unsupported platform /amd65");
    let short = format!("r.io/a@sha256:{}", hex(62));
    let capitals = format!("r.io/a@sha256:{}", hex(64).to_uppercase());
    for (image, message) in [
        ("", "it is empty"),
        ("a", "has no tag"),
        ("r.io/a", "has no tag"),
        ("r.io:5000/a", "has no tag"),
        ("r.io/App:1", "repository names are lowercase"),
        ("App:1", "repository names are lowercase"),
        ("r.io/a:", "the tag is empty"),
        ("r.io/a:-1", "a tag may have only"),
        ("r.io/a:1:2", "may have only"),
        ("r.io/a b:1", "may have only"),
        ("r.io/a/:1", "may have only"),
        ("r.io/é:1", "may have only"),
        ("r.io:port/a:1", "is not a port"),
        ("http://r.io/a:1", "leave out the \"http://\""),
        ("./layout", "an image is HOST/REPOSITORY:TAG, oci:FOLDER or oci-archive:FILE"),
        ("r.io/a:1\n", "it begins or ends with a blank or a line break"),
        ("r.io/a:${V", "--env and --set fill variables"),
        ("r.io/a:${1V}", "--env and --set fill variables"),
        ("oci:", "it has no path"),
        (&short, "invalid digest"),
        (&capitals, "invalid digest"),
    ] {
        both_refuse(&with_images(image, "r.io/b:1"), "/image", message);
        both_refuse(&with_images("r.io/a:1", image), "/manifests/0/image", message);
    }
    for tags in ["[]", "~"] {
        let text = format!("image: r.io/a\ntags: {tags}\nmanifests: [{{image: r.io/b:1}}]\n");
        both_refuse(&text, "/image", "has no tag");
    }
    for image in ["r.io/a", "r.io/a:1"].map(|image| format!("{image}@sha256:{}", hex(64))) {
        both_refuse(&with_images(&image, "r.io/b:1"), "/image", "has a digest");
    }
    for broken in ["image: [r.io/a:1", "image: r.io/a:1\nimage: r.io/a:2\n", "image: r.io/a:1\n\tmanifests: []"] {
        both_refuse(broken, NO_YAML, "not valid YAML");
    }
}

#[test]
fn what_2_2_1_ignores_is_a_warning() {
    for (text, path, message) in [
        (with("name: app"), "", "<stdin>:3:1: unknown key \"name\" in a spec is ignored"),
        (with("é: 1"), "", "<stdin>:3:1: unknown key \"é\" in a spec is ignored"),
        (with("tags: [~]"), "/tags/0", "<stdin>:3:8: an empty item of \"tags\" is dropped"),
        (with_entry("tags: [a]"), "/manifests/0", "unknown key \"tags\" in an entry"),
        (with_entry("arch: amd64"), "/manifests/0", "unknown key \"arch\" in an entry"),
        (with_entry("platform: {version: 5}"), "/manifests/0/platform", "unknown key \"version\" in \"platform\""),
        (with_entry("platform: {features: [a]}"), "/manifests/0/platform", "unknown key \"features\" in \"platform\""),
        (format!("{}- ~\n", with_entry("")), "/manifests/1", "an empty entry of \"manifests\" is dropped"),
    ] {
        both_warn(&text, path, message);
    }
    for (text, message) in [
        (with("tags: [1, '1']"), "tag \"1\" is named twice"),
        (with("tags: [a, b, a]"), "<stdin>:3:14: tag \"a\" is named twice"),
        (with_entry("platform: {os: windows, architecture: s390x}"), "Go builds no programs for windows/s390x"),
        (with("platforms: [plan9/arm64]\ntemplate: r.io/c:1"), "Go builds no programs for plan9/arm64"),
        (with("platforms: [linux/amd64, linux/arm64]\ntemplate: r.io/c:1"), "it has no ARCH"),
        (
            with_entry("platform: {os: linux, architecture: arm}\n- image: r.io/b:1"),
            "r.io/b:1 is given for two platforms, linux/arm and that of its config",
        ),
    ] {
        lint_alone_warns(&text, message);
    }
}

#[test]
fn what_a_schema_cannot_know() {
    let entries = |platforms: &[&str]| {
        let entry = |(n, platform): (usize, &&str)| format!("- {{image: r.io/b:{n}, platform: {{{platform}}}}}\n");
        format!("image: r.io/a:1\nmanifests:\n{}", platforms.iter().enumerate().map(entry).collect::<String>())
    };
    let amd64 = "os: linux, architecture: amd64";
    let arm = "os: linux, architecture: arm, variant: v7";
    for (args, text, message) in [
        // Two things that do not go together.
        (
            &[][..],
            entries(&[amd64, "os: linux, architecture: arm64, variant: v7"]),
            "unsupported platform linux/arm64/v7",
        ),
        (&[], entries(&["os: linux, architecture: arm, variant: v9"]), "unsupported platform linux/arm/v9"),
        (&[], with("type: oci\nsubject: r.io/b:1"), "is not where the index goes"),
        (&[], with_images("oci-archive:a.tar:1", "r.io/b:1") + "append: true", "nothing can be appended to an archive"),
        // The same thing twice, in other words.
        (&[], with_entry("platform: {os: linux}"), "unsupported platform linux/"),
        (&[], entries(&[amd64, arm, amd64]), "r.io/b:2: another entry is for platform linux/amd64 as well"),
        (&[], entries(&[arm, amd64, arm]), "r.io/b:2: another entry is for platform linux/arm/v7 as well"),
        (&[], with("platforms: [linux/386, ' linux/386']\ntemplate: r.io/c:1"), "is for platform linux/386 as well"),
        (&[], entries(&[amd64]) + "platforms: [linux/amd64]\ntemplate: r.io/c:1", "r.io/b:0: another entry is for"),
        // What is said on the command line.
        (&[], with("annotations: {a: b}"), "a Docker manifest list has no annotations"),
        (&[], with("subject: r.io/a:0"), "a Docker manifest list has no subject"),
        (&[], with("artifactType: application/vnd.x"), "a Docker manifest list has no artifactType"),
        (&["--type", "docker"], with("type: oci\nannotations: {a: b}"), "a Docker manifest list has no annotations"),
        (&["--append"], with_images("oci-archive:a.tar:1", "r.io/b:1"), "nothing can be appended to an archive"),
        (&[], with("type: ${V}"), "--env and --set fill variables"),
        (&["--set", "V=podman"], with("type: ${V}"), "expected docker, oci, auto"),
        // What comes of a template.
        (&[], with("platforms: [linux/amd64]\ntemplate: r.io/ARCH"), "source \"r.io/amd64\" has no tag"),
        (&[], with("platforms: [linux/amd64]\ntemplate: r.io/App:ARCH"), "repository names are lowercase"),
    ] {
        lint_alone_refuses(args, &text, message);
    }
}

#[test]
fn what_is_not_the_same_platform() {
    for (one, other) in [
        ("os: linux, architecture: arm, variant: v6", "os: linux, architecture: arm, variant: v7"),
        ("os: windows, architecture: amd64, osversion: 10.0.1", "os: windows, architecture: amd64, osversion: 10.0.2"),
        // The configs may say more.
        ("os: linux, architecture: arm", "os: linux, architecture: arm"),
        ("os: windows, architecture: amd64", "os: windows, architecture: amd64"),
        ("", ""),
    ] {
        let entry = |n: u8, platform: &str| format!("- {{image: r.io/b:{n}, platform: {{{platform}}}}}\n");
        both_accept(&[], &format!("image: r.io/a:1\nmanifests:\n{}{}", entry(1, one), entry(2, other)));
    }
}

#[test]
fn the_line_for_editors_is_a_comment() {
    let folder = tempfile::tempdir().unwrap();
    let help = manifest_tool(folder.path(), &["schema", "--help"]).stdout;
    let line = help.lines().find(|line| line.contains("yaml-language-server")).unwrap().trim();
    assert!(line.starts_with("# yaml-language-server: $schema="), "{line}");
    for args in [&[][..], &["--env"], &["--set", "V=1"]] {
        both_accept(args, &format!("{line}\n{}", with("tags: [x]")));
        both_accept(args, &format!("{line} ${{NO}}\n---\n# ${{NO\n{}", with("tags: [x]")));
        let outcome = lint(args, &format!("{line}\n{}", with("tags: [x, .x]")));
        assert!(outcome.stderr.starts_with("error: a problem found\n<stdin>:4:11: invalid tag \".x\""), "{outcome:?}");
    }
}

fn folder_of(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

#[test]
fn good_specs_are_listed_in_the_order_given() {
    let two = "image: r.io/one:1\ntags: ['2', '1']\nmanifests: [{image: r.io/b:1}]\n---\n\
               image: oci:out:two\ntype: auto\nplatforms: [linux/amd64, linux/arm64]\ntemplate: oci-archive:ARCH.tar\n\
               manifests: [{image: c}]\n";
    let two = two.replace("{image: c}", &format!("{{image: \"c@sha256:{}\"}}", hex(64)));
    let folder = folder_of(&[
        ("specs/b.yml", b"image: b:1\ntype: oci\nmanifests: [{image: docker://b:2}, {image: R.io/b:3}]"),
        ("specs/a.yaml", two.as_bytes()),
        ("specs/notes.txt", b"no: spec"),
        ("last.spec", "\u{feff}image: r.io/last:1\r\nmanifests: [{image: r.io/b:1}]\r\n".as_bytes()),
    ]);
    let args = ["lint", "specs/", "-", "last.spec"];
    let outcome = manifest_tool_with_stdin(folder.path(), &args, &with(""));
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    assert_eq!(
        outcome.stdout,
        "specs/a.yaml: r.io/one:1: 1 image\nspecs/a.yaml: oci:out:two: 3 images\n\
         specs/b.yml: docker.io/library/b:1: 2 images\n<stdin>: r.io/a:1: 1 image\nlast.spec: r.io/last:1: 1 image\n"
    );
    let outcome = manifest_tool_with_stdin(folder.path(), &[&args[..], &["--output", "json"]].concat(), &with(""));
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    let spec = |file: &str, reference: &str, tags: &[&str], form: &str, sources: &[&str]| {
        let tags: Vec<&str> = std::iter::once(reference).chain(tags.iter().copied()).collect();
        json!({"file": file, "reference": reference, "tags": tags, "type": form, "sources": sources})
    };
    let digest = format!("docker.io/library/c@sha256:{}", hex(64));
    let document = json!({"version": 1, "command": "lint", "problems": [], "warnings": [], "specs": [
        spec("specs/a.yaml", "r.io/one:1", &["r.io/one:2"], "docker", &["r.io/b:1"]),
        spec("specs/a.yaml", "oci:out:two", &[], "auto", &["oci-archive:amd64.tar", "oci-archive:arm64.tar", &digest]),
        spec("specs/b.yml", "docker.io/library/b:1", &[], "oci", &["docker.io/library/b:2", "r.io/b:3"]),
        spec("<stdin>", "r.io/a:1", &[], "docker", &["r.io/b:1"]),
        spec("last.spec", "r.io/last:1", &[], "docker", &["r.io/b:1"]),
    ]});
    assert_eq!(serde_json::from_str::<Value>(&outcome.stdout).unwrap(), document);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let platforms = "image: r.io/p:1\nmanifests:\n- {image: r.io/b:1, platform: {os: linux, architecture: amd64}}\n\
                     - {image: r.io/b:2, platform: {os: linux, architecture: amd65}}\n\
                     - {image: r.io/b:3, platform: {os: linux, architecture: amd64}}\n";
    let keys = "image: r.io/App:v1\ntag: [x]\ntags: [a, a]\nmanifests:\n  - image: r.io/a\n    platfrom: {}\n\
                --- \nimage: r.io/a:1\nmanifests: [{image: 'oci:'}]\n";
    let folder = folder_of(&[
        ("bad/keys.yaml", keys.as_bytes()),
        ("bad/platforms.yaml", platforms.as_bytes()),
        ("bad/broken.yml", b"image: r.io/b:1\nmanifests: [{image: r.io/b:1}\n"),
        ("none/notes.txt", b""),
        ("binary.yaml", b"\xff\xfd"),
        ("good.yaml", b"image: r.io/a:2\ntags: [x]\nmanifests: [{image: r.io/b:1}]"),
        ("more.yaml", b"image: docker://R.io/a:x\nmanifests: [{image: r.io/b:1}]\n"),
        (
            "twice.yaml",
            b"image: r.io/t:1\nmanifests: [{image: r.io/b:1}]\n--- {image: r.io/t:1, manifests: [{image: c:1}]}",
        ),
    ]);
    let args = ["lint", "bad", "none", "gone.yaml", "binary.yaml", "good.yaml", "-", "more.yaml", "twice.yaml"];
    let problems = [
        "none holds no .yaml or .yml file",
        "bad/broken.yml:2:12: not valid YAML: unclosed bracket '['",
        "bad/keys.yaml:1:8: invalid reference \"r.io/App:v1\": repository names are lowercase",
        "bad/keys.yaml:2:1: unknown key \"tag\" in a spec; did you mean \"tags\"?",
        "bad/keys.yaml:5:12: source \"r.io/a\" has no tag or digest; manifest-tool does not default to \"latest\"",
        "bad/keys.yaml:6:5: unknown key \"platfrom\" in an entry of \"manifests\"; did you mean \"platform\"?",
        "bad/keys.yaml:9:21: invalid layout \"oci:\": it has no path",
        "cannot read gone.yaml: No such file or directory (os error 2)",
        "binary.yaml is not UTF-8 text",
        "<stdin>: it is empty",
        "more.yaml: r.io/a:x is written by good.yaml as well",
        "twice.yaml: r.io/t:1 is written by two indexes of it",
        "bad/platforms.yaml: r.io/p:1: r.io/b:2: unsupported platform linux/amd65; did you mean linux/amd64?",
        "bad/platforms.yaml: r.io/p:1: r.io/b:3: another entry is for platform linux/amd64 as well",
    ];
    let message = format!("{} problems found\n{}", problems.len(), problems.join("\n"));
    let outcome = manifest_tool(folder.path(), &args);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""));
    let warning = "bad/keys.yaml:3:11: tag \"a\" is named twice";
    let told = format!("warning: {warning}\nerror: {message}\n");
    assert_eq!(outcome.stderr, told);
    let outcome = manifest_tool(folder.path(), &[&["--output", "json"], &args[..]].concat());
    assert_eq!((outcome.exit, outcome.stderr), (1, told));
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["version", "command", "specs", "problems", "warnings", "error"]);
    assert_eq!(document["warnings"], json!([warning]));
    assert_eq!((&document["version"], &document["command"]), (&json!(1), &json!("lint")));
    assert_eq!(document["problems"], json!(problems));
    assert_eq!(document["error"], json!({"message": message, "hints": [], "exitCode": 1}));
    let files: Vec<&Value> = document["specs"].as_array().unwrap().iter().map(|spec| &spec["file"]).collect();
    assert_eq!(files, ["bad/platforms.yaml", "good.yaml", "more.yaml", "twice.yaml", "twice.yaml"]);

    for args in
        [&[][..], &["good.yaml", "--type", "podman"], &["good.yaml", "--set", "V"], &["good.yaml", "--set", "=1"]]
    {
        let outcome = manifest_tool(folder.path(), &[&["lint"], args].concat());
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{args:?}: {outcome:?}");
    }
}

#[test]
fn each_problem_has_its_place() {
    let keys =
        "image, tags, type, append, annotations, artifactType, subject, attestations, platforms, template, manifests";
    let not_dockers = "a Docker manifest list has no annotations; use --type oci, or leave the annotations out";
    let platform = "expected OS/ARCH or OS/ARCH/VARIANT, such as linux/arm/v7";
    let no_tag = "manifest-tool does not default to \"latest\"";
    for (text, place, problem) in [
        ("\n\n- image: r.io/a:1", "3:1", &*format!("a spec must be a mapping with the keys {keys}")),
        (
            "{image: r.io/a:1, manifests: [{image: r.io/b:1}], x-é: 1, täags: 1}",
            "1:59",
            "unknown key \"täags\" in a spec; did you mean \"tags\"?",
        ),
        (
            "# all of it\nimage: r.io/a:1\n\nmanifests: []\n",
            "4:12",
            "\"manifests\" is empty: an index needs at least one image",
        ),
        (
            "image: r.io/a:1\nmanifests:\n- x-é: 1\n",
            "3:3",
            "\"image\" is missing: the reference of the image to put into the index",
        ),
        (&with("type: podman"), "3:7", "\"type\" is \"podman\"; expected docker, oci, auto"),
        (&with("append: maybe"), "3:9", "\"append\" is \"maybe\"; expected true or false"),
        (&with("attestations: [keep]"), "3:15", "\"attestations\" must be a single value, not a list or mapping"),
        (
            &with("type: oci\nartifactType: json"),
            "4:15",
            "\"json\" is not a media type, such as application/vnd.example.v1",
        ),
        (&with("annotations:\n  a: b"), "4:3", not_dockers),
        (
            &with("platforms: [linux/amd64, linux]\ntemplate: a:1"),
            "3:26",
            &format!("invalid platform \"linux\": {platform}"),
        ),
        (
            &with_entry("platform: {osversion: 1, os.version: 2}"),
            "4:40",
            "\"os.version\" is given twice, in both spellings",
        ),
        (
            &with_entry("platform: {os.features: [1], osfeatures: [2]}"),
            "4:44",
            "\"os.features\" is given twice, in both spellings",
        ),
        (&with_images("oci:out", "r.io/b:1"), "1:8", &format!("target \"oci:out\" has no tag; {no_tag}")),
        (&with_images("r.io/a:1", "r.io/b"), "2:21", &format!("source \"r.io/b\" has no tag or digest; {no_tag}")),
    ] {
        assert_eq!(lint(&[], text).stderr, format!("error: a problem found\n<stdin>:{place}: {problem}\n"), "{text}");
    }
}

#[test]
fn variables_come_from_set_and_then_from_the_environment() {
    let unset = |name: &str| Err(format!("${{{name}}} is not set, or is empty; --set {name}=VALUE gives it a value"));
    let invalid = |reference: &str, reason: &str| Err(format!("invalid reference \"{reference}\": {reason}"));
    let tag = "a tag may have only letters, digits, \"_\", \".\" and \"-\", and starts with none of the last two";
    for (args, environment, outcome) in [
        (&["--env"][..], Some("1.10"), Ok("1.10")),
        (&["--set", "LINT_V=2"], None, Ok("2")),
        (&["--set", "LINT_V=2", "--env"], Some("1.10"), Ok("2")),
        (&["--env", "--set", "LINT_V=2", "--set", "LINT_V=3"], Some("1.10"), Ok("3")),
        (&["--env", "--set", "OTHER=2"], Some("1.10"), Ok("1.10")),
        (&["--env"], None, unset("LINT_V")),
        (&["--env"], Some(""), unset("LINT_V")),
        (&["--set", "OTHER=2"], Some("1.10"), unset("LINT_V")),
        (&["--env", "--set", "LINT_V="], Some("1.10"), invalid("r.io/a:", "the tag is empty")),
        (&["--set", "LINT_V=a=b"], None, invalid("r.io/a:a=b", tag)),
        (&[], Some("1.10"), invalid("r.io/a:${LINT_V}", &format!("{tag}; --env and --set fill variables"))),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path(), &[&["lint", "-"], args].concat());
        match environment {
            Some(value) => command.env("LINT_V", value),
            None => command.env_remove("LINT_V"),
        };
        let found = run(command, &with_images("r.io/a:${LINT_V}", "r.io/b:1"));
        let expected = match outcome {
            Ok(tag) => (0, format!("<stdin>: r.io/a:{tag}: 1 image\n"), String::new()),
            Err(problem) => (1, String::new(), format!("error: a problem found\n<stdin>:1:8: {problem}\n")),
        };
        assert_eq!((found.exit, found.stdout, found.stderr), expected, "{args:?} {environment:?}");
    }
}

#[test]
fn variables_with_credentials_are_not_taken_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = [
        "MANIFEST_TOOL_USERNAME",
        "MANIFEST_TOOL_PASSWORD",
        "DOCKER_AUTH_CONFIG",
        "HTTP_PROXY",
        "https_proxy",
        "ALL_PROXY",
    ];
    for name in secrets {
        let used = format!("${{{name}}}");
        for (text, place) in [
            (with_images(&format!("r.io/a:{used}"), "r.io/b:1"), "1:8"),
            (with_images("r.io/a:1", &format!("r.io/b:{used}")), "2:21"),
            (with(&format!("type: oci\nannotations: {{k: \"{used}\"}}")), "4:18"),
        ] {
            for (value, command_line) in
                [("hunter2", &["lint"][..]), ("", &["lint"]), ("hunter2", &["push", "from-spec"])]
            {
                let mut command = command(folder.path(), &[command_line, &["--env", "-"]].concat());
                command.env(name, value);
                let outcome = run(command, &text);
                let refused = format!(
                    "<stdin>:{place}: {used} cannot be filled: --env does not take variables that hold manifest-tool's \
                     credentials\n"
                );
                assert!(outcome.exit == 1 && outcome.stderr.contains(&refused), "{name}: {text}{outcome:?}");
                assert!(!outcome.stderr.contains("hunter2"), "{outcome:?}");
            }
            let mut command = command(folder.path(), &["lint", "--env", "--set", &format!("{name}=v1"), "-"]);
            command.env(name, "hunter2");
            assert_eq!(run(command, &text).exit, 0, "--set is on purpose: {name}");
        }
    }
}

#[test]
fn what_the_push_will_be_given_counts() {
    let annotated = with("annotations: {a: b}");
    let oci = with("type: oci\nannotations: {a: b}");
    for (args, text, form) in [
        (&[][..], &with(""), Some("docker")),
        (&[], &annotated, None),
        (&["--type", "oci"], &annotated, Some("oci")),
        (&["--type", "auto"], &annotated, Some("auto")),
        (&[], &oci, Some("oci")),
        (&["--type", "auto"], &oci, Some("auto")),
        (&["--type", "docker"], &oci, None),
        (&["--append", "--type", "docker"], &annotated, None),
        (&["--append", "--type", "oci"], &annotated, Some("oci")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let args = [&["lint", "-", "--output", "json"], args].concat();
        let outcome = manifest_tool_with_stdin(folder.path(), &args, text);
        let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(document["specs"][0]["type"].as_str(), form, "{args:?}\n{text}{outcome:?}");
        assert_eq!(outcome.exit, i32::from(form.is_none()));
    }
    // The target may hold an index that takes annotations.
    both_accept(&["--append"], &annotated);
    both_accept(&[], &with("append: true\nannotations: {a: b}"));
}

#[test]
fn nothing_is_asked_of_anyone() {
    let trap = Scripted::start(|_, _| (404, vec![], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()));
    let folder = tempfile::tempdir().unwrap();
    let trapped = |args: &[&str]| {
        let (mut command, proxy) = (command(folder.path(), args), format!("http://{}", trap.host));
        command.arg("--plain-http").env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
        command
    };
    let spec = "image: HOST/a:1\nappend: true\ntype: auto\nsubject: HOST/a:0\nplatforms: [linux/amd64]\n\
                template: registry.invalid/b:ARCH\n\
                manifests: [{image: HOST/b:1}, {image: 'oci:gone'}, {image: 127.0.0.1:1/b:1}]\n"
        .replace("HOST", &trap.host);
    for (args, stdin, stdout) in [
        (&["lint", "--env", "-"][..], &*spec, format!("<stdin>: {}/a:1: 4 images\n", trap.host)),
        (&["schema"], "", format!("{:#}\n", *SCHEMA)),
    ] {
        let mut command = trapped(args);
        command.env("DOCKER_AUTH_CONFIG", "{ not JSON").env("MANIFEST_TOOL_USERNAME", "alone");
        let outcome = run(command, stdin);
        assert_eq!((outcome.exit, outcome.stdout, outcome.stderr), (0, stdout, String::new()));
    }
    assert_eq!(trap.connections.load(Ordering::SeqCst), 0);
    for reference in [&*format!("{}/b:1", trap.host), "registry.invalid/b:amd64"] {
        assert_eq!(run(trapped(&["inspect", reference]), "").exit, 1);
    }
    assert_eq!(trap.asked().len(), 2, "the trap works");
}
