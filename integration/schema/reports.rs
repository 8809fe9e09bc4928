//! The output of `lint`: the list of valid specs, and problems with their positions.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{SCHEMA, assert_valid, hex_digits, spec_with};
use crate::support::{ScriptedServer, Workspace, run};

#[test]
fn valid_specs_are_listed_in_the_order_of_the_arguments() {
    let workspace = Workspace::new();
    let two_specs = indoc::formatdoc! {"
        image: r.io/one:1
        tags: ['2', '1']
        manifests: [{{image: r.io/b:1}}]
        ---
        image: oci:out:two
        type: auto
        platforms: [linux/amd64, linux/arm64]
        template: oci-archive:ARCH.tar
        manifests: [{{image: \"c@sha256:{digest}\"}}]
        ",
        digest = hex_digits(64),
    };
    for (name, text) in [
        ("specs/b.yml", "image: b:1\ntype: oci\nmanifests: [{image: docker://b:2}, {image: R.io/b:3}]"),
        ("specs/a.yaml", &two_specs),
        ("specs/notes.txt", "no: spec"),
        ("last.spec", "\u{feff}image: r.io/last:1\r\nmanifests: [{image: r.io/b:1}]\r\n"),
    ] {
        workspace.write(name, text);
    }
    let args = ["lint", "specs/", "-", "last.spec"];
    let outcome = workspace.run_with_stdin(&args, &spec_with(""));
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    let expected = indoc::indoc! {"
        specs/a.yaml: r.io/one:1: 1 image
        specs/a.yaml: oci:out:two: 3 images
        specs/b.yml: docker.io/library/b:1: 2 images
        <stdin>: r.io/a:1: 1 image
        last.spec: r.io/last:1: 1 image
    "};
    assert_eq!(outcome.stdout, expected);
    let outcome = workspace.run_with_stdin(&[&args[..], &["--output", "json"]].concat(), &spec_with(""));
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (0, ""));
    let spec = |file: &str, reference: &str, tags: &[&str], index_type: &str, sources: &[&str]| {
        let tags: Vec<&str> = std::iter::once(reference).chain(tags.iter().copied()).collect();
        json!({"file": file, "reference": reference, "tags": tags, "type": index_type, "sources": sources})
    };
    let digest = format!("docker.io/library/c@sha256:{}", hex_digits(64));
    let document = json!({"version": 1, "command": "lint", "problems": [], "warnings": [], "specs": [
        spec("specs/a.yaml", "r.io/one:1", &["r.io/one:2"], "docker", &["r.io/b:1"]),
        spec("specs/a.yaml", "oci:out:two", &[], "auto", &["oci-archive:amd64.tar", "oci-archive:arm64.tar", &digest]),
        spec("specs/b.yml", "docker.io/library/b:1", &[], "oci", &["docker.io/library/b:2", "r.io/b:3"]),
        spec("<stdin>", "r.io/a:1", &[], "docker", &["r.io/b:1"]),
        spec("last.spec", "r.io/last:1", &[], "docker", &["r.io/b:1"]),
    ]});
    assert_eq!(outcome.json(), document);
}

#[test]
fn all_problems_of_all_files_are_reported_in_one_run() {
    let platforms = indoc::indoc! {"
        image: r.io/p:1
        manifests:
        - {image: r.io/b:1, platform: {os: linux, architecture: amd64}}
        - {image: r.io/b:2, platform: {os: linux, architecture: amd65}}
        - {image: r.io/b:3, platform: {os: linux, architecture: amd64}}
    "};
    // The separator of the second document is followed by a space.
    let keys = indoc::indoc! {"
        image: r.io/App:v1
        tag: [x]
        tags: [a, a]
        manifests:
          - image: r.io/a
            platfrom: {}
        ---\x20
        image: r.io/a:1
        manifests: [{image: 'oci:'}]
    "};
    let twice = indoc::indoc! {"
        image: r.io/t:1
        manifests: [{image: r.io/b:1}]
        --- {image: r.io/t:1, manifests: [{image: c:1}]}"};
    let workspace = Workspace::new();
    for (name, text) in [
        ("bad/keys.yaml", keys),
        ("bad/platforms.yaml", platforms),
        ("bad/broken.yml", "image: r.io/b:1\nmanifests: [{image: r.io/b:1}\n"),
        ("none/notes.txt", ""),
        ("good.yaml", "image: r.io/a:2\ntags: [x]\nmanifests: [{image: r.io/b:1}]"),
        ("more.yaml", "image: docker://R.io/a:x\nmanifests: [{image: r.io/b:1}]\n"),
        ("twice.yaml", twice),
    ] {
        workspace.write(name, text);
    }
    std::fs::write(workspace.path("binary.yaml"), b"\xff\xfd").unwrap();
    let args = ["lint", "bad", "none", "gone.yaml", "binary.yaml", "good.yaml", "-", "more.yaml", "twice.yaml"];
    let problems = [
        "none contains no .yaml or .yml file",
        "bad/broken.yml:2:12: not valid YAML: unclosed bracket '['",
        "bad/keys.yaml:1:8: invalid reference \"r.io/App:v1\": repository names are lowercase; did you mean \"r.io/app:v1\"?",
        "bad/keys.yaml:2:1: unknown key \"tag\" in a spec; did you mean \"tags\"?",
        "bad/keys.yaml:5:12: source \"r.io/a\" has no tag or digest; manifest-tool does not default to \"latest\"",
        "bad/keys.yaml:6:5: unknown key \"platfrom\" in an entry of \"manifests\"; did you mean \"platform\"?",
        "bad/keys.yaml:9:21: invalid layout \"oci:\": it has no path",
        "cannot read gone.yaml: No such file or directory (os error 2)",
        "binary.yaml is not UTF-8 text",
        "<stdin>: it is empty",
        "more.yaml: r.io/a:x is also written by good.yaml",
        "twice.yaml: r.io/t:1 is written by two of its indexes",
        "bad/platforms.yaml: r.io/p:1: r.io/b:2: unsupported platform linux/amd65; did you mean linux/amd64?",
        "bad/platforms.yaml: r.io/p:1: r.io/b:3: another entry has the same platform linux/amd64",
    ];
    let message = format!("{} problems found\n{}", problems.len(), problems.join("\n"));
    let outcome = workspace.run(&args);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""));
    let warning = "bad/keys.yaml:3:11: tag \"a\" is given twice";
    let stderr = format!("warning: {warning}\nerror: {message}\n");
    assert_eq!(outcome.stderr, stderr);
    let outcome = workspace.run(&[&["--output", "json"], &args[..]].concat());
    assert_eq!((outcome.exit, &outcome.stderr), (1, &stderr));
    let document = outcome.json();
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["version", "command", "specs", "problems", "warnings", "error"]);
    let object = json!({"message": "tag \"a\" is given twice", "file": "bad/keys.yaml", "line": 3, "column": 11});
    assert_eq!(document["warnings"], json!([object]));
    assert_eq!((&document["version"], &document["command"]), (&json!(1), &json!("lint")));
    let listed = document["problems"].as_array().unwrap();
    assert_eq!(listed.len(), problems.len());
    assert_eq!(document["error"]["message"], format!("{} problems found", problems.len()));
    assert_eq!(document["error"]["problems"], document["problems"]);
    let files: Vec<&Value> = document["specs"].as_array().unwrap().iter().map(|spec| &spec["file"]).collect();
    assert_eq!(files, ["bad/platforms.yaml", "good.yaml", "more.yaml", "twice.yaml", "twice.yaml"]);

    for args in
        [&[][..], &["good.yaml", "--type", "podman"], &["good.yaml", "--set", "V"], &["good.yaml", "--set", "=1"]]
    {
        let outcome = workspace.run(&[&["lint"], args].concat());
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{args:?}: {outcome:?}");
    }
}

#[test]
fn lint_takes_the_type_and_append_flags_of_push() {
    let annotated = spec_with("annotations: {a: b}");
    let oci = spec_with("type: oci\nannotations: {a: b}");
    for (args, text, index_type) in [
        (&[][..], &spec_with(""), Some("docker")),
        (&[], &annotated, None),
        (&["--type", "oci"], &annotated, Some("oci")),
        (&["--type", "auto"], &annotated, Some("auto")),
        (&[], &oci, Some("oci")),
        (&["--type", "auto"], &oci, Some("auto")),
        (&["--type", "docker"], &oci, None),
        (&["--append", "--type", "docker"], &annotated, None),
        (&["--append", "--type", "oci"], &annotated, Some("oci")),
    ] {
        let args = [&["lint", "-", "--output", "json"], args].concat();
        let outcome = Workspace::new().run_with_stdin(&args, text);
        let document = outcome.json();
        assert_eq!(document["specs"][0]["type"].as_str(), index_type, "{args:?}\n{text}{outcome:?}");
        assert_eq!(outcome.exit, i32::from(index_type.is_none()));
    }
    // The existing index may be of the OCI type, which has annotations.
    assert_valid(&["--append"], &annotated);
    assert_valid(&[], &spec_with("append: true\nannotations: {a: b}"));
}

#[test]
fn lint_and_schema_send_no_requests() {
    let server = ScriptedServer::start(|_, _| (404, vec![], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()));
    let workspace = Workspace::new().placeholder("HOST", &server.host);
    let proxied_command = |args: &[&str]| {
        let (mut command, proxy) = (workspace.command(args), format!("http://{}", server.host));
        command.arg("--plain-http").env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
        command
    };
    let spec = indoc::indoc! {"
        image: HOST/a:1
        append: true
        type: auto
        subject: HOST/a:0
        platforms: [linux/amd64]
        template: registry.invalid/b:ARCH
        manifests: [{image: HOST/b:1}, {image: 'oci:gone'}, {image: 127.0.0.1:1/b:1}]
    "};
    for (args, stdin, stdout) in [
        (&["lint", "--env", "-"][..], spec, format!("<stdin>: {}/a:1: 4 images\n", server.host)),
        (&["schema"], "", format!("{:#}\n", *SCHEMA)),
    ] {
        let mut command = proxied_command(args);
        command.env("DOCKER_AUTH_CONFIG", "{ not JSON").env("MANIFEST_TOOL_USERNAME", "no-password");
        let outcome = run(command, &workspace.fill(stdin));
        assert_eq!((outcome.exit, outcome.stdout, outcome.stderr), (0, stdout, String::new()));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    for reference in [&*format!("{}/b:1", server.host), "registry.invalid/b:amd64"] {
        run(proxied_command(&["inspect", reference]), "").exits(1);
    }
    assert_eq!(server.requests().len(), 2, "the proxy variables are in effect");
}
