//! Responses that mean that content does not exist: a 404 with a fitting error code or without one, in every command.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::images::{descriptor, push_image, push_index};
use crate::support::scripted_server::{Response, forward_request};
use crate::support::{Outcome, Sandbox, ScriptedServer, push_from_args};

/// Bodies of a 404 that mean "not found" (distribution-spec, "Error Codes": the body is optional).
const NOT_FOUND: [(&str, &str); 13] = [
    ("", ""),
    ("text/plain; charset=utf-8", "404 page not found\n"),
    ("text/html", "<html><body>Not Found</body></html>"),
    ("application/json", "{}"),
    ("application/json", "null"),
    ("application/json", r#"{"message":"Not Found"}"#),
    ("application/json", r#"{"errors":[]}"#),
    ("application/json", r#"{"errors":null}"#),
    ("application/json", r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#),
    ("application/json", r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
    ("application/json", r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#),
    ("application/json", r#"{"errors":[{"code":"NOT_FOUND","message":"artifact not found"}]}"#),
    ("application/json", r#"{"errors":[{"code":"UNKNOWN"}]}"#),
];

/// Responses that do not tell whether the content exists.
const INCONCLUSIVE: [(u16, &str); 7] = [
    (404, r#"{"errors":[{"code":"DENIED"}]}"#),
    (404, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#),
    (404, r#"{"errors":[{"code":"NAME_UNKNOWN"},{"code":"DENIED"}]}"#),
    (401, ""),
    (403, r#"{"errors":[{"code":"DENIED"}]}"#),
    (403, ""),
    (503, r#"{"errors":[{"code":"UNKNOWN"}]}"#),
];

fn not_found((content_type, body): (&str, &str)) -> Response {
    (404, vec![("Content-Type", content_type.to_owned())], body.into())
}

fn inconclusive((status, body): (u16, &str)) -> Response {
    (status, vec![("Content-Type", "application/json".into())], body.into())
}

/// Starts a registry with `app:amd64` and `app:arm64`.
fn sandbox_with_images() -> Sandbox {
    let sandbox = Sandbox::new().with(|workspace| workspace.flags(&["--retries", "0"]));
    for architecture in ["amd64", "arm64"] {
        push_image(&sandbox.registry, "app", architecture, architecture);
    }
    sandbox
}

/// Starts a server in front of the registry that sends `response` for every path that ends in one of `missing`, and
/// instead of each 404 of the registry.
fn proxy(sandbox: &Sandbox, response: Response, missing: &[String]) -> ScriptedServer {
    let (upstream, missing) = (sandbox.registry.host.clone(), missing.to_vec());
    ScriptedServer::start(move |request, host| {
        if missing.iter().any(|end| request.line.ends_with(end.as_str())) {
            return response.clone();
        }
        let forwarded = forward_request(request, &upstream, host);
        if forwarded.0 == 404 { response.clone() } else { forwarded }
    })
}

fn push(server: &ScriptedServer, target: &str, platforms: &str, args: &[&str]) -> Outcome {
    push_from_args(&server.host, platforms, "app:ARCH", target, &[&["--retries", "0"], args].concat())
}

#[test]
fn push_skips_a_missing_source_with_ignore_missing() {
    let sandbox = sandbox_with_images();
    for (n, body) in NOT_FOUND.into_iter().enumerate() {
        let server = proxy(&sandbox, not_found(body), &[]);
        let target = format!("skipped:v{n}");
        let outcome = push(&server, &target, "linux/amd64,linux/s390x", &["--ignore-missing"]).success();
        assert!(outcome.stderr.contains("app:s390x not found (HTTP 404"), "{body:?}: {outcome:?}");
        assert!(sandbox.registry.manifest("skipped", &format!("v{n}")).is_some(), "{body:?}");
    }
}

#[test]
fn append_and_if_match_none_create_a_missing_tag() {
    let sandbox = sandbox_with_images();
    for (n, body) in NOT_FOUND.into_iter().enumerate() {
        let server = proxy(&sandbox, not_found(body), &[]);
        for (target, more) in [("appended", &["--append", "--settle", "1ms"][..]), ("new", &["--if-match", "none"])] {
            push(&server, &format!("{target}:v{n}"), "linux/amd64", more).success();
            assert!(sandbox.registry.manifest(target, &format!("v{n}")).is_some(), "{body:?} {target}");
        }
    }
}

#[test]
fn copy_with_referrers_succeeds_if_the_referrers_tags_are_missing() {
    let sandbox = sandbox_with_images();
    for (n, body) in NOT_FOUND.into_iter().enumerate() {
        let server = proxy(&sandbox, not_found(body), &[]);
        let (from, to) = (format!("{}/app:amd64", server.host), format!("{}/copied:v{n}", server.host));
        sandbox.run(&["copy", "--referrers", &from, &to]).success();
        assert!(sandbox.registry.manifest("copied", &format!("v{n}")).is_some(), "{body:?}");
    }
}

#[test]
fn verify_reports_missing_content_as_missing() {
    let sandbox = sandbox_with_images();
    let entries = ["amd64", "arm64"].map(|tag| {
        let image = sandbox.registry.manifest("app", tag).unwrap();
        descriptor(&image.media_type, &image.digest, &image.bytes)
    });
    push_index(&sandbox.registry, "app", "v1", &entries);
    let image: serde_json::Value =
        serde_json::from_slice(&sandbox.registry.manifest("app", "arm64").unwrap().bytes).unwrap();
    let digest = |value: &serde_json::Value| value["digest"].as_str().unwrap().to_owned();
    let missing = [digest(&entries[0]), digest(&image["layers"][0])];
    for body in NOT_FOUND {
        let server = proxy(&sandbox, not_found(body), &missing);
        let outcome = sandbox.run(&["verify", &format!("{}/app:v1", server.host)]).exits(5);
        for digest in &missing {
            assert!(outcome.stdout.contains(&format!("{digest}: missing: not found")), "{body:?}: {outcome:?}");
        }
    }
    for response in INCONCLUSIVE {
        let server = proxy(&sandbox, inconclusive(response), &missing);
        let outcome = sandbox.run(&["verify", &format!("{}/app:v1", server.host)]).exits(1);
        assert!(!outcome.stdout.contains("missing"), "{response:?}: {outcome:?}");
    }
}

#[test]
fn inspect_verify_and_delete_report_a_missing_reference() {
    let sandbox = sandbox_with_images();
    for body in NOT_FOUND {
        let server = proxy(&sandbox, not_found(body), &[]);
        let reference = format!("{}/app:none", server.host);
        for command in ["inspect", "verify", "delete"] {
            let outcome = sandbox.run(&[command, &reference]);
            assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{body:?} {command}: {outcome:?}");
            let error = format!("error: {reference} not found (HTTP 404");
            assert!(outcome.stderr.contains(&error), "{body:?} {command}: {outcome:?}");
        }
    }
}

/// An earlier attempt whose response was lost may have deleted the tag.
#[test]
fn a_tag_that_is_missing_after_its_delete_counts_as_deleted() {
    let sandbox = sandbox_with_images();
    for body in NOT_FOUND {
        let image = sandbox.registry.manifest("app", "amd64").unwrap();
        let deleted = AtomicBool::new(false);
        let server = ScriptedServer::start(move |request, _| {
            let was_deleted = deleted.load(Ordering::SeqCst);
            if request.line.starts_with("DELETE ") {
                deleted.store(true, Ordering::SeqCst);
            }
            if was_deleted || request.line.starts_with("DELETE ") {
                return not_found(body);
            }
            let headers =
                vec![("Content-Type", image.media_type.clone()), ("Docker-Content-Digest", image.digest.clone())];
            (200, headers, image.bytes.clone())
        });
        sandbox.run(&["delete", &format!("{}/app:amd64", server.host)]).success();
    }
}

#[test]
fn denied_and_failed_requests_do_not_count_as_missing() {
    let sandbox = sandbox_with_images();
    for response in INCONCLUSIVE {
        let server = proxy(&sandbox, inconclusive(response), &[]);
        let skipping = push(&server, "new:v1", "linux/amd64,linux/s390x", &["--ignore-missing"]);
        let appending = push(&server, "new:v1", "linux/amd64", &["--append", "--settle", "1ms"]);
        let creating = push(&server, "new:v1", "linux/amd64", &["--if-match", "none"]);
        let (from, to) = (format!("{}/app:amd64", server.host), format!("{}/new:v1", server.host));
        let copying = sandbox.run(&["copy", "--referrers", &from, &to]);
        for outcome in [skipping, appending, creating, copying] {
            assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{response:?}: {outcome:?}");
            assert!(!outcome.stderr.contains("not found ("), "{response:?}: {outcome:?}");
        }
        assert!(sandbox.registry.manifest("new", "v1").is_none(), "{response:?}");
    }
}

/// The repository cannot be created. That does not make a source missing.
#[test]
fn a_404_for_a_write_is_a_refusal() {
    let sandbox = sandbox_with_images();
    for (_, body) in NOT_FOUND {
        let server = ScriptedServer::in_front_of(&sandbox.registry, move |request| {
            (request.line.starts_with("POST ") || request.line.starts_with("PUT ")).then(|| (404, vec![], body.into()))
        });
        let outcome = push(&server, "new:v1", "linux/amd64", &["--ignore-missing"]).exits(1);
        assert!(outcome.stderr.contains("refused by the registry (P"), "{body}: {outcome:?}");
        assert!(outcome.stderr.contains("no tag was written"), "{body}: {outcome:?}");
    }
}

/// The 404 is about the token, not about the content.
#[test]
fn a_404_of_a_token_service_does_not_make_a_source_missing() {
    let server = ScriptedServer::start(move |request, host| {
        if request.line.starts_with("GET /token") {
            return (404, vec![], vec![]);
        }
        (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![])
    });
    let outcome = push(&server, "new:v1", "linux/amd64", &["--ignore-missing"]).exits(1);
    assert!(!outcome.stderr.contains("skipped") && outcome.stderr.contains("token service"), "{outcome:?}");
}
