//! Answers with a `Content-Encoding`: none is asked for, and one that comes all the same is unpacked before digests are
//! compared.

use std::io::Write as _;

use crate::support::images::{push_image, push_index};
use crate::support::scripted::{Answer, forward};
use crate::support::{Outcome, Registry, Scripted, manifest_tool, push_from_args};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A registry with an index `app:v1`, behind a server that encodes the body of each answer to a GET.
fn encoding(registry: &Registry, encode: impl Fn(&mut Answer) + Send + Sync + 'static) -> Scripted {
    let mut entries = ["amd64", "arm64"].map(|architecture| push_image(registry, "app", architecture, architecture));
    for (entry, architecture) in entries.iter_mut().zip(["amd64", "arm64"]) {
        entry["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
    }
    push_index(registry, "app", "v1", &entries);
    let behind = registry.host.clone();
    Scripted::start(move |asked, host| {
        let mut answer = forward(asked, &behind, host);
        if asked.line.starts_with("GET ") {
            encode(&mut answer);
        }
        answer
    })
}

fn run(args: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    manifest_tool(folder.path(), &[&["--plain-http", "--retries", "0"], args].concat())
}

#[test]
fn answers_that_are_packed_with_gzip_are_read_and_verified() {
    let registry = Registry::start();
    let front = encoding(&registry, |(_, headers, body)| {
        *body = gzip(body);
        headers.push(("Content-Encoding", "gzip".into()));
    });
    let name = |tag: &str| format!("{}/app:{tag}", front.host);
    let shown = run(&["inspect", "--raw", &name("v1")]);
    let stored = registry.manifest("app", "v1").unwrap();
    assert!(shown.exit == 0 && shown.stdout.contains(&stored.digest), "{shown:?}");
    for args in [
        &["inspect", &name("amd64")][..],
        &["query", &name("v1")],
        &["tags", &format!("{}/app", front.host)],
        &["verify", &name("v1")],
    ] {
        let outcome = run(args);
        assert_eq!(outcome.exit, 0, "{args:?}: {outcome:?}");
    }
    let pushed = push_from_args(&front.host, "linux/amd64,linux/arm64", "app:ARCH", "app:v2", &["--retries", "0"]);
    assert_eq!(pushed.exit, 0, "{pushed:?}");
    let missing = run(&["inspect", &name("none")]);
    assert!(missing.stderr.contains("registry says: MANIFEST_UNKNOWN"), "{missing:?}");
    let asked = front.asked();
    assert!(asked.iter().any(|asked| asked.line.starts_with("PUT ")), "{asked:?}");
    assert!(asked.iter().all(|asked| asked.accept_encoding.as_deref() == Some("identity")), "{asked:?}");
}

/// A server that packs nothing, and says that it does.
#[test]
fn a_wrong_content_encoding_header_is_ignored() {
    let registry = Registry::start();
    let front = encoding(&registry, |(_, headers, _)| headers.push(("Content-Encoding", "gzip".into())));
    let name = format!("{}/app:v1", front.host);
    for args in [&["inspect", &name][..], &["verify", &name], &["verify", "--layers", &name]] {
        let outcome = run(args);
        assert_eq!(outcome.exit, 0, "{args:?}: {outcome:?}");
    }
}

#[test]
fn an_encoding_that_cannot_be_read_is_refused() {
    for (encoding_name, pack, said) in [
        ("br", true, "the answer is encoded with br, which was not asked for"),
        ("gzip, gzip", true, "the answer is encoded with gzip, gzip, which was not asked for"),
        ("gzip", false, "the answer is encoded with gzip and cannot be unpacked"),
    ] {
        let registry = Registry::start();
        let front = encoding(&registry, move |(_, headers, body)| {
            *body = gzip(body);
            let length = if pack { body.len() } else { body.len() - 9 };
            body.truncate(length);
            headers.push(("Content-Encoding", encoding_name.into()));
        });
        let name = format!("{}/app:v1", front.host);
        let outcome = run(&["inspect", &name]);
        assert!(outcome.exit == 1 && outcome.stdout.is_empty(), "{encoding_name}: {outcome:?}");
        assert!(outcome.stderr.contains(&format!("{name}: {said}")), "{encoding_name}: {outcome:?}");
    }
}

/// The bound of a manifest is that of its unpacked bytes, and other content than the digest names is refused.
#[test]
fn what_is_unpacked_is_bounded_and_compared_with_its_digest() {
    let registry = Registry::start();
    let front = encoding(&registry, |(_, headers, body)| {
        *body = gzip(&vec![b' '; 9 << 20]);
        headers.push(("Content-Encoding", "gzip".into()));
    });
    let bomb = run(&["inspect", &format!("{}/app:v1", front.host)]);
    assert!(bomb.exit == 1 && bomb.stderr.contains("longer than the 8388608 bytes"), "{bomb:?}");
    let registry = Registry::start();
    let front = encoding(&registry, |(_, headers, body)| {
        *body = gzip(&[&body[..], b" "].concat());
        headers.push(("Content-Encoding", "gzip".into()));
    });
    let digest = registry.manifest("app", "v1").unwrap().digest;
    for name in [format!("{}/app:v1", front.host), format!("{}/app@{digest}", front.host)] {
        let changed = run(&["inspect", &name]);
        assert!(changed.exit == 1 && changed.stderr.contains("the bytes received have digest"), "{changed:?}");
    }
}

/// The body of an answer to a write says nothing that matters.
#[test]
fn a_write_that_succeeded_has_done_so_however_its_answer_is_encoded() {
    let registry = Registry::start();
    push_image(&registry, "app", "amd64", "amd64");
    let behind = registry.host.clone();
    let front = Scripted::start(move |asked, host| {
        let mut answer = forward(asked, &behind, host);
        if asked.line.starts_with('P') {
            answer.1.push(("Content-Encoding", "br".into()));
            answer.2 = b"not brotli".to_vec();
        }
        answer
    });
    let pushed = push_from_args(&front.host, "linux/amd64", "app:ARCH", "app:v2", &["--retries", "0"]);
    assert_eq!(pushed.exit, 0, "{pushed:?}");
    assert!(registry.manifest("app", "v2").is_some());
}

/// A layer is streamed and not unpacked: it is not copied, and not called unsound either.
#[test]
fn a_layer_that_comes_packed_is_said_to_be_encoded() {
    let (registry, target) = (Registry::start(), Registry::start());
    let front = encoding(&registry, |(_, headers, body)| {
        *body = gzip(body);
        headers.push(("Content-Encoding", "gzip".into()));
    });
    let (name, copy) = (format!("{}/app:v1", front.host), format!("{}/app:v1", target.host));
    for args in [&["verify", "--layers", &name][..], &["copy", &name, &copy]] {
        let outcome = run(args);
        assert_eq!(outcome.exit, 1, "{args:?}: {outcome:?}");
        assert!(outcome.stderr.contains("the answer is encoded with gzip, which was not asked for"), "{outcome:?}");
        assert!(!outcome.stdout.contains("unsound"), "{outcome:?}");
    }
    assert!(target.manifest("app", "v1").is_none());
}
