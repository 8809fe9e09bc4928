//! Answers that no honest registry gives: an error that names the reference, never a crash, and nothing is written.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::support::images::OCI_INDEX;
use crate::support::registry::sha256;
use crate::support::scripted::{Answer, Asked, read_request};
use crate::support::{Scripted, manifest_tool, manifest_tool_with_stdin};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest(status: u16, content_type: &str, body: &[u8]) -> Answer {
    (status, vec![("Content-Type", content_type.to_owned())], body.to_vec())
}

/// Serves one manifest answer for every manifest, and tells what `inspect` and `push` say about it.
fn said(answer: Answer) -> (String, String) {
    let server =
        Scripted::start(
            move |asked: &Asked, _| {
                if asked.line.contains("/manifests/") { answer.clone() } else { (200, vec![], vec![]) }
            },
        );
    let work = tempfile::tempdir().unwrap();
    let reference = format!("{}/app:x", server.host);
    let shown = manifest_tool(work.path(), &["--plain-http", "--retries", "0", "inspect", &reference]);
    assert_eq!((shown.exit, shown.stdout.as_str()), (1, ""), "{shown:?}");
    let spec = format!("image: {}/app:v1\nmanifests: [{{image: \"{reference}\"}}]", server.host);
    let pushed = manifest_tool_with_stdin(
        work.path(),
        &["--plain-http", "--retries", "0", "push", "from-spec", "--ignore-missing", "-"],
        &spec,
    );
    assert_eq!((pushed.exit, pushed.stdout.as_str()), (1, ""), "{pushed:?}");
    assert!(pushed.stderr.contains(&reference), "{pushed:?}");
    for asked in server.asked() {
        let reads = asked.line.starts_with("GET ") || asked.line.starts_with("HEAD ");
        assert!(reads, "something was written: {asked:?}");
    }
    (shown.stderr, pushed.stderr)
}

#[test]
fn manifests_that_are_none() {
    let empty = sha256(b"");
    let deep = format!("{{\"config\":{}", "[".repeat(200_000));
    let huge = vec![b' '; 9 << 20];
    let both = format!(r#"{{"manifests":[],"config":{{"mediaType":"c","digest":"{empty}","size":0}}}}"#);
    let entry = format!(r#"{{"mediaType":"{OCI}","digest":"{empty}","size":0}}"#);
    let entries = vec![entry.as_str(); 10_001].join(",");
    let many = format!(r#"{{"manifests":[{entries}]}}"#);
    let layers = format!(r#"{{"config":{entry},"layers":[{entries}]}}"#);
    let cases: &[(&str, &[u8], &str)] = &[
        (OCI, b"", "not a valid manifest"),
        (OCI, b"{\"schemaVersion\":2,\"conf", "not a valid manifest"),
        (OCI, b"<html></html>", "not a valid manifest"),
        (OCI, b"\xff\xfe\x00", "not a valid manifest"),
        (OCI, b"{\"config\":7}", "not a valid manifest"),
        (OCI, b"{\"config\":{\"mediaType\":\"c\",\"digest\":\"sha256:../../x\",\"size\":0}}", "invalid digest"),
        (OCI, b"{\"config\":{\"mediaType\":\"c\",\"digest\":\"x\",\"size\":-1}}", "not a valid manifest"),
        (OCI, deep.as_bytes(), "not a valid manifest"),
        (OCI, &huge, "longer than"),
        (OCI, both.as_bytes(), "ambiguous"),
        ("application/vnd.oci.image.index.v1+json", many.as_bytes(), "10001 entries, more than"),
        (OCI, layers.as_bytes(), "10001 entries, more than"),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", b"{\"schemaVersion\":1}", "schema 1"),
        ("application/json", b"{\"schemaVersion\":1,\"fsLayers\":[]}", "schema 1"),
        ("text/html", b"{}", "neither an image manifest nor an index"),
        (
            "application/vnd.oci.image.index.v1+json",
            b"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"}",
            "the registry calls it",
        ),
        ("application/vnd.oci.image.index.v1+json", b"{\"manifests\":[1,2]}", "not a valid manifest"),
    ];
    for (content_type, body, expected) in cases {
        let (shown, pushed) = said(manifest(200, content_type, body));
        assert!(shown.contains(expected) && pushed.contains(expected), "{expected}: {shown} {pushed}");
    }
}

#[test]
fn refusals_are_shown_without_control_characters() {
    let error = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"words\u001b[31m"}}]}}"#).into_bytes();
    for (status, body) in
        [(404, error("DENIED")), (500, error("UNKNOWN")), (403, error("DENIED")), (401, error("UNAUTHORIZED"))]
    {
        let (_, pushed) = said(manifest(status, "application/json", &body));
        assert!(pushed.contains(&format!("HTTP {status}")) && !pushed.contains("skipped"), "{pushed}");
        assert!(!pushed.contains('\x1b'), "control characters are stripped: {pushed:?}");
    }
    for body in [error("MANIFEST_UNKNOWN"), b"<html>proxy</html>".to_vec(), vec![]] {
        let (_, pushed) = said(manifest(404, "application/json", &body));
        assert!(pushed.contains("skipped") && pushed.contains("all sources are missing"), "{pushed}");
    }
}

#[test]
fn bytes_that_are_not_those_named() {
    let body = b"{}".to_vec();
    let header = vec![("Content-Type", OCI.to_owned()), ("Docker-Content-Digest", sha256(b"other"))];
    let (shown, _) = said((200, header, body));
    assert!(shown.contains("the registry's header says"), "{shown}");
    let server = Scripted::start(|_, _| (200, vec![("Content-Type", OCI.to_owned())], b"{}".to_vec()));
    let reference = format!("{}/app@{}", server.host, sha256(b"other"));
    let shown = manifest_tool(&std::env::temp_dir(), &["--plain-http", "--retries", "0", "inspect", &reference]);
    assert!(shown.exit == 1 && shown.stderr.contains("the reference says"), "{shown:?}");
}

#[test]
fn a_registry_that_is_not_there() {
    let outcome =
        manifest_tool(&std::env::temp_dir(), &["--plain-http", "--retries", "0", "inspect", "127.0.0.1:1/app:x"]);
    assert_eq!(outcome.exit, 1);
    assert!(
        outcome
            .stderr
            .starts_with("error: 127.0.0.1:1/app:x: no answer to GET /v2/app/manifests/x: Connection refused"),
        "{outcome:?}"
    );
}

#[test]
fn tokens_and_errors_are_read_to_a_bound() {
    let long = vec![b'x'; 3 << 20];
    let (shown, _) = said(manifest(500, "text/plain", &long));
    assert!(shown.contains("HTTP 500") && shown.len() < 1000, "{}", shown.len());
    let config = format!(
        r#"{{"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":8388609}},"layers":[]}}"#,
        sha256(b"")
    );
    let server = Scripted::start(move |_, _| manifest(200, OCI, config.as_bytes()));
    let reference = format!("{}/app:x", server.host);
    let shown = manifest_tool(&std::env::temp_dir(), &["--plain-http", "--retries", "0", "inspect", &reference]);
    assert!(shown.exit == 1 && shown.stderr.contains("longer than the 8388608 bytes"), "{shown:?}");
    assert_eq!(server.asked().len(), 1, "not even asked for");
    let token = format!(r#"{{"token":"{}"}}"#, "x".repeat(3 << 20)).into_bytes();
    let server = Scripted::start(move |asked, host| {
        if asked.line.starts_with("GET /token") {
            return (200, vec![], token.clone());
        }
        (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![])
    });
    let reference = format!("{}/app:x", server.host);
    let shown = manifest_tool(&std::env::temp_dir(), &["--plain-http", "--retries", "0", "inspect", &reference]);
    assert!(shown.exit == 1 && shown.stderr.contains("longer than the 1048576 bytes"), "{shown:?}");
}

/// A byte now and then is not silence, and would go on for ever; the end of the body is a day away.
#[test]
fn a_body_that_trickles_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || trickle(stream));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    for (kind, line) in [("manifest", "inspect"), ("tags", "tags")] {
        let reference = if kind == "tags" { format!("{host}/app") } else { format!("{host}/app:v1") };
        let outcome = manifest_tool(
            folder.path(),
            &["--plain-http", "--retries", "1", "--max-wait", "100ms", "--timeout", "1s", line, &reference],
        );
        assert_eq!(outcome.exit, 1, "{outcome:?}");
        assert!(outcome.stderr.contains(" bytes came in 1 s"), "{outcome:?}");
    }
}

fn trickle(stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    read_request(&mut reader)?;
    let mut stream = reader.into_inner();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {OCI_INDEX}\r\nContent-Length: 4000000\r\n\r\n").ok()?;
    loop {
        stream.write_all(b" ").ok()?;
        std::thread::sleep(Duration::from_millis(20));
    }
}
