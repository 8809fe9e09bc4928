//! Token authentication: a real registry that verifies the tokens of a token service, and scripted registries for the
//! rest.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use indoc::indoc;
use serde_json::json;

use super::{push_args, run_without_leaks};
use crate::support::images::{OCI, descriptor, push_image};
use crate::support::registry::sha256;
use crate::support::scripted_server::{ReceivedRequest, Response};
use crate::support::token_service::{Grant, IDENTITY_TOKEN, anonymous_pull, authenticated_only};
use crate::support::{LOGIN, Outcome, Registry, Sandbox, ScriptedServer, TokenService, Workspace};

/// A sandbox whose registry requires tokens from `service`.
struct TokenServiceFixture {
    sandbox: Sandbox,
    service: TokenService,
    _certificates: tempfile::TempDir,
}

impl TokenServiceFixture {
    fn new(grant: Grant, fault: impl Fn(&ReceivedRequest) -> Option<Response> + Send + Sync + 'static) -> Self {
        Self::with_service(TokenService::start(grant, 300, fault))
    }

    /// Uses tokens that are declared to expire in `seconds`.
    fn with_lifetime(seconds: u64) -> Self {
        Self::with_service(TokenService::start(authenticated_only, seconds, |_| None))
    }

    fn with_service(service: TokenService) -> Self {
        Self::with_repositories(service, &["app", "parts", "whole"])
    }

    /// A registry with an image in each of ten repositories.
    fn for_ten_repositories(
        grant: Grant,
        fault: impl Fn(&ReceivedRequest) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let repositories = TEN.map(|name| format!("parts/{name}"));
        let repositories: Vec<&str> = repositories.iter().map(String::as_str).chain(["whole"]).collect();
        Self::with_repositories(TokenService::start(grant, 300, fault), &repositories)
    }

    fn with_repositories(service: TokenService, repositories: &[&str]) -> Self {
        let certificates = tempfile::tempdir().unwrap();
        let authorization = service.mint(repositories);
        let registry = Registry::start_with(&service.registry_config(certificates.path()), Some(authorization));
        Self { sandbox: Sandbox::with_registry(registry), service, _certificates: certificates }
    }

    fn registry(&self) -> &Registry {
        &self.sandbox.registry
    }

    fn host(&self) -> &str {
        &self.sandbox.registry.host
    }

    fn run(&self, args: &[&str]) -> Outcome {
        run_without_leaks(&self.sandbox, args, &[], "")
    }

    fn push(&self, host: &str, architectures: &[&str], template: &str, target: &str, more: &[&str]) -> Outcome {
        let platforms: Vec<String> = architectures.iter().map(|name| format!("linux/{name}")).collect();
        let (template, target) = (format!("{host}/{template}"), format!("{host}/{target}"));
        self.run(&[&push_args(&platforms.join(","), &template, &target), more].concat())
    }

    /// Writes a Docker configuration with this entry for the registry.
    fn configure(&self, entry: &str) {
        self.sandbox.write(".docker/config.json", &format!(r#"{{"auths":{{"HOST":{entry}}}}}"#));
    }

    /// Returns the scopes of each token request, joined by spaces.
    fn requested_scopes(&self) -> Vec<String> {
        let scopes = |request: &ReceivedRequest| {
            let body = String::from_utf8(request.body.clone()).unwrap();
            let query = request.line.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or(body);
            let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
            pairs.filter(|(key, _)| key == "scope").map(|(_, value)| value).collect::<Vec<_>>().join(" ")
        };
        self.service.token_requests().iter().map(scopes).collect()
    }
}

const TEN: [&str; 10] =
    ["386", "amd64", "arm64", "loong64", "mips", "mips64le", "mipsle", "ppc64le", "riscv64", "s390x"];

#[test]
fn ten_platforms_in_one_repository_need_one_token() {
    let fixture = TokenServiceFixture::new(authenticated_only, |_| None);
    for architecture in TEN {
        push_image(fixture.registry(), "app", architecture, architecture);
    }
    let flags = [&LOGIN[..], &["--tags", "a,b"]].concat();
    let outcome = fixture.push(fixture.host(), &TEN, "app:ARCH", "app:v1", &flags).success();
    assert_eq!(fixture.requested_scopes(), ["repository:app:pull,push"]);
    // 2N + 2T, and the first request, which was challenged while the others waited.
    assert_eq!(fixture.registry().requests(0).len(), 2 * 10 + 2 * 3 + 1);
    let line = &fixture.service.token_requests()[0].line;
    assert!(line.starts_with("GET /token?account=user&client_id=manifest-tool&service=the+registry&scope="), "{line}");
    let line = format!("token for {}: repository:app:pull,push", fixture.host());
    assert!(outcome.debug_log().contains(&line.as_str()), "{outcome:?}");
}

/// Requests that wait for the first request's token open their connections, but send nothing on them.
#[test]
fn waiting_requests_open_connections_while_the_token_is_fetched() {
    let proxy: Arc<OnceLock<ScriptedServer>> = Arc::default();
    let (service_proxy, seen) = (Arc::clone(&proxy), Arc::new(AtomicUsize::new(0)));
    let recorded = Arc::clone(&seen);
    let fixture = TokenServiceFixture::new(authenticated_only, move |_| {
        std::thread::sleep(Duration::from_millis(300));
        let proxy = service_proxy.get().unwrap();
        recorded.store(proxy.connections.load(Ordering::SeqCst) * 100 + proxy.requests().len(), Ordering::SeqCst);
        None
    });
    for architecture in TEN {
        push_image(fixture.registry(), "app", architecture, architecture);
    }
    let proxy = proxy.get_or_init(|| ScriptedServer::in_front_of(fixture.registry(), |_| None));
    fixture.push(&proxy.host, &TEN, "app:ARCH", "app:v1", &LOGIN).success();
    assert_eq!(seen.load(Ordering::SeqCst), 1101, "eleven connections, one request");
    assert_eq!(proxy.requests().len(), 2 * 10 + 2 + 1);
}

#[test]
fn mounts_use_one_token_for_both_repositories() {
    let fixture = TokenServiceFixture::new(authenticated_only, |_| None);
    for architecture in ["amd64", "arm64"] {
        push_image(fixture.registry(), "parts", architecture, architecture);
    }
    let proxy = ScriptedServer::in_front_of(fixture.registry(), |_| None);
    fixture.push(&proxy.host, &["amd64", "arm64"], "parts:ARCH", "whole:v1", &LOGIN).success();
    let both = "repository:parts:pull repository:whole:pull,push";
    assert_eq!(fixture.requested_scopes()[1..], [both], "after the token of the first request");
    let uploads = proxy.requests().into_iter().filter(|request| request.line.contains("&digest=")).count();
    assert_eq!(uploads, 0, "all blobs were mounted");
}

/// A push from ten repositories; `more` are its flags.
fn push_from_ten_repositories(fixture: &TokenServiceFixture, more: &[&str]) -> Outcome {
    for architecture in TEN {
        push_image(fixture.registry(), &format!("parts/{architecture}"), "v1", architecture);
    }
    fixture.push(fixture.host(), &TEN, "parts/ARCH:v1", "whole:v1", &[&LOGIN[..], more].concat()).success()
}

#[test]
fn ten_repositories_need_a_token_for_the_first_request_and_one_for_all() {
    let fixture = TokenServiceFixture::for_ten_repositories(authenticated_only, |_| None);
    push_from_ten_repositories(&fixture, &[]);
    let scopes = fixture.requested_scopes();
    let all = TEN.map(|name| format!("repository:parts/{name}:pull ")).concat() + "repository:whole:pull,push";
    assert_eq!(scopes[1..], [all], "{scopes:?}");
    assert!(!scopes[0].contains(' '), "{scopes:?}");
}

/// The service grants the token without the actions that it denies, as Docker Hub does.
#[test]
fn a_repository_that_is_not_granted_with_the_others_gets_its_own_token() {
    fn all_but_one(user: Option<&str>, repository: &str, _: &str) -> bool {
        user.is_some() && repository != "parts/riscv64"
    }
    let fixture = TokenServiceFixture::for_ten_repositories(all_but_one, |_| None);
    for architecture in TEN {
        push_image(fixture.registry(), &format!("parts/{architecture}"), "v1", architecture);
    }
    let outcome = fixture.push(fixture.host(), &TEN, "parts/ARCH:v1", "whole:v1", &LOGIN);
    outcome.fails(1, "token service did not grant pull on parts/riscv64");
    let own = fixture.requested_scopes().iter().filter(|scopes| *scopes == "repository:parts/riscv64:pull").count();
    assert!(own >= 1, "{:?}", fixture.requested_scopes());
}

/// ACR and others refuse a request if one of its scopes is denied.
#[test]
fn a_service_that_refuses_many_scopes_is_asked_for_each_repository() {
    for status in [400, 401, 403, 404] {
        let has_many_scopes = |request: &ReceivedRequest| request.line.matches("scope=").count() > 2;
        let fixture = TokenServiceFixture::for_ten_repositories(authenticated_only, move |request| {
            has_many_scopes(request).then(|| (status, vec![], b"too many scopes".to_vec()))
        });
        push_from_ten_repositories(&fixture, &[]);
        let refused = fixture.service.token_requests().into_iter().filter(has_many_scopes).count();
        assert_eq!(refused, 1, "{status}: the refusal is remembered");
    }
}

/// What an opaque token grants is unknown.
#[test]
fn an_opaque_token_for_all_repositories_is_not_used() {
    let has_many_scopes = |request: &ReceivedRequest| request.line.matches("scope=").count() > 2;
    let fixture = TokenServiceFixture::for_ten_repositories(authenticated_only, move |request| {
        has_many_scopes(request).then(|| (200, vec![], br#"{"token":"opaque"}"#.to_vec()))
    });
    push_from_ten_repositories(&fixture, &[]);
    assert_eq!(fixture.service.token_requests().into_iter().filter(has_many_scopes).count(), 1);
}

/// GCR refuses two scopes in one request (regclient#149).
#[test]
fn a_token_service_that_refuses_two_scopes_gets_requests_for_one() {
    let has_two_scopes = |request: &ReceivedRequest| request.line.matches("scope=").count() > 1;
    let fixture = TokenServiceFixture::new(authenticated_only, move |request| {
        has_two_scopes(request).then(|| (400, vec![], b"one scope only".to_vec()))
    });
    for architecture in ["amd64", "arm64"] {
        push_image(fixture.registry(), "parts", architecture, architecture);
    }
    fixture.push(fixture.host(), &["amd64", "arm64"], "parts:ARCH", "whole:v1", &LOGIN).success();
    assert!(fixture.registry().manifest("whole", "v1").is_some());
    let refused = fixture.service.token_requests().into_iter().filter(has_two_scopes).count();
    assert_eq!(refused, 2, "the token of the run and the first mount; then the refusal is remembered");
}

#[test]
fn an_anonymous_token_allows_reads_and_a_push_fails_with_a_hint() {
    let fixture = TokenServiceFixture::new(anonymous_pull, |_| None);
    push_image(fixture.registry(), "app", "amd64", "amd64");
    fixture.run(&["inspect", "HOST/app:amd64"]).success();
    assert!(fixture.service.token_requests().iter().all(|request| request.authorization.is_none()));
    let push = fixture.push(fixture.host(), &["amd64"], "app:ARCH", "app:v1", &[]);
    let expected = "HOST/app:v1: no credentials for HOST (HTTP 401; registry says: UNAUTHORIZED: ";
    let push = push.fails(1, &fixture.sandbox.fill(expected));
    assert!(push.stderr.ends_with(&fixture.sandbox.fill("hint: manifest-tool login HOST\n")), "{push:?}");
}

#[test]
fn a_token_without_the_requested_action_is_reported() {
    fn read_only(user: Option<&str>, _: &str, action: &str) -> bool {
        user.is_some() && action == "pull"
    }
    let fixture = TokenServiceFixture::new(read_only, |_| None);
    push_image(fixture.registry(), "app", "amd64", "amd64");
    let outcome = fixture.push(fixture.host(), &["amd64"], "app:ARCH", "app:v1", &LOGIN);
    outcome.fails(1, "token service granted pull but not push on app to the credentials from --username (HTTP 401");
    assert_eq!(fixture.service.token_requests().len(), 2, "one retry after the refusal");
}

#[test]
fn wrong_credentials_are_sent_to_the_token_service_once() {
    let fixture = TokenServiceFixture::new(authenticated_only, |_| None);
    for architecture in TEN {
        push_image(fixture.registry(), "app", architecture, architecture);
    }
    let wrong = ["--username", "user", "--password", "wrong"];
    let outcome = fixture.push(fixture.host(), &TEN, "app:ARCH", "app:v1", &wrong);
    let expected = indoc! {"
        error: cannot assemble HOST/app:v1: 10 sources cannot be used: the token service of HOST refused the credentials from --username \
        (HTTP 401; registry says: UNAUTHORIZED: incorrect username or password)
    "};
    outcome.fails(1, &fixture.sandbox.fill(expected));
    assert_eq!(fixture.service.token_requests().len(), 1, "repeated failures could lock the account");
}

#[test]
fn wrong_credentials_are_sent_to_the_token_service_once_for_ten_repositories() {
    for status in [401, 403] {
        let fixture = TokenServiceFixture::new(authenticated_only, move |request| {
            let has_credentials = request.authorization.is_some();
            has_credentials.then(|| (status, vec![], br#"{"errors":[{"code":"DENIED","message":"denied"}]}"#.to_vec()))
        });
        let outcome = fixture.push(fixture.host(), &TEN, "parts/ARCH:v1", "app:v1", &LOGIN);
        let expected = format!(
            "the token service of {} refused the credentials from --username \
             (HTTP {status}; registry says: DENIED: denied)\n",
            fixture.host()
        );
        outcome.fails(1, &expected);
        assert_eq!(fixture.service.token_requests().len(), 1);
    }
}

#[test]
fn a_token_refused_for_one_repository_does_not_affect_another() {
    let is_refused = |request: &ReceivedRequest| request.line.contains("other");
    let fixture =
        TokenServiceFixture::new(authenticated_only, move |request| is_refused(request).then(|| (401, vec![], vec![])));
    push_image(fixture.registry(), "app", "amd64", "amd64");
    let spec = indoc! {"
        image: HOST/app:v1
        manifests: [{image: HOST/app:amd64}, {image: HOST/other:v1}]
    "};
    fixture.sandbox.write("s.yaml", spec);
    let outcome = fixture.run(&[&["push", "from-spec", "s.yaml"], &LOGIN[..]].concat());
    let expected =
        "HOST/app:v1: HOST/other: the token service of HOST refused the credentials from --username (HTTP 401)";
    outcome.fails(1, &fixture.sandbox.fill(expected));
}

/// The error must not suggest signing in.
#[test]
fn a_failed_token_service_is_named_in_the_error() {
    let fixture = TokenServiceFixture::new(authenticated_only, |_| Some((503, vec![], b"busy".to_vec())));
    let outcome = fixture.run(&["--retries", "0", "inspect", "HOST/app:v1"]);
    let expected = format!(
        "token service http://{}/token of {}: refused by the registry (HTTP 503; registry says: busy)\n",
        fixture.service.server.host,
        fixture.host()
    );
    assert!(outcome.exit == 1 && outcome.stderr.ends_with(&expected), "{outcome:?}");
}

#[test]
fn an_identity_token_is_posted_to_the_token_service() {
    let fixture = TokenServiceFixture::new(authenticated_only, |_| None);
    push_image(fixture.registry(), "app", "amd64", "amd64");
    fixture.configure(&format!(r#"{{"identitytoken":"{IDENTITY_TOKEN}"}}"#));
    fixture.push(fixture.host(), &["amd64"], "app:ARCH", "app:v1", &[]).success();
    let requests = fixture.service.token_requests();
    assert_eq!((requests.len(), requests[0].line.as_str()), (1, "POST /token"));
    assert_eq!(requests[0].content_type.as_deref(), Some("application/x-www-form-urlencoded"));
    let body = String::from_utf8(requests[0].body.clone()).unwrap();
    let expected = "grant_type=refresh_token&refresh_token=the-identity-word&client_id=manifest-tool\
        &service=the+registry&scope=repository%3Aapp%3Apull%2Cpush";
    assert_eq!(body, expected);
}

#[test]
fn a_token_service_without_post_gets_the_identity_token_by_get() {
    for status in [404, 405] {
        let fixture = TokenServiceFixture::new(authenticated_only, move |request| {
            request.line.starts_with("POST").then(|| (status, vec![], vec![]))
        });
        push_image(fixture.registry(), "app", "amd64", "amd64");
        fixture.configure(&format!(r#"{{"identitytoken":"{IDENTITY_TOKEN}"}}"#));
        let outcome = fixture.push(fixture.host(), &["amd64"], "app:ARCH", "app:v1", &[]);
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
    }
}

/// Starts a registry with one image that accepts only the Authorization header `accepted`, and otherwise responds with
/// what `challenge` returns.
fn scripted_registry(
    accepted: &'static str,
    challenge: fn(&ReceivedRequest, &str) -> Option<String>,
) -> ScriptedServer {
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    let descriptor = descriptor("application/vnd.oci.image.config.v1+json", &sha256(config), config);
    let manifest = json!({"schemaVersion": 2, "config": descriptor, "layers": []}).to_string();
    ScriptedServer::start(move |request: &ReceivedRequest, host| {
        if request.line.starts_with("GET /token") {
            return (200, vec![], br#"{"access_token":"opaque","token":""}"#.to_vec());
        }
        if request.authorization.as_deref() != Some(accepted) {
            let headers = challenge(request, host).map(|value| ("WWW-Authenticate", value));
            return (401, headers.into_iter().collect(), vec![]);
        }
        if request.line.contains("/manifests/") {
            return (200, vec![("Content-Type", OCI.into())], manifest.clone().into_bytes());
        }
        (200, vec![], config.to_vec())
    })
}

/// Runs `inspect` with this entry for the registry in `DOCKER_AUTH_CONFIG`.
fn inspect(server: &ScriptedServer, entry: Option<&str>) -> Outcome {
    let workspace = Workspace::new().flags(&["--plain-http"]).placeholder("HOST", &server.host);
    let config = entry.map(|entry| format!(r#"{{"auths":{{"HOST":{entry}}}}}"#)).unwrap_or_default();
    run_without_leaks(&workspace, &["inspect", "HOST/app:v1"], &[("DOCKER_AUTH_CONFIG", &config)], "")
}

fn token_request_lines(server: &ScriptedServer) -> Vec<String> {
    let lines = server.requests().into_iter().map(|request| request.line);
    lines.filter(|line| line.contains("/token")).collect()
}

#[test]
fn a_registry_token_is_sent_unchanged() {
    let server =
        scripted_registry("Bearer registry-word", |_, host| Some(format!("Bearer realm=\"http://{host}/token\"")));
    inspect(&server, Some(r#"{"registrytoken":"registry-word"}"#)).success();
    assert!(token_request_lines(&server).is_empty());
    let wrong = inspect(&server, Some(r#"{"registrytoken":"secret-word"}"#));
    wrong.fails(1, &format!("{} refused the credentials from DOCKER_AUTH_CONFIG (HTTP 401)", server.host));
}

#[test]
fn a_response_without_a_challenge_uses_the_challenge_of_the_ping() {
    let server = scripted_registry("Bearer opaque", |request, host| {
        (request.line == "GET /v2/").then(|| format!("bearer Realm=http://{host}/token, Service=\"reg, \\\"1\\\"\""))
    });
    inspect(&server, None).success();
    let tokens = token_request_lines(&server);
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert!(tokens[0].contains("service=reg%2C+%221%22"), "{tokens:?}");
    let without_any = scripted_registry("x", |_, _| None);
    inspect(&without_any, None).fails(1, "hint: the registry offers no way to sign in");
}

#[test]
fn the_scope_of_a_challenge_is_requested_as_well() {
    let server = scripted_registry("Bearer opaque", |_, host| {
        let scope = "repository:app:pull,push repository:base:pull registry:catalog:*";
        Some(format!("Bearer realm=\"http://{host}/token\",scope=\"{scope}\""))
    });
    inspect(&server, None).success();
    let tokens = token_request_lines(&server);
    assert!(tokens[0].ends_with("&scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Abase%3Apull"), "{tokens:?}");
}

#[test]
fn bearer_is_preferred_to_basic_and_basic_needs_a_password() {
    let both = scripted_registry("Bearer opaque", |_, host| {
        Some(format!("Basic realm=\"x\", Bearer realm=\"http://{host}/token\""))
    });
    inspect(&both, None).success();
    let basic = scripted_registry("Basic dXNlcjpzZWNyZXQtd29yZA==", |_, _| Some("Basic".into()));
    inspect(&basic, Some(r#"{"username":"user","password":"secret-word"}"#)).success();
    inspect(&basic, Some(r#"{"identitytoken":"secret-word"}"#)).fails(1, "only a token is configured");
}

#[test]
fn an_expired_token_is_renewed() {
    for (lifetime, requests) in [(300, 1), (1, 2)] {
        let fixture = TokenServiceFixture::with_lifetime(lifetime);
        push_image(fixture.registry(), "app", "amd64", "amd64");
        // Reading the config takes longer than the lifetime of the second token.
        let proxy = ScriptedServer::in_front_of(fixture.registry(), |request| {
            if request.line.contains("/blobs/") && request.authorization.is_some() {
                std::thread::sleep(Duration::from_millis(1100));
            }
            None
        });
        let outcome = fixture.push(&proxy.host, &["amd64"], "app:ARCH", "app:v1", &LOGIN);
        assert_eq!((outcome.exit, fixture.service.token_requests().len()), (0, requests), "{outcome:?}");
    }
}

#[test]
fn a_refused_token_is_replaced_and_the_same_request_sent_again() {
    let fixture = TokenServiceFixture::new(authenticated_only, |_| None);
    push_image(fixture.registry(), "app", "amd64", "amd64");
    let refusals = AtomicUsize::new(0);
    let realm = format!("http://{}/token", fixture.service.server.host);
    let challenge = format!("Bearer realm=\"{realm}\",service=\"the registry\",error=\"invalid_token\"");
    let proxy = ScriptedServer::in_front_of(fixture.registry(), move |request| {
        let is_first = request.line.starts_with("PUT ") && refusals.fetch_add(1, Ordering::SeqCst) == 0;
        is_first.then(|| (401, vec![("WWW-Authenticate", challenge.clone())], vec![]))
    });
    let outcome = fixture.push(&proxy.host, &["amd64"], "app:ARCH", "app:v1", &LOGIN);
    assert_eq!((outcome.exit, fixture.service.token_requests().len()), (0, 2), "{outcome:?}");
    let puts: Vec<ReceivedRequest> =
        proxy.requests().into_iter().filter(|request| request.line.starts_with("PUT ")).collect();
    assert_eq!(puts.len(), 2);
    assert!(puts[0].body == puts[1].body && !puts[1].body.is_empty());
    assert!(outcome.stderr.contains(", attempt 2\n"), "{outcome:?}");
}
