//! Flags, help, start-up, and what goes to which stream.

use crate::support::images::push_image;
use crate::support::{Registry, manifest_tool, manifest_tool_with_stdin};

#[test]
fn bad_usage_is_exit_2_and_says_what() {
    let folder = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&["push", "--type", "dokcer", "from-spec", "x.yaml"][..], "dokcer"),
        (&["inspect"], "<IMAGE>"),
        (&["inspct", "r.io/a:1"], "inspect"),
        (&["push", "from-args", "--target", "r.io/a:1"], "--platforms"),
        (&["inspect", "--plain-htp", "r.io/a:1"], "--plain-http"),
        (&["--username", "u", "inspect", "r.io/a:1"], "--password"),
    ] {
        let outcome = manifest_tool(folder.path(), args);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains(part), "{args:?}: {outcome:?}");
    }
}

#[test]
fn bad_specs_name_file_line_column_and_the_nearest_key() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.yaml"), "image: r.io/app:v1\nmanifest: []\ntags: [a, a]\n").unwrap();
    let outcome = manifest_tool(folder.path(), &["push", "from-spec", "s.yaml"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""));
    assert_eq!(
        outcome.stderr,
        "warning: s.yaml:3:11: tag \"a\" is named twice\nerror: the spec is not usable\ns.yaml:1:1: \"manifests\" is missing: the list of images to put into the index\n\
         s.yaml:2:1: unknown key \"manifest\" in a spec; did you mean \"manifests\"?\n"
    );
    let missing = manifest_tool(folder.path(), &["push", "from-spec", "no.yaml"]);
    assert!(missing.exit == 1 && missing.stderr.contains("cannot read no.yaml"), "{missing:?}");
    let stdin = manifest_tool_with_stdin(folder.path(), &["push", "from-spec", "-"], "image: [");
    assert!(stdin.exit == 1 && stdin.stderr.starts_with("error: <stdin>:"), "{stdin:?}");
}

#[test]
fn help_is_on_stdout_and_every_command_has_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["--help"][..],
        &["inspect", "--help"],
        &["push", "from-spec", "--help"],
        &["push", "from-args", "--help"],
        &["login", "--help"],
        &["logout", "--help"],
    ] {
        let outcome = manifest_tool(folder.path(), args);
        assert_eq!(outcome.exit, 0);
        assert!(outcome.stdout.contains("Example:\n  manifest-tool "), "{args:?}: {}", outcome.stdout);
        assert_eq!(outcome.stderr, "");
    }
    let version = manifest_tool(folder.path(), &["--version"]);
    assert_eq!(version.stdout, format!("manifest-tool {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_pipe_gets_no_colours_and_debug_goes_to_stderr() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let folder = tempfile::tempdir().unwrap();
    let reference = format!("{}/app:v1", registry.host);
    let quiet = manifest_tool(folder.path(), &["inspect", &reference]);
    let loud = manifest_tool(folder.path(), &["inspect", "--debug", &reference]);
    assert!(!quiet.stdout.contains('\x1b') && quiet.stderr.is_empty(), "{quiet:?}");
    assert_eq!(quiet.stdout, loud.stdout);
    assert!(
        loud.stderr.contains(&format!("debug: GET http://{}/v2/app/manifests/v1 -> 200 HTTP/1.1, ", registry.host)),
        "{loud:?}"
    );
}
