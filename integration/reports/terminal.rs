//! Labels in colour on a terminal, and the debug log.

use crate::support::images::push_image;
use crate::support::{Sandbox, ScriptedServer, Workspace};

#[test]
fn labels_have_colours_on_a_terminal() {
    let server = ScriptedServer::start(|_, _| {
        (
            401,
            vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())],
            br#"{"errors":[{"code":"UNAUTHORIZED"}]}"#.to_vec(),
        )
    });
    let workspace = || Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    let error = "\x1b[1m\x1b[31merror:\x1b[0m no credentials for ";
    let hint = "\r\n\x1b[32mhint:\x1b[0m manifest-tool login ";
    for (outcome, is_coloured) in [
        (workspace().run_in_terminal(100, &["inspect", "HOST/app:v1"]), true),
        (workspace().run_with_stderr_on_terminal(100, &["inspect", "HOST/app:v1"]), true),
        (workspace().env("NO_COLOR", "").run_in_terminal(100, &["inspect", "HOST/app:v1"]), true),
        (workspace().env("NO_COLOR", "1").run_in_terminal(100, &["inspect", "HOST/app:v1"]), false),
    ] {
        let text = &outcome.output;
        assert_eq!((text.contains(error), text.contains(hint)), (is_coloured, is_coloured), "{text:?}");
        assert!(is_coloured || (text.starts_with("error: ") && !text.contains('\x1b')), "{text:?}");
    }
    let workspace = workspace();
    workspace.write("s.yaml", "image: r.io/a:v1\ntags: [a, a]\nmanifests: [{image: r.io/a:b}]\n");
    let warned = workspace.run_in_terminal(100, &["lint", "s.yaml"]);
    assert!(warned.output.starts_with("\x1b[1m\x1b[33mwarning:\x1b[0m s.yaml:2:11: tag"), "{:?}", warned.output);
    let noted = workspace.run_in_terminal(100, &["-debug", "lint", "s.yaml"]);
    assert!(noted.output.starts_with("\x1b[1m\x1b[36mnote:\x1b[0m "), "{:?}", noted.output);
}

#[test]
fn debug_lines_have_the_time_since_the_start() {
    let sandbox = Sandbox::new();
    push_image(&sandbox.registry, "app", "v1", "amd64");
    let outcome = sandbox.run(&["--debug", "inspect", "HOST/app:v1"]).success();
    let times: Vec<f64> = outcome
        .stderr
        .lines()
        .map(|line| {
            let time = line.strip_prefix("debug: [").and_then(|rest| rest.split_once(" s] "));
            let (time, message) = time.unwrap_or_else(|| panic!("{line}"));
            assert!(!message.is_empty() && time.split_once('.').is_some_and(|(_, digits)| digits.len() == 3), "{line}");
            time.parse().unwrap()
        })
        .collect();
    assert!(!times.is_empty() && times.is_sorted() && times.iter().all(|time| (0.0..60.0).contains(time)), "{times:?}");
}
