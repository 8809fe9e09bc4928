//! Flags, help and usage errors, and the output stream of each message.

use indoc::indoc;

use crate::support::images::push_image;
use crate::support::{Registry, Sandbox, Workspace};

#[test]
fn a_usage_error_exits_with_2_and_names_the_argument() {
    let workspace = Workspace::new();
    for (args, part) in [
        (&["push", "--type", "dokcer", "from-spec", "x.yaml"][..], "dokcer"),
        (&["inspect"], "<IMAGE>"),
        (&["inspct", "r.io/a:1"], "inspect"),
        (&["push", "from-args", "--target", "r.io/a:1"], "--platforms"),
        (&["inspect", "--plain-htp", "r.io/a:1"], "--plain-http"),
        (&["--username", "u", "inspect", "r.io/a:1"], "--password"),
    ] {
        let outcome = workspace.run(args);
        assert_eq!((outcome.exit, outcome.stdout.as_str()), (2, ""), "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains(part), "{args:?}: {outcome:?}");
    }
}

#[test]
fn an_invalid_spec_is_reported_with_file_line_column_and_the_nearest_key() {
    let workspace = Workspace::new();
    let spec = indoc! {"
        image: r.io/app:v1
        manifest: []
        tags: [a, a]
    "};
    workspace.write("s.yaml", spec);
    let outcome = workspace.run(&["push", "from-spec", "s.yaml"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""));
    let expected = indoc! {r#"
        warning: s.yaml:3:11: tag "a" is given twice
        error: 2 problems found
        s.yaml:1:1: "manifests" is missing: the list of images to put into the index
        s.yaml:2:1: unknown key "manifest" in a spec; did you mean "manifests"?
    "#};
    assert_eq!(outcome.stderr, expected);
    workspace.run(&["push", "from-spec", "no.yaml"]).fails(1, "cannot read no.yaml");
    let stdin = workspace.run_with_stdin(&["push", "from-spec", "-"], "image: [");
    assert!(stdin.exit == 1 && stdin.stderr.starts_with("error: <stdin>:"), "{stdin:?}");
}

#[test]
fn help_goes_to_stdout_and_has_an_example() {
    let workspace = Workspace::new();
    for args in [
        &["--help"][..],
        &["inspect", "--help"],
        &["push", "from-spec", "--help"],
        &["push", "from-args", "--help"],
        &["login", "--help"],
        &["logout", "--help"],
    ] {
        let outcome = workspace.run(args);
        assert_eq!(outcome.exit, 0);
        assert!(outcome.stdout.contains("Example:\n  manifest-tool "), "{args:?}: {}", outcome.stdout);
        assert_eq!(outcome.stderr, "");
    }
    let version = workspace.run(&["--version"]);
    assert_eq!(version.stdout, format!("manifest-tool {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn output_to_a_pipe_has_no_colours_and_debug_messages_go_to_stderr() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let workspace = Workspace::new();
    let reference = format!("{}/app:v1", registry.host);
    let plain = workspace.run(&["inspect", &reference]);
    let debug = workspace.run(&["inspect", "--debug", &reference]);
    assert!(!plain.stdout.contains('\x1b') && plain.stderr.is_empty(), "{plain:?}");
    assert_eq!(plain.stdout, debug.stdout);
    let request = format!("GET http://{}/v2/app/manifests/v1 -> 200 HTTP/1.1, ", registry.host);
    assert!(debug.debug_log().iter().any(|line| line.starts_with(&request)), "{debug:?}");
}

#[test]
fn aliases_and_short_flags_of_other_programs_work() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let version = Workspace::new().run(&["version"]).success().stdout;
    assert_eq!(version, format!("manifest-tool {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(sandbox.run(&["ls", "HOST/app"]).success().stdout, "v1\n");
    sandbox.run(&["cp", "-q", "HOST/app:v1", "HOST/app:v2"]).success().stdout_contains("Digest: ");
    let document = sandbox.run(&["ls", "-o", "json", "HOST/app"]).success().json();
    assert_eq!((&document["command"], document["tags"].as_array().unwrap().len()), (&"tags".into(), 2));
    let debug = sandbox.run(&["-D", "ls", "HOST/app"]).success();
    assert!(debug.debug_log().iter().any(|line| line.starts_with("GET ")), "{debug:?}");
}

#[test]
fn commands_and_flags_of_other_programs_get_advice() {
    let workspace = Workspace::new();
    for (args, advice) in [
        (&["create", "r.io/a:v1", "r.io/a:b"][..], "tip: use push from-images to create an index of images"),
        (&["rm", "r.io/a:v1"], "tip: use delete for a tag or manifest, or remove to take images out of an index"),
        (&["copy", "--all", "r.io/a:v1", "r.io/b:v1"], "tip: copy copies whole indexes; --platform selects images"),
        (&["inspect", "--tls-verify=false", "r.io/a:v1"], "tip: use --insecure to skip certificate checks"),
        (&["push", "--format", "json"], "tip: use --output json"),
    ] {
        workspace.run(args).fails(2, advice).stderr_lacks("similar");
    }
}

/// Returns the arguments that name each command, its subcommands and the program itself.
fn commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, path: &[String]) -> Vec<Vec<String>> {
        let subcommands =
            command.get_subcommands().flat_map(|sub| below(sub, &[path, &[sub.get_name().into()]].concat()));
        std::iter::once(path.to_vec()).chain(subcommands).collect()
    }
    let commands = below(&manifest_tool::cli::command(), &[]);
    assert!(commands.len() > 15, "{commands:?}");
    commands
}

fn help(columns: &str, command: &[String], flag: &str) -> String {
    let args: Vec<&str> = command.iter().map(String::as_str).chain([flag]).collect();
    let outcome = Workspace::new().env("COLUMNS", columns).run(&args).success();
    assert_eq!(outcome.stderr, "");
    outcome.stdout
}

#[test]
fn every_help_page_fits_into_80_columns() {
    for command in commands() {
        for flag in ["-h", "--help"] {
            let page = help("80", &command, flag);
            let long: Vec<&str> = page.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{command:?} {flag}: {long:#?}");
        }
    }
}

#[test]
fn a_narrow_terminal_breaks_help_only_between_words() {
    for command in commands() {
        for flag in ["-h", "--help"] {
            let [wide, narrow] = ["80", "40"].map(|columns| help(columns, &command, flag));
            let words = |page: &str| page.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&wide), words(&narrow), "{command:?} {flag}");
        }
    }
}

#[test]
fn the_short_help_has_the_flags_of_the_command_and_refers_to_the_whole_help() {
    for command in commands() {
        let (short, whole) = (help("80", &command, "-h"), help("80", &command, "--help"));
        assert!(short.ends_with("\nUse --help for all options and examples.\n"), "{command:?}: {short}");
        assert!(!short.contains("--ca-cert") && !short.contains("Example:"), "{command:?}: {short}");
        assert!(whole.contains("--ca-cert") && whole.contains("Example:\n  manifest-tool "), "{command:?}: {whole}");
        assert!(short.lines().count() + 10 < whole.lines().count(), "{command:?}: {short}");
    }
    let root = help("80", &[], "-h");
    assert!(root.contains("\n  push ") && root.contains("\n  tags "), "{root}");
    let from_args = help("80", &["push".into(), "from-args".into()], "-h");
    assert!(from_args.contains("--platforms") && from_args.contains("--dry-run"), "{from_args}");
    // -h after other flags, and as the value of one.
    let workspace = Workspace::new();
    for args in [&["copy", "-qh"][..], &["--output", "json", "cp", "-h"], &["copy", "-u", "copy", "-h"]] {
        workspace.run(args).success().stdout_contains("Use --help").stdout_contains("<SRC> <DST>");
    }
    let whole = workspace.run(&["copy", "-u", "-h", "--help"]).success();
    assert!(whole.stdout.contains("--ca-cert"), "{whole:?}");
}
