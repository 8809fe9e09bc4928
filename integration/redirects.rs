//! Redirected reads and writes: the same request goes to the new URL with its body, but never takes credentials to
//! another origin.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::images::push_image;
use crate::support::scripted_server::{ReceivedRequest, Response, forward_request};
use crate::support::{LOGIN, Outcome, Registry, Sandbox, ScriptedServer, Workspace, basic_credentials, run};

const IMAGE: &str = concat!("oci:", env!("CARGO_MANIFEST_DIR"), "/examples/layouts/amd64");

fn copy(from: &str, to: &str, more: &[&str]) -> Outcome {
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]);
    workspace.run(&[&["copy", from, to], more].concat())
}

fn target(request: &ReceivedRequest) -> &str {
    request.line.split_once(' ').unwrap().1
}

fn sends_blob(request: &ReceivedRequest) -> bool {
    request.line.starts_with("PUT ") && request.line.contains("digest=")
}

fn redirect(status: u16, location: String) -> Response {
    (status, vec![("Location", location)], vec![])
}

/// Starts a registry that requires user name and password and redirects matching requests to a storage server without
/// authentication. Returns both servers.
fn redirecting(
    registry: &Registry,
    status: u16,
    matches: impl Fn(&ReceivedRequest) -> bool + Send + Sync + 'static,
) -> (ScriptedServer, ScriptedServer) {
    let storage = ScriptedServer::in_front_of(registry, |_| None);
    let (destination, upstream) = (storage.host.clone(), registry.host.clone());
    let proxy = ScriptedServer::start(move |request, host| match &request.authorization {
        None => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        Some(_) if matches(request) => redirect(status, format!("http://{destination}{}", target(request))),
        Some(_) => forward_request(request, &upstream, host),
    });
    (proxy, storage)
}

#[track_caller]
fn requests_without_credentials(server: &ScriptedServer) -> Vec<ReceivedRequest> {
    let requests = server.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.authorization.is_none()), "{requests:?}");
    requests
}

#[test]
fn a_redirected_blob_is_sent_to_the_new_url() {
    for status in [307, 308] {
        let registry = Registry::start();
        let (proxy, storage) = redirecting(&registry, status, sends_blob);
        let outcome = copy(IMAGE, &format!("{}/app:v1", proxy.host), &LOGIN);
        assert_eq!((outcome.exit, outcome.stderr.contains("trying again")), (0, false), "{status}: {outcome:?}");
        assert!(registry.manifest("app", "v1").is_some());
        let sent = requests_without_credentials(&storage);
        assert!(
            sent.len() == 2 && sent.iter().all(|request| sends_blob(request) && !request.body.is_empty()),
            "{sent:?}"
        );
        let sessions = proxy.requests().iter().filter(|request| request.line.starts_with("POST ")).count();
        let challenged = proxy.requests().iter().filter(|request| request.authorization.is_none()).count();
        assert!(sessions <= 2 + challenged, "no upload session is opened twice: {:?}", proxy.requests());
    }
}

/// The URL may be signed, so the digest is not added to its query.
#[test]
fn the_url_of_a_redirect_is_used_unchanged() {
    let registry = Registry::start();
    let storage = ScriptedServer::start(|_, _| (200, vec![], vec![]));
    let destination = storage.host.clone();
    let proxy = ScriptedServer::in_front_of(&registry, move |request| {
        sends_blob(request).then(|| redirect(307, format!("http://{destination}/bucket/x?signature=a%2Fb#part")))
    });
    let outcome = copy(IMAGE, &format!("{}/app:v1", proxy.host), &[]);
    assert_eq!(outcome.exit, 1, "the registry did not receive the blobs: {outcome:?}");
    let sent = requests_without_credentials(&storage);
    assert!(sent.iter().all(|request| request.line == "PUT /bucket/x?signature=a%2Fb"), "{sent:?}");
}

/// A `Location` is relative to the URL that responded (RFC 9110, section 10.2.2).
#[test]
fn a_blob_follows_several_relative_redirects() {
    let registry = Registry::start();
    let proxy = ScriptedServer::in_front_of(&registry, |request| {
        let (path, query) = target(request).split_once('?')?;
        let id = path.strip_prefix("/v2/app/blobs/uploads/").filter(|_| sends_blob(request))?;
        match query.matches("hop").count() {
            0 => Some(redirect(307, format!("../uploads/{id}?{query}&hop1"))),
            1 => Some(redirect(308, format!("{id}?{query}&hop2#part"))),
            _ => None,
        }
    });
    let outcome = copy(IMAGE, &format!("{}/app:v1", proxy.host), &[]);
    outcome.success();
    assert_eq!(proxy.requests().iter().filter(|request| sends_blob(request)).count(), 6, "two blobs, three times each");
}

#[test]
fn an_endless_redirect_of_a_blob_is_an_error() {
    let registry = Registry::start();
    let proxy = ScriptedServer::in_front_of(&registry, |request| {
        sends_blob(request).then(|| redirect(307, target(request).to_owned()))
    });
    let outcome = copy(IMAGE, &format!("{}/app:v1", proxy.host), &[]);
    outcome.fails(1, "more than 5 redirects");
    assert!(
        proxy.requests().iter().filter(|request| sends_blob(request)).count() <= 12,
        "{:?}",
        proxy.requests().len()
    );
}

/// Once a redirect has left the registry's origin, no later request of the chain carries credentials (CVE-2020-15157).
#[test]
fn a_blob_redirected_back_from_another_origin_carries_no_credentials() {
    let registry = Registry::start();
    let away = ScriptedServer::start(|request, _| {
        let back = target(request).rsplit("back=").next().unwrap().to_owned();
        redirect(307, format!("http://{back}/back"))
    });
    let (destination, upstream) = (away.host.clone(), registry.host.clone());
    let proxy = ScriptedServer::start(move |request, host| match &request.authorization {
        _ if request.line == "PUT /back" => (403, vec![], vec![]),
        None => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        Some(_) if sends_blob(request) => redirect(307, format!("http://{destination}/?back={host}")),
        Some(_) => forward_request(request, &upstream, host),
    });
    let outcome = copy(IMAGE, &format!("{}/app:v1", proxy.host), &LOGIN);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    requests_without_credentials(&away);
    let back: Vec<ReceivedRequest> =
        proxy.requests().into_iter().filter(|request| request.line == "PUT /back").collect();
    assert!(!back.is_empty() && back.iter().all(|request| request.authorization.is_none()), "{back:?}");
}

#[test]
fn a_redirected_manifest_is_sent_to_the_new_url() {
    for status in [307, 308] {
        let registry = Registry::start();
        let (proxy, storage) =
            redirecting(&registry, status, |request| request.line.starts_with("PUT /v2/app/manifests/"));
        let outcome = copy(IMAGE, &format!("{}/app:v1", proxy.host), &LOGIN);
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        let sent = requests_without_credentials(&storage);
        let written = registry.manifest("app", "v1").unwrap();
        assert_eq!((sent.len(), &sent[0].body), (1, &written.bytes), "{status}");
        assert_eq!(sent[0].content_type.as_deref(), Some(written.media_type.as_str()));
    }
}

/// A 302 may change the method, so the client does not follow it for a write (RFC 9110, section 15.4.3).
#[test]
fn a_write_is_not_repeated_after_a_redirect_that_changes_the_method() {
    for part in ["digest=", "/manifests/"] {
        let registry = Registry::start();
        let (proxy, storage) =
            redirecting(&registry, 302, move |request| request.line.starts_with("PUT ") && request.line.contains(part));
        let outcome = copy(IMAGE, &format!("{}/app:v1", proxy.host), &LOGIN);
        let error = format!("HTTP 302; it redirects to http://{}/", storage.host);
        assert!(outcome.exit == 1 && outcome.stderr.contains(&error), "{part}: {outcome:?}");
        assert!(storage.requests().is_empty(), "{part}");
    }
}

#[test]
fn redirected_reads_of_manifests_configs_and_blobs_carry_no_credentials() {
    let (source, target) = (Registry::start(), Sandbox::new());
    push_image(&source, "app", "v1", "amd64");
    for status in [301, 302, 303, 307, 308] {
        let (proxy, storage) = redirecting(&source, status, |request| request.line.starts_with("GET /v2/app/"));
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"{}"}}}}}}"#, proxy.host, basic_credentials());
        let (from, to) = (format!("{}/app:v1", proxy.host), format!("HOST/copied:v{status}"));
        let mut command = target.command(&["copy", &from, &to]);
        command.env("DOCKER_AUTH_CONFIG", config);
        let outcome = run(command, "");
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        requests_without_credentials(&storage);
    }
}

/// The relative `Location` of the session is resolved against the URL that responded, not the registry's.
#[test]
fn an_upload_session_opened_after_a_redirect_stays_on_that_host() {
    let registry = Registry::start();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let upstream = registry.host.clone();
    let storage = ScriptedServer::start(move |request, host| {
        let mut response = forward_request(request, &upstream, host);
        if request.line.starts_with("POST ") {
            count.fetch_add(1, Ordering::SeqCst);
            for (_, value) in response.1.iter_mut().filter(|(name, _)| *name == "Location") {
                *value = format!("../uploads/{}#part", value.rsplit('/').next().unwrap());
            }
        }
        response
    });
    let destination = storage.host.clone();
    let proxy = ScriptedServer::in_front_of(&registry, move |request| {
        request.line.starts_with("POST ").then(|| redirect(308, format!("http://{destination}{}", target(request))))
    });
    let outcome = copy(IMAGE, &format!("{}/app:v1", proxy.host), &[]);
    assert_eq!((outcome.exit, opened.load(Ordering::SeqCst)), (0, 2), "{outcome:?}");
    assert!(proxy.requests().iter().all(|request| !sends_blob(request)), "{:?}", proxy.requests());
    assert_eq!(storage.requests().iter().filter(|request| sends_blob(request)).count(), 2);
}
