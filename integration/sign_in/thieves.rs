//! Servers that try to get at credentials. In each test the thief's log is read.

use super::{LOGIN, auth, tool};
use crate::support::scripted::Asked;
use crate::support::{Outcome, Registry, Scripted};

fn thief() -> Scripted {
    Scripted::start(|_, _| (200, vec![], br#"{"token":"x"}"#.to_vec()))
}

/// What the thief was asked; none of it may carry anything.
fn nothing_stolen(thief: &Scripted) -> Vec<Asked> {
    let asked = thief.asked();
    for asked in &asked {
        assert_eq!(asked.authorization, None, "{asked:?}");
        assert!(!asked.line.contains("secret-word") && !String::from_utf8_lossy(&asked.body).contains("secret-word"));
    }
    asked
}

fn inspect(reference: &str, more: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    tool(&folder, &[&["--plain-http", "inspect", reference], more, &LOGIN].concat(), environment, "")
}

/// A registry that sends everyone to this realm.
fn with_realm(realm: String) -> Scripted {
    Scripted::start(move |_, _| (401, vec![("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))], vec![]))
}

/// A registry that takes user and password, and then answers requests whose line holds `part` with a status and a
/// `Location` at the thief.
fn that_points_away(thief: &Scripted, part: &'static str, status: u16) -> Scripted {
    let (away, basic) = (format!("http://{}/stolen", thief.host), format!("Basic {}", auth()));
    Scripted::start(move |asked: &Asked, _| match asked.authorization.as_deref() {
        Some(value) if value != basic => (401, vec![], vec![]),
        None => (401, vec![("WWW-Authenticate", "Basic".into())], vec![]),
        Some(_) if asked.line.contains(part) => (status, vec![("Location", away.clone())], vec![]),
        Some(_) if asked.line.contains("/manifests/") => {
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            let digest = format!("sha256:{}", "0".repeat(64));
            let body = format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":9}},"layers":[]}}"#
            );
            (200, vec![("Content-Type", media_type.into())], body.into_bytes())
        }
        Some(_) => (404, vec![], vec![]),
    })
}

#[test]
fn a_realm_on_another_host() {
    // A proxy lets the registry and the thief have names of their own.
    let proxy = Scripted::start(|asked: &Asked, _| {
        let challenge = "Bearer realm=\"http://thief.test/token\",service=\"registry.test\"";
        match asked.line.as_str() {
            line if line.contains("thief.test") => (200, vec![], br#"{"token":"x"}"#.to_vec()),
            _ => (401, vec![("WWW-Authenticate", challenge.into())], vec![]),
        }
    });
    let url = format!("http://{}", proxy.host);
    let outcome = inspect("registry.test/app:v1", &[], &[("http_proxy", &url)]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("it is on another host, and without TLS"), "{outcome:?}");
    let asked = nothing_stolen(&proxy);
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.line.contains("registry.test/v2/")), "{asked:?}");
}

#[test]
fn a_realm_that_no_registry_names() {
    let thief = thief();
    for (realm, why) in [
        (format!("http://user:x@{}/token", thief.host), "it has user info"),
        ("http://169.254.169.254/latest/meta-data".into(), "link-local or metadata"),
        ("http://[fe80::1]/token".into(), "link-local or metadata"),
        (format!("ftp://{}/token", thief.host), "it is not https"),
        (thief.host.clone(), "not"),
    ] {
        let server = with_realm(realm.clone());
        let outcome = inspect(&format!("{}/app:v1", server.host), &[], &[]);
        assert!(outcome.exit == 1 && outcome.stderr.contains("is not to be trusted"), "{realm}: {outcome:?}");
        assert!(outcome.stderr.contains(why), "{realm}: {outcome:?}");
    }
    assert!(nothing_stolen(&thief).is_empty());
}

#[test]
fn a_realm_without_tls_for_a_registry_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let thief = thief();
    let service = crate::support::TokenService::start(crate::support::token_service::closed, 300, |_| None);
    let authority = crate::support::certificates::Authority::new(folder.path());
    let auth = service.registry_config(folder.path()).replace(&service.server.host, &thief.host);
    let registry = Registry::start_with(&(authority.registry_config(folder.path()) + &auth), None);
    let (reference, certificate) =
        (format!("{}/app:v1", registry.host), authority.certificate.to_str().unwrap().to_owned());
    let outcome = tool(&folder, &[&["--ca-cert", &certificate, "inspect", &reference], &LOGIN[..]].concat(), &[], "");
    assert!(outcome.exit == 1 && outcome.stderr.contains("it is not https"), "{outcome:?}");
    assert!(nothing_stolen(&thief).is_empty());
}

#[test]
fn a_realm_that_redirects() {
    let thief = thief();
    for status in [301, 302, 303, 307, 308] {
        let away = format!("http://{}/stolen", thief.host);
        let server = Scripted::start(move |asked, host| {
            if asked.line.contains("/token") {
                return (status, vec![("Location", away.clone())], vec![]);
            }
            (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![])
        });
        let outcome = inspect(&format!("{}/app:v1", server.host), &[], &[]);
        let part = format!("answered with a redirect (HTTP {status}), which is not followed");
        assert!(outcome.exit == 1 && outcome.stderr.contains(&part), "{outcome:?}");
    }
    assert!(nothing_stolen(&thief).is_empty());
}

#[test]
fn a_manifest_and_a_blob_that_redirect() {
    for part in ["/manifests/", "/blobs/"] {
        for status in [301, 302, 303, 307, 308] {
            let thief = thief();
            let server = that_points_away(&thief, part, status);
            let outcome = inspect(&format!("{}/app:v1", server.host), &["--retries", "0"], &[]);
            assert_eq!(outcome.exit, 1, "{outcome:?}");
            assert_eq!(nothing_stolen(&thief).len(), 1, "the redirect is followed: {outcome:?}");
        }
    }
}

/// Back at the registry's own host after a detour, the header is not taken up again.
#[test]
fn a_redirect_that_comes_back() {
    let thief = Scripted::start(|asked: &Asked, _| {
        let back = asked.line.rsplit("back=").next().unwrap();
        (307, vec![("Location", format!("http://{back}/back"))], vec![])
    });
    let (away, basic) = (thief.host.clone(), format!("Basic {}", auth()));
    let server = Scripted::start(move |asked: &Asked, host| match asked.authorization.as_deref() {
        _ if asked.line == "GET /back" => (404, vec![], vec![]),
        Some(value) if value == basic => (307, vec![("Location", format!("http://{away}/?back={host}"))], vec![]),
        _ => (401, vec![("WWW-Authenticate", "Basic".into())], vec![]),
    });
    assert_eq!(inspect(&format!("{}/app:v1", server.host), &[], &[]).exit, 1);
    nothing_stolen(&thief);
    let back: Vec<Asked> = server.asked().into_iter().filter(|asked| asked.line == "GET /back").collect();
    assert!(!back.is_empty() && back.iter().all(|asked| asked.authorization.is_none()), "{back:?}");
}

#[test]
fn a_location_on_another_host() {
    let registry = Registry::start();
    crate::support::images::push_image(&registry, "parts", "amd64", "amd64");
    let thief = thief();
    let (away, basic) = (format!("http://{}/upload", thief.host), format!("Basic {}", auth()));
    let front = Scripted::before(&registry, move |asked| {
        if asked.authorization.as_deref() != Some(&basic) {
            return Some((401, vec![("WWW-Authenticate", "Basic".into())], vec![]));
        }
        asked.line.contains("/blobs/uploads/").then(|| (202, vec![("Location", away.clone())], vec![]))
    });
    let (template, target) = (format!("{}/parts:ARCH", front.host), format!("{}/whole:v1", front.host));
    let folder = tempfile::tempdir().unwrap();
    let push = [
        "--plain-http",
        "push",
        "from-args",
        "--platforms",
        "linux/amd64",
        "--template",
        &template,
        "--target",
        &target,
    ];
    let outcome = tool(&folder, &[&push[..], &LOGIN].concat(), &[], "");
    assert_eq!(outcome.exit, 1, "the registry did not get the blobs: {outcome:?}");
    let asked = nothing_stolen(&thief);
    assert!(asked.iter().all(|asked| asked.line.starts_with("PUT /upload?digest=sha256:")), "{asked:?}");
    assert!(!asked.is_empty());
}

#[test]
fn a_challenge_with_ten_thousand_parameters() {
    let thief = thief();
    let host = thief.host.clone();
    let server = Scripted::start(move |_, _| {
        let many: String = (0..10_000).map(|n| format!("p{n}=v,")).collect();
        (401, vec![("WWW-Authenticate", format!("Bearer {many}realm=\"http://{host}/token\""))], vec![])
    });
    let outcome = inspect(&format!("{}/app:v1", server.host), &[], &[]);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(nothing_stolen(&thief).is_empty());
}

/// A host that a registry redirects to may name a token service, which is asked without credentials. Its refusal is not
/// blamed on the user's credentials.
#[test]
fn a_challenge_from_where_a_registry_redirects() {
    let thief = Scripted::start(|_, host| {
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        (401, vec![("WWW-Authenticate", challenge)], b"expired".to_vec())
    });
    let server = that_points_away(&thief, "/manifests/", 307);
    let reference = format!("{}/app:v1", server.host);
    let outcome = inspect(&reference, &[], &[]);
    let expected = format!("at {}, to which the registry redirects", thief.host);
    assert!(outcome.exit == 1 && outcome.stderr.contains(&expected), "{outcome:?}");
    assert!(!outcome.stderr.contains("refused the credentials") && !outcome.stderr.contains("hint"), "{outcome:?}");
    assert_eq!(nothing_stolen(&thief).len(), 2, "the manifest, and a token");
}

/// Credentials of one host's entry are for that host alone. (Those of the command line: see `credentials::tests`.)
#[test]
fn another_registry_than_the_credentials_are_for() {
    let thief = Scripted::start(|_, _| (401, vec![("WWW-Authenticate", "Basic".into())], vec![]));
    let folder = tempfile::tempdir().unwrap();
    let port = thief.host.rsplit(':').next().unwrap();
    let others =
        [format!("1{}", thief.host), format!("{}0", thief.host), format!("localhost:{port}"), "127.0.0.1".into()];
    let auths: Vec<String> = others.iter().map(|host| format!(r#""{host}":{{"auth":"{}"}}"#, auth())).collect();
    let config = format!(r#"{{"auths":{{{}}}}}"#, auths.join(","));
    let reference = format!("{}/app:v1", thief.host);
    let outcome = tool(&folder, &["--plain-http", "inspect", &reference], &[("DOCKER_AUTH_CONFIG", &config)], "");
    assert!(outcome.exit == 1 && outcome.stderr.contains("no credentials for"), "{outcome:?}");
    nothing_stolen(&thief);
}
