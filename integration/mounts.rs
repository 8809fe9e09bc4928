//! Mounting blobs from another repository. A registry that does not mount gets an upload instead.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::images::{push_image, push_image_with};
use crate::support::scripted_server::forward_request;
use crate::support::{Outcome, Registry, ScriptedServer, push_from_args};

/// Pushes one image from another repository, through a proxy that answers every mount request with `status`.
fn push_with_mount_status(status: u16, more: &[&str]) -> (Registry, ScriptedServer, Outcome) {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let proxy = ScriptedServer::in_front_of(&registry, move |request| {
        (request.line.contains("?mount=")).then(|| (status, vec![], br#"{"errors":[{"code":"UNSUPPORTED"}]}"#.to_vec()))
    });
    let outcome = push_from_args(&proxy.host, "linux/amd64", "parts:ARCH", "whole:v1", more);
    (registry, proxy, outcome)
}

#[test]
fn a_blob_that_cannot_be_mounted_is_uploaded() {
    for status in [200, 202, 302, 400, 401, 403, 404, 405, 409, 410, 412, 415, 422, 500, 501, 502, 503, 504] {
        let (registry, proxy, outcome) = push_with_mount_status(status, &["--retries", "0", "--concurrency", "1"]);
        assert_eq!(outcome.exit, 0, "{status}: {outcome:?}");
        let index = registry.manifest("whole", "v1").unwrap_or_else(|| panic!("{status}"));
        assert!(index.media_type.contains("manifest.list"));
        let count = |part: &str| proxy.requests().iter().filter(|request| request.line.contains(part)).count();
        let mounts = if status >= 500 { 1 } else { 2 };
        let counts = (count("POST /v2/whole/blobs/uploads/?mount="), count("&digest="));
        assert_eq!(counts, (mounts, 2), "{status}: after a 5xx no second mount is requested");
        assert_eq!(outcome.stderr.contains("cannot mount blobs"), status >= 500, "{status}: {outcome:?}");
    }
}

/// A redirected mount, or a malformed response to one, counts as a refused mount.
#[test]
fn a_redirected_or_malformed_mount_falls_back_to_an_upload() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    for (status, location) in [
        (307, "/v2/whole/blobs/uploads/?mount=again"),
        (308, "http://169.254.169.254/"),
        (307, "http://127.0.0.1:1/"),
        (0, ""),
    ] {
        let proxy = ScriptedServer::in_front_of(&registry, move |request| {
            request.line.contains("?mount=").then(|| (status, vec![("Location", location.to_owned())], vec![]))
        });
        let more = ["--retries", "0", "--concurrency", "1"];
        let outcome = push_from_args(&proxy.host, "linux/amd64", "parts:ARCH", "whole:v1", &more);
        assert_eq!(outcome.exit, 0, "{status} {location}: {outcome:?}");
    }
}

/// Some registries lose upload sessions, and report that without the error code of the specification.
#[test]
fn an_upload_session_that_is_not_found_is_replaced() {
    let registry = Registry::start();
    for (number, body) in ["", "404 page not found", r#"{"errors":[{"code":"UNKNOWN"}]}"#].into_iter().enumerate() {
        let tag = format!("amd64-{number}");
        push_image(&registry, "parts", &tag, "amd64");
        let failed = AtomicUsize::new(0);
        let proxy = ScriptedServer::in_front_of(&registry, move |request| {
            if request.line.contains("?mount=") {
                return Some((405, vec![], vec![]));
            }
            let first = request.line.contains("&digest=") && failed.fetch_add(1, Ordering::SeqCst) == 0;
            first.then(|| (404, vec![], body.as_bytes().to_vec()))
        });
        let (template, target) = (format!("parts:ARCH-{number}"), format!("whole{number}:v1"));
        let outcome = push_from_args(&proxy.host, "linux/amd64", &template, &target, &["--max-wait", "10ms"]);
        assert_eq!(outcome.exit, 0, "{body}: {outcome:?}");
    }
}

/// A 5xx may be temporary, and a mount saves the transfer, so it is retried before the blob is uploaded.
#[test]
fn a_mount_that_fails_once_is_retried() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let failed = AtomicUsize::new(0);
    let proxy = ScriptedServer::in_front_of(&registry, move |request| {
        let first = request.line.contains("?mount=") && failed.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| (500, vec![], vec![]))
    });
    push_from_args(&proxy.host, "linux/amd64", "parts:ARCH", "whole:v1", &["--max-wait", "10ms"]).success();
    assert_eq!((request_lines(&proxy, "POST ").len(), request_lines(&proxy, "PUT /v2/whole/blobs/").len()), (3, 0));
}

#[test]
fn no_tag_is_written_if_the_registry_rejects_blobs() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    for status in [403, 404, 500] {
        let proxy = ScriptedServer::in_front_of(&registry, move |request| {
            request.line.starts_with("POST ").then(|| (status, vec![], vec![]))
        });
        let outcome = push_from_args(&proxy.host, "linux/amd64", "parts:ARCH", "whole:v1", &["--retries", "0"]);
        assert!(outcome.exit == 1 && outcome.stderr.contains("no tag was written"), "{status}: {outcome:?}");
        assert!(registry.manifest("whole", "v1").is_none());
        assert!(
            proxy.requests().iter().all(|request| !request.line.starts_with("PUT ")),
            "{status}: the registry received a PUT"
        );
    }
}

/// Uploads would only add requests to a registry that already limits them.
#[test]
fn a_rate_limited_mount_does_not_fall_back_to_an_upload() {
    let (_registry, proxy, outcome) = push_with_mount_status(429, &["--retries", "0"]);
    assert!(outcome.exit == 1 && outcome.stderr.contains("HTTP 429"), "{outcome:?}");
    let opened = request_lines(&proxy, "POST ").into_iter().filter(|line| !line.contains("?mount="));
    assert_eq!(opened.count(), 0);
}

/// With this order a tag never points at an incomplete index.
#[test]
fn a_push_writes_children_then_the_target_then_the_tags_in_order() {
    let registry = Registry::start();
    for architecture in ["amd64", "arm64"] {
        push_image(&registry, "parts", architecture, architecture);
    }
    let proxy = ScriptedServer::in_front_of(&registry, |_| None);
    push_from_args(&proxy.host, "linux/amd64,linux/arm64", "parts:ARCH", "whole:v1", &["--tags", "b,a"]).success();
    let writes: Vec<String> = proxy
        .requests()
        .into_iter()
        .map(|request| request.line)
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
    // Two configs and two layers are mounted.
    assert_eq!(kinds, ["mount", "mount", "mount", "mount", "child", "child", "v1", "b", "a"], "{writes:?}");
}

fn request_lines(proxy: &ScriptedServer, method: &str) -> Vec<String> {
    proxy.requests().into_iter().map(|request| request.line).filter(|line| line.starts_with(method)).collect()
}

/// The state of a failed upload is unknown, so the retry opens a new session.
#[test]
fn a_failed_upload_is_retried_in_a_new_session() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let failed = AtomicUsize::new(0);
    let proxy = ScriptedServer::in_front_of(&registry, move |request| {
        if request.line.contains("?mount=") {
            return Some((405, vec![], vec![]));
        }
        let first = request.line.contains("digest=") && failed.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| (502, vec![], vec![]))
    });
    push_from_args(&proxy.host, "linux/amd64", "parts:ARCH", "whole:v1", &[]).success();
    let sessions: Vec<String> = request_lines(&proxy, "PUT /v2/whole/blobs/uploads/");
    let mut paths: Vec<&str> = sessions.iter().map(|line| line.split('?').next().unwrap()).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!((sessions.len(), paths.len()), (3, 3), "two blobs, one of them sent twice: {sessions:?}");
}

/// The timeout applies to the idle time of a connection, not to the whole transfer.
#[test]
fn a_large_blob_may_take_longer_than_the_timeout() {
    let registry = Registry::start();
    let config = br#"{"os":"linux","architecture":"amd64"}"#;
    push_image_with(&registry, "parts", "amd64", config, &vec![7; 60 << 20]);
    let proxy = ScriptedServer::in_front_of(&registry, |request| {
        request.line.contains("?mount=").then(|| (405, vec![], vec![]))
    });
    // The proxy takes 6 s to read the blob, of which socket buffers hide only a small part. A timeout for the whole
    // request would therefore end every try.
    let more = ["--timeout", "4s"];
    push_from_args(&proxy.host, "linux/amd64", "parts:ARCH", "whole:v1", &more).success();
}

/// The registry opens an upload session instead of mounting, and the blob then cannot be read from its source.
#[test]
fn an_upload_session_is_cancelled_if_its_blob_cannot_be_read() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let (upstream, pulls) = (registry.host.clone(), AtomicUsize::new(0));
    let proxy = ScriptedServer::start(move |request, host| {
        let mut request = request.clone();
        if let Some(query) = request.line.find("?mount=") {
            request.line.truncate(query);
        }
        // The config is read twice: for its platform, and for the upload.
        if request.line.starts_with("GET /v2/parts/blobs/") && pulls.fetch_add(1, Ordering::SeqCst) > 0 {
            return (404, vec![], br#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#.to_vec());
        }
        forward_request(&request, &upstream, host)
    });
    push_from_args(&proxy.host, "linux/amd64", "parts:ARCH", "whole:v1", &[]).fails(1, "no tag was written");
    let cancelled = request_lines(&proxy, "DELETE /v2/whole/blobs/uploads/");
    let sent = request_lines(&proxy, "PUT /v2/whole/blobs/uploads/");
    assert!(!cancelled.is_empty() && cancelled.len() + sent.len() == 2, "{cancelled:?} {sent:?}");
    assert!(request_lines(&proxy, "PUT /v2/whole/manifests/").is_empty());
}

#[test]
fn an_upload_session_is_cancelled_if_the_registry_refuses_its_blob() {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let proxy = ScriptedServer::in_front_of(&registry, |request| {
        let is_blob = request.line.starts_with("PUT ") && request.line.contains("digest=");
        match request.line.contains("?mount=") {
            true => Some((405, vec![], vec![])),
            false => is_blob.then(|| (403, vec![], br#"{"errors":[{"code":"DENIED","message":"quota"}]}"#.to_vec())),
        }
    });
    push_from_args(&proxy.host, "linux/amd64", "parts:ARCH", "whole:v1", &[]).fails(1, "DENIED: quota");
    let sent = request_lines(&proxy, "PUT /v2/whole/blobs/uploads/");
    assert_eq!(sent.len(), 2, "a refused blob is not sent again: {sent:?}");
    assert_eq!(request_lines(&proxy, "DELETE /v2/whole/blobs/uploads/").len(), 2);
}
