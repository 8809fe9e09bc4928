//! `Location` of upload sessions: relative to the URL that answered, and never from https back to http.

use crate::support::certificates::Authority;
use crate::support::scripted::forward;
use crate::support::{Outcome, Registry, Scripted, manifest_tool};

const IMAGE: &str = concat!("oci:", env!("CARGO_MANIFEST_DIR"), "/examples/layouts/amd64");

/// Copies an image of two blobs to `host`.
fn copy(folder: &tempfile::TempDir, host: &str, more: &[&str]) -> Outcome {
    let target = format!("{host}/app:v1");
    manifest_tool(folder.path(), &[&["--plain-http", "--retries", "0", "copy", IMAGE, &target], more].concat())
}

/// A registry behind TLS with `http` added to that part of its configuration, and an http server that redirects each
/// request there.
fn redirected(folder: &tempfile::TempDir, http: &str) -> (Authority, Registry, Scripted) {
    let authority = Authority::new(folder.path());
    let registry = Registry::start_with(&(authority.registry_config(folder.path()) + http), None);
    let there = registry.host.clone();
    let front = Scripted::start(move |asked, _| {
        let target = asked.line.split_once(' ').unwrap().1;
        (307, vec![("Location", format!("https://{there}{target}"))], vec![])
    });
    (authority, registry, front)
}

#[test]
fn a_session_behind_https_is_not_sent_to_http() {
    let folder = tempfile::tempdir().unwrap();
    let clear = Scripted::start(|_, _| (201, vec![], vec![]));
    let config = format!("  host: \"http://{}\"\n", clear.host);
    let (authority, _registry, front) = redirected(&folder, &config);
    let outcome = copy(&folder, &front.host, &["--ca-cert", authority.certificate.to_str().unwrap()]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("it goes from https to http"), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("http://{}/v2/app/blobs/uploads/", clear.host)), "{outcome:?}");
    assert_eq!(clear.asked().len(), 0, "neither a blob nor a cancellation: {:?}", clear.asked());
    let sent = front.asked().into_iter().filter(|asked| !asked.body.is_empty() || asked.line.starts_with("DELETE "));
    assert_eq!(sent.count(), 0, "{:?}", front.asked());
}

#[test]
fn a_relative_session_is_at_the_host_that_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, _registry, front) = redirected(&folder, "  relativeurls: true\n");
    let outcome = copy(&folder, &front.host, &["--ca-cert", authority.certificate.to_str().unwrap()]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let blobs: Vec<_> =
        front.asked().into_iter().filter(|asked| asked.line.starts_with("PUT /v2/app/blobs/")).collect();
    assert!(blobs.is_empty(), "a blob went out in clear: {blobs:?}");
}

#[test]
fn sessions_in_every_form_of_a_reference() {
    let folder = tempfile::tempdir().unwrap();
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
        let behind = registry.host.clone();
        let front = Scripted::start(move |asked, host| {
            let mut answer = forward(asked, &behind, host);
            for (name, value) in &mut answer.1 {
                if *name == "Location" && asked.line.starts_with("POST ") {
                    let session = value.rsplit('/').next().unwrap();
                    *value = form.replace("HOST", host).replace("ID", session);
                }
            }
            answer
        });
        let outcome = copy(&folder, &front.host, &[]);
        assert_eq!(outcome.exit, 0, "{form}: {outcome:?}");
        assert!(registry.manifest("app", "v1").is_some(), "{form}");
    }
}

#[test]
fn credentials_do_not_go_to_a_session_at_another_origin() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start();
    let storage = Scripted::before(&registry, |_| None);
    let (behind, there) = (registry.host.clone(), storage.host.clone());
    let front = Scripted::start(move |asked, host| {
        if asked.authorization.is_none() {
            return (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]);
        }
        let host = if asked.line.starts_with("POST ") { &there } else { host };
        forward(asked, &behind, host)
    });
    let outcome = copy(&folder, &front.host, &["--username", "user", "--password", "secret-word"]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(storage.asked().len(), 2, "the config and the layer: {:?}", storage.asked());
    assert!(storage.asked().iter().all(|asked| asked.line.starts_with("PUT ") && asked.authorization.is_none()));
}

/// The blob is sent from its beginning once the token is there, and the other requests do not wait for that.
#[test]
fn an_upload_that_is_asked_to_sign_in_is_sent_again() {
    let (registry, folder) = (Registry::start(), tempfile::tempdir().unwrap());
    let front = Scripted::before(&registry, |asked| {
        let is_refused = asked.line.starts_with("PUT /v2/app/blobs/") && asked.authorization.is_none();
        is_refused.then(|| (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]))
    });
    let login = ["--username", "user", "--password", "secret-word", "--retries", "2", "--max-wait", "10ms"];
    let target = format!("{}/app:v1", front.host);
    let outcome = manifest_tool(folder.path(), &[&["--plain-http", "copy", IMAGE, &target], &login[..]].concat());
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("the registry asked for sign-in during the upload; trying again"), "{outcome:?}");
    assert!(!outcome.stderr.contains("all requests to"), "{outcome:?}");
}
