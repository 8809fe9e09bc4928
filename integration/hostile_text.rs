//! Text from registries, specs, layouts and archives is escaped on stdout and stderr: it cannot start a line, and
//! neither a terminal nor a CI system interprets it as a command.

use serde_json::{Value, json};

use crate::support::images::{OCI, OCI_INDEX, descriptor, push_image, push_image_with};
use crate::support::registry::sha256;
use crate::support::scripted_server::Response;
use crate::support::{Outcome, Registry, ScriptedServer, Workspace};

const HOSTILE_TEXTS: [&str; 8] = [
    "\n::error ::x",
    "  ::error ::x",
    "\r\n##vso[task.x]y",
    "x ##[error]y",
    "\nhint: run rm",
    "hint: run rm",
    "\u{9b}31m\u{7f}\u{202e}x\u{1b}[2J",
    "x\u{2028}::error ::x\u{85}::error ::x",
];

fn workspace(host: &str) -> Workspace {
    // Errors and warnings are annotations as well.
    Workspace::new().flags(&["--plain-http", "--retries", "0"]).placeholder("HOST", host).env("GITHUB_ACTIONS", "true")
}

/// Writes a spec as JSON, which is also YAML. C1 controls are escaped, because YAML does not allow them verbatim.
fn write_spec(workspace: &Workspace, spec: &Value) {
    let escaped = |c: char| match c {
        '\u{7f}'.. => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        _ => c.to_string(),
    };
    let text: String = spec.to_string().chars().map(escaped).collect();
    workspace.write("spec.yaml", &text);
}

/// Whether a line is an annotation of this program, which has no other properties than these.
fn is_annotation(line: &str) -> bool {
    let command = line.strip_prefix("::error ").or(line.strip_prefix("::warning "));
    let mut properties = command.and_then(|rest| rest.split_once("::")).map(|(properties, _)| properties.split(','));
    properties.as_mut().and_then(|properties| properties.next_back()) == Some("title=manifest-tool")
        && properties.into_iter().flatten().all(|property| {
            ["file=", "line=", "col="].iter().any(|name| property.starts_with(name)) && !property.contains(':')
        })
}

/// Runs a command and checks every line that it writes.
#[track_caller]
fn run(workspace: &Workspace, args: &[&str]) -> Outcome {
    let outcome = workspace.run(args);
    for line in outcome.stdout.split('\n').chain(outcome.stderr.split('\n')) {
        let start = line.trim_start();
        let is_command = ["::", "##", "hint: run"].iter().any(|command| start.starts_with(command));
        let is_command = is_command && !is_annotation(line);
        let is_unsafe = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2028}');
        let has_command = line.contains("##vso[") || line.contains("##[");
        assert!(!is_command && !has_command && !line.contains(is_unsafe), "{args:?}: {line:?}\n{outcome:?}");
    }
    outcome
}

/// Pushes an image with `text` in every free-form field of its config and manifest. Returns its entry for an index.
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

/// Pushes `app:v1`: an index of a hostile image and of an attestation whose subject is `text`. Returns the index.
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
fn content_of_a_registry_is_escaped() {
    let registry = Registry::start();
    for text in HOSTILE_TEXTS {
        let workspace = workspace(&registry.host);
        let run = |args: &[&str]| run(&workspace, args);
        let index = push_hostile_index(&registry, text);
        for reference in ["HOST/app:v1", "HOST/app:image"] {
            run(&["inspect", "--annotations", "--layers", reference]).success();
            run(&["inspect", "--raw", "--expand-config", reference]).success();
            assert_eq!(run(&["inspect", "--platform", "plan9/386", reference]).exit, 1);
            run(&["query", reference]).success();
            assert_eq!(run(&["query", "--platform", "plan9/386", reference]).exit, 3);
            run(&["verify", "--layers", reference]);
            run(&["copy", "--dry-run", reference, "HOST/copy:v1"]).success();
            run(&["--debug", "copy", reference, "HOST/copy:v1"]).success();
            assert_eq!(run(&["copy", "--platform", "plan9/386", reference, "HOST/copy:v1"]).exit, 1);
        }
        run(&["tags", "--platforms", "HOST/app"]).success();
        assert_eq!(run(&["remove", "--platform", "plan9/386", "HOST/app:v1"]).exit, 1);
        assert_eq!(run(&["verify", "--output", "json", "HOST/app:v1"]).exit, 5);
        let inspected = run(&["inspect", "--output", "json", "HOST/app:v1"]).json();
        assert_eq!(
            inspected["entries"][0]["platform"], index["manifests"][0]["platform"],
            "JSON has the original text"
        );
        assert_eq!(inspected["annotations"], index["annotations"]);
        let raw = run(&["inspect", "--raw", "HOST/app:v1"]).json();
        assert_eq!(raw["annotations"], index["annotations"]);
    }
}

#[test]
fn text_of_configs_and_entries_is_escaped_by_push() {
    let registry = Registry::start();
    for text in HOSTILE_TEXTS {
        let workspace = workspace(&registry.host);
        let run = |args: &[&str]| run(&workspace, args);
        push_hostile_index(&registry, text);
        let platform = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
        let source = json!({"image": "HOST/app:image", "platform": platform});
        let spec = json!({"image": "HOST/app:pushed", "manifests": [source], "annotations": {text: text}});
        write_spec(&workspace, &spec);
        let planned = run(&["push", "--type", "oci", "--dry-run", "from-spec", "spec.yaml"]);
        assert!(planned.exit == 0 && planned.stderr.starts_with("warning: "), "{planned:?}");
        let pushed = run(&["push", "--type", "oci", "--metadata-file", "all.json", "from-spec", "spec.yaml"]);
        assert!(pushed.exit == 0 && pushed.stderr.starts_with("warning: "), "{pushed:?}");
        let metadata = workspace.read("all.json");
        assert!(!metadata.contains(['\u{9b}', '\u{7f}', '\u{202e}', '\u{2028}', '\u{85}']), "{metadata:?}");
        assert!(!metadata.contains("##vso[") && !metadata.contains("##["), "{metadata:?}");
        let written: Value = serde_json::from_slice(&registry.manifest("app", "pushed").unwrap().bytes).unwrap();
        assert_eq!(written["annotations"], json!({text: text}));
        assert_eq!(written["manifests"][0]["platform"]["os.version"], text);
        assert_eq!(run(&["push", "--type", "oci", "--strict", "from-spec", "spec.yaml"]).exit, 1);
        // Without a platform in the spec, it comes from the entries of an index or from the config of an image.
        for (source, exit) in [("HOST/app:v1", 0), ("HOST/app:image", 1)] {
            write_spec(&workspace, &json!({"image": "HOST/app:pushed", "manifests": [{"image": source}]}));
            assert_eq!(run(&["push", "--dry-run", "--append", "from-spec", "spec.yaml"]).exit, exit);
            assert_eq!(run(&["push", "--force", "--output", "json", "from-spec", "spec.yaml"]).exit, exit);
        }
    }
}

#[test]
fn names_in_a_layout_are_escaped() {
    let registry = Registry::start();
    for text in HOSTILE_TEXTS {
        let workspace = workspace(&registry.host);
        let run = |args: &[&str]| run(&workspace, args);
        push_hostile_index(&registry, text);
        run(&["copy", "HOST/app:v1", "oci:all:one"]).success();
        run(&["copy", "HOST/app:image", "oci:all:two"]).success();
        let file = workspace.path("all/index.json");
        let mut index: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = text.into();
        std::fs::write(&file, index.to_string()).unwrap();
        let listed = run(&["tags", "oci:all"]);
        assert_eq!(listed.stdout.lines().count(), 2, "{listed:?}");
        assert_eq!(serde_json::from_str::<String>(listed.stdout.lines().next().unwrap()).unwrap(), text);
        assert_eq!(run(&["tags", "--platforms", "oci:all"]).stdout.lines().count(), 2);
        let listed = run(&["tags", "--output", "json", "oci:all"]).json();
        assert_eq!(listed["tags"][0]["tag"], text);
        let listed = run(&["tags", "--platforms", "--output", "json", "oci:all"]).json();
        assert_eq!(listed["tags"][0]["reference"], format!("oci:all:{text}"));
        for args in [&["inspect", "oci:all"][..], &["inspect", "oci:all:no"], &["delete", "oci:all:no"]] {
            assert_eq!(run(args).exit, 1);
        }
        // The descriptor declares another media type than the manifest.
        index["manifests"][1]["mediaType"] = text.into();
        std::fs::write(&file, index.to_string()).unwrap();
        assert_eq!(run(&["inspect", "oci:all:two"]).exit, 1);
        assert_eq!(run(&["verify", "oci:all:two"]).exit, 5);
        assert_eq!(run(&["copy", "oci:all:two", "oci:other:two"]).exit, 1);
        index["manifests"][1]["digest"] = text.into();
        std::fs::write(&file, index.to_string()).unwrap();
        assert_eq!(run(&["tags", "oci:all"]).exit, 1);
        workspace.write("all/oci-layout", &json!({"imageLayoutVersion": text}).to_string());
        assert_eq!(run(&["tags", "oci:all"]).exit, 1);
    }
}

/// Returns responses that a registry may give to any request, with `text` in every field.
fn responses(text: &str) -> Vec<Response> {
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
fn responses_of_a_registry_are_escaped() {
    for response in HOSTILE_TEXTS.into_iter().flat_map(responses) {
        let case = format!("{response:?}");
        let server = ScriptedServer::start(move |_, _| response.clone());
        let workspace = workspace(&server.host);
        write_spec(&workspace, &json!({"image": "HOST/app:v2", "manifests": [{"image": "HOST/app:v1"}]}));
        for args in [
            &["inspect", "HOST/app:v1"][..],
            &["--debug", "query", "HOST/app:v1"],
            &["copy", "HOST/app:v1", "oci:copy"],
            &["tags", "HOST/app"],
            &["delete", "HOST/app:v1"],
            &["verify", "--output", "json", "HOST/app:v1"],
            &["push", "from-spec", "--ignore-missing", "spec.yaml"],
        ] {
            let outcome = run(&workspace, args);
            assert!(outcome.exit == 1 || args[0] != "inspect", "{case}: {outcome:?}");
        }
    }
}

#[test]
fn text_of_a_spec_is_escaped() {
    let image = "127.0.0.1:1/a:1";
    let workspace = workspace("127.0.0.1:1");
    for text in HOSTILE_TEXTS {
        let manifests = json!([{"image": image}]);
        let platform = json!({"os": text, "architecture": text, "variant": text});
        for spec in [
            json!({"image": text, "manifests": manifests}),
            json!({"image": format!("oci:{text}:v1"), "manifests": [{"image": text}]}),
            json!({"image": image, "manifests": manifests, "tags": [text], "type": text, "append": text}),
            json!({"image": image, "manifests": [{"image": image, "platform": platform}]}),
            json!({"image": image, "platforms": [text, format!("{text}/{text}")], "template": text}),
            json!({"image": image, "manifests": manifests, "artifactType": text, "subject": text}),
            json!({"image": image, "manifests": {text: text}, "annotations": text}),
            json!({"image": format!("{image}${{{text}}}"), "manifests": manifests}),
            json!(text),
        ] {
            write_spec(&workspace, &spec);
            for args in [&["lint", "--set", "A=b", "spec.yaml"][..], &["push", "--dry-run", "from-spec", "spec.yaml"]] {
                assert_eq!(run(&workspace, args).exit, 1, "{args:?} {spec}");
            }
            for format in ["json", "github", "sarif"] {
                run(&workspace, &["lint", "--output", format, "spec.yaml"]);
            }
        }
        // An unknown key is ignored with a warning.
        for spec in [
            json!({"image": image, "manifests": manifests, text: text}),
            json!({"image": image, "manifests": [{"image": image, text: [], "platform": {text: text}}]}),
        ] {
            write_spec(&workspace, &spec);
            for (args, exit) in [(&["lint", "spec.yaml"][..], 0), (&["lint", "--strict", "spec.yaml"], 1)] {
                assert_eq!(run(&workspace, args).exit, exit, "{args:?} {spec}");
            }
            run(&workspace, &["lint", "--output", "json", "spec.yaml"]);
            run(&workspace, &["push", "--dry-run", "from-spec", "spec.yaml"]);
        }
        for spec in [format!("image: [{text}"), format!("{text}: {text}: &x *y"), format!("image: \"{text}\\q\"")] {
            workspace.write("spec.yaml", &spec);
            assert_eq!(run(&workspace, &["lint", "spec.yaml"]).exit, 1);
        }
    }
}

#[test]
fn names_of_spec_files_are_escaped() {
    let valid = "image: r.io/a:v1\nmanifests: [{image: r.io/a:v1-amd64}]";
    // The name of a file cannot contain a slash.
    for text in HOSTILE_TEXTS.map(|text| text.replace('/', "")) {
        let workspace = workspace("127.0.0.1:1");
        let name = format!("{text}.yaml");
        workspace.write(&name, valid);
        workspace.write(&format!("2{name}"), "image: 1");
        run(&workspace, &["lint", "--", &name]).success();
        assert_eq!(run(&workspace, &["lint", "--", &name, &format!("2{name}"), &format!("no{name}")]).exit, 1);
        assert_eq!(run(&workspace, &["lint", "--", &name, &name]).exit, 1, "two specs write one tag");
        for format in ["text", "json", "github", "sarif"] {
            assert_eq!(run(&workspace, &["lint", "--output", format, "."]).exit, 1);
        }
    }
}
