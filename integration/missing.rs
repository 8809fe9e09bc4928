//! Which answers mean that content does not exist: a 404 with a code that says so or with no code, in every command.

use crate::support::images::{descriptor, push_image, push_index};
use crate::support::scripted::{Answer, forward};
use crate::support::{Outcome, Registry, Scripted, manifest_tool, push_from_args};

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

/// Answers that say nothing of whether the content exists.
const NO_VERDICT: [(u16, &str); 7] = [
    (404, r#"{"errors":[{"code":"DENIED"}]}"#),
    (404, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#),
    (404, r#"{"errors":[{"code":"NAME_UNKNOWN"},{"code":"DENIED"}]}"#),
    (401, ""),
    (403, r#"{"errors":[{"code":"DENIED"}]}"#),
    (403, ""),
    (503, r#"{"errors":[{"code":"UNKNOWN"}]}"#),
];

fn not_found((content_type, body): (&str, &str)) -> Answer {
    (404, vec![("Content-Type", content_type.to_owned())], body.into())
}

fn no_verdict((status, body): (u16, &str)) -> Answer {
    (status, vec![("Content-Type", "application/json".into())], body.into())
}

/// A registry with `app:amd64` and `app:arm64`, behind a server that gives its own answer wherever the registry answers
/// 404, and for every path that ends in one of `gone`.
struct Scene {
    registry: Registry,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let registry = Registry::start();
        for architecture in ["amd64", "arm64"] {
            push_image(&registry, "app", architecture, architecture);
        }
        Self { registry, folder: tempfile::tempdir().unwrap() }
    }

    fn front(&self, answer: Answer, gone: &[String]) -> Scripted {
        let (behind, gone) = (self.registry.host.clone(), gone.to_vec());
        Scripted::start(move |asked, host| {
            if gone.iter().any(|end| asked.line.ends_with(end.as_str())) {
                return answer.clone();
            }
            let found = forward(asked, &behind, host);
            if found.0 == 404 { answer.clone() } else { found }
        })
    }

    fn run(&self, args: &[&str]) -> Outcome {
        manifest_tool(self.folder.path(), &[&["--plain-http", "--retries", "0"], args].concat())
    }

    fn push(&self, front: &Scripted, target: &str, platforms: &str, more: &[&str]) -> Outcome {
        push_from_args(&front.host, platforms, "app:ARCH", target, &[&["--retries", "0"], more].concat())
    }
}

#[test]
fn push_skips_a_missing_source_with_ignore_missing() {
    let scene = Scene::new();
    for (n, form) in NOT_FOUND.into_iter().enumerate() {
        let front = scene.front(not_found(form), &[]);
        let target = format!("skipped:v{n}");
        let outcome = scene.push(&front, &target, "linux/amd64,linux/s390x", &["--ignore-missing"]);
        assert_eq!(outcome.exit, 0, "{form:?}: {outcome:?}");
        assert!(outcome.stderr.contains("app:s390x not found (HTTP 404"), "{form:?}: {outcome:?}");
        assert!(scene.registry.manifest("skipped", &format!("v{n}")).is_some(), "{form:?}");
    }
}

#[test]
fn append_and_if_match_none_create_a_missing_tag() {
    let scene = Scene::new();
    for (n, form) in NOT_FOUND.into_iter().enumerate() {
        let front = scene.front(not_found(form), &[]);
        for (target, more) in [("appended", &["--append", "--settle", "1ms"][..]), ("new", &["--if-match", "none"])] {
            let outcome = scene.push(&front, &format!("{target}:v{n}"), "linux/amd64", more);
            assert_eq!(outcome.exit, 0, "{form:?} {target}: {outcome:?}");
            assert!(scene.registry.manifest(target, &format!("v{n}")).is_some(), "{form:?} {target}");
        }
    }
}

#[test]
fn copy_with_referrers_finds_none_where_their_tags_are_missing() {
    let scene = Scene::new();
    for (n, form) in NOT_FOUND.into_iter().enumerate() {
        let front = scene.front(not_found(form), &[]);
        let (from, to) = (format!("{}/app:amd64", front.host), format!("{}/copied:v{n}", front.host));
        let outcome = scene.run(&["copy", "--referrers", &from, &to]);
        assert_eq!(outcome.exit, 0, "{form:?}: {outcome:?}");
        assert!(scene.registry.manifest("copied", &format!("v{n}")).is_some(), "{form:?}");
    }
}

#[test]
fn verify_reports_missing_content_as_missing() {
    let scene = Scene::new();
    let entries = ["amd64", "arm64"].map(|tag| {
        let found = scene.registry.manifest("app", tag).unwrap();
        descriptor(&found.media_type, &found.digest, &found.bytes)
    });
    push_index(&scene.registry, "app", "v1", &entries);
    let image: serde_json::Value =
        serde_json::from_slice(&scene.registry.manifest("app", "arm64").unwrap().bytes).unwrap();
    let name = |value: &serde_json::Value| value["digest"].as_str().unwrap().to_owned();
    let gone = [name(&entries[0]), name(&image["layers"][0])];
    for form in NOT_FOUND {
        let front = scene.front(not_found(form), &gone);
        let outcome = scene.run(&["verify", &format!("{}/app:v1", front.host)]);
        assert_eq!(outcome.exit, 5, "{form:?}: {outcome:?}");
        for digest in &gone {
            assert!(outcome.stdout.contains(&format!("{digest}: missing: it is not there")), "{form:?}: {outcome:?}");
        }
    }
    for form in NO_VERDICT {
        let front = scene.front(no_verdict(form), &gone);
        let outcome = scene.run(&["verify", &format!("{}/app:v1", front.host)]);
        assert_eq!(outcome.exit, 1, "{form:?}: {outcome:?}");
        assert!(!outcome.stdout.contains("missing"), "{form:?}: {outcome:?}");
    }
}

#[test]
fn inspect_verify_and_delete_say_that_a_reference_is_not_found() {
    let scene = Scene::new();
    for form in NOT_FOUND {
        let front = scene.front(not_found(form), &[]);
        let reference = format!("{}/app:none", front.host);
        for command in ["inspect", "verify", "delete"] {
            let outcome = scene.run(&[command, &reference]);
            assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{form:?} {command}: {outcome:?}");
            let said = format!("error: {reference} not found (HTTP 404");
            assert!(outcome.stderr.contains(&said), "{form:?} {command}: {outcome:?}");
        }
    }
}

/// The tag that is deleted last can be gone by an earlier try whose answer was lost.
#[test]
fn delete_counts_a_tag_as_deleted_that_is_missing_afterwards() {
    let scene = Scene::new();
    for form in NOT_FOUND {
        let found = scene.registry.manifest("app", "amd64").unwrap();
        let deleted = std::sync::atomic::AtomicBool::new(false);
        let front = Scripted::start(move |asked, _| {
            let was_deleted = deleted.load(std::sync::atomic::Ordering::SeqCst);
            if asked.line.starts_with("DELETE ") {
                deleted.store(true, std::sync::atomic::Ordering::SeqCst);
            }
            if was_deleted || asked.line.starts_with("DELETE ") {
                return not_found(form);
            }
            let headers =
                vec![("Content-Type", found.media_type.clone()), ("Docker-Content-Digest", found.digest.clone())];
            (200, headers, found.bytes.clone())
        });
        let outcome = scene.run(&["delete", &format!("{}/app:amd64", front.host)]);
        assert_eq!(outcome.exit, 0, "{form:?}: {outcome:?}");
    }
}

#[test]
fn refusals_and_failures_are_not_missing() {
    let scene = Scene::new();
    for form in NO_VERDICT {
        let front = scene.front(no_verdict(form), &[]);
        let skipping = scene.push(&front, "new:v1", "linux/amd64,linux/s390x", &["--ignore-missing"]);
        let appending = scene.push(&front, "new:v1", "linux/amd64", &["--append", "--settle", "1ms"]);
        let creating = scene.push(&front, "new:v1", "linux/amd64", &["--if-match", "none"]);
        let (from, to) = (format!("{}/app:amd64", front.host), format!("{}/new:v1", front.host));
        let copying = scene.run(&["copy", "--referrers", &from, &to]);
        for outcome in [skipping, appending, creating, copying] {
            assert_eq!((outcome.exit, outcome.stdout.as_str()), (1, ""), "{form:?}: {outcome:?}");
            assert!(!outcome.stderr.contains("not found ("), "{form:?}: {outcome:?}");
        }
        assert!(scene.registry.manifest("new", "v1").is_none(), "{form:?}");
    }
}

/// A repository that a push cannot create is a refusal of the push, and no missing source.
#[test]
fn a_404_to_a_write_is_a_refusal() {
    let scene = Scene::new();
    for (_, body) in NOT_FOUND {
        let front = Scripted::before(&scene.registry, move |asked| {
            (asked.line.starts_with("POST ") || asked.line.starts_with("PUT ")).then(|| (404, vec![], body.into()))
        });
        let outcome = scene.push(&front, "new:v1", "linux/amd64", &["--ignore-missing"]);
        assert_eq!(outcome.exit, 1, "{body}: {outcome:?}");
        assert!(outcome.stderr.contains("refused by the registry (P"), "{body}: {outcome:?}");
        assert!(outcome.stderr.contains("no tag was written"), "{body}: {outcome:?}");
    }
}

/// A token service's 404 says nothing of the content that a token is wanted for.
#[test]
fn a_404_of_a_token_service_is_not_missing() {
    let scene = Scene::new();
    let front = Scripted::start(move |asked, host| {
        if asked.line.starts_with("GET /token") {
            return (404, vec![], vec![]);
        }
        (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![])
    });
    let outcome = scene.push(&front, "new:v1", "linux/amd64", &["--ignore-missing"]);
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    assert!(!outcome.stderr.contains("skipped") && outcome.stderr.contains("token service"), "{outcome:?}");
}
