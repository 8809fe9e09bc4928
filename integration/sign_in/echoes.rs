//! Servers that echo the credentials they received: the program never prints them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::support::scripted_server::{ReceivedRequest, Response};
use crate::support::{ScriptedServer, Workspace};

const PASSWORD: &str = "hunter+2/ü";
/// The form-urlencoded password.
const ENCODED: &str = "hunter%2B2%2F%C3%BC";

fn basic() -> String {
    BASE64_STANDARD.encode(format!("ci:{PASSWORD}"))
}

/// Returns all output of `inspect`, with `--debug` and as JSON.
fn inspect_output(server: &ScriptedServer) -> String {
    let flags = ["--plain-http", "--debug", "--retries", "1", "--output", "json"];
    let workspace = Workspace::new().flags(&flags).flags(&["--username", "ci", "--password-stdin"]);
    let outcome = workspace.run_with_stdin(&["inspect", &format!("{}/app:v1", server.host)], PASSWORD);
    assert_ne!(outcome.exit, 0, "{outcome:?}");
    format!("{}\n{}", outcome.stdout, outcome.stderr)
}

/// Starts a server that requires Basic authentication and responds with `echo` of the Authorization header.
fn echo_server(echo: impl Fn(&str) -> Response + Send + Sync + 'static) -> ScriptedServer {
    ScriptedServer::start(move |request: &ReceivedRequest, _| match &request.authorization {
        None => (401, vec![("WWW-Authenticate", "Basic realm=\"x\"".into())], vec![]),
        Some(value) => echo(value),
    })
}

#[track_caller]
fn assert_no_secret_is_shown(server: &ScriptedServer, tokens: &[&str]) {
    let output = inspect_output(server);
    assert!(server.requests().iter().any(|request| request.authorization.is_some()), "{output}");
    let basic = basic();
    let encoded = basic.replace('=', "%3D").replace('+', "%2B");
    let secrets = [PASSWORD, ENCODED, basic.trim_end_matches('='), encoded.trim_end_matches("%3D")];
    for secret in secrets.iter().chain(tokens) {
        assert!(!output.contains(secret), "{secret}: {output}");
    }
    assert!(output.contains("****"), "the redacted secret is marked: {output}");
}

#[test]
fn credentials_in_a_response_body_are_redacted() {
    for status in [400, 401, 403, 404, 500] {
        let json = move |message: String| {
            let body = serde_json::json!({"errors": [{"code": "DENIED", "message": message}]});
            (status, vec![], body.to_string().into_bytes())
        };
        assert_no_secret_is_shown(&echo_server(move |sent| json(format!("you sent {sent}"))), &[]);
        assert_no_secret_is_shown(&echo_server(move |_| json(format!("ci has {PASSWORD}, or {ENCODED}"))), &[]);
        let text = move |sent: &str| (status, vec![], format!("Authorization: {sent}\n").into_bytes());
        assert_no_secret_is_shown(&echo_server(text), &[]);
    }
}

#[test]
fn credentials_in_response_headers_and_redirect_urls_are_redacted() {
    let redirect = |location: String| (307, vec![("Location", location)], vec![]);
    let warning = |sent: &str| (403, vec![("Warning", format!("299 - \"you sent {sent}\""))], vec![]);
    assert_no_secret_is_shown(&echo_server(warning), &[]);
    assert_no_secret_is_shown(&echo_server(move |_| redirect(format!("ftp://r.example/{}", basic()))), &[]);
    assert_no_secret_is_shown(&echo_server(move |_| redirect(format!("http://127.0.0.1:1/{ENCODED}/x"))), &[]);
}

#[test]
fn a_token_truncated_in_a_message_is_redacted() {
    let token = "abcdefghijklmnopqrstuvwxyz0123456789".repeat(40);
    let sent = token.clone();
    let server = ScriptedServer::start(move |request: &ReceivedRequest, host| match &request.authorization {
        _ if request.line.contains("/token") => (200, vec![], format!(r#"{{"token":"{token}"}}"#).into_bytes()),
        None => (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![]),
        Some(value) => (403, vec![], format!("bad header: {value}").into_bytes()),
    });
    let beginning = &sent[..24];
    assert_no_secret_is_shown(&server, &[&sent, beginning]);
}

#[test]
fn credentials_in_an_index_are_redacted() {
    let server = echo_server(|sent| {
        let body =
            serde_json::json!({"schemaVersion": 2, "manifests": [], "annotations": {"sent": sent}, "mediaType": sent});
        (200, vec![("Content-Type", "text/plain".into())], body.to_string().into_bytes())
    });
    assert_no_secret_is_shown(&server, &[]);
}
