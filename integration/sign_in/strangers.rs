//! Registries to which a registry redirects: each gets a token that anyone can get there, and no credentials.

use super::{LOGIN, auth, tool};
use crate::support::images::push_image;
use crate::support::scripted::{Answer, Asked, forward};
use crate::support::{Outcome, Registry, Scripted};

fn target(asked: &Asked) -> &str {
    asked.line.split_once(' ').unwrap().1
}

/// A registry that gives everything to those with a token, and a token to anyone.
fn with_anonymous_tokens(registry: &Registry, challenge: &'static str) -> Scripted {
    let behind = registry.host.clone();
    Scripted::start(move |asked, host| {
        let value = challenge.replace("HOST", host);
        match asked.authorization.as_deref() {
            _ if asked.line.starts_with("GET /token") => (200, vec![], br#"{"token":"visitor"}"#.to_vec()),
            Some("Bearer visitor") => forward(asked, &behind, host),
            _ => (401, vec![("WWW-Authenticate", value)], vec![]),
        }
    })
}

/// A registry that wants user and password, and redirects all that `moves` picks.
fn redirecting(there: &str, moves: impl Fn(&Asked) -> bool + Send + Sync + 'static, behind: &Registry) -> Scripted {
    let (there, behind, basic) = (there.to_owned(), behind.host.clone(), format!("Basic {}", auth()));
    Scripted::start(move |asked, host| -> Answer {
        match asked.authorization.as_deref() {
            Some(value) if value == basic && moves(asked) => {
                (307, vec![("Location", format!("http://{there}{}", target(asked)))], vec![])
            }
            Some(value) if value == basic => forward(asked, &behind, host),
            _ => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        }
    })
}

fn run(args: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    tool(&folder, &[&["--plain-http", "--retries", "0"], args, &LOGIN].concat(), &[], "")
}

fn carried(server: &Scripted) -> Vec<Option<String>> {
    let mut all: Vec<_> = server.asked().into_iter().map(|asked| asked.authorization).collect();
    all.sort();
    all.dedup();
    all
}

const BEARER: &str = "Bearer realm=\"http://HOST/token\",service=\"other\",scope=\"repository:app:pull\"";

#[test]
fn another_registry_gets_an_anonymous_token_of_its_own() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let other = with_anonymous_tokens(&registry, BEARER);
    let front = redirecting(&other.host, |asked| asked.line.starts_with("GET /v2/app/"), &registry);
    let shown = run(&["inspect", &format!("{}/app:v1", front.host)]);
    assert_eq!(shown.exit, 0, "{shown:?}");
    assert_eq!(carried(&other), [None, Some("Bearer visitor".into())], "never the first registry's credentials");
    let asked = other.asked();
    let tokens: Vec<&str> =
        asked.iter().filter(|asked| asked.line.starts_with("GET /token")).map(|asked| asked.line.as_str()).collect();
    assert_eq!(tokens, ["GET /token?client_id=manifest-tool&service=other&scope=repository%3Aapp%3Apull"]);
    assert!(front.asked().iter().all(|asked| asked.authorization.as_deref() != Some("Bearer visitor")));
}

/// A manifest that is written, which can be sent again.
#[test]
fn a_manifest_is_written_to_another_registry_with_its_token() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let other = with_anonymous_tokens(&registry, BEARER);
    let front = redirecting(&other.host, |asked| asked.puts("v1"), &registry);
    let (template, to) = (format!("{}/app:ARCH", front.host), format!("{}/app:v1", front.host));
    let args = ["push", "from-args", "--platforms", "linux/amd64", "--template", &template, "--target", &to];
    let pushed = run(&args);
    assert_eq!(pushed.exit, 0, "{pushed:?}");
    assert!(registry.manifest("app", "v1").is_some());
    assert_eq!(carried(&other), [None, Some("Bearer visitor".into())]);
}

/// A redirect from there to a third host takes the token of neither along.
#[test]
fn a_token_for_another_registry_stays_there() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let storage = Scripted::before(&registry, |_| None);
    let there = storage.host.clone();
    let other = Scripted::start(move |asked, host| match asked.authorization.as_deref() {
        _ if asked.line.starts_with("GET /token") => (200, vec![], br#"{"token":"visitor"}"#.to_vec()),
        Some("Bearer visitor") => (307, vec![("Location", format!("http://{there}{}", target(asked)))], vec![]),
        _ => (401, vec![("WWW-Authenticate", BEARER.replace("HOST", host))], vec![]),
    });
    let front = redirecting(&other.host, |asked| asked.line.starts_with("GET /v2/app/"), &registry);
    let shown = run(&["inspect", &format!("{}/app:v1", front.host)]);
    assert_eq!(shown.exit, 0, "{shown:?}");
    assert_eq!(carried(&storage), [None]);
}

/// User and password are not for another registry, and a realm has to pass the same rules there.
#[test]
fn another_registry_that_wants_more_than_a_token_for_anyone_is_an_error() {
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
        let other = with_anonymous_tokens(&registry, challenge);
        let front = redirecting(&other.host, |asked| asked.line.starts_with("GET /v2/app/"), &registry);
        let shown = run(&["inspect", &format!("{}/app:v1", front.host)]);
        let said = format!("refused at {}, to which the registry redirects", other.host);
        assert!(shown.exit == 1 && shown.stderr.contains(&said), "{challenge}: {shown:?}");
        assert_eq!(carried(&other), [None], "{challenge}");
    }
}
