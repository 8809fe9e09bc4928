//! Files with mistakes, and other unusable arguments: they are refused before the first request.

use crate::support::{ScriptedServer, Workspace};

#[test]
fn every_problem_of_a_file_is_reported_before_the_first_request() {
    let server = ScriptedServer::start(|_, _| (404, vec![], vec![]));
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    let text = indoc::indoc! {r#"
        HOST:
          image: {a: []}
          images-by-tag-regex: {a: "("}
          images-by-semver: {a: latest}
          credentials: {username: john, password: secret-word}
          cert-dir: /certs
    "#};
    workspace.write("sync.yaml", text);
    let outcome = workspace.run(&["sync", "sync.yaml", "HOST/mirror"]);
    let expected = indoc::indoc! {r#"
        error: 5 problems found
        sync.yaml:2:3: unknown key "image" of a registry; did you mean "images"?
        sync.yaml:3:28: "(" is not a regular expression: REASON
        sync.yaml:4:25: "latest" is not a version constraint, such as ">= 1.2", "~1.2", "1.2.x" or "1.2 - 1.4"
        sync.yaml:5:3: "credentials" must not be in a sync file; use manifest-tool login HOST, or --docker-cfg
        sync.yaml:6:3: "cert-dir" is not supported; put its files into certs.d/HOST, or use --ca-cert for a CA
    "#};
    let reason = outcome.stderr.lines().find_map(|line| line.split_once("regular expression: ")).unwrap().1.to_owned();
    assert_eq!((outcome.exit, outcome.stderr), (1, workspace.fill(expected).replace("REASON", &reason)));
    let document = workspace.run(&["sync", "sync.yaml", "HOST/mirror", "--output", "json"]).exits(1).json();
    assert_eq!(document["error"]["problems"].as_array().unwrap().len(), 5, "{document}");
    assert_eq!(document["error"]["problems"][0]["suggestion"], "images");
    assert!(server.requests().is_empty());
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let server = ScriptedServer::start(|_, _| (404, vec![], vec![]));
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    workspace.write("empty.yaml", "");
    workspace.write("long.yml", &"#".repeat((1 << 20) + 1));
    std::fs::write(workspace.path("binary.yaml"), [0xff, 0x00]).unwrap();
    let aliases = (0..20).fold("x-0: &a0 [v]\n".to_owned(), |text, n| {
        text + &format!("x-{0}: &a{0} [*a{n}, *a{n}, *a{n}, *a{n}]\n", n + 1)
    });
    workspace.write("aliases.yaml", &(aliases + "HOST: {images: {a: *a20}}\n"));
    let pattern = "a".repeat(10_241);
    workspace.write("pattern.yaml", &format!("HOST: {{images-by-tag-regex: {{a: {pattern}}}}}\n"));
    workspace.write("program.yaml", "HOST: {images-by-tag-regex: {a: '((a{1000}){1000}){1000}'}}\n");
    for (file, error) in [
        ("missing.yaml", "cannot read missing.yaml: "),
        ("empty.yaml", "error: empty.yaml: it is empty\n"),
        ("long.yml", "error: cannot read long.yml: it is longer than 1 MiB\n"),
        ("binary.yaml", "error: binary.yaml is not UTF-8 text\n"),
        ("aliases.yaml", "error: aliases.yaml"),
        ("pattern.yaml", "the regular expression is longer than 10 KiB\n"),
        ("program.yaml", "\"((a{1000}){1000}){1000}\" is not a regular expression: "),
    ] {
        workspace.run(&["sync", file, "HOST/mirror"]).fails(1, error);
    }
    let outcome = workspace.run_with_stdin(&["sync", "-", "HOST/mirror"], "HOST: {images: {a: [b c]}}");
    outcome.fails(1, "error: <stdin>:1:").stderr_contains("invalid tag \"b c\"");
    assert!(server.requests().is_empty());
}

#[test]
fn arguments_that_are_neither_sources_nor_targets_are_usage_errors() {
    let workspace = Workspace::new();
    std::fs::create_dir_all(workspace.path("layout")).unwrap();
    workspace.write("layout/oci-layout", "{}");
    for (args, error) in [
        (&["r.io/app", "r.io/mirror:v1"][..], "the target is a prefix of repositories, such as \"r.io/mirror\""),
        (&["r.io/app", "oci:mirror:v1"], "the target is a folder, such as \"oci:mirror\""),
        (&["r.io/app", "oci-archive:mirror.tar"], "is oci-archive:, which cannot hold several repositories"),
        (&["r.io/app", "oci:layout"], "target \"oci:layout\" is a layout itself; name the folder above it"),
        (&["r.io/App", "r.io/mirror"], "repository names are lowercase"),
        (&["r.io/app"], "<DST>"),
        (&["--src", "yaml", "a.yaml", "r.io"], "tip: give the file, repository or oci:FOLDER as the first argument"),
        (&["--dest", "docker", "a.yaml", "r.io"], "tip: give the target as the second argument"),
    ] {
        workspace.run(&[&["sync"], args].concat()).fails(2, error);
    }
    workspace.run(&["mirror", "r.io/a", "r.io/b"]).fails(2, "tip: use sync to copy all tags of repositories");
    workspace.run(&["sync", "oci:missing", "oci:mirror"]).fails(1, "cannot read missing: ");
    workspace.run(&["sync", "oci:.", "oci:mirror"]).fails(1, "oci:./layout: its oci-layout is not valid");
}
