//! Errors and warnings in a step of GitHub Actions are annotations as well.

use indoc::indoc;

use crate::support::images::push_image;
use crate::support::{Sandbox, ScriptedServer, Workspace};

fn step() -> Workspace {
    Workspace::new().env("GITHUB_ACTIONS", "true")
}

/// Returns the lines that start with `::`.
fn commands(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.starts_with("::")).collect()
}

#[test]
fn problems_of_a_spec_are_annotations_with_a_position() {
    let workspace = step();
    workspace.write("a,b.yaml", "image: r.io/app:v1\ntag: [x]\ntags: [a, a]\nmanifests: []\n");
    let expected = indoc! {r#"
        warning: a,b.yaml:3:11: tag "a" is given twice
        ::warning file=a%2Cb.yaml,line=3,col=11,title=manifest-tool::tag "a" is given twice
        error: 2 problems found
        a,b.yaml:2:1: unknown key "tag" in a spec; did you mean "tags"?
        a,b.yaml:4:12: "manifests" is empty: an index needs at least one image
        ::error file=a%2Cb.yaml,line=2,col=1,title=manifest-tool::unknown key "tag" in a spec; did you mean "tags"?
        ::error file=a%2Cb.yaml,line=4,col=12,title=manifest-tool::"manifests" is empty: an index needs at least one image
    "#};
    for args in [&["push", "from-spec", "a,b.yaml"][..], &["lint", "a,b.yaml"], &["lint", "a,b.yaml", "-o", "sarif"]] {
        assert_eq!(workspace.run(args).exits(1).stderr, expected, "{args:?}");
    }
    let quiet = workspace.run(&["lint", "--quiet", "a,b.yaml"]).exits(1);
    assert_eq!(
        quiet.stderr,
        expected.split_once("tag \"a\" is given twice\nerror").map(|(_, end)| format!("error{end}")).unwrap()
    );
    // The annotations are on stdout already.
    let github = workspace.run(&["lint", "-o", "github", "a,b.yaml"]).exits(1);
    assert_eq!((commands(&github.stderr).len(), commands(&github.stdout).len()), (0, 3), "{github:?}");
    for value in ["", "false", "1"] {
        let outcome = Workspace::new().env("GITHUB_ACTIONS", value).run(&["lint", "a"]).exits(1);
        assert_eq!(commands(&outcome.stderr).len(), 0, "{outcome:?}");
    }
}

#[test]
fn hints_follow_the_message_of_an_annotation() {
    let server = ScriptedServer::start(|_, _| {
        let challenge = vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())];
        (401, challenge, br#"{"errors":[{"code":"UNAUTHORIZED","message":"100% no\n::error ::x"}]}"#.to_vec())
    });
    let workspace = step().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    let outcome = workspace.run(&["inspect", "HOST/app:v1"]).exits(1);
    let says = "(HTTP 401; registry says: UNAUTHORIZED: 100% no ::error ::x)";
    let expected = indoc::formatdoc! {"
        error: no credentials for HOST {says}
        hint: manifest-tool login HOST
        ::error title=manifest-tool::no credentials for HOST {}%0Ahint: manifest-tool login HOST
    ", says.replace('%', "%25")};
    assert_eq!(outcome.stderr, workspace.fill(&expected));
    let expected = indoc! {"
    ::error title=manifest-tool::2 of 2 references cannot be read: no credentials for HOST \
    (HTTP 401; registry says: UNAUTHORIZED: 100%25 no ::error ::x)%0A  HOST/app:v1%0A  HOST/app:v2\
    %0Ahint: manifest-tool login HOST"};
    let several = workspace.run(&["query", "HOST/app:v1", "HOST/app:v2"]).exits(1);
    assert_eq!(commands(&several.stderr), [workspace.fill(expected)]);
}

#[test]
fn usage_errors_are_annotations() {
    let workspace = step();
    for (args, expected) in [
        (
            &["inspect"][..],
            "::error title=manifest-tool::the following required arguments were not provided:%0A  <IMAGE>",
        ),
        (&["tags", "-o", "sarif", "r.io/a"], "::error title=manifest-tool::only lint has --output github and"),
        (&["tags", "r.io/a:v1"], "::error title=manifest-tool::\"r.io/a:v1\" has a tag or digest"),
    ] {
        let outcome = workspace.run(args).exits(2);
        let commands = commands(&outcome.stderr);
        assert!(commands.len() == 1 && commands[0].starts_with(expected), "{outcome:?}");
    }
    assert_eq!(commands(&workspace.run(&["--help"]).success().stderr).len(), 0);
}

#[test]
fn warnings_about_an_index_are_annotations() {
    let sandbox = Sandbox::new().with(|workspace| workspace.env("GITHUB_ACTIONS", "true"));
    push_image(&sandbox.registry, "app", "amd64", "amd64");
    sandbox.write("s.yaml", "image: HOST/app:v1\nhello: 1\ntype: docker\nmanifests: [{image: HOST/app:amd64}]\n");
    let pushed = sandbox.run(&["push", "from-spec", "s.yaml"]).success();
    let commands = commands(&pushed.stderr);
    let about_key =
        "::warning file=s.yaml,line=2,col=1,title=manifest-tool::unknown key \"hello\" in a spec is ignored";
    assert!(commands.contains(&about_key), "{pushed:?}");
    let of_text = |line: &&&str| line.starts_with("::warning title=manifest-tool::");
    assert_eq!(commands.iter().filter(of_text).count(), commands.len() - 1, "{pushed:?}");
    assert_eq!(pushed.stderr.matches("warning: ").count(), commands.len(), "{pushed:?}");
    assert!(pushed.stdout.starts_with("Digest: ") && pushed.stdout.lines().count() == 1, "{pushed:?}");
}

#[test]
fn secrets_are_masked_in_annotations() {
    let workspace = step().env("MANIFEST_TOOL_PASSWORD", "geheimnis").env("MANIFEST_TOOL_USERNAME", "me");
    workspace.write("geheimnis.yaml", "image: r.io/geheimnis:v1\nmanifests: [{image: r.io/Geheimnis:v1}]\n");
    for args in [
        &["lint", "geheimnis.yaml"][..],
        &["lint", "-o", "json", "geheimnis.yaml"],
        &["lint", "-o", "github", "geheimnis.yaml"],
        &["lint", "-o", "sarif", "geheimnis.yaml"],
        &["inspect", "--pasword", "geheimnis", "r.io/a:v1"],
        &["inspect", "-p", "geheimnis", "geheimnis/geheimnis"],
    ] {
        let outcome = workspace.run(args);
        let printed = (outcome.stdout.clone() + &outcome.stderr).to_lowercase();
        assert!(outcome.exit != 0 && !printed.contains("geheimnis"), "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains("::error ") || args.contains(&"github"), "{args:?}: {outcome:?}");
    }
}
