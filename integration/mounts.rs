//! Registries that do not mount: the blob is sent instead.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::images::{push_image, push_image_with};
use crate::support::scripted::forward;
use crate::support::{Outcome, Registry, Scripted, push_from_args};

/// Pushes one image from another repository, past a server that answers every mount with `status`.
fn push_past(status: u16, more: &[&str]) -> (Registry, Scripted, Outcome) {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let front = Scripted::before(&registry, move |asked| {
        (asked.line.contains("?mount=")).then(|| (status, vec![], br#"{"errors":[{"code":"UNSUPPORTED"}]}"#.to_vec()))
    });
    let outcome = push_from_args(&front.host, "linux/amd64", "parts:ARCH", "whole:v1", more);
    (registry, front, outcome)
}

#[test]
fn a_blob_that_is_not_mounted_is_sent() {
    for status in [200, 202, 302, 400, 401, 403, 404, 405, 409, 410, 412, 415, 422, 500, 501, 502, 503, 504] {
        let (registry, front, outcome) = push_past(status, &["--retries", "0", "--concurrency", "1"]);
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        let index = registry.manifest("whole", "v1").unwrap_or_else(|| panic!("{status}"));
        assert!(index.media_type.contains("manifest.list"));
        let count = |part: &str| front.asked().iter().filter(|asked| asked.line.contains(part)).count();
        let mounts = if status >= 500 { 1 } else { 2 };
        let counts = (count("POST /v2/whole/blobs/uploads/?mount="), count("&digest="));
        assert_eq!(counts, (mounts, 2), "{status}: a registry that fails at mounts is asked for one");
        assert_eq!(outcome.stderr.contains("fails at mounting blobs"), status >= 500, "{status}: {outcome:?}");
    }
}

/// A mount that leads nowhere, or that is not answered, is refused like any other.
#[test]
fn a_mount_without_an_answer_is_followed_by_an_upload() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    for (status, location) in [
        (307, "/v2/whole/blobs/uploads/?mount=again"),
        (308, "http://169.254.169.254/"),
        (307, "http://127.0.0.1:1/"),
        (0, ""),
    ] {
        let front = Scripted::before(&registry, move |asked| {
            asked.line.contains("?mount=").then(|| (status, vec![("Location", location.to_owned())], vec![]))
        });
        let more = ["--retries", "0", "--concurrency", "1"];
        let outcome = push_from_args(&front.host, "linux/amd64", "parts:ARCH", "whole:v1", &more);
        assert_eq!(outcome.exit, 0, "{status} {location}: {outcome:?}");
    }
}

/// Some registries forget sessions, and do not say that in a code.
#[test]
fn a_session_that_is_not_found_is_replaced_by_another() {
    let registry = Registry::start();
    for (at, body) in ["", "404 page not found", r#"{"errors":[{"code":"UNKNOWN"}]}"#].into_iter().enumerate() {
        let tag = format!("amd64-{at}");
        push_image(&registry, "parts", &tag, "amd64");
        let failed = AtomicUsize::new(0);
        let front = Scripted::before(&registry, move |asked| {
            if asked.line.contains("?mount=") {
                return Some((405, vec![], vec![]));
            }
            let first = asked.line.contains("&digest=") && failed.fetch_add(1, Ordering::SeqCst) == 0;
            first.then(|| (404, vec![], body.as_bytes().to_vec()))
        });
        let (template, target) = (format!("parts:ARCH-{at}"), format!("whole{at}:v1"));
        let outcome = push_from_args(&front.host, "linux/amd64", &template, &target, &["--max-wait", "10ms"]);
        assert_eq!(outcome.exit, 0, "{body}: {outcome:?}");
    }
}

/// A 5xx may pass, and mounting spares the transfer: it is tried again before the blob is sent.
#[test]
fn a_mount_that_fails_for_a_moment_is_tried_again() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let failed = AtomicUsize::new(0);
    let front = Scripted::before(&registry, move |asked| {
        let first = asked.line.contains("?mount=") && failed.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| (500, vec![], vec![]))
    });
    let outcome = push_from_args(&front.host, "linux/amd64", "parts:ARCH", "whole:v1", &["--max-wait", "10ms"]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    assert_eq!((lines(&front, "POST ").len(), lines(&front, "PUT /v2/whole/blobs/").len()), (3, 0));
}

#[test]
fn a_registry_that_takes_no_blob_is_an_error_and_no_tag_is_written() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    for status in [403, 404, 500] {
        let front =
            Scripted::before(&registry, move |asked| asked.line.starts_with("POST ").then(|| (status, vec![], vec![])));
        let outcome = push_from_args(&front.host, "linux/amd64", "parts:ARCH", "whole:v1", &["--retries", "0"]);
        assert!(outcome.exit == 1 && outcome.stderr.contains("no tag was written"), "{status}: {outcome:?}");
        assert!(registry.manifest("whole", "v1").is_none());
        assert!(front.asked().iter().all(|asked| !asked.line.starts_with("PUT ")), "nothing was written");
    }
}

/// Sending blobs would only add to the requests that are too many.
#[test]
fn too_many_requests_do_not_turn_mounts_into_uploads() {
    let (_registry, front, outcome) = push_past(429, &["--retries", "0"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("HTTP 429"), "{outcome:?}");
    let opened = lines(&front, "POST ").into_iter().filter(|line| !line.contains("?mount="));
    assert_eq!(opened.count(), 0);
}

/// The order that keeps a tag from pointing at an index that is not complete.
#[test]
fn children_come_first_then_the_target_then_the_tags_one_after_another() {
    let registry = Registry::start();
    for architecture in ["amd64", "arm64"] {
        push_image(&registry, "parts", architecture, architecture);
    }
    let front = Scripted::before(&registry, |_| None);
    let outcome = push_from_args(&front.host, "linux/amd64,linux/arm64", "parts:ARCH", "whole:v1", &["--tags", "b,a"]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let writes: Vec<String> = front
        .asked()
        .into_iter()
        .map(|asked| asked.line)
        .filter(|line| line.starts_with("POST ") || line.starts_with("PUT "))
        .collect();
    let kinds: Vec<&str> = writes
        .iter()
        .map(|line| match line.as_str() {
            line if line.contains("?mount=") => "mount",
            line if line.contains("/manifests/sha256:") => "child",
            line => line.rsplit('/').next().unwrap(),
        })
        .collect();
    // Two configs and the two layers.
    assert_eq!(kinds, ["mount", "mount", "mount", "mount", "child", "child", "v1", "b", "a"], "{writes:?}");
}

fn lines(front: &Scripted, method: &str) -> Vec<String> {
    front.asked().into_iter().map(|asked| asked.line).filter(|line| line.starts_with(method)).collect()
}

/// What became of an upload that failed nobody knows: the next try opens a session of its own.
#[test]
fn an_upload_that_fails_begins_anew() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let failed = AtomicUsize::new(0);
    let front = Scripted::before(&registry, move |asked| {
        if asked.line.contains("?mount=") {
            return Some((405, vec![], vec![]));
        }
        let first = asked.line.contains("digest=") && failed.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| (502, vec![], vec![]))
    });
    let outcome = push_from_args(&front.host, "linux/amd64", "parts:ARCH", "whole:v1", &[]);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
    let sessions: Vec<String> = lines(&front, "PUT /v2/whole/blobs/uploads/");
    let mut paths: Vec<&str> = sessions.iter().map(|line| line.split('?').next().unwrap()).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!((sessions.len(), paths.len()), (3, 3), "two blobs, one of them twice: {sessions:?}");
}

/// A blob on a slow link is not silence.
#[test]
fn a_large_blob_may_take_longer_than_the_timeout() {
    let registry = Registry::start();
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    push_image_with(&registry, "parts", "amd64", config, &vec![7; 60 << 20]);
    let front = Scripted::before(&registry, |asked| asked.line.contains("?mount=").then(|| (405, vec![], vec![])));
    // It takes 6 s to be read, and what the connection itself holds of it a small part of that. A limit that counted
    // from the beginning of a request would cut off the tries that follow as well.
    let more = ["--timeout", "4s"];
    let outcome = push_from_args(&front.host, "linux/amd64", "parts:ARCH", "whole:v1", &more);
    assert_eq!(outcome.exit, 0, "{outcome:?}");
}

/// On a terminal, which `script` makes, a blob on its way has a line, and all of them one.
#[test]
fn a_terminal_shows_blobs() {
    let (registry, folder) = (Registry::start(), tempfile::tempdir().unwrap());
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    push_image_with(&registry, "parts", "amd64", config, &vec![7; 16 << 20]);
    let front = Scripted::before(&registry, |asked| asked.line.contains("?mount=").then(|| (405, vec![], vec![])));
    let (program, host) = (env!("CARGO_BIN_EXE_manifest-tool"), &front.host);
    let command = format!("stty cols 120; {program} --plain-http copy {host}/parts:amd64 {host}/whole:v1");
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).current_dir(folder.path()).env("HOME", folder.path());
    let output = script.env("TERM", "xterm").stdin(Stdio::null()).output().unwrap();
    let screen = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && screen.contains("all blobs  "), "{screen}");
    assert!(screen.contains("16.00 MiB") && screen.contains(" left"), "{screen}");
    assert_eq!(screen.matches("Digest: sha256:").count(), 1, "{screen}");
}

/// A session that was opened in place of a mount, and into which nothing can be sent, is cancelled.
#[test]
fn a_session_without_use_is_cancelled() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let (behind, pulls) = (registry.host.clone(), AtomicUsize::new(0));
    let front = Scripted::start(move |asked, host| {
        let mut asked = asked.clone();
        if let Some(at) = asked.line.find("?mount=") {
            asked.line.truncate(at);
        }
        // The config is read twice: to see its platform, and to be sent.
        if asked.line.starts_with("GET /v2/parts/blobs/") && pulls.fetch_add(1, Ordering::SeqCst) > 0 {
            return (404, vec![], br#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#.to_vec());
        }
        forward(&asked, &behind, host)
    });
    let outcome = push_from_args(&front.host, "linux/amd64", "parts:ARCH", "whole:v1", &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("no tag was written"), "{outcome:?}");
    let cancelled = lines(&front, "DELETE /v2/whole/blobs/uploads/");
    let sent = lines(&front, "PUT /v2/whole/blobs/uploads/");
    assert!(!cancelled.is_empty() && cancelled.len() + sent.len() == 2, "{cancelled:?} {sent:?}");
    assert!(lines(&front, "PUT /v2/whole/manifests/").is_empty());
}

/// A registry that refuses the blob itself leaves no session behind.
#[test]
fn a_session_whose_blob_is_refused_is_cancelled() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let front = Scripted::before(&registry, |asked| {
        let is_blob = asked.line.starts_with("PUT ") && asked.line.contains("digest=");
        match asked.line.contains("?mount=") {
            true => Some((405, vec![], vec![])),
            false => is_blob.then(|| (403, vec![], br#"{"errors":[{"code":"DENIED","message":"quota"}]}"#.to_vec())),
        }
    });
    let outcome = push_from_args(&front.host, "linux/amd64", "parts:ARCH", "whole:v1", &[]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("DENIED: quota"), "{outcome:?}");
    let sent = lines(&front, "PUT /v2/whole/blobs/uploads/");
    assert_eq!(sent.len(), 2, "a refused blob is sent once: {sent:?}");
    assert_eq!(lines(&front, "DELETE /v2/whole/blobs/uploads/").len(), 2);
}
