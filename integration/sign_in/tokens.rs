//! Token authentication: a real registry that verifies what a token service signs, and scripted ones for the rest.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{LOGIN, tool};
use crate::support::images::push_image;
use crate::support::scripted::{Answer, Asked};
use crate::support::token_service::{Grant, IDENTITY_TOKEN, closed, open_to_pull};
use crate::support::{Outcome, Registry, Scripted, TokenService};

struct Scene {
    folder: tempfile::TempDir,
    service: TokenService,
    registry: Registry,
}

impl Scene {
    fn new(grant: Grant, fault: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) -> Self {
        Self::before(TokenService::start(grant, 300, fault))
    }

    /// With tokens that say to live so many seconds.
    fn with_lifetime(seconds: u64) -> Self {
        Self::before(TokenService::start(closed, seconds, |_| None))
    }

    fn before(service: TokenService) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = service.mint(&["app", "parts", "whole"]);
        let registry = Registry::start_with(&service.registry_config(folder.path()), Some(own));
        Self { folder, service, registry }
    }

    fn push(&self, host: &str, architectures: &[&str], template: &str, target: &str, more: &[&str]) -> Outcome {
        let platforms: Vec<String> = architectures.iter().map(|name| format!("linux/{name}")).collect();
        let (platforms, template, target) =
            (platforms.join(","), format!("{host}/{template}"), format!("{host}/{target}"));
        let push = ["push", "from-args", "--platforms", &platforms, "--template", &template, "--target", &target];
        tool(&self.folder, &[&["--plain-http"], &push[..], more].concat(), &[], "")
    }

    fn configure(&self, host: &str, entry: &str) {
        let folder = self.folder.path().join(".docker");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), format!(r#"{{"auths":{{"{host}":{entry}}}}}"#)).unwrap();
    }

    fn scopes_asked(&self) -> Vec<String> {
        let decode = |text: &str| url::form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
        let scopes = |asked: &Asked| {
            let body = String::from_utf8(asked.body.clone()).unwrap();
            let query = asked.line.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or(body);
            let scopes = decode(&query).into_iter().filter(|(key, _)| key == "scope").map(|(_, value)| value);
            scopes.collect::<Vec<_>>().join(" ")
        };
        self.service.token_requests().iter().map(scopes).collect()
    }
}

const TEN: [&str; 10] =
    ["386", "amd64", "arm64", "loong64", "mips", "mips64le", "mipsle", "ppc64le", "riscv64", "s390x"];

#[test]
fn ten_platforms_in_one_repository_take_one_token() {
    let scene = Scene::new(closed, |_| None);
    for architecture in TEN {
        push_image(&scene.registry, "app", architecture, architecture);
    }
    let outcome =
        scene.push(&scene.registry.host, &TEN, "app:ARCH", "app:v1", &[&LOGIN[..], &["--tags", "a,b"]].concat());
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(scene.scopes_asked(), ["repository:app:pull,push"]);
    // 2N + 2T, and the one that found out that sign-in is wanted, while the others waited.
    assert_eq!(scene.registry.requests(0).len(), 2 * 10 + 2 * 3 + 1);
    let asked = &scene.service.token_requests()[0].line;
    assert!(
        asked.starts_with("GET /token?account=user&client_id=manifest-tool&service=the+registry&scope="),
        "{asked}"
    );
    let line = format!("debug: token for {}: repository:app:pull,push\n", scene.registry.host);
    assert!(outcome.stderr.contains(&line), "{outcome:?}");
}

/// While the first request's token is fetched, those that wait for it get their connections; nothing is sent on them.
#[test]
fn connections_open_while_the_token_is_fetched() {
    let front: Arc<OnceLock<Scripted>> = Arc::default();
    let (opened, seen) = (Arc::clone(&front), Arc::new(AtomicUsize::new(0)));
    let noted = Arc::clone(&seen);
    let scene = Scene::new(closed, move |_| {
        std::thread::sleep(Duration::from_millis(300));
        let front = opened.get().unwrap();
        noted.store(front.connections.load(Ordering::SeqCst) * 100 + front.asked().len(), Ordering::SeqCst);
        None
    });
    for architecture in TEN {
        push_image(&scene.registry, "app", architecture, architecture);
    }
    let front = front.get_or_init(|| Scripted::before(&scene.registry, |_| None));
    let outcome = scene.push(&front.host, &TEN, "app:ARCH", "app:v1", &LOGIN);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!(seen.load(Ordering::SeqCst), 1101, "eleven connections, one request");
    assert_eq!(front.asked().len(), 2 * 10 + 2 + 1);
}

#[test]
fn mounting_takes_one_token_for_both_repositories() {
    let scene = Scene::new(closed, |_| None);
    for architecture in ["amd64", "arm64"] {
        push_image(&scene.registry, "parts", architecture, architecture);
    }
    let front = Scripted::before(&scene.registry, |_| None);
    let outcome = scene.push(&front.host, &["amd64", "arm64"], "parts:ARCH", "whole:v1", &LOGIN);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let mut asked = scene.scopes_asked();
    asked.sort();
    let both = "repository:parts:pull repository:whole:pull,push";
    assert_eq!(asked, ["repository:parts:pull", both, "repository:whole:pull,push"]);
    let sent = front.asked().into_iter().filter(|asked| asked.line.contains("&digest=")).count();
    assert_eq!(sent, 0, "everything was mounted");
}

/// As GCR does (regclient#149).
#[test]
fn a_token_service_that_does_not_take_two_scopes_is_asked_for_one() {
    let two = |asked: &Asked| asked.line.matches("scope=").count() > 1;
    let scene = Scene::new(closed, move |asked| two(asked).then(|| (400, vec![], b"one scope only".to_vec())));
    for architecture in ["amd64", "arm64"] {
        push_image(&scene.registry, "parts", architecture, architecture);
    }
    let outcome = scene.push(&scene.registry.host, &["amd64", "arm64"], "parts:ARCH", "whole:v1", &LOGIN);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(scene.registry.manifest("whole", "v1").is_some());
    let failed = scene.service.token_requests().into_iter().filter(two).count();
    assert_eq!(failed, 1, "it is remembered");
}

#[test]
fn anyone_may_read_and_pushing_needs_more() {
    let scene = Scene::new(open_to_pull, |_| None);
    push_image(&scene.registry, "app", "amd64", "amd64");
    let host = scene.registry.host.clone();
    let read = tool(&scene.folder, &["inspect", &format!("{host}/app:amd64")], &[], "");
    assert_eq!(read.exit, 0, "{read:?}");
    assert!(scene.service.token_requests().iter().all(|asked| asked.authorization.is_none()));
    let push = scene.push(&host, &["amd64"], "app:ARCH", "app:v1", &[]);
    let expected = format!("{host}/app:v1: no credentials for {host} (HTTP 401; registry says: UNAUTHORIZED: ");
    assert!(push.exit == 1 && push.stderr.contains(&expected), "{push:?}");
    assert!(push.stderr.ends_with(&format!("hint: manifest-tool login {host}\n")), "{push:?}");
}

#[test]
fn what_the_token_service_did_not_grant_is_said() {
    fn reader(user: Option<&str>, _: &str, action: &str) -> bool {
        user.is_some() && action == "pull"
    }
    let scene = Scene::new(reader, |_| None);
    push_image(&scene.registry, "app", "amd64", "amd64");
    let outcome = scene.push(&scene.registry.host, &["amd64"], "app:ARCH", "app:v1", &LOGIN);
    let expected = "token service granted pull but not push on app to the credentials from --username (HTTP 401";
    assert!(outcome.exit == 1 && outcome.stderr.contains(expected), "{outcome:?}");
    assert_eq!(scene.service.token_requests().len(), 2, "one more after the refusal, and no third");
}

#[test]
fn wrong_credentials_are_tried_once() {
    let scene = Scene::new(closed, |_| None);
    for architecture in TEN {
        push_image(&scene.registry, "app", architecture, architecture);
    }
    let host = &scene.registry.host;
    let outcome = scene.push(host, &TEN, "app:ARCH", "app:v1", &["--username", "user", "--password", "wrong"]);
    let expected = format!(
        "error: cannot assemble {host}/app:v1: the token service of {host} refused the credentials from --username \
         (HTTP 401; registry says: UNAUTHORIZED: incorrect username or password)\n"
    );
    assert!(outcome.exit == 1 && outcome.stderr.contains(&expected), "{outcome:?}");
    assert_eq!(scene.service.token_requests().len(), 1, "more could lock the account");
}

#[test]
fn wrong_credentials_for_many_repositories_are_tried_once_as_well() {
    for status in [401, 403] {
        let scene = Scene::new(closed, move |asked| {
            let wrong = asked.authorization.is_some();
            wrong.then(|| (status, vec![], br#"{"errors":[{"code":"DENIED","message":"denied"}]}"#.to_vec()))
        });
        let host = &scene.registry.host;
        let outcome = scene.push(host, &TEN, "parts/ARCH:v1", "app:v1", &LOGIN);
        let expected = format!(
            "the token service of {host} refused the credentials from --username (HTTP {status}; registry says: DENIED: denied)\n"
        );
        assert!(outcome.exit == 1 && outcome.stderr.contains(&expected), "{outcome:?}");
        assert_eq!(scene.service.token_requests().len(), 1);
    }
}

/// Nor are good ones given up because of one repository.
#[test]
fn one_repository_that_is_refused_does_not_spoil_the_others() {
    let refused = |asked: &Asked| asked.line.contains("other");
    let scene = Scene::new(closed, move |asked| refused(asked).then(|| (401, vec![], vec![])));
    push_image(&scene.registry, "app", "amd64", "amd64");
    let host = &scene.registry.host;
    let spec = format!("image: {host}/app:v1\nmanifests: [{{image: {host}/app:amd64}}, {{image: {host}/other:v1}}]\n");
    std::fs::write(scene.folder.path().join("s.yaml"), spec).unwrap();
    let outcome = tool(&scene.folder, &[&["push", "from-spec", "s.yaml"], &LOGIN[..]].concat(), &[], "");
    let expected = format!(
        "{host}/app:v1: {host}/other: the token service of {host} refused the credentials from --username (HTTP 401)"
    );
    assert!(outcome.exit == 1 && outcome.stderr.contains(&expected), "{outcome:?}");
}

/// A token service that is down is not a reason to sign in.
#[test]
fn a_token_service_that_fails_is_named() {
    let scene = Scene::new(closed, |_| Some((503, vec![], b"busy".to_vec())));
    let reference = format!("{}/app:v1", scene.registry.host);
    let outcome = tool(&scene.folder, &["--retries", "0", "inspect", &reference], &[], "");
    let expected = format!(
        "token service http://{}/token of {}: refused by the registry (HTTP 503; registry says: busy)\n",
        scene.service.server.host, scene.registry.host
    );
    assert!(outcome.exit == 1 && outcome.stderr.ends_with(&expected), "{outcome:?}");
}

#[test]
fn identity_tokens_are_posted() {
    let scene = Scene::new(closed, |_| None);
    push_image(&scene.registry, "app", "amd64", "amd64");
    scene.configure(&scene.registry.host, &format!(r#"{{"identitytoken":"{IDENTITY_TOKEN}"}}"#));
    let outcome = scene.push(&scene.registry.host, &["amd64"], "app:ARCH", "app:v1", &[]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let asked = scene.service.token_requests();
    assert_eq!((asked.len(), asked[0].line.as_str()), (1, "POST /token"));
    assert_eq!(asked[0].content_type.as_deref(), Some("application/x-www-form-urlencoded"));
    let body = String::from_utf8(asked[0].body.clone()).unwrap();
    let expected = "grant_type=refresh_token&refresh_token=the-identity-word&client_id=manifest-tool\
        &service=the+registry&scope=repository%3Aapp%3Apull%2Cpush";
    assert_eq!(body, expected);
}

#[test]
fn a_token_service_without_post_gets_the_identity_token_by_get() {
    for status in [404, 405] {
        let scene = Scene::new(closed, move |asked| asked.line.starts_with("POST").then(|| (status, vec![], vec![])));
        push_image(&scene.registry, "app", "amd64", "amd64");
        scene.configure(&scene.registry.host, &format!(r#"{{"identitytoken":"{IDENTITY_TOKEN}"}}"#));
        let outcome = scene.push(&scene.registry.host, &["amd64"], "app:ARCH", "app:v1", &[]);
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
    }
}

/// A registry that takes one fixed header, challenges as told, and holds one image.
fn scripted(good: &'static str, challenge: fn(&Asked, &str) -> Option<String>) -> Scripted {
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    let digest = crate::support::registry::sha256(config);
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{}}},"layers":[]}}"#,
        config.len()
    );
    Scripted::start(move |asked: &Asked, host| {
        if asked.line.starts_with("GET /token") {
            return (200, vec![], br#"{"access_token":"opaque","token":""}"#.to_vec());
        }
        if asked.authorization.as_deref() != Some(good) {
            let headers = challenge(asked, host).map(|value| ("WWW-Authenticate", value));
            return (401, headers.into_iter().collect(), vec![]);
        }
        if asked.line.contains("/manifests/") {
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            return (200, vec![("Content-Type", media_type.into())], manifest.clone().into_bytes());
        }
        (200, vec![], config.to_vec())
    })
}

fn inspect(host: &str, config: Option<&str>) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let text = config.map(|entry| format!(r#"{{"auths":{{"{host}":{entry}}}}}"#)).unwrap_or_default();
    let environment = [("DOCKER_AUTH_CONFIG", text.as_str())];
    tool(&folder, &["--plain-http", "inspect", &format!("{host}/app:v1")], &environment, "")
}

#[test]
fn a_registry_token_is_sent_as_it_is() {
    let server = scripted("Bearer registry-word", |_, host| Some(format!("Bearer realm=\"http://{host}/token\"")));
    let outcome = inspect(&server.host, Some(r#"{"registrytoken":"registry-word"}"#));
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert!(server.asked().iter().all(|asked| !asked.line.contains("/token")));
    let wrong = inspect(&server.host, Some(r#"{"registrytoken":"secret-word"}"#));
    let expected = format!("{0} refused the credentials from DOCKER_AUTH_CONFIG (HTTP 401)", server.host);
    assert!(wrong.exit == 1 && wrong.stderr.contains(&expected), "{wrong:?}");
}

#[test]
fn a_challenge_that_an_answer_lacks_comes_from_the_ping() {
    let server = scripted("Bearer opaque", |asked, host| {
        (asked.line == "GET /v2/").then(|| format!("bearer Realm=http://{host}/token, Service=\"reg, \\\"1\\\"\""))
    });
    let outcome = inspect(&server.host, None);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let tokens: Vec<String> = server.asked().into_iter().map(|a| a.line).filter(|l| l.contains("/token")).collect();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert!(tokens[0].contains("service=reg%2C+%221%22"), "{tokens:?}");
    let nothing = inspect(&scripted("x", |_, _| None).host, None);
    assert!(nothing.exit == 1 && nothing.stderr.contains("hint: the registry names no way to sign in"), "{nothing:?}");
}

#[test]
fn the_challenges_scope_is_asked_for_as_well() {
    let server = scripted("Bearer opaque", |_, host| {
        Some(format!(
            "Bearer realm=\"http://{host}/token\",scope=\"repository:app:pull,push repository:base:pull registry:catalog:*\""
        ))
    });
    assert_eq!(inspect(&server.host, None).exit, 0);
    let tokens: Vec<String> = server.asked().into_iter().map(|a| a.line).filter(|l| l.contains("/token")).collect();
    assert!(tokens[0].ends_with("&scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Abase%3Apull"), "{tokens:?}");
}

#[test]
fn bearer_is_preferred_and_basic_taken_where_it_is_all() {
    let both =
        scripted("Bearer opaque", |_, host| Some(format!("Basic realm=\"x\", Bearer realm=\"http://{host}/token\"")));
    assert_eq!(inspect(&both.host, None).exit, 0);
    let basic = scripted("Basic dXNlcjpzZWNyZXQtd29yZA==", |_, _| Some("Basic".into()));
    assert_eq!(inspect(&basic.host, Some(r#"{"username":"user","password":"secret-word"}"#)).exit, 0);
    let token = inspect(&basic.host, Some(r#"{"identitytoken":"secret-word"}"#));
    assert!(token.exit == 1 && token.stderr.contains("only a token is configured"), "{token:?}");
}

#[test]
fn a_token_that_runs_out_is_renewed() {
    for (lifetime, requests) in [(300, 1), (1, 2)] {
        let scene = Scene::with_lifetime(lifetime);
        push_image(&scene.registry, "app", "amd64", "amd64");
        // The config takes longer than the short token lives.
        let front = Scripted::before(&scene.registry, |asked| {
            if asked.line.contains("/blobs/") && asked.authorization.is_some() {
                std::thread::sleep(Duration::from_millis(1100));
            }
            None
        });
        let outcome = scene.push(&front.host, &["amd64"], "app:ARCH", "app:v1", &LOGIN);
        assert_eq!((outcome.exit, scene.service.token_requests().len()), (0, requests), "{outcome:?}");
    }
}

#[test]
fn a_token_that_is_refused_is_dropped_and_the_same_request_sent_again() {
    let scene = Scene::new(closed, |_| None);
    push_image(&scene.registry, "app", "amd64", "amd64");
    let refused = AtomicUsize::new(0);
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"the registry\",error=\"invalid_token\"",
        scene.service.server.host
    );
    let front = Scripted::before(&scene.registry, move |asked| {
        let first = asked.line.starts_with("PUT ") && refused.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| (401, vec![("WWW-Authenticate", challenge.clone())], vec![]))
    });
    let outcome = scene.push(&front.host, &["amd64"], "app:ARCH", "app:v1", &LOGIN);
    assert_eq!((outcome.exit, scene.service.token_requests().len()), (0, 2), "{outcome:?}");
    let puts: Vec<Asked> = front.asked().into_iter().filter(|asked| asked.line.starts_with("PUT ")).collect();
    assert_eq!(puts.len(), 2);
    assert!(puts[0].body == puts[1].body && !puts[1].body.is_empty());
    assert!(outcome.stderr.contains(", attempt 2\n"), "{outcome:?}");
}
