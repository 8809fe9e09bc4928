//! A cause that several references share is printed once, with the references.

use indoc::indoc;
use serde_json::json;

use crate::support::images::push_image;
use crate::support::{Sandbox, ScriptedServer, Workspace};

/// Nothing listens on this port.
const DOWN: &str = "127.0.0.1:1";

fn workspace() -> Workspace {
    Workspace::new().flags(&["--plain-http", "--retries", "0"]).placeholder("DOWN", DOWN)
}

#[test]
fn sources_with_one_cause_are_listed_below_it() {
    let sandbox = Sandbox::new().with(|workspace| workspace.flags(&["--retries", "0"]).placeholder("DOWN", DOWN));
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    let spec = |sources: &[&str]| {
        let entry =
            |source: &&str| format!("- {{image: \"{source}\", platform: {{os: linux, architecture: arm64}}}}\n");
        let entries: String = sources.iter().map(entry).collect();
        sandbox.write("s.yaml", &format!("image: HOST/app:v1\nmanifests:\n{entries}- image: HOST/app:amd64\n"));
        sandbox.run(&["push", "-o", "json", "from-spec", "s.yaml"]).exits(1)
    };
    let outcome = spec(&["DOWN/app:a", "DOWN/app:b", "DOWN/other:c"]);
    let expected = indoc! {"
        error: cannot assemble HOST/app:v1: 3 sources cannot be used: no response from DOWN: Connection refused
          linux/arm64: DOWN/app:a
          linux/arm64: DOWN/app:b
          linux/arm64: DOWN/other:c
    "};
    assert_eq!(outcome.stderr, sandbox.fill(expected));
    let document = outcome.json();
    let headline = "cannot assemble HOST/app:v1: 3 sources cannot be used: no response from DOWN: Connection refused";
    assert_eq!(document["error"]["message"], sandbox.fill(headline));
    let problem = |repository: &str, tag: &str| {
        let reference = format!("{DOWN}/{repository}:{tag}");
        let request = format!("GET /v2/{repository}/manifests/{tag}");
        let message = format!("linux/arm64: {reference}: no response to {request}: Connection refused");
        json!({"message": message, "reference": reference})
    };
    let problems = json!([problem("app", "a"), problem("app", "b"), problem("other", "c")]);
    assert_eq!(document["error"]["problems"], problems);
    assert_eq!(document["indexes"][0]["error"]["problems"], problems);

    let mixed = spec(&["DOWN/app:a", "HOST/app:gone", "DOWN/app:b", "HOST/none:gone", "HOST/app:gone"]);
    let expected = indoc! {"
        error: cannot assemble HOST/app:v1: 4 sources cannot be used
          no response from DOWN: Connection refused
            linux/arm64: DOWN/app:a
            linux/arm64: DOWN/app:b
          not found (HTTP 404; registry says: MANIFEST_UNKNOWN: manifest unknown)
            linux/arm64: HOST/app:gone
            linux/arm64: HOST/none:gone
    "};
    assert!(mixed.stderr.starts_with(&sandbox.fill(expected)), "{}\n{}", mixed.stderr, sandbox.fill(expected));
    let one_each = spec(&["DOWN/app:a", "HOST/app:gone"]);
    let expected = indoc! {"
        error: cannot assemble HOST/app:v1: 2 sources cannot be used
          linux/arm64: DOWN/app:a: no response to GET /v2/app/manifests/a: Connection refused
          linux/arm64: HOST/app:gone not found (HTTP 404; registry says: MANIFEST_UNKNOWN: manifest unknown)
    "};
    assert_eq!(one_each.stderr, sandbox.fill(expected));
}

#[test]
fn an_unknown_platform_of_a_source_has_a_suggestion() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let spec = indoc! {"
        image: HOST/app:v2
        manifests:
        - {image: HOST/app:v1, platform: {os: linux, architecture: aarch64}}
    "};
    sandbox.write("s.yaml", spec);
    let outcome = sandbox.run(&["push", "-o", "json", "from-spec", "s.yaml"]).exits(1);
    assert!(outcome.stderr.ends_with("unsupported platform linux/aarch64; did you mean linux/arm64?\n"), "{outcome:?}");
    let reference = sandbox.fill("HOST/app:v1");
    let message = format!("linux/aarch64: {reference}: unsupported platform linux/aarch64");
    let problem = json!({"message": message, "reference": reference, "suggestion": "linux/arm64"});
    assert_eq!(outcome.json()["error"]["problems"], json!([problem]));
}

#[test]
fn references_that_cannot_be_read_for_one_cause_are_listed_below_it() {
    let workspace = workspace();
    let expected = indoc! {"
        error: 2 of 2 references cannot be read: no response from DOWN: Connection refused
          DOWN/a:1
          DOWN/b:2
    "};
    for command in ["query", "verify", "digest"] {
        let outcome = workspace.run(&[command, "DOWN/a:1", "DOWN/b:2", "-o", "json"]).exits(1);
        assert_eq!(outcome.stderr, workspace.fill(expected), "{command}");
        let document = outcome.json();
        let references: Vec<_> =
            document["error"]["problems"].as_array().unwrap().iter().map(|it| it["reference"].clone()).collect();
        assert_eq!(references, [format!("{DOWN}/a:1"), format!("{DOWN}/b:2")]);
        assert_eq!(document["images"].as_array().unwrap().len(), 2, "{command}");
    }
    workspace.run(&["delete", "DOWN/a:1", "DOWN/b:2"]).fails(
        1,
        &workspace
            .fill("error: 2 of 2 references were not deleted: no response from DOWN: Connection refused\n  DOWN/a:1\n"),
    );

    let server = ScriptedServer::start(|_, _| (404, vec![], br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec()));
    let workspace = workspace.placeholder("HOST", &server.host);
    let mixed = workspace.run(&["query", "DOWN/a:1", "HOST/a:1", "DOWN/b:2"]).exits(1);
    let expected = indoc! {"
        error: 2 references cannot be read: no response from DOWN: Connection refused
          DOWN/a:1
          DOWN/b:2
        error: HOST/a:1 not found (HTTP 404; registry says: MANIFEST_UNKNOWN)
        error: 3 of 3 references cannot be read
    "};
    assert_eq!(mixed.stderr, workspace.fill(expected));
}

#[test]
fn hints_are_printed_once_with_the_cause() {
    let server = ScriptedServer::start(|_, _| {
        (
            401,
            vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())],
            br#"{"errors":[{"code":"UNAUTHORIZED"}]}"#.to_vec(),
        )
    });
    let workspace = workspace().placeholder("HOST", &server.host);
    let outcome = workspace.run(&["query", "HOST/a:1", "HOST/b:2"]).exits(1);
    let expected = indoc! {"
        error: 2 of 2 references cannot be read: no credentials for HOST (HTTP 401; registry says: UNAUTHORIZED)
          HOST/a:1
          HOST/b:2
        hint: manifest-tool login HOST
    "};
    assert_eq!(outcome.stderr, workspace.fill(expected));
}

#[test]
fn later_indexes_and_tags_with_the_cause_of_an_earlier_one_name_that_one() {
    let workspace = workspace();
    let spec = |tag: &str| format!("image: DOWN/app:{tag}\nmanifests: [{{image: DOWN/parts:{tag}}}]\n");
    workspace.write("many.yaml", &["one", "two", "three"].map(spec).join("---\n"));
    let outcome = workspace.run(&["push", "-o", "json", "from-spec", "many.yaml"]).exits(1);
    let expected = indoc! {"
        error: cannot assemble DOWN/app:one: DOWN/parts:one: no response to GET /v2/parts/manifests/one: Connection refused
        error: DOWN/app:two: same cause as DOWN/app:one
        error: DOWN/app:three: same cause as DOWN/app:one
        error: 3 indexes: 0 done, 0 unchanged, 3 failed, 0 skipped
    "};
    assert_eq!(outcome.stderr, workspace.fill(expected));
    let document = outcome.json();
    for (at, tag) in ["one", "two", "three"].iter().enumerate() {
        let message = document["indexes"][at]["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("GET /v2/parts/manifests/{tag}: Connection refused")), "{message}");
    }

    let sandbox = Sandbox::new().with(|workspace| workspace.flags(&["--retries", "0"]).placeholder("DOWN", DOWN));
    for tag in ["a", "b"] {
        push_image(&sandbox.registry, "app", tag, "amd64");
    }
    let copied = sandbox.run(&["copy", "--tags", "*", "HOST/app", "DOWN/copy"]).exits(1);
    let first = "error: cannot push DOWN/copy:a: no response from DOWN: Connection refused\n    blob DOWN/copy@sha256:";
    assert!(copied.stderr.starts_with(&sandbox.fill(first)), "{copied:?}");
    copied.stderr_contains(&sandbox.fill("\n  no tag was written\nerror: DOWN/copy:b: same cause as DOWN/copy:a\n"));
}

/// Two references that do not exist have different causes: each may be misspelled.
#[test]
fn missing_sources_of_several_indexes_are_all_named() {
    let sandbox = Sandbox::new();
    let spec = |tag: &str| format!("image: HOST/app:{tag}\nmanifests: [{{image: HOST/parts:{tag}}}]\n");
    sandbox.write("many.yaml", &["one", "two"].map(spec).join("---\n"));
    let outcome = sandbox.run(&["push", "from-spec", "many.yaml"]).exits(1);
    outcome.stderr_contains("/parts:one not found").stderr_contains("/parts:two not found").stderr_lacks("same cause");
}

#[test]
fn problems_of_arguments_do_not_mention_a_spec() {
    let workspace = Workspace::new();
    let args =
        ["push", "from-args", "--platforms", "linux/amd65,linux", "--template", "r.io/a:ARCH", "--target", "r.io/a"];
    let outcome = workspace.run(&[&args[..], &["-o", "json"]].concat()).exits(1);
    let expected = indoc! {r#"
        error: 3 problems found
        target "r.io/a" has no tag; manifest-tool does not default to "latest"
        unsupported platform linux/amd65; did you mean linux/amd64?
        invalid platform "linux": expected OS/ARCH or OS/ARCH/VARIANT, such as linux/arm/v7
    "#};
    assert_eq!(outcome.stderr, expected);
    let document = outcome.json();
    assert_eq!(document["error"]["message"], "3 problems found");
    let problem = json!({"message": "unsupported platform linux/amd65", "suggestion": "linux/amd64"});
    assert_eq!(document["error"]["problems"][1], problem);
    let one = ["push", "from-args", "--platforms", "linux/amd64", "--template", "r.io/a:ARCH", "--target", "r.io/a"];
    let one = workspace.run(&one).exits(2);
    assert_eq!(one.stderr, "error: target \"r.io/a\" has no tag; manifest-tool does not default to \"latest\"\n");
}

#[test]
fn selectors_of_remove_are_problems() {
    let sandbox = Sandbox::new();
    for (tag, architecture) in [("a", "amd64"), ("b", "arm64")] {
        push_image(&sandbox.registry, "app", tag, architecture);
    }
    sandbox.run(&["push", "from-images", "-t", "HOST/app:v1", "HOST/app:a", "HOST/app:b"]).success();
    let outcome =
        sandbox.run(&["remove", "HOST/app:v1", "--platform", "linux/sparc64,linux/s390x", "-o", "json"]).exits(1);
    let expected = indoc! {"
        error: cannot change HOST/app:v1: it has no entry for linux/sparc64; its platforms: linux/amd64, linux/arm64
          it has no entry for linux/s390x; its platforms: linux/amd64, linux/arm64
    "};
    assert_eq!(outcome.stderr, sandbox.fill(expected));
    let reference = sandbox.fill("HOST/app:v1");
    let message = |platform: &str| format!("it has no entry for {platform}; its platforms: linux/amd64, linux/arm64");
    let problems = json!([
        {"message": message("linux/sparc64"), "reference": reference},
        {"message": message("linux/s390x"), "reference": reference},
    ]);
    assert_eq!(outcome.json()["error"]["problems"], problems);
}

#[test]
fn a_reference_that_is_given_twice_has_its_cause() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run(&["query", "HOST/app:gone", "HOST/app:gone"]).exits(1);
    let expected = sandbox.fill("error: 2 of 2 references cannot be read: ");
    assert!(outcome.stderr.starts_with(&expected) && outcome.stderr.contains("HTTP 404"), "{outcome:?}");
}

/// Both registries answer 503, for reasons of their own.
#[test]
fn causes_of_different_registries_are_not_merged() {
    let servers = [0, 1].map(|_| ScriptedServer::start(|_, _| (503, vec![], vec![])));
    let [first, second] = &servers;
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]);
    let spec = |host: &str| format!("---\nimage: {host}/app:v1\nmanifests: [{{image: '{host}/app:amd64'}}]\n");
    workspace.write("two.yaml", &(spec(&first.host) + &spec(&second.host)));
    let outcome = workspace.run(&["push", "from-spec", "two.yaml"]).exits(1);
    assert!(!outcome.stderr.contains("same cause") && outcome.stderr.matches("HTTP 503").count() >= 2, "{outcome:?}");
}
