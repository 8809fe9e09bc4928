//! Token services that do not work, and tokens that are good for too little.

use super::{LOGIN, auth, tool};
use crate::support::images::push_image;
use crate::support::scripted::{Answer, Asked, forward};
use crate::support::{Outcome, Registry, Scripted};

fn run(args: &[&str], login: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    tool(&folder, &[&["--plain-http", "--retries", "1", "--max-wait", "10ms"], args, login].concat(), &[], "")
}

/// A registry that takes user and password and says so beside a token service, at a realm where HOST is its own.
fn with_both(registry: &Registry, realm: &'static str, token: impl Fn() -> Answer + Send + Sync + 'static) -> Scripted {
    let (behind, basic) = (registry.host.clone(), format!("Basic {}", auth()));
    Scripted::start(move |asked, host| {
        let bearer = format!("Bearer realm=\"{}\",service=\"s\"", realm.replace("HOST", host));
        match asked.authorization.as_deref() {
            _ if asked.line.contains("/token") => token(),
            Some(value) if value == basic => forward(asked, &behind, host),
            _ => (401, vec![("WWW-Authenticate", bearer), ("WWW-Authenticate", "Basic realm=\"r\"".into())], vec![]),
        }
    })
}

fn answer(status: u16, body: &'static str) -> impl Fn() -> Answer {
    move || (status, vec![("Location", "/login".into())], body.into())
}

#[test]
fn basic_is_used_where_the_token_service_does_not_exist() {
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
        let front = with_both(&registry, realm, answer(status, body));
        let shown = run(&["inspect", &format!("{}/app:v1", front.host)], &LOGIN);
        assert_eq!(shown.exit, 0, "{realm} {status}: {shown:?}");
        let tries = front.asked().iter().filter(|asked| asked.line.contains("/token")).count();
        let expected = match (realm.contains("HOST"), status) {
            (false, _) => 0,
            (true, 500..) => 2,
            (true, _) => 1,
        };
        assert_eq!(tries, expected, "{realm} {status}: the service is not asked for each request");
    }
}

/// A token service that judges the credentials exists, and a registry that does not offer Basic gets none.
#[test]
fn basic_is_not_used_where_a_token_service_judges_or_basic_is_not_offered() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    for status in [400, 401, 403, 429] {
        let front = with_both(&registry, "http://HOST/token", answer(status, ""));
        let shown = run(&["inspect", &format!("{}/app:v1", front.host)], &LOGIN);
        assert_eq!(shown.exit, 1, "{status}: {shown:?}");
        let basic = front.asked().into_iter().filter(|asked| asked.authorization.is_some());
        assert!(basic.into_iter().all(|asked| asked.line.contains("/token")), "{status}");
    }
    let bearer_only = Scripted::start(|asked, host| match asked.line.contains("/token") {
        true => (404, vec![], vec![]),
        false => (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![]),
    });
    let shown = run(&["inspect", &format!("{}/app:v1", bearer_only.host)], &LOGIN);
    assert!(shown.exit == 1 && shown.stderr.contains("token service"), "{shown:?}");
    let basic = bearer_only.asked().into_iter().filter(|asked| asked.authorization.is_some());
    assert!(basic.into_iter().all(|asked| asked.line.contains("/token")));
}

#[test]
fn without_credentials_a_dead_token_service_is_the_error() {
    let registry = Registry::start();
    let front = with_both(&registry, "http://HOST/token", answer(404, ""));
    let shown = run(&["inspect", &format!("{}/app:v1", front.host)], &[]);
    assert!(shown.exit == 1 && shown.stderr.contains("token service"), "{shown:?}");
    assert!(front.asked().iter().all(|asked| asked.authorization.is_none()));
}

/// A realm that may not be trusted is an error, and no reason for another way to sign in.
#[test]
fn a_realm_that_is_refused_does_not_lead_to_basic() {
    let registry = Registry::start();
    let front = with_both(&registry, "http://169.254.169.254/token", answer(404, ""));
    let shown = run(&["inspect", &format!("{}/app:v1", front.host)], &LOGIN);
    assert!(shown.exit == 1 && shown.stderr.contains("is not to be trusted"), "{shown:?}");
    assert!(front.asked().iter().all(|asked| asked.authorization.is_none()));
}

#[test]
fn many_requests_share_what_is_known_of_a_dead_token_service() {
    let registry = Registry::start();
    for architecture in ["amd64", "arm64", "s390x"] {
        push_image(&registry, "app", architecture, architecture);
    }
    let front = with_both(&registry, "http://HOST/token", answer(404, ""));
    let (template, to) = (format!("{}/app:ARCH", front.host), format!("{}/app:v1", front.host));
    let platforms = "linux/amd64,linux/arm64,linux/s390x";
    let args = ["push", "from-args", "--platforms", platforms, "--template", &template, "--target", &to];
    let pushed = run(&args, &LOGIN);
    assert_eq!(pushed.exit, 0, "{pushed:?}");
    assert_eq!(front.asked().iter().filter(|asked| asked.line.contains("/token")).count(), 1);
}

/// Starts a registry whose tokens spell their scopes, and which deletes only with a token for `scope`.
fn deleting(registry: &Registry, scope: &'static str, status: u16, error: &'static str) -> Scripted {
    let behind = registry.host.clone();
    Scripted::start(move |asked: &Asked, host| {
        if let Some((_, query)) = asked.line.split_once("/token?") {
            let granted = query.replace("%3A", ":").replace("%2C", ",").replace('*', "all");
            let token = serde_json::json!({"token": granted.split("scope=").nth(1).unwrap_or_default()});
            return (200, vec![], token.to_string().into_bytes());
        }
        let has = |part: &str| asked.authorization.as_deref().is_some_and(|token| token.contains(part));
        let refuse = |status, scope: &str, error: &str| {
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"{scope}\"{error}");
            (status, vec![("WWW-Authenticate", challenge)], vec![])
        };
        match asked.line.starts_with("DELETE ") {
            _ if asked.authorization.is_none() => refuse(401, "repository:app:pull", ""),
            true if !has(&scope.replace('*', "all")) => refuse(status, &format!("repository:app:{scope}"), error),
            _ => forward(asked, &behind, host),
        }
    })
}

#[test]
fn a_deletion_asks_for_the_scope_that_the_challenge_names() {
    let insufficient = ",error=\"insufficient_scope\"";
    for (scope, status, error, done) in [
        ("delete", 401, insufficient, true),
        ("*", 401, insufficient, true),
        ("*", 403, insufficient, true),
        ("erase", 401, insufficient, true),
        // Only a token that is good for too little is a reason to ask for everything.
        ("*", 401, "", false),
        ("*", 401, ",error=\"invalid_token\"", false),
    ] {
        let registry = Registry::start();
        push_image(&registry, "app", "v1", "amd64");
        let digest = registry.manifest("app", "v1").unwrap().digest;
        let front = deleting(&registry, scope, status, error);
        let outcome = run(&["delete", "--yes", &format!("{}/app@{digest}", front.host)], &LOGIN);
        assert_eq!(outcome.exit == 0, done, "{scope} {status} {error}: {outcome:?}");
        assert_eq!(registry.manifest("app", &digest).is_none(), done, "{scope} {status} {error}");
        let asked = front.asked();
        let tokens: Vec<&str> =
            asked.iter().map(|asked| asked.line.as_str()).filter(|l| l.contains("/token")).collect();
        let all = tokens.iter().filter(|line| line.contains('*') || line.contains("%2A")).count();
        assert_eq!(all, usize::from(scope == "*" && done), "{scope} {status} {error}: {tokens:?}");
    }
}

/// The credentials are good, and the user lacks the right: other credentials are not suggested.
#[test]
fn a_token_with_too_few_rights_is_not_reported_as_refused_credentials() {
    let registry = Registry::start();
    push_image(&registry, "app", "v1", "amd64");
    let digest = registry.manifest("app", "v1").unwrap().digest;
    let front = deleting(&registry, "nothing-that-is-granted", 401, ",error=\"insufficient_scope\"");
    // It grants less than it is asked for, as registries do for users without the rights.
    let behind = front.host.clone();
    let front = Scripted::start(move |asked, host| {
        if asked.line.contains("/token?") {
            return (200, vec![], br#"{"token":"little"}"#.to_vec());
        }
        forward(asked, &behind, host)
    });
    let outcome = run(&["delete", "--yes", &format!("{}/app@{digest}", front.host)], &LOGIN);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(!outcome.stderr.contains("refused the credentials"), "{outcome:?}");
    assert!(outcome.stderr.contains("signed in with the credentials from --username"), "{outcome:?}");
}

/// A registry that names `*` where something is read is not asked for it.
#[test]
fn a_read_never_asks_for_everything() {
    let front = Scripted::start(|asked, host| {
        if asked.line.contains("/token") {
            return (200, vec![], br#"{"token":"little"}"#.to_vec());
        }
        let challenge =
            format!("Bearer realm=\"http://{host}/token\",scope=\"repository:app:*\",error=\"insufficient_scope\"");
        (401, vec![("WWW-Authenticate", challenge)], vec![])
    });
    let outcome = run(&["inspect", &format!("{}/app:v1", front.host)], &LOGIN);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    let asked = front.asked();
    let tokens = asked.iter().filter(|asked| asked.line.contains("/token"));
    assert!(tokens.clone().count() > 0 && tokens.into_iter().all(|asked| !asked.line.contains('*')), "{asked:?}");
}

/// Credentials that were accepted before are not what a token service refuses with a 401.
#[test]
fn a_mount_that_the_token_service_refuses_leads_to_an_upload() {
    let registry = Registry::start();
    push_image(&registry, "src", "v1", "amd64");
    let behind = registry.host.clone();
    let front = Scripted::start(move |asked, host| match asked.authorization.as_deref() {
        _ if asked.line.contains("/token") && asked.line.contains("src") && asked.line.contains("dst") => {
            (401, vec![], vec![])
        }
        _ if asked.line.contains("/token") => (200, vec![], br#"{"token":"t"}"#.to_vec()),
        Some(_) => forward(asked, &behind, host),
        None => (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![]),
    });
    let [from, to] = ["src", "dst"].map(|repository| format!("{}/{repository}:v1", front.host));
    let copied = run(&["copy", &from, &to], &LOGIN);
    assert_eq!(copied.exit, 0, "{copied:?}");
    assert!(registry.manifest("dst", "v1").is_some());
}
