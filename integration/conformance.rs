//! `test-registry.sh`: its results for CNCF distribution 2.8, over plain HTTP, with sign-in and with TLS; and that a
//! fault changes only the result of the check for it.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::certificates::CertificateAuthority;
use crate::support::scripted_server::{ReceivedRequest, Response, forward_request};
use crate::support::{Outcome, Registry, ScriptedServer, Workspace, external_command, run};

/// Runs a script from `integration/` with the tested program on PATH.
fn script(name: &str, args: &[&str], stdin: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration").join(name);
    let binaries = Path::new(env!("CARGO_BIN_EXE_manifest-tool")).parent().unwrap();
    let mut command = external_command(&path, folder.path(), args);
    command.env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()));
    run(command, stdin)
}

/// Returns name and result of each check from the JSON output.
fn results(outcome: &Outcome) -> Vec<(String, String)> {
    let document = outcome.json();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    document["checks"].as_array().unwrap().iter().map(|check| (text(check, "name"), text(check, "result"))).collect()
}

/// Checks that CNCF distribution 2.8 does not support.
const UNSUPPORTED: [&str; 6] =
    ["subject", "referrers", "several tags at once", "list in pages", "rate limit", "deleting a tag"];

/// Asserts the results of CNCF distribution 2.8. A script for a single repository does not test mounts.
#[track_caller]
fn assert_distribution_results(outcome: &Outcome, single_repository: bool) {
    assert_eq!((outcome.exit, &*outcome.stderr), (0, ""), "{outcome:?}");
    for (name, result) in results(outcome) {
        let is_unsupported = UNSUPPORTED.contains(&&*name) || (single_repository && name == "mount");
        assert_eq!(result, if is_unsupported { "UNSUPPORTED" } else { "PASS" }, "{name}: {outcome:?}");
    }
}

fn tags(registry: &Registry, repository: &str) -> Vec<String> {
    let listed = Workspace::new().run(&["--plain-http", "tags", &format!("{}/{repository}", registry.host)]).success();
    listed.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn distribution_over_plain_http_has_the_results_that_the_documentation_shows() {
    let registry = Registry::start();
    let repository = format!("{}/team/trial", registry.host);
    let json = ["--plain-http", "--output", "json", &repository];
    assert_distribution_results(&script("test-registry.sh", &json, ""), false);
    assert_eq!(tags(&registry, "team/trial"), [""; 0]);
    assert_distribution_results(&script("test-registry-tagonly.sh", &json, ""), true);
    let text = script("test-registry.sh", &[&repository, "--plain-http"], "");
    assert_eq!((text.exit, text.stdout.lines().count()), (0, 26), "{text:?}");
    let line =
        "UNSUPPORTED  deleting a tag                      HTTP 400; registry says: DIGEST_INVALID: provided digest";
    assert!(text.stdout.contains(line), "{text:?}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/registries/README.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(&text.stdout), "the page lacks this output: {}", text.stdout);
    script("test-registry.sh", &["--keep", "--plain-http", &repository], "").success();
    let kept = tags(&registry, "team/trial");
    assert!(kept.iter().any(|tag| tag.ends_with("-oci-index")), "{kept:?}");
    assert!(kept.iter().any(|tag| tag.starts_with("test-registry-") && tag.ends_with("-amd64")), "{kept:?}");
}

/// The existing tags point at the images that the script pushes as well.
#[test]
fn existing_tags_are_not_deleted() {
    let registry = Registry::start();
    let source = format!("oci:{}/examples/layouts/amd64", env!("CARGO_MANIFEST_DIR"));
    let mine = format!("{}/trial:mine", registry.host);
    Workspace::new().run(&["--plain-http", "copy", &source, &mine]).success();
    let old = registry.manifest("trial", "mine").unwrap();
    registry.push_manifest("trial", "test-registry-arm64", &old.media_type, &old.bytes);
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", registry.host)], "");
    assert_eq!((outcome.exit, &*outcome.stderr), (0, ""), "{outcome:?}");
    let mut remaining = tags(&registry, "trial");
    remaining.sort_unstable();
    assert_eq!(remaining, ["mine", "test-registry-arm64"]);
    assert!(registry.manifest("trial", "test-registry-arm64").is_some_and(|kept| kept.digest == old.digest));

    // If the registry does not reveal whether an image existed, the image is not deleted.
    let digest = old.digest.clone();
    let proxy = ScriptedServer::in_front_of(&registry, move |request| {
        let is_read = request.line.starts_with("HEAD ") || request.line.starts_with("GET ");
        (is_read && request.line.ends_with(&digest)).then(|| refusal(403, "DENIED"))
    });
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", proxy.host)], "");
    assert!(outcome.stderr.contains("leftover: ") && outcome.stderr.contains("-amd64\n"), "{outcome:?}");
    assert!(registry.manifest("trial", "mine").is_some());
}

#[test]
fn distribution_with_sign_in_has_the_same_results() {
    let registry = Registry::with_htpasswd();
    let repository = format!("{}/trial", registry.host);
    for name in ["test-registry.sh", "test-registry-tagonly.sh"] {
        let flags = ["--username", "user", "--password-stdin", "--output=json", &repository];
        assert_distribution_results(&script(name, &flags, "secret-word\n"), name.contains("tagonly"));
    }
    let refused = script("test-registry.sh", &[&repository], "");
    assert!(refused.exit != 0 && refused.stderr.contains("no credentials for"), "{refused:?}");
}

#[test]
fn distribution_with_tls_has_the_same_results() {
    let folder = tempfile::tempdir().unwrap();
    let authority = CertificateAuthority::new(folder.path());
    let registry = Registry::start_with(&authority.registry_config(folder.path()), None);
    let certificate = authority.certificate.to_str().unwrap();
    let repository = format!("{}/trial", registry.host);
    for name in ["test-registry.sh", "test-registry-tagonly.sh"] {
        let flags = ["--ca-cert", certificate, "--output", "json", &repository];
        assert_distribution_results(&script(name, &flags, ""), name.contains("tagonly"));
    }
    assert_distribution_results(
        &script("test-registry.sh", &["--insecure", "--output", "json", &repository], ""),
        false,
    );
}

#[test]
fn wrong_usage_is_rejected() {
    for args in [&[][..], &["a.example/one", "a.example/two"], &["--help"]] {
        script("test-registry.sh", args, "").fails(2, "HOST[:PORT]/REPOSITORY");
    }
    script("test-registry.sh", &["a.example/one", "--output"], "").fails(1, "--output needs a value");
}

type Responder = Box<dyn Fn(&ReceivedRequest) -> Option<Response> + Send + Sync>;

fn refusal(status: u16, code: &str) -> Response {
    (status, vec![], json!({"errors": [{"code": code, "message": "broken here"}]}).to_string().into_bytes())
}

/// Refuses writes of a manifest whose name ends with `tag`.
fn refuse_put(tag: &'static str, status: u16, code: &'static str) -> Responder {
    Box::new(move |request| is_manifest_request(request, "PUT", tag).then(|| refusal(status, code)))
}

fn is_manifest_request(request: &ReceivedRequest, method: &str, tag: &str) -> bool {
    request.line.starts_with(&format!("{method} "))
        && request.line.ends_with(tag)
        && request.line.contains("/manifests/")
}

/// Each proxy breaks one feature of the registry.
#[test]
fn a_fault_changes_only_the_result_of_its_own_check() {
    let registry = Registry::start();
    let replace_body = |tag: &'static str| -> Responder {
        Box::new(move |request| {
            is_manifest_request(request, "GET", tag)
                .then(|| (200, vec![("Content-Type", INDEX.into())], b"{}".to_vec()))
        })
    };
    let (same_tag_writes, moved_tag_writes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let faults: Vec<(&str, &str, Responder)> = vec![
        ("Docker manifest list", "UNSUPPORTED", refuse_put("-docker-list", 415, "MANIFEST_INVALID")),
        ("OCI index", "UNSUPPORTED", refuse_put("-oci-index", 400, "UNSUPPORTED")),
        ("OCI index of Docker images", "UNSUPPORTED", refuse_put("-docker-in-oci", 400, "MANIFEST_INVALID")),
        ("Docker list of OCI images", "UNSUPPORTED", refuse_put("-oci-in-docker", 400, "MANIFEST_INVALID")),
        ("annotations of the index", "FAIL", replace_body("-annotated")),
        ("annotations of entries", "FAIL", replace_body("-entries")),
        ("index in an index", "UNSUPPORTED", refuse_put("-nested", 400, "MANIFEST_INVALID")),
        ("attestations", "FAIL", refuse_put("-attested", 500, "UNKNOWN")),
        ("artifact type", "UNSUPPORTED", refuse_put("-artifact", 400, "MANIFEST_INVALID")),
        ("subject", "FAIL", replace_body("-subject")),
        (
            "referrers",
            "FAIL",
            Box::new(|request| {
                let body = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
                request.line.contains("/referrers/").then(|| (200, vec![("Content-Type", INDEX.into())], body))
            }),
        ),
        (
            "referrers",
            "FAIL",
            Box::new(|request| {
                let is_tag = request.line.contains("/manifests/sha256-");
                (is_tag && request.line.starts_with("PUT ")).then(|| refusal(403, "DENIED"))
            }),
        ),
        ("further tags", "UNSUPPORTED", refuse_put("-further-1", 403, "DENIED")),
        ("further tags", "FAIL", refuse_put("-further-2", 429, "TOOMANYREQUESTS")),
        ("same tag again", "UNSUPPORTED", refuse_put("-same", 403, "DENIED")),
        (
            "same tag again",
            "FAIL",
            Box::new(move |request| {
                let again =
                    is_manifest_request(request, "PUT", "-same") && same_tag_writes.fetch_add(1, Ordering::SeqCst) > 0;
                again.then(|| refusal(500, "UNKNOWN"))
            }),
        ),
        (
            "tag that moves",
            "UNSUPPORTED",
            Box::new(move |request| {
                let moves = is_manifest_request(request, "PUT", "-moved")
                    && moved_tag_writes.fetch_add(1, Ordering::SeqCst) > 0;
                moves.then(|| refusal(412, "PRECONDITION"))
            }),
        ),
        (
            "read after write",
            "FAIL",
            Box::new(|request| is_manifest_request(request, "GET", "-read").then(|| refusal(404, "MANIFEST_UNKNOWN"))),
        ),
        (
            "several tags at once",
            "FAIL",
            Box::new(|request| request.line.contains("?tag=").then(|| refusal(500, "UNKNOWN"))),
        ),
        (
            "missing image",
            "UNSUPPORTED",
            Box::new(|request| is_manifest_request(request, "PUT", "-missing").then(|| (201, vec![], vec![]))),
        ),
        (
            "HEAD",
            "UNSUPPORTED",
            Box::new(|request| is_manifest_request(request, "HEAD", "-head").then(|| (200, vec![], vec![]))),
        ),
        (
            "mount",
            "UNSUPPORTED",
            Box::new(|request| request.line.contains("-mount/").then(|| refusal(405, "UNSUPPORTED"))),
        ),
        (
            "list of tags",
            "FAIL",
            Box::new(|request| {
                request.line.ends_with("/tags/list").then(|| (200, vec![], br#"{"tags":null}"#.to_vec()))
            }),
        ),
        (
            "list in pages",
            "FAIL",
            Box::new(|request| {
                let body = br#"{"tags":["one","two"]}"#.to_vec();
                request.line.ends_with("/tags/list?n=2").then(|| (200, vec![], body))
            }),
        ),
        (
            "error bodies",
            "FAIL",
            Box::new(|request| {
                is_manifest_request(request, "GET", "-nothing").then(|| (404, vec![], b"<html>no</html>".to_vec()))
            }),
        ),
        (
            "deleting a tag",
            "FAIL",
            Box::new(|request| is_manifest_request(request, "DELETE", "-delete-1").then(|| (202, vec![], vec![]))),
        ),
        (
            "deleting a manifest",
            "UNSUPPORTED",
            Box::new(|request| request.line.starts_with("DELETE ").then(|| refusal(405, "UNSUPPORTED"))),
        ),
    ];
    let intact = results(&script("test-registry.sh", &["--output", "json", &format!("{}/trial", registry.host)], ""));
    let without_fault = ["images", "rate limit"];
    for (name, _) in &intact {
        assert!(
            without_fault.contains(&&**name) || faults.iter().any(|(fault, ..)| fault == name),
            "no fault for {name}"
        );
    }
    // Runs concurrently, each in its own repository, because the script waits for tags that it cannot read.
    std::thread::scope(|scope| {
        for (number, (name, result, fault)) in faults.into_iter().enumerate() {
            let (registry, intact) = (&registry, &intact);
            scope.spawn(move || {
                let proxy = ScriptedServer::in_front_of(registry, fault);
                let repository = format!("{}/trial{number}", proxy.host);
                let flags = ["--retries", "0", "--plain-http", "--output", "json", &repository];
                let outcome = script("test-registry.sh", &flags, "");
                let changed: Vec<(String, String)> =
                    results(&outcome).into_iter().filter(|result| !intact.contains(result)).collect();
                assert_eq!(changed, [(name.to_owned(), result.to_owned())], "{outcome:?}");
                // Only checks that manifest-tool needs affect the exit code; one of the two index formats is enough.
                let is_required = ["further tags", "same tag again", "read after write"].contains(&name);
                assert_eq!(outcome.exit, i32::from(is_required), "{name}: {outcome:?}");
                assert!(
                    !is_required || outcome.stderr.contains("lacks a feature that manifest-tool needs"),
                    "{outcome:?}"
                );
            });
        }
    });
}

#[test]
fn a_registry_without_any_index_format_or_without_images_fails() {
    let registry = Registry::start();
    let proxy = ScriptedServer::in_front_of(&registry, |request| {
        let is_index = ["-docker-list", "-oci-index"].iter().any(|tag| is_manifest_request(request, "PUT", tag));
        is_index.then(|| refusal(400, "MANIFEST_INVALID"))
    });
    let repository = format!("{}/trial", proxy.host);
    let outcome = script("test-registry.sh", &["--plain-http", &repository], "").fails(1, "lacks a feature");
    assert!(
        outcome.stdout.contains(
            "UNSUPPORTED  OCI index                   one of  HTTP 400; registry says: MANIFEST_INVALID: broken here\n"
        ),
        "{outcome:?}"
    );

    let proxy = ScriptedServer::in_front_of(&registry, |request| {
        (request.line.starts_with("PUT ") && request.line.contains("/manifests/sha256:"))
            .then(|| refusal(400, "UNSUPPORTED"))
    });
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", proxy.host)], "");
    assert_eq!((outcome.exit, outcome.stdout.lines().count()), (1, 1), "{outcome:?}");
    assert!(outcome.stdout.starts_with("UNSUPPORTED  images "), "{outcome:?}");
}

/// The registry responds to a push with success, but does not store the image.
#[test]
fn a_registry_that_does_not_store_images_fails() {
    let registry = Registry::start();
    let proxy = ScriptedServer::in_front_of(&registry, |request| {
        (request.line.starts_with("PUT ") && request.line.contains("/manifests/sha256:")).then(|| (201, vec![], vec![]))
    });
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", proxy.host)], "");
    assert!(outcome.exit == 1 && outcome.stdout.starts_with("FAIL         images "), "{outcome:?}");
    assert!(outcome.stdout.contains("HTTP 201, but it cannot be read: HTTP 404"), "{outcome:?}");
}

#[test]
fn rate_limit_headers_are_shown() {
    let registry = Registry::start();
    let upstream = registry.host.clone();
    let proxy = ScriptedServer::start(move |request, host| {
        let (status, mut headers, body) = forward_request(request, &upstream, host);
        headers.push(("ratelimit-limit", "100;w=21600".into()));
        headers.push(("ratelimit-remaining", "98;w=21600".into()));
        (status, headers, body)
    });
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", proxy.host)], "");
    let line = "PASS         rate limit                          ratelimit-limit: 100;w=21600, ratelimit-remaining: 98;w=21600\n";
    assert!(outcome.exit == 0 && outcome.stdout.contains(line), "{outcome:?}");
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
