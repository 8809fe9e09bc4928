//! The `Location` of upload sessions is resolved against the URL that responded, and never leads from https to http.

use crate::support::certificates::CertificateAuthority;
use crate::support::scripted_server::forward_request;
use crate::support::{LOGIN, Outcome, Registry, ScriptedServer, Workspace};

const IMAGE: &str = concat!("oci:", env!("CARGO_MANIFEST_DIR"), "/examples/layouts/amd64");

/// Copies an image with two blobs to `host`.
fn copy(host: &str, more: &[&str]) -> Outcome {
    let args = ["--plain-http", "--retries", "0", "copy", IMAGE, &format!("{host}/app:v1")];
    Workspace::new().run(&[&args, more].concat())
}

/// Starts a registry with TLS, whose `http` configuration section includes `http`, and a server without TLS that
/// redirects each request to it.
fn redirected_to_tls(folder: &tempfile::TempDir, http: &str) -> (CertificateAuthority, Registry, ScriptedServer) {
    let authority = CertificateAuthority::new(folder.path());
    let registry = Registry::start_with(&(authority.registry_config(folder.path()) + http), None);
    let destination = registry.host.clone();
    let proxy = ScriptedServer::start(move |request, _| {
        let target = request.line.split_once(' ').unwrap().1;
        (307, vec![("Location", format!("https://{destination}{target}"))], vec![])
    });
    (authority, registry, proxy)
}

#[test]
fn an_http_location_from_an_https_registry_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let without_tls = ScriptedServer::start(|_, _| (201, vec![], vec![]));
    let config = format!("  host: \"http://{}\"\n", without_tls.host);
    let (authority, _registry, proxy) = redirected_to_tls(&folder, &config);
    let outcome = copy(&proxy.host, &["--ca-cert", authority.certificate.to_str().unwrap()]);
    let outcome = outcome.fails(1, "it downgrades from https to http");
    assert!(outcome.stderr.contains(&format!("http://{}/v2/app/blobs/uploads/", without_tls.host)), "{outcome:?}");
    assert_eq!(without_tls.requests().len(), 0, "neither an upload nor a cancellation: {:?}", without_tls.requests());
    let sent =
        proxy.requests().into_iter().filter(|request| !request.body.is_empty() || request.line.starts_with("DELETE "));
    assert_eq!(sent.count(), 0, "{:?}", proxy.requests());
}

#[test]
fn a_relative_location_is_resolved_against_the_host_that_responded() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, _registry, proxy) = redirected_to_tls(&folder, "  relativeurls: true\n");
    let outcome = copy(&proxy.host, &["--ca-cert", authority.certificate.to_str().unwrap()]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let blobs: Vec<_> =
        proxy.requests().into_iter().filter(|request| request.line.starts_with("PUT /v2/app/blobs/")).collect();
    assert!(blobs.is_empty(), "a blob was sent without TLS: {blobs:?}");
}

#[test]
fn every_form_of_location_is_accepted() {
    for form in [
        "http://HOST/v2/app/blobs/uploads/ID",
        "//HOST/v2/app/blobs/uploads/ID",
        "/v2/app/blobs/uploads/ID",
        "../uploads/ID",
        "ID",
        "http://HOST/v2/app/blobs/uploads/ID#part",
        "../uploads/ID#part?x=y",
    ] {
        let registry = Registry::start();
        let upstream = registry.host.clone();
        let proxy = ScriptedServer::start(move |request, host| {
            let mut response = forward_request(request, &upstream, host);
            for (name, value) in &mut response.1 {
                if *name == "Location" && request.line.starts_with("POST ") {
                    let session = value.rsplit('/').next().unwrap();
                    *value = form.replace("HOST", host).replace("ID", session);
                }
            }
            response
        });
        let outcome = copy(&proxy.host, &[]);
        assert_eq!(outcome.exit, 0, "{form}: {outcome:?}");
        assert!(registry.manifest("app", "v1").is_some(), "{form}");
    }
}

#[test]
fn an_upload_session_on_another_origin_gets_no_credentials() {
    let registry = Registry::start();
    let storage = ScriptedServer::in_front_of(&registry, |_| None);
    let (upstream, storage_host) = (registry.host.clone(), storage.host.clone());
    let proxy = ScriptedServer::start(move |request, host| {
        if request.authorization.is_none() {
            return (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]);
        }
        let host = if request.line.starts_with("POST ") { &storage_host } else { host };
        forward_request(request, &upstream, host)
    });
    copy(&proxy.host, &LOGIN).success();
    assert_eq!(storage.requests().len(), 2, "the config and the layer: {:?}", storage.requests());
    assert!(
        storage.requests().iter().all(|request| request.line.starts_with("PUT ") && request.authorization.is_none())
    );
}

/// The blob is sent again from its start, and other requests do not wait for it.
#[test]
fn a_challenged_upload_is_sent_again_with_credentials() {
    let registry = Registry::start();
    let proxy = ScriptedServer::in_front_of(&registry, |request| {
        let is_refused = request.line.starts_with("PUT /v2/app/blobs/") && request.authorization.is_none();
        is_refused.then(|| (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]))
    });
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "2", "--max-wait", "10ms"]);
    let target = format!("{}/app:v1", proxy.host);
    let outcome = workspace.run(&[&["copy", IMAGE, &target], &LOGIN[..]].concat()).success();
    assert!(outcome.stderr.contains("the registry required sign-in during the upload; trying again"), "{outcome:?}");
    assert!(!outcome.stderr.contains("all requests to"), "{outcome:?}");
}
