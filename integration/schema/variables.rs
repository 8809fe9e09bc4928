//! Variables in specs, from `--set` and `--env`.

use super::{spec_with, spec_with_images};
use crate::support::{Workspace, run};

#[test]
fn set_takes_precedence_over_the_environment() {
    let unset_error = |name: &str| Err(format!("${{{name}}} is not set, or is empty; set it with --set {name}=VALUE"));
    let invalid_reference = |reference: &str, reason: &str| Err(format!("invalid reference \"{reference}\": {reason}"));
    let tag_rules =
        "a tag may have only letters, digits, \"_\", \".\" and \"-\", and must not start with \".\" or \"-\"";
    for (args, environment, expected) in [
        (&["--env"][..], Some("1.10"), Ok("1.10")),
        (&["--set", "LINT_V=2"], None, Ok("2")),
        (&["--set", "LINT_V=2", "--env"], Some("1.10"), Ok("2")),
        (&["--env", "--set", "LINT_V=2", "--set", "LINT_V=3"], Some("1.10"), Ok("3")),
        (&["--env", "--set", "OTHER=2"], Some("1.10"), Ok("1.10")),
        (&["--env"], None, unset_error("LINT_V")),
        (&["--env"], Some(""), unset_error("LINT_V")),
        (&["--set", "OTHER=2"], Some("1.10"), unset_error("LINT_V")),
        (&["--env", "--set", "LINT_V="], Some("1.10"), invalid_reference("r.io/a:", "the tag is empty")),
        (&["--set", "LINT_V=a=b"], None, invalid_reference("r.io/a:a=b", tag_rules)),
        (
            &[],
            Some("1.10"),
            invalid_reference("r.io/a:${LINT_V}", &format!("{tag_rules}; fill variables with --env or --set")),
        ),
    ] {
        let workspace = Workspace::new();
        let mut command = workspace.command(&[&["lint", "-"], args].concat());
        match environment {
            Some(value) => command.env("LINT_V", value),
            None => command.env_remove("LINT_V"),
        };
        let outcome = run(command, &spec_with_images("r.io/a:${LINT_V}", "r.io/b:1"));
        let expected = match expected {
            Ok(tag) => (0, format!("<stdin>: r.io/a:{tag}: 1 image\n"), String::new()),
            Err(problem) => (1, String::new(), format!("error: 1 problem found\n<stdin>:1:8: {problem}\n")),
        };
        assert_eq!((outcome.exit, outcome.stdout, outcome.stderr), expected, "{args:?} {environment:?}");
    }
}

#[test]
fn env_does_not_take_variables_that_hold_credentials() {
    let workspace = Workspace::new();
    for name in [
        "MANIFEST_TOOL_USERNAME",
        "MANIFEST_TOOL_PASSWORD",
        "DOCKER_AUTH_CONFIG",
        "HTTP_PROXY",
        "https_proxy",
        "ALL_PROXY",
    ] {
        let variable = format!("${{{name}}}");
        for (text, position) in [
            (spec_with_images(&format!("r.io/a:{variable}"), "r.io/b:1"), "1:8"),
            (spec_with_images("r.io/a:1", &format!("r.io/b:{variable}")), "2:21"),
            (spec_with(&format!("type: oci\nannotations: {{k: \"{variable}\"}}")), "4:18"),
        ] {
            for (value, command_line) in
                [("hunter2", &["lint"][..]), ("", &["lint"]), ("hunter2", &["push", "from-spec"])]
            {
                let mut command = workspace.command(&[command_line, &["--env", "-"]].concat());
                command.env(name, value);
                let outcome = run(command, &text);
                let error = format!(
                    "<stdin>:{position}: cannot expand {variable}: --env does not read variables that contain \
                     manifest-tool's credentials\n"
                );
                outcome.fails(1, &error).stderr_lacks("hunter2");
            }
            let mut command = workspace.command(&["lint", "--env", "--set", &format!("{name}=v1"), "-"]);
            command.env(name, "hunter2");
            // `--set` names the variable explicitly.
            run(command, &text).success();
        }
    }
}
