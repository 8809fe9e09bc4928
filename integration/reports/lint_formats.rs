//! `lint --output json`, `--output github` and `--output sarif`.

use std::path::Path;

use indoc::indoc;
use serde_json::{Value, json};

use crate::support::{Outcome, Workspace};

const VALID: &str = "image: r.io/app:v1\nmanifests: [{image: r.io/app:v1-amd64}]\n";

/// Returns a workspace with problems of every kind, in files with unusual names.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    let keys = indoc! {"
        image: r.io/app:v1
        tags: [a, a]
        manifests:
        - image: r.io/App:v1
          platfrom: {os: linux}
        - {image: r.io/app:v1-arm64, platform: {os: linux, architecture: aarch64}}
    "};
    workspace.write("specs/käse, 100%: a b.yaml", keys);
    let platform = indoc! {"
        image: r.io/app:v2
        tags: [b, b]
        manifests:
        - {image: r.io/app:v1-arm64, platform: {os: linux, architecture: aarch64}}
    "};
    workspace.write("specs/platform.yaml", platform);
    workspace.write("good.yaml", VALID);
    workspace.write("more.yaml", VALID);
    workspace
}

const ARGS: [&str; 5] = ["lint", "specs", "good.yaml", "more.yaml", "gone.yaml"];

#[track_caller]
fn lint(workspace: &Workspace, format: &str) -> Outcome {
    workspace.run(&[&ARGS[..], &["--output", format]].concat()).exits(1)
}

#[test]
fn json_has_an_object_for_each_problem_and_warning() {
    let document = lint(&workspace(), "json").json();
    let file = "specs/käse, 100%: a b.yaml";
    let lowercase = "invalid reference \"r.io/App:v1\": repository names are lowercase";
    let problems = json!([
        {"message": lowercase, "file": file, "line": 4, "column": 10, "suggestion": "r.io/app:v1"},
        {
            "message": "unknown key \"platfrom\" in an entry of \"manifests\"",
            "file": file, "line": 5, "column": 3, "suggestion": "platform",
        },
        {"message": "cannot read gone.yaml: No such file or directory (os error 2)", "file": "gone.yaml"},
        {"message": "r.io/app:v1 is also written by good.yaml", "file": "more.yaml", "reference": "r.io/app:v1"},
        {
            "message": "r.io/app:v2: r.io/app:v1-arm64: unsupported platform linux/aarch64",
            "file": "specs/platform.yaml", "reference": "r.io/app:v1-arm64", "suggestion": "linux/arm64",
        },
    ]);
    assert_eq!(document["problems"], problems);
    let given_twice = |file: &str, tag: &str| json!({"message": format!("tag \"{tag}\" is given twice"), "file": file, "line": 2, "column": 11});
    assert_eq!(document["warnings"], json!([given_twice(file, "a"), given_twice("specs/platform.yaml", "b")]));
    let error = json!({"message": "5 problems found", "hints": [], "problems": problems, "exitCode": 1});
    assert_eq!(document["error"], error);
}

#[test]
fn github_has_an_annotation_for_each_problem_and_warning() {
    let workspace = workspace();
    let text = lint(&workspace, "text");
    let outcome = lint(&workspace, "github");
    let expected = indoc! {r#"
        ::error file=specs/käse%2C 100%25%3A a b.yaml,line=4,col=10,title=manifest-tool::invalid reference "r.io/App:v1": repository names are lowercase; did you mean "r.io/app:v1"?
        ::error file=specs/käse%2C 100%25%3A a b.yaml,line=5,col=3,title=manifest-tool::unknown key "platfrom" in an entry of "manifests"; did you mean "platform"?
        ::error file=gone.yaml,title=manifest-tool::cannot read gone.yaml: No such file or directory (os error 2)
        ::error file=more.yaml,title=manifest-tool::r.io/app:v1 is also written by good.yaml
        ::error file=specs/platform.yaml,title=manifest-tool::r.io/app:v2: r.io/app:v1-arm64: unsupported platform linux/aarch64; did you mean linux/arm64?
        ::warning file=specs/käse%2C 100%25%3A a b.yaml,line=2,col=11,title=manifest-tool::tag "a" is given twice
        ::warning file=specs/platform.yaml,line=2,col=11,title=manifest-tool::tag "b" is given twice
    "#};
    assert_eq!(outcome.stdout, expected);
    assert_eq!(outcome.stderr, text.stderr);
    workspace.run(&["-o", "github", "lint", "good.yaml"]).success().stdout_is("");
    let stdin = workspace.run_with_stdin(&["lint", "-o", "github", "-"], "image: [\n").exits(1);
    assert!(stdin.stdout.starts_with("::error title=manifest-tool::<stdin>:"), "{stdin:?}");
    let warning = workspace.run_with_stdin(&["lint", "-o", "github", "-"], &format!("{VALID}tags: [a, a]\n")).success();
    assert_eq!(warning.stdout, "::warning title=manifest-tool::<stdin>:3:11: tag \"a\" is given twice\n");
    let empty = workspace.run(&["lint", "-o", "github", ""]).exits(1);
    assert_eq!(empty.stdout, "::error title=manifest-tool::no spec given: the argument is empty\n");
}

/// Asserts that stdout is a SARIF log by the schema of OASIS, and returns its run.
#[track_caller]
fn sarif_run(outcome: &Outcome) -> Value {
    // The pattern of languages has a bracket too many, and is not a regular expression that every validator accepts.
    let schema = include_str!("sarif-schema-2.1.0.json").replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}$");
    let schema = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let log = outcome.json();
    let errors: Vec<String> = validator.iter_errors(&log).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{}", outcome.stdout);
    assert!(!validator.is_valid(&json!({"version": "2.1.0"})), "the schema is in effect");
    log["runs"][0].clone()
}

#[test]
fn sarif_is_valid_and_has_a_result_for_each_problem_and_warning() {
    let workspace = workspace();
    let outcome = lint(&workspace, "sarif");
    let run = sarif_run(&outcome);
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let driver = &run["tool"]["driver"];
    assert_eq!((&driver["name"], &driver["version"]), (&json!("manifest-tool"), &json!(env!("CARGO_PKG_VERSION"))));
    let result = |result: &Value| {
        let location = &result["locations"][0]["physicalLocation"];
        let (uri, region) = (&location["artifactLocation"]["uri"], &location["region"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let position = format!("{}:{}", region["startLine"], region["startColumn"]).replace("null", "-");
        format!("{} {} {}:{position}", text(&result["level"]), text(&result["ruleId"]), text(uri))
    };
    let results = run["results"].as_array().unwrap();
    let expected = [
        "error content specs/k%C3%A4se%2C%20100%25%3A%20a%20b.yaml:4:10",
        "error unknown-key specs/k%C3%A4se%2C%20100%25%3A%20a%20b.yaml:5:3",
        "error unreadable-file gone.yaml:-:-",
        "error duplicate-target more.yaml:-:-",
        "error platform specs/platform.yaml:-:-",
        "warning content specs/k%C3%A4se%2C%20100%25%3A%20a%20b.yaml:2:11",
        "warning content specs/platform.yaml:2:11",
    ];
    assert_eq!(results.iter().map(result).collect::<Vec<_>>(), expected);
    let fix = &results[1]["fixes"][0]["artifactChanges"][0]["replacements"][0];
    let region = json!({"startLine": 5, "startColumn": 3, "endColumn": 11});
    assert_eq!(fix, &json!({"deletedRegion": region, "insertedContent": {"text": "platform"}}));
    assert!(results.iter().skip(2).all(|result| result.get("fixes").is_none()));
    let ids: Vec<&Value> = driver["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
    assert!(results.iter().all(|result| ids.contains(&&result["ruleId"])));
}

#[test]
fn sarif_without_problems_has_no_results() {
    let workspace = workspace();
    let outcome = workspace.run(&["--output=sarif", "lint", "good.yaml"]).success();
    assert_eq!((sarif_run(&outcome)["results"].clone(), outcome.stderr.as_str()), (json!([]), ""));
    let warning = workspace.run_with_stdin(&["lint", "-o", "sarif", "-q", "-"], &format!("{VALID}tags: [a, a]\n"));
    let expected = json!({
        "ruleId": "content", "level": "warning", "message": {"text": "<stdin>:3:11: tag \"a\" is given twice"},
    });
    assert_eq!(sarif_run(&warning.success())["results"], json!([expected]));
    let absolute = workspace.path("specs/platform.yaml");
    let outcome = workspace.run(&["lint", "-o", "sarif", &absolute.to_string_lossy()]).exits(1);
    let uri = sarif_run(&outcome)["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
    let folder = std::fs::canonicalize(workspace.folder()).unwrap();
    let is_plain = folder == Path::new(workspace.folder());
    assert!(uri == "specs/platform.yaml" || !is_plain, "{uri}");
}

#[test]
fn only_lint_has_the_formats_of_ci_systems() {
    let workspace = Workspace::new();
    for format in ["github", "sarif"] {
        for args in [
            &["inspect", "r.io/app:v1"][..],
            &["push", "from-spec", "app.yaml"],
            &["schema"],
            &["completion", "bash"],
            &["login", "r.io"],
        ] {
            let message =
                "error: only lint has --output github and --output sarif; other commands have text and json\n";
            workspace.run(&[args, &["-o", format]].concat()).fails(2, message).stdout_is("");
            workspace.run(&[&["--output", format], args].concat()).fails(2, message).stdout_is("");
        }
    }
    workspace.run(&["lint", "--help"]).success().stdout_contains("--output <text|json|github|sarif>");
    workspace.run(&["tags", "--help"]).success().stdout_contains("--output <text|json>");
    workspace.run(&["lint", "-o", "xml", "a"]).fails(2, "[possible values: text, json, github, sarif]");
    workspace.run(&["tags", "-o", "xml", "a"]).fails(2, "[possible values: text, json]");
    let script = workspace.run(&["completion", "bash"]).success().stdout;
    assert!(script.contains("\"text json github sarif\"") && script.contains("\"text json\""), "{script}");
}
