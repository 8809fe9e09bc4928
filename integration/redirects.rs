//! Redirected reads and writes: the same request goes to the new URL, with its body and without credentials for another
//! origin.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::images::push_image;
use crate::support::scripted::{Answer, Asked, forward};
use crate::support::{Outcome, Registry, Scripted, manifest_tool};

const IMAGE: &str = concat!("oci:", env!("CARGO_MANIFEST_DIR"), "/examples/layouts/amd64");
const LOGIN: [&str; 4] = ["--username", "user", "--password", "secret-word"];

fn copy(from: &str, to: &str, more: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    manifest_tool(folder.path(), &[&["--plain-http", "--retries", "0", "copy", from, to], more].concat())
}

fn target(asked: &Asked) -> &str {
    asked.line.split_once(' ').unwrap().1
}

fn sends_blob(asked: &Asked) -> bool {
    asked.line.starts_with("PUT ") && asked.line.contains("digest=")
}

fn redirect(status: u16, location: String) -> Answer {
    (status, vec![("Location", location)], vec![])
}

/// A registry that wants user and password, and redirects the requests that `moves` picks to the returned storage, which
/// wants none.
fn redirecting(
    registry: &Registry,
    status: u16,
    moves: impl Fn(&Asked) -> bool + Send + Sync + 'static,
) -> (Scripted, Scripted) {
    let storage = Scripted::before(registry, |_| None);
    let (there, behind) = (storage.host.clone(), registry.host.clone());
    let front = Scripted::start(move |asked, host| match &asked.authorization {
        None => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        Some(_) if moves(asked) => redirect(status, format!("http://{there}{}", target(asked))),
        Some(_) => forward(asked, &behind, host),
    });
    (front, storage)
}

#[track_caller]
fn without_credentials(server: &Scripted) -> Vec<Asked> {
    let asked = server.asked();
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.authorization.is_none()), "{asked:?}");
    asked
}

#[test]
fn a_blob_that_is_redirected_is_sent_to_the_new_url() {
    for status in [307, 308] {
        let registry = Registry::start();
        let (front, storage) = redirecting(&registry, status, sends_blob);
        let outcome = copy(IMAGE, &format!("{}/app:v1", front.host), &LOGIN);
        assert_eq!((outcome.exit, outcome.stderr.contains("trying again")), (0, false), "{status}: {outcome:?}");
        assert!(registry.manifest("app", "v1").is_some());
        let sent = without_credentials(&storage);
        assert!(sent.len() == 2 && sent.iter().all(|asked| sends_blob(asked) && !asked.body.is_empty()), "{sent:?}");
        let sessions = front.asked().iter().filter(|asked| asked.line.starts_with("POST ")).count();
        let refused = front.asked().iter().filter(|asked| asked.authorization.is_none()).count();
        assert!(sessions <= 2 + refused, "no session is opened again: {:?}", front.asked());
    }
}

/// The redirect names the whole URL, which may be signed: the digest is not added to it.
#[test]
fn the_url_of_a_redirect_is_used_as_it_is() {
    let registry = Registry::start();
    let storage = Scripted::start(|_, _| (200, vec![], vec![]));
    let there = storage.host.clone();
    let front = Scripted::before(&registry, move |asked| {
        sends_blob(asked).then(|| redirect(307, format!("http://{there}/bucket/x?signature=a%2Fb#part")))
    });
    let outcome = copy(IMAGE, &format!("{}/app:v1", front.host), &[]);
    assert_eq!(outcome.exit, 1, "the registry did not get the blobs: {outcome:?}");
    let sent = without_credentials(&storage);
    assert!(sent.iter().all(|asked| asked.line == "PUT /bucket/x?signature=a%2Fb"), "{sent:?}");
}

/// Relative to the URL that answered (RFC 9110, section 10.2.2), and more than one after another.
#[test]
fn a_blob_follows_relative_redirects_and_several() {
    let registry = Registry::start();
    let front = Scripted::before(&registry, |asked| {
        let (path, query) = target(asked).split_once('?')?;
        let id = path.strip_prefix("/v2/app/blobs/uploads/").filter(|_| sends_blob(asked))?;
        match query.matches("hop").count() {
            0 => Some(redirect(307, format!("../uploads/{id}?{query}&hop1"))),
            1 => Some(redirect(308, format!("{id}?{query}&hop2#part"))),
            _ => None,
        }
    });
    let outcome = copy(IMAGE, &format!("{}/app:v1", front.host), &[]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(front.asked().iter().filter(|asked| sends_blob(asked)).count(), 6, "two blobs, three times each");
}

#[test]
fn a_blob_that_is_redirected_for_ever_is_an_error() {
    let registry = Registry::start();
    let front = Scripted::before(&registry, |asked| sends_blob(asked).then(|| redirect(307, target(asked).to_owned())));
    let outcome = copy(IMAGE, &format!("{}/app:v1", front.host), &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("more than 5 redirects"), "{outcome:?}");
    assert!(front.asked().iter().filter(|asked| sends_blob(asked)).count() <= 12, "{:?}", front.asked().len());
}

/// Once a redirect has left the registry's origin, credentials are not taken up again (CVE-2020-15157).
#[test]
fn a_blob_that_comes_back_from_another_origin_carries_no_credentials() {
    let registry = Registry::start();
    let away = Scripted::start(|asked, _| {
        let back = target(asked).rsplit("back=").next().unwrap().to_owned();
        redirect(307, format!("http://{back}/back"))
    });
    let (there, behind) = (away.host.clone(), registry.host.clone());
    let front = Scripted::start(move |asked, host| match &asked.authorization {
        _ if asked.line == "PUT /back" => (403, vec![], vec![]),
        None => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        Some(_) if sends_blob(asked) => redirect(307, format!("http://{there}/?back={host}")),
        Some(_) => forward(asked, &behind, host),
    });
    let outcome = copy(IMAGE, &format!("{}/app:v1", front.host), &LOGIN);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    without_credentials(&away);
    let back: Vec<Asked> = front.asked().into_iter().filter(|asked| asked.line == "PUT /back").collect();
    assert!(!back.is_empty() && back.iter().all(|asked| asked.authorization.is_none()), "{back:?}");
}

#[test]
fn a_manifest_that_is_redirected_is_sent_to_the_new_url() {
    for status in [307, 308] {
        let registry = Registry::start();
        let (front, storage) = redirecting(&registry, status, |asked| asked.line.starts_with("PUT /v2/app/manifests/"));
        let outcome = copy(IMAGE, &format!("{}/app:v1", front.host), &LOGIN);
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        let sent = without_credentials(&storage);
        let written = registry.manifest("app", "v1").unwrap();
        assert_eq!((sent.len(), &sent[0].body), (1, &written.bytes), "{status}");
        assert_eq!(sent[0].content_type.as_deref(), Some(written.media_type.as_str()));
    }
}

/// A write whose redirect does not keep the method is not sent elsewhere (RFC 9110, section 15.4.3).
#[test]
fn a_write_is_not_repeated_after_a_redirect_that_changes_the_method() {
    for part in ["digest=", "/manifests/"] {
        let registry = Registry::start();
        let (front, storage) =
            redirecting(&registry, 302, move |asked| asked.line.starts_with("PUT ") && asked.line.contains(part));
        let outcome = copy(IMAGE, &format!("{}/app:v1", front.host), &LOGIN);
        let said = format!("HTTP 302; it redirects to http://{}/", storage.host);
        assert!(outcome.exit == 1 && outcome.stderr.contains(&said), "{part}: {outcome:?}");
        assert!(storage.asked().is_empty(), "{part}");
    }
}

#[test]
fn manifests_configs_and_blobs_are_read_where_a_registry_redirects() {
    let (registry, to) = (Registry::start(), Registry::start());
    push_image(&registry, "app", "v1", "amd64");
    for status in [301, 302, 303, 307, 308] {
        let (front, storage) = redirecting(&registry, status, |asked| asked.line.starts_with("GET /v2/app/"));
        let to = format!("{}/copied:v{status}", to.host);
        let config = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQtd29yZA=="}}}}}}"#, front.host);
        let folder = tempfile::tempdir().unwrap();
        let from = format!("{}/app:v1", front.host);
        let mut command = crate::support::command(folder.path(), &["--plain-http", "copy", &from, &to]);
        command.env("DOCKER_AUTH_CONFIG", config);
        let outcome = crate::support::run(command, "");
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        without_credentials(&storage);
    }
}

/// A session that is opened elsewhere is there, relative to the URL that answered.
#[test]
fn an_upload_that_is_opened_after_a_redirect_stays_where_it_was_opened() {
    let registry = Registry::start();
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let behind = registry.host.clone();
    let storage = Scripted::start(move |asked, host| {
        let mut answer = forward(asked, &behind, host);
        if asked.line.starts_with("POST ") {
            count.fetch_add(1, Ordering::SeqCst);
            for (_, value) in answer.1.iter_mut().filter(|(name, _)| *name == "Location") {
                *value = format!("../uploads/{}#part", value.rsplit('/').next().unwrap());
            }
        }
        answer
    });
    let there = storage.host.clone();
    let front = Scripted::before(&registry, move |asked| {
        asked.line.starts_with("POST ").then(|| redirect(308, format!("http://{there}{}", target(asked))))
    });
    let outcome = copy(IMAGE, &format!("{}/app:v1", front.host), &[]);
    assert_eq!((outcome.exit, opened.load(Ordering::SeqCst)), (0, 2), "{outcome:?}");
    assert!(front.asked().iter().all(|asked| !sends_blob(asked)), "{:?}", front.asked());
    assert_eq!(storage.asked().iter().filter(|asked| sends_blob(asked)).count(), 2);
}
