//! Responses with a `Content-Encoding`. The client requests no encoding; if a server sends gzip anyway, the client
//! decompresses the body before it verifies the digest.

use std::io::Write as _;

use crate::support::images::{push_image, push_index};
use crate::support::scripted_server::{Response, forward_request};
use crate::support::{Registry, Sandbox, ScriptedServer, Workspace, push_from_args};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Pushes an index `app:v1`, and starts a proxy that applies `encode` to each response to a GET.
fn encoding_proxy(registry: &Registry, encode: impl Fn(&mut Response) + Send + Sync + 'static) -> ScriptedServer {
    let mut entries = ["amd64", "arm64"].map(|architecture| push_image(registry, "app", architecture, architecture));
    for (entry, architecture) in entries.iter_mut().zip(["amd64", "arm64"]) {
        entry["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
    }
    push_index(registry, "app", "v1", &entries);
    let upstream = registry.host.clone();
    ScriptedServer::start(move |request, host| {
        let mut response = forward_request(request, &upstream, host);
        if request.line.starts_with("GET ") {
            encode(&mut response);
        }
        response
    })
}

fn workspace(proxy: &ScriptedServer) -> Workspace {
    Workspace::new().flags(&["--plain-http", "--retries", "0"]).placeholder("PROXY", &proxy.host)
}

#[test]
fn gzip_encoded_responses_are_decompressed_and_verified() {
    let registry = Registry::start();
    let proxy = encoding_proxy(&registry, |(_, headers, body)| {
        *body = gzip(body);
        headers.push(("Content-Encoding", "gzip".into()));
    });
    let workspace = workspace(&proxy);
    let raw = workspace.run(&["inspect", "--raw", "PROXY/app:v1"]);
    let stored = registry.manifest("app", "v1").unwrap();
    assert!(raw.exit == 0 && raw.stdout.contains(&stored.digest), "{raw:?}");
    for args in [
        &["inspect", "PROXY/app:amd64"][..],
        &["query", "PROXY/app:v1"],
        &["tags", "PROXY/app"],
        &["verify", "PROXY/app:v1"],
    ] {
        let outcome = workspace.run(args);
        assert_eq!(outcome.exit, 0, "{args:?}: {outcome:?}");
    }
    push_from_args(&proxy.host, "linux/amd64,linux/arm64", "app:ARCH", "app:v2", &["--retries", "0"]).success();
    let missing = workspace.run(&["inspect", "PROXY/app:none"]);
    assert!(missing.stderr.contains("registry says: MANIFEST_UNKNOWN"), "{missing:?}");
    let requests = proxy.requests();
    assert!(requests.iter().any(|request| request.line.starts_with("PUT ")), "{requests:?}");
    assert!(requests.iter().all(|request| request.accept_encoding.as_deref() == Some("identity")), "{requests:?}");
}

#[test]
fn a_content_encoding_header_on_an_unencoded_body_is_ignored() {
    let registry = Registry::start();
    let proxy = encoding_proxy(&registry, |(_, headers, _)| headers.push(("Content-Encoding", "gzip".into())));
    let workspace = workspace(&proxy);
    for args in [&["inspect", "PROXY/app:v1"][..], &["verify", "PROXY/app:v1"], &["verify", "--layers", "PROXY/app:v1"]]
    {
        let outcome = workspace.run(args);
        assert_eq!(outcome.exit, 0, "{args:?}: {outcome:?}");
    }
}

#[test]
fn an_unsupported_or_truncated_encoding_is_an_error() {
    for (encoding, is_complete, error) in [
        ("br", true, "the response is encoded with br, which was not requested"),
        ("gzip, gzip", true, "the response is encoded with gzip, gzip, which was not requested"),
        ("gzip", false, "cannot decompress the gzip-encoded response"),
    ] {
        let registry = Registry::start();
        let proxy = encoding_proxy(&registry, move |(_, headers, body)| {
            *body = gzip(body);
            let length = if is_complete { body.len() } else { body.len() - 9 };
            body.truncate(length);
            headers.push(("Content-Encoding", encoding.into()));
        });
        let outcome = workspace(&proxy).run(&["inspect", "PROXY/app:v1"]);
        assert!(outcome.exit == 1 && outcome.stdout.is_empty(), "{encoding}: {outcome:?}");
        assert!(outcome.stderr.contains(&format!("{}/app:v1: {error}", proxy.host)), "{encoding}: {outcome:?}");
    }
}

#[test]
fn size_limit_and_digest_apply_to_the_decompressed_manifest() {
    let registry = Registry::start();
    let proxy = encoding_proxy(&registry, |(_, headers, body)| {
        *body = gzip(&vec![b' '; 9 << 20]);
        headers.push(("Content-Encoding", "gzip".into()));
    });
    let bomb = workspace(&proxy).run(&["inspect", "PROXY/app:v1"]);
    bomb.fails(1, "larger than the limit of 8388608 bytes");
    let registry = Registry::start();
    let proxy = encoding_proxy(&registry, |(_, headers, body)| {
        *body = gzip(&[&body[..], b" "].concat());
        headers.push(("Content-Encoding", "gzip".into()));
    });
    let digest = registry.manifest("app", "v1").unwrap().digest;
    for reference in ["PROXY/app:v1".to_owned(), format!("PROXY/app@{digest}")] {
        workspace(&proxy).run(&["inspect", &reference]).fails(1, "digest mismatch: received");
    }
}

/// The client does not need the body of a response to a write.
#[test]
fn an_unreadable_response_body_does_not_fail_a_write() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let upstream = registry.host.clone();
    let proxy = ScriptedServer::start(move |request, host| {
        let mut response = forward_request(request, &upstream, host);
        if request.line.starts_with('P') {
            response.1.push(("Content-Encoding", "br".into()));
            response.2 = b"not brotli".to_vec();
        }
        response
    });
    push_from_args(&proxy.host, "linux/amd64", "app:ARCH", "app:v2", &["--retries", "0"]).success();
    assert!(registry.manifest("app", "v2").is_some());
}

/// Layers are streamed without decompression, so an encoded layer cannot be verified. It is neither copied nor reported
/// as unsound.
#[test]
fn an_encoded_layer_is_an_error_about_the_encoding() {
    let (registry, target) = (Registry::start(), Sandbox::new());
    let proxy = encoding_proxy(&registry, |(_, headers, body)| {
        *body = gzip(body);
        headers.push(("Content-Encoding", "gzip".into()));
    });
    let target = target.with(|workspace| workspace.flags(&["--retries", "0"]).placeholder("PROXY", &proxy.host));
    for args in [&["verify", "--layers", "PROXY/app:v1"][..], &["copy", "PROXY/app:v1", "HOST/app:v1"]] {
        let outcome = target.run(args);
        assert_eq!(outcome.exit, 1, "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains("the response is encoded with gzip, which was not requested"), "{outcome:?}");
        assert!(!outcome.stdout.contains("unsound"), "{outcome:?}");
    }
    assert!(target.registry.manifest("app", "v1").is_none());
}
