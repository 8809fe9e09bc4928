//! Text from registries, specs, layouts and archives is shown as text: whatever is in it, it starts no line of stdout or
//! stderr, and neither a terminal nor a CI system takes it for a command.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::images::{OCI, OCI_INDEX, descriptor, push_image, push_image_with};
use crate::support::registry::sha256;
use crate::support::scripted::Answer;
use crate::support::{Outcome, Registry, Scripted, manifest_tool};

const TEXTS: [&str; 8] = [
    "\n::error ::x",
    "  ::error ::x",
    "\r\n##vso[task.x]y",
    "x ##[error]y",
    "\nhint: run rm",
    "hint: run rm",
    "\u{9b}31m\u{7f}\u{202e}x\u{1b}[2J",
    "x\u{2028}::error ::x\u{85}::error ::x",
];

/// A spec in JSON, which is YAML as well; YAML takes no C1 controls that are not escaped.
fn write_spec(folder: &Path, spec: &Value) {
    let escaped = |c: char| match c {
        '\u{7f}'.. => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        _ => c.to_string(),
    };
    let text: String = spec.to_string().chars().map(escaped).collect();
    std::fs::write(folder.join("spec.yaml"), text).unwrap();
}

/// Runs a command, and checks every line that it writes.
#[track_caller]
fn run(folder: &Path, args: &[&str]) -> Outcome {
    let outcome = manifest_tool(folder, &[&["--plain-http", "--retries", "0"], args].concat());
    for line in outcome.stdout.split('\n').chain(outcome.stderr.split('\n')) {
        let start = line.trim_start();
        let is_command = ["::", "##", "hint: run"].iter().any(|command| start.starts_with(command));
        let hides = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}');
        let has_command = line.contains("##vso[") || line.contains("##[");
        assert!(!is_command && !has_command && !line.contains(hides), "{args:?}: {line:?}\n{outcome:?}");
    }
    outcome
}

/// An image of which everything that may be text is `text`.
fn push_hostile_image(registry: &Registry, tag: &str, text: &str) -> Value {
    let platform =
        json!({"os": text, "architecture": text, "variant": text, "os.version": text, "os.features": [text]});
    let image = push_image_with(registry, "app", tag, platform.to_string().as_bytes(), text.as_bytes());
    let digest = image["digest"].as_str().unwrap();
    let mut manifest: Value = serde_json::from_slice(&registry.manifest("app", digest).unwrap().bytes).unwrap();
    manifest["artifactType"] = text.into();
    manifest["annotations"] = json!({text: text});
    manifest["layers"][0]["mediaType"] = text.into();
    let bytes = manifest.to_string().into_bytes();
    registry.push_manifest("app", tag, OCI, &bytes);
    let mut entry = descriptor(OCI, &sha256(&bytes), &bytes);
    entry["platform"] = platform;
    entry["annotations"] = json!({text: text});
    entry["artifactType"] = text.into();
    entry
}

/// `app:v1`, an index of such an image and of what says that it is an attestation of `text`.
fn push_hostile_index(registry: &Registry, text: &str) -> Value {
    let entry = push_hostile_image(registry, "image", text);
    let mut attestation = push_image(registry, "app", "attestation", "amd64");
    attestation["annotations"] =
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": text});
    let index = json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "artifactType": text,
        "manifests": [entry, attestation],
        "annotations": {text: text},
    });
    registry.push_manifest("app", "v1", OCI_INDEX, index.to_string().as_bytes());
    index
}

#[test]
fn what_a_registry_holds_starts_no_line() {
    let registry = Registry::start();
    for text in TEXTS {
        let folder = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| run(folder.path(), args);
        let index = push_hostile_index(&registry, text);
        let (app, image) = (format!("{}/app", registry.host), format!("{}/app:image", registry.host));
        let (v1, copy) = (format!("{app}:v1"), format!("{}/copy:v1", registry.host));
        for reference in [&v1, &image] {
            assert_eq!(run(&["inspect", "--annotations", "--layers", reference]).exit, 0);
            assert_eq!(run(&["inspect", "--raw", "--expand-config", reference]).exit, 0);
            assert_eq!(run(&["inspect", "--platform", "plan9/386", reference]).exit, 1);
            assert_eq!(run(&["query", reference]).exit, 0);
            assert_eq!(run(&["query", "--platform", "plan9/386", reference]).exit, 3);
            run(&["verify", "--layers", reference]);
            assert_eq!(run(&["copy", "--dry-run", reference, &copy]).exit, 0);
            assert_eq!(run(&["--debug", "copy", reference, &copy]).exit, 0);
            assert_eq!(run(&["copy", "--platform", "plan9/386", reference, &copy]).exit, 1);
        }
        assert_eq!(run(&["tags", "--platforms", &app]).exit, 0);
        assert_eq!(run(&["remove", "--platform", "plan9/386", &v1]).exit, 1);
        assert_eq!(run(&["verify", "--output", "json", &v1]).exit, 5);
        let shown: Value = serde_json::from_str(&run(&["inspect", "--output", "json", &v1]).stdout).unwrap();
        assert_eq!(shown["entries"][0]["platform"], index["manifests"][0]["platform"], "the value itself is as it was");
        assert_eq!(shown["annotations"], index["annotations"]);
        let raw: Value = serde_json::from_str(&run(&["inspect", "--raw", &v1]).stdout).unwrap();
        assert_eq!(raw["annotations"], index["annotations"]);
    }
}

#[test]
fn a_push_shows_what_configs_and_entries_say_as_text() {
    let registry = Registry::start();
    for text in TEXTS {
        let folder = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| run(folder.path(), args);
        push_hostile_index(&registry, text);
        let (image, target) = (format!("{}/app:image", registry.host), format!("{}/app:pushed", registry.host));
        let source = json!({"image": image, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}});
        let spec = json!({"image": target, "manifests": [source], "annotations": {text: text}});
        write_spec(folder.path(), &spec);
        let planned = run(&["push", "--type", "oci", "--dry-run", "from-spec", "spec.yaml"]);
        assert!(planned.exit == 0 && planned.stderr.starts_with("warning: "), "{planned:?}");
        let pushed = run(&["push", "--type", "oci", "--metadata-file", "all.json", "from-spec", "spec.yaml"]);
        assert!(pushed.exit == 0 && pushed.stderr.starts_with("warning: "), "{pushed:?}");
        let metadata = std::fs::read_to_string(folder.path().join("all.json")).unwrap();
        assert!(!metadata.contains(['\u{9b}', '\u{7f}', '\u{202e}', '\u{2028}', '\u{85}']), "{metadata:?}");
        assert!(!metadata.contains("##vso[") && !metadata.contains("##["), "{metadata:?}");
        let written: Value = serde_json::from_slice(&registry.manifest("app", "pushed").unwrap().bytes).unwrap();
        assert_eq!(written["annotations"], json!({text: text}));
        assert_eq!(written["manifests"][0]["platform"]["os.version"], text);
        assert_eq!(run(&["push", "--type", "oci", "--strict", "from-spec", "spec.yaml"]).exit, 1);
        // Of an index the entries say it, and of an image without a platform its config.
        for (source, exit) in [(format!("{}/app:v1", registry.host), 0), (image, 1)] {
            let spec = json!({"image": target, "manifests": [{"image": source}]});
            write_spec(folder.path(), &spec);
            assert_eq!(run(&["push", "--dry-run", "--append", "from-spec", "spec.yaml"]).exit, exit);
            assert_eq!(run(&["push", "--force", "--output", "json", "from-spec", "spec.yaml"]).exit, exit);
        }
    }
}

#[test]
fn names_in_a_layout_are_shown_as_text() {
    let registry = Registry::start();
    for text in TEXTS {
        let folder = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| run(folder.path(), args);
        push_hostile_index(&registry, text);
        let source = format!("{}/app:v1", registry.host);
        assert_eq!(run(&["copy", &source, "oci:all:one"]).exit, 0);
        assert_eq!(run(&["copy", &format!("{}/app:image", registry.host), "oci:all:two"]).exit, 0);
        let file = folder.path().join("all/index.json");
        let mut index: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = text.into();
        std::fs::write(&file, index.to_string()).unwrap();
        let listed = run(&["tags", "oci:all"]);
        assert_eq!(listed.stdout.lines().count(), 2, "{listed:?}");
        assert_eq!(serde_json::from_str::<String>(listed.stdout.lines().next().unwrap()).unwrap(), text);
        assert_eq!(run(&["tags", "--platforms", "oci:all"]).stdout.lines().count(), 2);
        let listed: Value = serde_json::from_str(&run(&["tags", "--output", "json", "oci:all"]).stdout).unwrap();
        assert_eq!(listed["tags"][0]["tag"], text);
        let listed = run(&["tags", "--platforms", "--output", "json", "oci:all"]);
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!(listed["tags"][0]["reference"], format!("oci:all:{text}"));
        for args in [&["inspect", "oci:all"][..], &["inspect", "oci:all:no"], &["delete", "oci:all:no"]] {
            assert_eq!(run(args).exit, 1);
        }
        // What names it says another type.
        index["manifests"][1]["mediaType"] = text.into();
        std::fs::write(&file, index.to_string()).unwrap();
        assert_eq!(run(&["inspect", "oci:all:two"]).exit, 1);
        assert_eq!(run(&["verify", "oci:all:two"]).exit, 5);
        assert_eq!(run(&["copy", "oci:all:two", "oci:other:two"]).exit, 1);
        index["manifests"][1]["digest"] = text.into();
        std::fs::write(&file, index.to_string()).unwrap();
        assert_eq!(run(&["tags", "oci:all"]).exit, 1);
        std::fs::write(folder.path().join("all/oci-layout"), json!({"imageLayoutVersion": text}).to_string()).unwrap();
        assert_eq!(run(&["tags", "oci:all"]).exit, 1);
    }
}

/// What a registry may answer to anything, with the text in every place.
fn answers(text: &str) -> Vec<Answer> {
    let header: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let body = |value: Value| value.to_string().into_bytes();
    let config = json!({"mediaType": text, "digest": text, "size": 1});
    vec![
        (500, vec![], body(json!({"errors": [{"code": text, "message": text}, {"message": text}]}))),
        (404, vec![], body(json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": text}]}))),
        (403, vec![], body(json!({"message": text, "details": text}))),
        (500, vec![], text.as_bytes().to_vec()),
        (404, vec![], format!("<Error><Code>{text}</Code><Message>{text}</Message></Error>").into_bytes()),
        (200, vec![("Content-Type", header.clone())], b"{}".to_vec()),
        (200, vec![("Content-Type", OCI.into())], body(json!({"mediaType": text, "config": config}))),
        (200, vec![("Content-Type", OCI.into())], body(json!({"config": config}))),
        (200, vec![("Content-Type", OCI.into())], body(json!({"schemaVersion": text, "tags": text}))),
        (200, vec![("Content-Type", OCI_INDEX.into()), ("Docker-Content-Digest", header.clone())], text.into()),
        (500, vec![("Warning", format!("299 - \"{header}\""))], vec![]),
        (307, vec![("Location", format!("http://127.0.0.1:1/{header}"))], vec![]),
        (307, vec![("Location", format!("ftp://{header}"))], vec![]),
        (401, vec![("WWW-Authenticate", format!("Bearer realm=\"{header}\",scope=\"{header}\""))], vec![]),
    ]
}

#[test]
fn what_a_registry_answers_is_shown_as_text() {
    let folder = tempfile::tempdir().unwrap();
    for (text, answer) in TEXTS.into_iter().flat_map(|text| answers(text).into_iter().map(move |answer| (text, answer)))
    {
        let said = format!("{text:?} {answer:?}");
        let server = Scripted::start(move |_, _| answer.clone());
        let (app, v1) = (format!("{}/app", server.host), format!("{}/app:v1", server.host));
        let spec = json!({"image": format!("{app}:v2"), "manifests": [{"image": v1}]});
        write_spec(folder.path(), &spec);
        for args in [
            &["inspect", &v1][..],
            &["--debug", "query", &v1],
            &["copy", &v1, "oci:copy"],
            &["tags", &app],
            &["delete", &v1],
            &["verify", "--output", "json", &v1],
            &["push", "from-spec", "--ignore-missing", "spec.yaml"],
        ] {
            let outcome = run(folder.path(), args);
            assert!(outcome.exit == 1 || args[0] != "inspect", "{said}: {outcome:?}");
        }
    }
}

#[test]
fn what_a_spec_says_is_shown_as_text() {
    let at = "127.0.0.1:1/a:1";
    for text in TEXTS {
        let folder = tempfile::tempdir().unwrap();
        let manifests = json!([{"image": at}]);
        let platform = json!({"os": text, "architecture": text, "variant": text});
        for spec in [
            json!({"image": text, "manifests": manifests}),
            json!({"image": format!("oci:{text}:v1"), "manifests": [{"image": text}]}),
            json!({"image": at, "manifests": manifests, "tags": [text], "type": text, "append": text}),
            json!({"image": at, "manifests": [{"image": at, "platform": platform}]}),
            json!({"image": at, "platforms": [text, format!("{text}/{text}")], "template": text}),
            json!({"image": at, "manifests": manifests, "artifactType": text, "subject": text}),
            json!({"image": at, "manifests": {text: text}, "annotations": text}),
            json!({"image": format!("{at}${{{text}}}"), "manifests": manifests}),
            json!(text),
        ] {
            write_spec(folder.path(), &spec);
            for args in [&["lint", "--set", "A=b", "spec.yaml"][..], &["push", "--dry-run", "from-spec", "spec.yaml"]] {
                assert_eq!(run(folder.path(), args).exit, 1, "{args:?} {spec}");
            }
            run(folder.path(), &["lint", "--output", "json", "spec.yaml"]);
        }
        // A key that is not known is ignored, with a warning.
        for spec in [
            json!({"image": at, "manifests": manifests, text: text}),
            json!({"image": at, "manifests": [{"image": at, text: [], "platform": {text: text}}]}),
        ] {
            write_spec(folder.path(), &spec);
            for (args, exit) in [(&["lint", "spec.yaml"][..], 0), (&["lint", "--strict", "spec.yaml"], 1)] {
                assert_eq!(run(folder.path(), args).exit, exit, "{args:?} {spec}");
            }
            run(folder.path(), &["lint", "--output", "json", "spec.yaml"]);
            run(folder.path(), &["push", "--dry-run", "from-spec", "spec.yaml"]);
        }
        for spec in [format!("image: [{text}"), format!("{text}: {text}: &x *y"), format!("image: \"{text}\\q\"")] {
            std::fs::write(folder.path().join("spec.yaml"), spec).unwrap();
            assert_eq!(run(folder.path(), &["lint", "spec.yaml"]).exit, 1);
        }
    }
}

#[test]
fn names_of_spec_files_are_shown_as_text() {
    let good = "image: r.io/a:v1\nmanifests: [{image: r.io/a:v1-amd64}]";
    // A slash ends the name of a file.
    for text in TEXTS.map(|text| text.replace('/', "")) {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{text}.yaml");
        std::fs::write(folder.path().join(&name), good).unwrap();
        std::fs::write(folder.path().join(format!("2{name}")), "image: 1").unwrap();
        assert_eq!(run(folder.path(), &["lint", "--", &name]).exit, 0);
        assert_eq!(run(folder.path(), &["lint", "--", &name, &format!("2{name}"), &format!("no{name}")]).exit, 1);
        assert_eq!(run(folder.path(), &["lint", "--", &name, &name]).exit, 1, "one tag, written twice");
        assert_eq!(run(folder.path(), &["lint", "."]).exit, 1);
    }
}
