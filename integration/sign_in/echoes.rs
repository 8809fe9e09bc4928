//! Servers that send back what they were sent to sign in with: no message shows it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::support::scripted::{Answer, Asked};
use crate::support::{Outcome, Scripted, command, run};

const PASSWORD: &str = "hunter+2/ü";
/// As form fields have it.
const ENCODED: &str = "hunter%2B2%2F%C3%BC";

fn basic() -> String {
    BASE64_STANDARD.encode(format!("ci:{PASSWORD}"))
}

/// All that is said, with `--debug` and as JSON.
fn said(server: &Scripted, command_line: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let global =
        ["--plain-http", "--debug", "--retries", "1", "--output", "json", "--username", "ci", "--password-stdin"];
    let image = format!("{}/app:v1", server.host);
    let args = [&global[..], command_line, &[&image]].concat();
    let outcome: Outcome = run(command(folder.path(), &args), PASSWORD);
    assert_ne!(outcome.exit, 0, "{outcome:?}");
    format!("{}\n{}", outcome.stdout, outcome.stderr)
}

/// Asks for user and password; then `echo` answers, with what was sent.
fn that_echoes(echo: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |asked: &Asked, _| match &asked.authorization {
        None => (401, vec![("WWW-Authenticate", "Basic realm=\"x\"".into())], vec![]),
        Some(value) => echo(value),
    })
}

fn shows_nothing(server: &Scripted, command_line: &[&str], tokens: &[&str]) {
    let said = said(server, command_line);
    assert!(server.asked().iter().any(|asked| asked.authorization.is_some()), "{said}");
    let basic = basic();
    let encoded = basic.replace('=', "%3D").replace('+', "%2B");
    let secrets = [PASSWORD, ENCODED, basic.trim_end_matches('='), encoded.trim_end_matches("%3D")];
    for secret in secrets.iter().chain(tokens) {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    assert!(said.contains("****"), "what is left out is marked: {said}");
}

#[test]
fn in_a_body() {
    for status in [400, 401, 403, 404, 500] {
        let json = move |message: String| {
            let body = serde_json::json!({"errors": [{"code": "DENIED", "message": message}]});
            (status, vec![], body.to_string().into_bytes())
        };
        shows_nothing(&that_echoes(move |sent| json(format!("you sent {sent}"))), &["inspect"], &[]);
        shows_nothing(&that_echoes(move |_| json(format!("ci has {PASSWORD}, or {ENCODED}"))), &["inspect"], &[]);
        let text = move |sent: &str| (status, vec![], format!("Authorization: {sent}\n").into_bytes());
        shows_nothing(&that_echoes(text), &["inspect"], &[]);
    }
}

#[test]
fn in_headers_and_urls() {
    let to = |location: String| (307, vec![("Location", location)], vec![]);
    let warning = |sent: &str| (403, vec![("Warning", format!("299 - \"you sent {sent}\""))], vec![]);
    shows_nothing(&that_echoes(warning), &["inspect"], &[]);
    shows_nothing(&that_echoes(move |_| to(format!("ftp://r.example/{}", basic()))), &["inspect"], &[]);
    shows_nothing(&that_echoes(move |_| to(format!("http://127.0.0.1:1/{ENCODED}/x"))), &["inspect"], &[]);
}

#[test]
fn a_token_that_is_cut_off() {
    let token = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(40);
    let sent = token.clone();
    let server = Scripted::start(move |asked: &Asked, host| match &asked.authorization {
        _ if asked.line.contains("/token") => (200, vec![], format!(r#"{{"token":"{token}"}}"#).into_bytes()),
        None => (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![]),
        Some(value) => (403, vec![], format!("bad header: {value}").into_bytes()),
    });
    let beginning = &sent[..24];
    shows_nothing(&server, &["inspect"], &[&sent, beginning]);
}

#[test]
fn in_what_an_index_holds() {
    let server = that_echoes(|sent| {
        let body =
            serde_json::json!({"schemaVersion": 2, "manifests": [], "annotations": {"sent": sent}, "mediaType": sent});
        (200, vec![("Content-Type", "text/plain".into())], body.to_string().into_bytes())
    });
    shows_nothing(&server, &["inspect"], &[]);
}
