//! Registries that do not mount: the blob is sent instead.

use crate::support::images::push_image;
use crate::support::{Registry, Scripted, push_from_args};

/// Pushes one image from another repository, past a server that answers every mount with `status`.
fn push_past(status: u16) -> (Registry, Scripted) {
    let registry = Registry::start();
    push_image(&registry, "parts", "amd64", "amd64");
    let front = Scripted::before(&registry, move |asked| {
        (asked.line.contains("?mount=")).then(|| (status, vec![], br#"{"errors":[{"code":"UNSUPPORTED"}]}"#.to_vec()))
    });
    let outcome = push_from_args(&front.host, "linux/amd64", "parts:ARCH", "whole:v1", &["--retries", "0"]);
    assert_eq!(outcome.exit, i32::from(status >= 500), "{status}: {outcome:?}");
    (registry, front)
}

#[test]
fn a_blob_that_is_not_mounted_is_sent() {
    for status in [202, 400, 401, 403, 404, 405] {
        let (registry, front) = push_past(status);
        let index = registry.manifest("whole", "v1").unwrap_or_else(|| panic!("{status}"));
        assert!(index.media_type.contains("manifest.list"));
        let count = |part: &str| front.asked().iter().filter(|asked| asked.line.contains(part)).count();
        assert_eq!((count("POST /v2/whole/blobs/uploads/?mount="), count("&digest=")), (2, 2), "{status}");
    }
}

#[test]
fn a_failing_registry_is_an_error_and_no_tag_is_written() {
    let (registry, front) = push_past(500);
    assert!(registry.manifest("whole", "v1").is_none());
    assert!(front.asked().iter().all(|asked| !asked.line.starts_with("PUT ")), "nothing was written");
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
