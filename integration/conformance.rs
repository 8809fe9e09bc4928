//! `test-registry.sh`: what it says of CNCF distribution 2.8, plain, with sign-in and with TLS; and that each of its lines
//! hears of its own fault alone.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::sign_in::registry_with_htpasswd;
use crate::support::certificates::Authority;
use crate::support::scripted::{Answer, Asked, forward};
use crate::support::{Outcome, Registry, Scripted, manifest_tool, other_command, run};

fn script(name: &str, args: &[&str], stdin: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration").join(name);
    let binaries = Path::new(env!("CARGO_BIN_EXE_manifest-tool")).parent().unwrap();
    let mut command = other_command(&path, folder.path(), args);
    command.env("PATH", format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap()));
    run(command, stdin)
}

fn results(outcome: &Outcome) -> Vec<(String, String)> {
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    told["checks"].as_array().unwrap().iter().map(|check| (text(check, "name"), text(check, "result"))).collect()
}

/// What CNCF distribution 2.8 does not do.
const LACKS: [&str; 5] = ["subject", "referrers", "several tags at once", "list in pages", "rate limit"];
const DELETES_NO_TAGS: &str = "deleting a tag";

fn check(outcome: &Outcome, one_repository: bool) {
    assert_eq!((outcome.exit, &*outcome.stderr), (0, ""), "{outcome:?}");
    for (name, result) in results(outcome) {
        let lacks = LACKS.contains(&&*name) || name == DELETES_NO_TAGS || (one_repository && name == "mount");
        assert_eq!(result, if lacks { "UNSUPPORTED" } else { "PASS" }, "{name}: {outcome:?}");
    }
}

fn tags(registry: &Registry, repository: &str) -> Vec<String> {
    let listed = manifest_tool(Path::new("/"), &["--plain-http", "tags", &format!("{}/{repository}", registry.host)]);
    assert_eq!(listed.exit, 0, "{listed:?}");
    listed.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn plain() {
    let registry = Registry::start();
    let repository = format!("{}/team/trial", registry.host);
    let json = ["--plain-http", "--output", "json", &repository];
    check(&script("test-registry.sh", &json, ""), false);
    assert_eq!(tags(&registry, "team/trial"), [""; 0]);
    check(&script("test-registry-tagonly.sh", &json, ""), true);
    let text = script("test-registry.sh", &[&repository, "--plain-http"], "");
    assert_eq!((text.exit, text.stdout.lines().count()), (0, 26), "{text:?}");
    let line =
        "UNSUPPORTED  deleting a tag                      HTTP 400; registry says: DIGEST_INVALID: provided digest";
    assert!(text.stdout.contains(line), "{text:?}");
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.contains(&text.stdout), "the README shows it: {}", text.stdout);
    let kept = script("test-registry.sh", &["--keep", "--plain-http", &repository], "");
    assert_eq!(kept.exit, 0, "{kept:?}");
    let left = tags(&registry, "team/trial");
    assert!(left.iter().any(|tag| tag.ends_with("-oci-index")), "{left:?}");
    assert!(left.iter().any(|tag| tag.starts_with("test-registry-") && tag.ends_with("-amd64")), "{left:?}");
}

/// What a repository held before is not deleted, though the trial's images are the same.
#[test]
fn what_was_there_before_stays() {
    let registry = Registry::start();
    let source = format!("oci:{}/examples/layouts/amd64", env!("CARGO_MANIFEST_DIR"));
    let mine = format!("{}/trial:mine", registry.host);
    let copied = manifest_tool(Path::new("/"), &["--plain-http", "copy", &source, &mine]);
    assert_eq!(copied.exit, 0, "{copied:?}");
    let old = registry.manifest("trial", "mine").unwrap();
    registry.push_manifest("trial", "test-registry-arm64", &old.media_type, &old.bytes);
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", registry.host)], "");
    assert_eq!((outcome.exit, &*outcome.stderr), (0, ""), "{outcome:?}");
    let mut left = tags(&registry, "trial");
    left.sort_unstable();
    assert_eq!(left, ["mine", "test-registry-arm64"]);
    assert!(registry.manifest("trial", "test-registry-arm64").is_some_and(|found| found.digest == old.digest));

    // Where the registry does not say whether it was there, it stays.
    let digest = old.digest.clone();
    let front = Scripted::before(&registry, move |asked| {
        let is_read = asked.line.starts_with("HEAD ") || asked.line.starts_with("GET ");
        (is_read && asked.line.ends_with(&digest)).then(|| refusal(403, "DENIED"))
    });
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", front.host)], "");
    assert!(outcome.stderr.contains("left: ") && outcome.stderr.contains("-amd64\n"), "{outcome:?}");
    assert!(registry.manifest("trial", "mine").is_some());
}

#[test]
fn with_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry_with_htpasswd(&folder);
    let repository = format!("{}/trial", registry.host);
    for name in ["test-registry.sh", "test-registry-tagonly.sh"] {
        let flags = ["--username", "user", "--password-stdin", "--output=json", &repository];
        check(&script(name, &flags, "secret-word\n"), name.contains("tagonly"));
    }
    let refused = script("test-registry.sh", &[&repository], "");
    assert!(refused.exit != 0 && refused.stderr.contains("no credentials for"), "{refused:?}");
}

#[test]
fn with_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path());
    let registry = Registry::start_with(&authority.registry_config(folder.path()), None);
    let certificate = authority.certificate.to_str().unwrap();
    let repository = format!("{}/trial", registry.host);
    for name in ["test-registry.sh", "test-registry-tagonly.sh"] {
        let flags = ["--ca-cert", certificate, "--output", "json", &repository];
        check(&script(name, &flags, ""), name.contains("tagonly"));
    }
    check(&script("test-registry.sh", &["--insecure", "--output", "json", &repository], ""), false);
}

#[test]
fn usage() {
    for args in [&[][..], &["a.example/one", "a.example/two"], &["--help"]] {
        let outcome = script("test-registry.sh", args, "");
        assert!(outcome.exit == 2 && outcome.stderr.contains("HOST[:PORT]/REPOSITORY"), "{outcome:?}");
    }
    let outcome = script("test-registry.sh", &["a.example/one", "--output"], "");
    assert!(outcome.exit == 1 && outcome.stderr.contains("--output wants a value"), "{outcome:?}");
}

type Break = Box<dyn Fn(&Asked) -> Option<Answer> + Send + Sync>;

fn refusal(status: u16, code: &str) -> Answer {
    (status, vec![], json!({"errors": [{"code": code, "message": "broken here"}]}).to_string().into_bytes())
}

/// A write of a tag of one check is refused.
fn put(tag: &'static str, status: u16, code: &'static str) -> Break {
    Box::new(move |asked| is(asked, "PUT", tag).then(|| refusal(status, code)))
}

fn is(asked: &Asked, verb: &str, tag: &str) -> bool {
    asked.line.starts_with(&format!("{verb} ")) && asked.line.ends_with(tag) && asked.line.contains("/manifests/")
}

/// One feature is broken at a time: its own line turns, and no other.
#[test]
fn each_line_hears_of_its_own_fault() {
    let registry = Registry::start();
    let stripped = |tag: &'static str| -> Break {
        Box::new(move |asked| {
            is(asked, "GET", tag).then(|| (200, vec![("Content-Type", INDEX.into())], b"{}".to_vec()))
        })
    };
    let (first, second) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let faults: Vec<(&str, &str, Break)> = vec![
        ("Docker manifest list", "UNSUPPORTED", put("-docker-list", 415, "MANIFEST_INVALID")),
        ("OCI index", "UNSUPPORTED", put("-oci-index", 400, "UNSUPPORTED")),
        ("OCI index of Docker images", "UNSUPPORTED", put("-docker-in-oci", 400, "MANIFEST_INVALID")),
        ("Docker list of OCI images", "UNSUPPORTED", put("-oci-in-docker", 400, "MANIFEST_INVALID")),
        ("annotations of the index", "FAIL", stripped("-annotated")),
        ("annotations of entries", "FAIL", stripped("-entries")),
        ("index in an index", "UNSUPPORTED", put("-nested", 400, "MANIFEST_INVALID")),
        ("attestations", "FAIL", put("-attested", 500, "UNKNOWN")),
        ("artifact type", "UNSUPPORTED", put("-artifact", 400, "MANIFEST_INVALID")),
        ("subject", "FAIL", stripped("-subject")),
        (
            "referrers",
            "FAIL",
            Box::new(|asked| {
                let body = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
                asked.line.contains("/referrers/").then(|| (200, vec![("Content-Type", INDEX.into())], body))
            }),
        ),
        (
            "referrers",
            "FAIL",
            Box::new(|asked| {
                let is_tag = asked.line.contains("/manifests/sha256-");
                (is_tag && asked.line.starts_with("PUT ")).then(|| refusal(403, "DENIED"))
            }),
        ),
        ("further tags", "UNSUPPORTED", put("-further-1", 403, "DENIED")),
        ("further tags", "FAIL", put("-further-2", 429, "TOOMANYREQUESTS")),
        ("same tag again", "UNSUPPORTED", put("-same", 403, "DENIED")),
        (
            "same tag again",
            "FAIL",
            Box::new(move |asked| {
                let again = is(asked, "PUT", "-same") && first.fetch_add(1, Ordering::SeqCst) > 0;
                again.then(|| refusal(500, "UNKNOWN"))
            }),
        ),
        (
            "tag that moves",
            "UNSUPPORTED",
            Box::new(move |asked| {
                let moves = is(asked, "PUT", "-moved") && second.fetch_add(1, Ordering::SeqCst) > 0;
                moves.then(|| refusal(412, "PRECONDITION"))
            }),
        ),
        (
            "read after write",
            "FAIL",
            Box::new(|asked| is(asked, "GET", "-read").then(|| refusal(404, "MANIFEST_UNKNOWN"))),
        ),
        (
            "several tags at once",
            "FAIL",
            Box::new(|asked| asked.line.contains("?tag=").then(|| refusal(500, "UNKNOWN"))),
        ),
        ("missing image", "UNSUPPORTED", Box::new(|asked| is(asked, "PUT", "-missing").then(|| (201, vec![], vec![])))),
        ("HEAD", "UNSUPPORTED", Box::new(|asked| is(asked, "HEAD", "-head").then(|| (200, vec![], vec![])))),
        ("mount", "UNSUPPORTED", Box::new(|asked| asked.line.contains("-mount/").then(|| refusal(405, "UNSUPPORTED")))),
        (
            "list of tags",
            "FAIL",
            Box::new(|asked| asked.line.ends_with("/tags/list").then(|| (200, vec![], br#"{"tags":null}"#.to_vec()))),
        ),
        (
            "list in pages",
            "FAIL",
            Box::new(|asked| {
                let body = br#"{"tags":["one","two"]}"#.to_vec();
                asked.line.ends_with("/tags/list?n=2").then(|| (200, vec![], body))
            }),
        ),
        (
            "error bodies",
            "FAIL",
            Box::new(|asked| is(asked, "GET", "-nothing").then(|| (404, vec![], b"<html>no</html>".to_vec()))),
        ),
        ("deleting a tag", "FAIL", Box::new(|asked| is(asked, "DELETE", "-delete-1").then(|| (202, vec![], vec![])))),
        (
            "deleting a manifest",
            "UNSUPPORTED",
            Box::new(|asked| asked.line.starts_with("DELETE ").then(|| refusal(405, "UNSUPPORTED"))),
        ),
    ];
    let sound = results(&script("test-registry.sh", &["--output", "json", &format!("{}/trial", registry.host)], ""));
    let untried = ["images", "rate limit"];
    for (name, _) in &sound {
        assert!(untried.contains(&&**name) || faults.iter().any(|(fault, ..)| fault == name), "{name} is not broken");
    }
    // Side by side, each in a repository of its own: where a tag cannot be read the trial waits for it.
    std::thread::scope(|scope| {
        for (number, (name, result, fault)) in faults.into_iter().enumerate() {
            let (registry, sound) = (&registry, &sound);
            scope.spawn(move || {
                let front = Scripted::before(registry, fault);
                let repository = format!("{}/trial{number}", front.host);
                let flags = ["--retries", "0", "--plain-http", "--output", "json", &repository];
                let outcome = script("test-registry.sh", &flags, "");
                let turned: Vec<(String, String)> =
                    results(&outcome).into_iter().filter(|line| !sound.contains(line)).collect();
                assert_eq!(turned, [(name.to_owned(), result.to_owned())], "{outcome:?}");
                // Only what is needed decides; either form of an index will do.
                let needed = ["further tags", "same tag again", "read after write"].contains(&name);
                assert_eq!(outcome.exit, i32::from(needed), "{name}: {outcome:?}");
                assert!(!needed || outcome.stderr.contains("lacks something that manifest-tool needs"), "{outcome:?}");
            });
        }
    });
}

/// Neither form of an index; and no images.
#[test]
fn a_registry_that_is_not_enough() {
    let registry = Registry::start();
    let front = Scripted::before(&registry, |asked| {
        let is_index = ["-docker-list", "-oci-index"].iter().any(|tag| is(asked, "PUT", tag));
        is_index.then(|| refusal(400, "MANIFEST_INVALID"))
    });
    let repository = format!("{}/trial", front.host);
    let outcome = script("test-registry.sh", &["--plain-http", &repository], "");
    assert!(outcome.exit == 1 && outcome.stderr.contains("lacks something"), "{outcome:?}");
    assert!(
        outcome.stdout.contains(
            "UNSUPPORTED  OCI index                   one of  HTTP 400; registry says: MANIFEST_INVALID: broken here\n"
        ),
        "{outcome:?}"
    );

    let front = Scripted::before(&registry, |asked| {
        (asked.line.starts_with("PUT ") && asked.line.contains("/manifests/sha256:"))
            .then(|| refusal(400, "UNSUPPORTED"))
    });
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", front.host)], "");
    assert_eq!((outcome.exit, outcome.stdout.lines().count()), (1, 1), "{outcome:?}");
    assert!(outcome.stdout.starts_with("UNSUPPORTED  images "), "{outcome:?}");
}

/// It says that it took images, and has none.
#[test]
fn a_registry_that_swallows_what_it_takes() {
    let registry = Registry::start();
    let front = Scripted::before(&registry, |asked| {
        (asked.line.starts_with("PUT ") && asked.line.contains("/manifests/sha256:")).then(|| (201, vec![], vec![]))
    });
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", front.host)], "");
    assert!(outcome.exit == 1 && outcome.stdout.starts_with("FAIL         images "), "{outcome:?}");
    assert!(outcome.stdout.contains("HTTP 201, but it cannot be read: HTTP 404"), "{outcome:?}");
}

/// A limit of requests is told of where there is one.
#[test]
fn a_rate_limit_is_shown() {
    let registry = Registry::start();
    let behind = registry.host.clone();
    let front = Scripted::start(move |asked, host| {
        let (status, mut headers, body) = forward(asked, &behind, host);
        headers.push(("ratelimit-limit", "100;w=21600".into()));
        headers.push(("ratelimit-remaining", "98;w=21600".into()));
        (status, headers, body)
    });
    let outcome = script("test-registry.sh", &["--plain-http", &format!("{}/trial", front.host)], "");
    let line = "PASS         rate limit                          ratelimit-limit: 100;w=21600, ratelimit-remaining: 98;w=21600\n";
    assert!(outcome.exit == 0 && outcome.stdout.contains(line), "{outcome:?}");
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
