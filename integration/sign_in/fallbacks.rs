//! Token services that fail, and tokens with insufficient scope.

use super::{push_args, run_without_leaks};
use crate::support::images::push_image;
use crate::support::scripted_server::{ReceivedRequest, Response, forward_request};
use crate::support::{LOGIN, Outcome, Registry, ScriptedServer, Workspace, basic_credentials};

fn run(args: &[&str], login: &[&str]) -> Outcome {
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "1", "--max-wait", "10ms"]);
    run_without_leaks(&workspace, &[args, login].concat(), &[], "")
}

/// Starts a registry that offers both a token service and Basic authentication. `HOST` in `realm` is its own address.
fn bearer_and_basic(
    registry: &Registry,
    realm: &'static str,
    token: impl Fn() -> Response + Send + Sync + 'static,
) -> ScriptedServer {
    let (upstream, basic) = (registry.host.clone(), format!("Basic {}", basic_credentials()));
    ScriptedServer::start(move |request, host| {
        let bearer = format!("Bearer realm=\"{}\",service=\"s\"", realm.replace("HOST", host));
        match request.authorization.as_deref() {
            _ if request.line.contains("/token") => token(),
            Some(value) if value == basic => forward_request(request, &upstream, host),
            _ => (401, vec![("WWW-Authenticate", bearer), ("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        }
    })
}

fn token_response(status: u16, body: &'static str) -> impl Fn() -> Response {
    move || (status, vec![("Location", "/login".into())], body.into())
}

#[test]
fn basic_is_used_if_the_token_service_does_not_work() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    for (realm, status, body) in [
        ("http://HOST/token", 404, "not found"),
        ("http://HOST/token", 405, ""),
        ("http://HOST/token", 500, ""),
        ("http://HOST/token", 503, ""),
        ("http://HOST/token", 302, ""),
        ("http://HOST/token", 200, "<html>a page for everything</html>"),
        ("http://127.0.0.1:1/token", 200, ""),
        ("http://none.localhost:1/token", 200, ""),
    ] {
        let server = bearer_and_basic(&registry, realm, token_response(status, body));
        let outcome = run(&["inspect", &format!("{}/app:v1", server.host)], &LOGIN);
        assert_eq!(outcome.exit, 0, "{realm} {status}: {outcome:?}");
        let attempts = server.requests().iter().filter(|request| request.line.contains("/token")).count();
        let expected = match (realm.contains("HOST"), status) {
            (false, _) => 0,
            (true, 500..) => 2,
            (true, _) => 1,
        };
        assert_eq!(attempts, expected, "{realm} {status}: the service is not tried again for each request");
    }
}

/// A token service that rejects the credentials works, and a registry that does not offer Basic gets no password.
#[test]
fn basic_is_not_used_if_a_token_service_rejects_the_request_or_basic_is_not_offered() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    for status in [400, 401, 403, 429] {
        let server = bearer_and_basic(&registry, "http://HOST/token", token_response(status, ""));
        let outcome = run(&["inspect", &format!("{}/app:v1", server.host)], &LOGIN);
        assert_eq!(outcome.exit, 1, "{status}: {outcome:?}");
        let basic = server.requests().into_iter().filter(|request| request.authorization.is_some());
        assert!(basic.into_iter().all(|request| request.line.contains("/token")), "{status}");
    }
    let bearer_only = ScriptedServer::start(|request, host| match request.line.contains("/token") {
        true => (404, vec![], vec![]),
        false => (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![]),
    });
    let outcome = run(&["inspect", &format!("{}/app:v1", bearer_only.host)], &LOGIN);
    outcome.fails(1, "token service");
    let basic = bearer_only.requests().into_iter().filter(|request| request.authorization.is_some());
    assert!(basic.into_iter().all(|request| request.line.contains("/token")));
}

#[test]
fn without_credentials_a_failed_token_service_is_an_error() {
    let registry = Registry::start();
    let server = bearer_and_basic(&registry, "http://HOST/token", token_response(404, ""));
    let outcome = run(&["inspect", &format!("{}/app:v1", server.host)], &[]);
    outcome.fails(1, "token service");
    assert!(server.requests().iter().all(|request| request.authorization.is_none()));
}

/// An untrusted realm is an error, not a reason to fall back to Basic.
#[test]
fn an_untrusted_realm_does_not_fall_back_to_basic() {
    let registry = Registry::start();
    let server = bearer_and_basic(&registry, "http://169.254.169.254/token", token_response(404, ""));
    let outcome = run(&["inspect", &format!("{}/app:v1", server.host)], &LOGIN);
    outcome.fails(1, "cannot be trusted");
    assert!(server.requests().iter().all(|request| request.authorization.is_none()));
}

#[test]
fn concurrent_requests_try_a_failed_token_service_once() {
    let registry = Registry::start();
    for architecture in ["amd64", "arm64", "s390x"] {
        push_image(&registry, "app", architecture, architecture);
    }
    let server = bearer_and_basic(&registry, "http://HOST/token", token_response(404, ""));
    let (template, target) = (format!("{}/app:ARCH", server.host), format!("{}/app:v1", server.host));
    run(&push_args("linux/amd64,linux/arm64,linux/s390x", &template, &target), &LOGIN).success();
    assert_eq!(server.requests().iter().filter(|request| request.line.contains("/token")).count(), 1);
}

/// Starts a registry whose tokens contain their scopes, and which allows deletion only with a token for `scope`.
fn scoped_deletion(registry: &Registry, scope: &'static str, status: u16, error: &'static str) -> ScriptedServer {
    let upstream = registry.host.clone();
    ScriptedServer::start(move |request: &ReceivedRequest, host| {
        if let Some((_, query)) = request.line.split_once("/token?") {
            let granted = query.replace("%3A", ":").replace("%2C", ",").replace('*', "all");
            let token = serde_json::json!({"token": granted.split("scope=").nth(1).unwrap_or_default()});
            return (200, vec![], token.to_string().into_bytes());
        }
        let has = |part: &str| request.authorization.as_deref().is_some_and(|token| token.contains(part));
        let refuse = |status, scope: &str, error: &str| {
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"{scope}\"{error}");
            (status, vec![("WWW-Authenticate", challenge)], vec![])
        };
        match request.line.starts_with("DELETE ") {
            _ if request.authorization.is_none() => refuse(401, "repository:app:pull", ""),
            true if !has(&scope.replace('*', "all")) => refuse(status, &format!("repository:app:{scope}"), error),
            _ => forward_request(request, &upstream, host),
        }
    })
}

#[test]
fn a_deletion_requests_the_scope_that_the_challenge_names() {
    let insufficient = ",error=\"insufficient_scope\"";
    for (scope, status, error, deletes) in [
        ("delete", 401, insufficient, true),
        ("*", 401, insufficient, true),
        ("*", 403, insufficient, true),
        ("erase", 401, insufficient, true),
        // Only the error insufficient_scope is a reason to request all actions.
        ("*", 401, "", false),
        ("*", 401, ",error=\"invalid_token\"", false),
    ] {
        let registry = Registry::start();
        push_image(&registry, "app", "v1", "amd64");
        let digest = registry.manifest("app", "v1").unwrap().digest;
        let server = scoped_deletion(&registry, scope, status, error);
        let outcome = run(&["delete", "--yes", &format!("{}/app@{digest}", server.host)], &LOGIN);
        assert_eq!(outcome.exit == 0, deletes, "{scope} {status} {error}: {outcome:?}");
        assert_eq!(registry.manifest("app", &digest).is_none(), deletes, "{scope} {status} {error}");
        let requests = server.requests();
        let tokens: Vec<&str> =
            requests.iter().map(|request| request.line.as_str()).filter(|l| l.contains("/token")).collect();
        let all_actions = tokens.iter().filter(|line| line.contains('*') || line.contains("%2A")).count();
        assert_eq!(all_actions, usize::from(scope == "*" && deletes), "{scope} {status} {error}: {tokens:?}");
    }
}

/// The credentials are valid but the user lacks the permission, so the hint does not suggest other credentials.
#[test]
fn a_token_with_insufficient_scope_is_not_reported_as_refused_credentials() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let digest = registry.manifest("app", "v1").unwrap().digest;
    let server = scoped_deletion(&registry, "nothing-that-is-granted", 401, ",error=\"insufficient_scope\"");
    // The token grants fewer actions than requested, as for a user without the permission.
    let upstream = server.host.clone();
    let server = ScriptedServer::start(move |request, host| {
        if request.line.contains("/token?") {
            return (200, vec![], br#"{"token":"little"}"#.to_vec());
        }
        forward_request(request, &upstream, host)
    });
    let outcome = run(&["delete", "--yes", &format!("{}/app@{digest}", server.host)], &LOGIN);
    let outcome = outcome.fails(1, "signed in with the credentials from --username");
    assert!(!outcome.stderr.contains("refused the credentials"), "{outcome:?}");
}

/// A challenge that names `*` for a read does not make the client request all actions.
#[test]
fn a_read_never_requests_all_actions() {
    let server = ScriptedServer::start(|request, host| {
        if request.line.contains("/token") {
            return (200, vec![], br#"{"token":"little"}"#.to_vec());
        }
        let challenge =
            format!("Bearer realm=\"http://{host}/token\",scope=\"repository:app:*\",error=\"insufficient_scope\"");
        (401, vec![("WWW-Authenticate", challenge)], vec![])
    });
    let outcome = run(&["inspect", &format!("{}/app:v1", server.host)], &LOGIN);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    let requests = server.requests();
    let tokens = requests.iter().filter(|request| request.line.contains("/token"));
    assert!(
        tokens.clone().count() > 0 && tokens.into_iter().all(|request| !request.line.contains('*')),
        "{requests:?}"
    );
}

/// The token service has accepted the credentials before, so its 401 is about the scope and not about them.
#[test]
fn a_mount_whose_token_is_refused_becomes_an_upload() {
    let registry = Registry::start();
    push_image(&registry, "src", "v1", "amd64");
    let upstream = registry.host.clone();
    let server = ScriptedServer::start(move |request, host| match request.authorization.as_deref() {
        _ if request.line.contains("/token") && request.line.contains("src") && request.line.contains("dst") => {
            (401, vec![], vec![])
        }
        _ if request.line.contains("/token") => (200, vec![], br#"{"token":"t"}"#.to_vec()),
        Some(_) => forward_request(request, &upstream, host),
        None => (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![]),
    });
    let [from, to] = ["src", "dst"].map(|repository| format!("{}/{repository}:v1", server.host));
    run(&["copy", &from, &to], &LOGIN).success();
    assert!(registry.manifest("dst", "v1").is_some());
}
