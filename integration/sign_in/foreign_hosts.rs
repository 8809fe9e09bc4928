//! Redirects to another registry: it gets an anonymous token of its own, and never the credentials of the first.

use super::{push_args, run_without_leaks};
use crate::support::images::push_image;
use crate::support::scripted_server::{ReceivedRequest, Response, forward_request};
use crate::support::{LOGIN, Outcome, Registry, ScriptedServer, Workspace, basic_credentials};

const BEARER: &str = "Bearer realm=\"http://HOST/token\",service=\"other\",scope=\"repository:app:pull\"";

fn target(request: &ReceivedRequest) -> &str {
    request.line.split_once(' ').unwrap().1
}

/// Starts a registry that requires a token, and issues it to anonymous clients.
fn anonymous_token_registry(registry: &Registry, challenge: &'static str) -> ScriptedServer {
    let upstream = registry.host.clone();
    ScriptedServer::start(move |request, host| {
        let value = challenge.replace("HOST", host);
        match request.authorization.as_deref() {
            _ if request.line.starts_with("GET /token") => (200, vec![], br#"{"token":"visitor"}"#.to_vec()),
            Some("Bearer visitor") => forward_request(request, &upstream, host),
            _ => (401, vec![("WWW-Authenticate", value)], vec![]),
        }
    })
}

/// Starts a registry that requires user name and password, and redirects matching requests to `destination`.
fn redirecting_registry(
    destination: &str,
    matches: impl Fn(&ReceivedRequest) -> bool + Send + Sync + 'static,
    registry: &Registry,
) -> ScriptedServer {
    let (destination, upstream) = (destination.to_owned(), registry.host.clone());
    let basic = format!("Basic {}", basic_credentials());
    ScriptedServer::start(move |request, host| -> Response {
        match request.authorization.as_deref() {
            Some(value) if value == basic && matches(request) => {
                (307, vec![("Location", format!("http://{destination}{}", target(request)))], vec![])
            }
            Some(value) if value == basic => forward_request(request, &upstream, host),
            _ => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        }
    })
}

fn reads_app(request: &ReceivedRequest) -> bool {
    request.line.starts_with("GET /v2/app/")
}

fn run(args: &[&str]) -> Outcome {
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]);
    run_without_leaks(&workspace, &[args, &LOGIN].concat(), &[], "")
}

fn inspect(registry: &ScriptedServer) -> Outcome {
    run(&["inspect", &format!("{}/app:v1", registry.host)])
}

/// Returns the distinct Authorization headers that a server has received.
fn authorizations(server: &ScriptedServer) -> Vec<Option<String>> {
    let mut all: Vec<_> = server.requests().into_iter().map(|request| request.authorization).collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn a_redirected_read_uses_an_anonymous_token_of_the_other_registry() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let other = anonymous_token_registry(&registry, BEARER);
    let first = redirecting_registry(&other.host, reads_app, &registry);
    inspect(&first).success();
    let expected = [None, Some("Bearer visitor".into())];
    assert_eq!(authorizations(&other), expected, "never the first registry's credentials");
    let lines: Vec<String> = other.requests().into_iter().map(|request| request.line).collect();
    let tokens: Vec<&String> = lines.iter().filter(|line| line.starts_with("GET /token")).collect();
    assert_eq!(tokens, ["GET /token?client_id=manifest-tool&service=other&scope=repository%3Aapp%3Apull"]);
    assert!(first.requests().iter().all(|request| request.authorization.as_deref() != Some("Bearer visitor")));
}

#[test]
fn a_redirected_manifest_write_uses_an_anonymous_token_of_the_other_registry() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let other = anonymous_token_registry(&registry, BEARER);
    let first = redirecting_registry(&other.host, |request| request.writes_manifest("v1"), &registry);
    let (template, target) = (format!("{}/app:ARCH", first.host), format!("{}/app:v1", first.host));
    run(&push_args("linux/amd64", &template, &target)).success();
    assert!(registry.manifest("app", "v1").is_some());
    assert_eq!(authorizations(&other), [None, Some("Bearer visitor".into())]);
}

#[test]
fn a_redirect_to_a_third_host_carries_no_token() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let storage = ScriptedServer::in_front_of(&registry, |_| None);
    let destination = storage.host.clone();
    let other = ScriptedServer::start(move |request, host| match request.authorization.as_deref() {
        _ if request.line.starts_with("GET /token") => (200, vec![], br#"{"token":"visitor"}"#.to_vec()),
        Some("Bearer visitor") => (307, vec![("Location", format!("http://{destination}{}", target(request)))], vec![]),
        _ => (401, vec![("WWW-Authenticate", BEARER.replace("HOST", host))], vec![]),
    });
    let first = redirecting_registry(&other.host, reads_app, &registry);
    inspect(&first).success();
    assert_eq!(authorizations(&storage), [None]);
}

/// The other registry gets no user name and password, and its realm must pass the same checks.
#[test]
fn another_registry_that_requires_more_than_an_anonymous_token_is_an_error() {
    for challenge in [
        "Basic realm=\"r\"",
        "Negotiate",
        "Bearer realm=\"http://169.254.169.254/latest\"",
        "Bearer realm=\"http://user:x@HOST/token\"",
        "Bearer realm=\"http://other.invalid/token\"",
        "Bearer realm=\"https://HOST/token\"",
    ] {
        let registry = Registry::start();
        push_image(&registry, "app", "v1", "amd64");
        let other = anonymous_token_registry(&registry, challenge);
        let first = redirecting_registry(&other.host, reads_app, &registry);
        let outcome = inspect(&first);
        let error = format!("refused at {}, to which the registry redirects", other.host);
        assert!(outcome.exit == 1 && outcome.stderr.contains(&error), "{challenge}: {outcome:?}");
        assert_eq!(authorizations(&other), [None], "{challenge}");
    }
}
