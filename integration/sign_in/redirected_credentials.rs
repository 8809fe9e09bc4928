//! Registries that direct the client to an attacker's server, by a realm, a redirect or a `Location`. Each test checks
//! that the attacker received no credentials.

use serde_json::json;

use super::{push_args, run_without_leaks};
use crate::support::certificates::CertificateAuthority;
use crate::support::images::{OCI, push_image};
use crate::support::scripted_server::ReceivedRequest;
use crate::support::token_service::authenticated_only;
use crate::support::{LOGIN, Outcome, Registry, ScriptedServer, TokenService, Workspace, basic_credentials};

/// Starts a server that responds to every request with a token.
fn attacker() -> ScriptedServer {
    ScriptedServer::start(|_, _| (200, vec![], br#"{"token":"x"}"#.to_vec()))
}

/// Asserts that no request carried credentials, and returns the requests.
#[track_caller]
fn requests_without_credentials(server: &ScriptedServer) -> Vec<ReceivedRequest> {
    let requests = server.requests();
    for request in &requests {
        assert_eq!(request.authorization, None, "{request:?}");
        let body = String::from_utf8_lossy(&request.body);
        assert!(!request.line.contains("secret-word") && !body.contains("secret-word"), "{request:?}");
    }
    requests
}

fn run(args: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let workspace = Workspace::new().flags(&["--plain-http"]);
    run_without_leaks(&workspace, &[args, &LOGIN].concat(), environment, "")
}

fn inspect(server: &ScriptedServer) -> Outcome {
    run(&["inspect", &format!("{}/app:v1", server.host)], &[])
}

/// Starts a registry whose challenge names this realm.
fn registry_with_realm(realm: String) -> ScriptedServer {
    ScriptedServer::start(move |_, _| (401, vec![("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))], vec![]))
}

/// Starts a registry that requires user name and password. It responds to requests that contain `part` with this status
/// and a `Location` on the attacker's server.
fn registry_that_redirects(attacker: &ScriptedServer, part: &'static str, status: u16) -> ScriptedServer {
    let location = format!("http://{}/stolen", attacker.host);
    let basic = format!("Basic {}", basic_credentials());
    ScriptedServer::start(move |request: &ReceivedRequest, _| match request.authorization.as_deref() {
        Some(value) if value != basic => (401, vec![], vec![]),
        None => (401, vec![("WWW-Authenticate", "Basic".into())], vec![]),
        Some(_) if request.line.contains(part) => (status, vec![("Location", location.clone())], vec![]),
        Some(_) if request.line.contains("/manifests/") => {
            let digest = format!("sha256:{}", "0".repeat(64));
            let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 9});
            let body = json!({"schemaVersion": 2, "config": config, "layers": []}).to_string();
            (200, vec![("Content-Type", OCI.into())], body.into_bytes())
        }
        Some(_) => (404, vec![], vec![]),
    })
}

#[test]
fn a_realm_on_another_host_without_tls_gets_no_credentials() {
    // The proxy serves the registry and the attacker under different host names.
    let proxy = ScriptedServer::start(|request: &ReceivedRequest, _| {
        let challenge = "Bearer realm=\"http://thief.test/token\",service=\"registry.test\"";
        match request.line.as_str() {
            line if line.contains("thief.test") => (200, vec![], br#"{"token":"x"}"#.to_vec()),
            _ => (401, vec![("WWW-Authenticate", challenge.into())], vec![]),
        }
    });
    let url = format!("http://{}", proxy.host);
    let outcome = run(&["inspect", "registry.test/app:v1"], &[("http_proxy", &url)]);
    outcome.fails(1, "it is on another host, and without TLS");
    let requests = requests_without_credentials(&proxy);
    let all_to_registry = requests.iter().all(|request| request.line.contains("registry.test/v2/"));
    assert!(!requests.is_empty() && all_to_registry, "{requests:?}");
}

#[test]
fn an_untrusted_realm_gets_no_request() {
    let attacker = attacker();
    for (realm, reason) in [
        (format!("http://user:x@{}/token", attacker.host), "it has user info"),
        ("http://169.254.169.254/latest/meta-data".into(), "link-local or metadata"),
        ("http://[fe80::1]/token".into(), "link-local or metadata"),
        (format!("ftp://{}/token", attacker.host), "it does not use https"),
        (attacker.host.clone(), "not"),
    ] {
        let outcome = inspect(&registry_with_realm(realm.clone()));
        assert!(outcome.exit == 1 && outcome.stderr.contains("cannot be trusted"), "{realm}: {outcome:?}");
        assert!(outcome.stderr.contains(reason), "{realm}: {outcome:?}");
    }
    assert!(requests_without_credentials(&attacker).is_empty());
}

#[test]
fn a_realm_without_tls_named_by_a_registry_with_tls_gets_no_request() {
    let workspace = Workspace::new();
    let attacker = attacker();
    let service = TokenService::start(authenticated_only, 300, |_| None);
    let authority = CertificateAuthority::new(workspace.folder());
    let auth = service.registry_config(workspace.folder()).replace(&service.server.host, &attacker.host);
    let registry = Registry::start_with(&(authority.registry_config(workspace.folder()) + &auth), None);
    let (reference, certificate) = (format!("{}/app:v1", registry.host), authority.certificate.to_str().unwrap());
    let args = [&["--ca-cert", certificate, "inspect", &reference], &LOGIN[..]].concat();
    run_without_leaks(&workspace, &args, &[], "").fails(1, "it does not use https");
    assert!(requests_without_credentials(&attacker).is_empty());
}

#[test]
fn a_redirect_from_the_token_service_is_not_followed() {
    let attacker = attacker();
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/stolen", attacker.host);
        let server = ScriptedServer::start(move |request, host| {
            if request.line.contains("/token") {
                return (status, vec![("Location", location.clone())], vec![]);
            }
            (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![])
        });
        inspect(&server).fails(1, &format!("answered with a redirect (HTTP {status}), which is not followed"));
    }
    assert!(requests_without_credentials(&attacker).is_empty());
}

#[test]
fn a_redirect_of_a_manifest_or_blob_is_followed_without_credentials() {
    for part in ["/manifests/", "/blobs/"] {
        for status in [301, 302, 303, 307, 308] {
            let attacker = attacker();
            let server = registry_that_redirects(&attacker, part, status);
            let reference = format!("{}/app:v1", server.host);
            let outcome = run(&["inspect", &reference, "--retries", "0"], &[]);
            assert_eq!(outcome.exit, 1, "{outcome:?}");
            assert_eq!(requests_without_credentials(&attacker).len(), 1, "the redirect is followed: {outcome:?}");
        }
    }
}

#[test]
fn a_redirect_back_to_the_registry_carries_no_credentials() {
    let attacker = ScriptedServer::start(|request: &ReceivedRequest, _| {
        let back = request.line.rsplit("back=").next().unwrap();
        (307, vec![("Location", format!("http://{back}/back"))], vec![])
    });
    let (away, basic) = (attacker.host.clone(), format!("Basic {}", basic_credentials()));
    let server = ScriptedServer::start(move |request: &ReceivedRequest, host| match request.authorization.as_deref() {
        _ if request.line == "GET /back" => (404, vec![], vec![]),
        Some(value) if value == basic => (307, vec![("Location", format!("http://{away}/?back={host}"))], vec![]),
        _ => (401, vec![("WWW-Authenticate", "Basic".into())], vec![]),
    });
    let outcome = inspect(&server);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    requests_without_credentials(&attacker);
    let back: Vec<ReceivedRequest> =
        server.requests().into_iter().filter(|request| request.line == "GET /back").collect();
    assert!(!back.is_empty() && back.iter().all(|request| request.authorization.is_none()), "{back:?}");
}

#[test]
fn an_upload_location_on_another_host_gets_no_credentials() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let attacker = attacker();
    let location = format!("http://{}/upload", attacker.host);
    let basic = format!("Basic {}", basic_credentials());
    let proxy = ScriptedServer::in_front_of(&registry, move |request| {
        if request.authorization.as_deref() != Some(&basic) {
            return Some((401, vec![("WWW-Authenticate", "Basic".into())], vec![]));
        }
        request.line.contains("/blobs/uploads/").then(|| (202, vec![("Location", location.clone())], vec![]))
    });
    let (template, target) = (format!("{}/parts:ARCH", proxy.host), format!("{}/whole:v1", proxy.host));
    let outcome = run(&push_args("linux/amd64", &template, &target), &[]);
    assert_eq!(outcome.exit, 1, "the registry did not receive the blobs: {outcome:?}");
    let requests = requests_without_credentials(&attacker);
    let all_are_uploads = requests.iter().all(|request| request.line.starts_with("PUT /upload?digest=sha256:"));
    assert!(all_are_uploads, "{requests:?}");
    assert!(!requests.is_empty());
}

#[test]
fn a_challenge_with_ten_thousand_parameters_is_refused() {
    let attacker = attacker();
    let host = attacker.host.clone();
    let server = ScriptedServer::start(move |_, _| {
        let parameters: String = (0..10_000).map(|n| format!("p{n}=v,")).collect();
        (401, vec![("WWW-Authenticate", format!("Bearer {parameters}realm=\"http://{host}/token\""))], vec![])
    });
    let outcome = inspect(&server);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(requests_without_credentials(&attacker).is_empty());
}

/// The host a registry redirects to may name a token service, which is used without credentials. Its refusal is not
/// reported as a refusal of the user's credentials.
#[test]
fn a_token_service_named_after_a_redirect_is_used_without_credentials() {
    let attacker = ScriptedServer::start(|_, host| {
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        (401, vec![("WWW-Authenticate", challenge)], b"expired".to_vec())
    });
    let outcome = inspect(&registry_that_redirects(&attacker, "/manifests/", 307));
    let outcome = outcome.fails(1, &format!("at {}, to which the registry redirects", attacker.host));
    assert!(!outcome.stderr.contains("refused the credentials") && !outcome.stderr.contains("hint"), "{outcome:?}");
    assert_eq!(requests_without_credentials(&attacker).len(), 2, "the manifest and a token");
}

/// `credentials::tests` covers credentials from the command line.
#[test]
fn configured_credentials_are_sent_only_to_their_own_host() {
    let attacker = ScriptedServer::start(|_, _| (401, vec![("WWW-Authenticate", "Basic".into())], vec![]));
    let port = attacker.host.rsplit(':').next().unwrap();
    let other_hosts =
        [format!("1{}", attacker.host), format!("{}0", attacker.host), format!("localhost:{port}"), "127.0.0.1".into()];
    let entry = |host: &String| format!(r#""{host}":{{"auth":"{}"}}"#, basic_credentials());
    let auths: Vec<String> = other_hosts.iter().map(entry).collect();
    let config = format!(r#"{{"auths":{{{}}}}}"#, auths.join(","));
    let workspace = Workspace::new().flags(&["--plain-http"]);
    let args = ["inspect", &format!("{}/app:v1", attacker.host)];
    let outcome = run_without_leaks(&workspace, &args, &[("DOCKER_AUTH_CONFIG", &config)], "");
    outcome.fails(1, "no credentials for");
    requests_without_credentials(&attacker);
}
