//! Malformed and malicious responses: each is an error that names the reference, and the push writes no data.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::support::images::{OCI, OCI_INDEX};
use crate::support::registry::sha256;
use crate::support::scripted_server::{ReceivedRequest, Response, read_request};
use crate::support::{Outcome, ScriptedServer, Workspace};

fn manifest_response(status: u16, content_type: &str, body: &[u8]) -> Response {
    (status, vec![("Content-Type", content_type.to_owned())], body.to_vec())
}

fn workspace(server: &ScriptedServer) -> Workspace {
    Workspace::new().flags(&["--plain-http", "--retries", "0"]).placeholder("HOST", &server.host)
}

fn inspect(server: &ScriptedServer) -> Outcome {
    workspace(server).run(&["inspect", "HOST/app:x"])
}

/// Returns the errors of `inspect` and `push` if the registry sends `response` for every manifest.
fn inspect_and_push_errors(response: Response) -> (String, String) {
    let server = ScriptedServer::start(move |request: &ReceivedRequest, _| {
        if request.line.contains("/manifests/") { response.clone() } else { (200, vec![], vec![]) }
    });
    let inspected = inspect(&server);
    assert_eq!((inspected.exit, inspected.stdout.as_str()), (1, ""), "{inspected:?}");
    let spec = "image: HOST/app:v1\nmanifests: [{image: \"HOST/app:x\"}]";
    let pushed = workspace(&server).run_with_stdin(&["push", "from-spec", "--ignore-missing", "-"], spec);
    assert_eq!((pushed.exit, pushed.stdout.as_str()), (1, ""), "{pushed:?}");
    assert!(pushed.stderr.contains(&format!("{}/app:x", server.host)), "{pushed:?}");
    for request in server.requests() {
        let is_read = request.line.starts_with("GET ") || request.line.starts_with("HEAD ");
        assert!(is_read, "a write was sent: {request:?}");
    }
    (inspected.stderr, pushed.stderr)
}

#[test]
fn an_invalid_manifest_is_an_error_with_a_reason() {
    let empty = sha256(b"");
    let deeply_nested = format!("{{\"config\":{}", "[".repeat(200_000));
    let oversized = vec![b' '; 9 << 20];
    let image_and_index = format!(r#"{{"manifests":[],"config":{{"mediaType":"c","digest":"{empty}","size":0}}}}"#);
    let entry = format!(r#"{{"mediaType":"{OCI}","digest":"{empty}","size":0}}"#);
    let entries = vec![entry.as_str(); 10_001].join(",");
    let too_many_entries = format!(r#"{{"manifests":[{entries}]}}"#);
    let too_many_layers = format!(r#"{{"config":{entry},"layers":[{entries}]}}"#);
    let cases: &[(&str, &[u8], &str)] = &[
        (OCI, b"", "not a valid manifest"),
        (OCI, b"{\"schemaVersion\":2,\"conf", "not a valid manifest"),
        (OCI, b"<html></html>", "not a valid manifest"),
        (OCI, b"\xff\xfe\x00", "not a valid manifest"),
        (OCI, b"{\"config\":7}", "not a valid manifest"),
        (OCI, b"{\"config\":{\"mediaType\":\"c\",\"digest\":\"sha256:../../x\",\"size\":0}}", "invalid digest"),
        (OCI, b"{\"config\":{\"mediaType\":\"c\",\"digest\":\"x\",\"size\":-1}}", "not a valid manifest"),
        (OCI, deeply_nested.as_bytes(), "not a valid manifest"),
        (OCI, &oversized, "larger than"),
        (OCI, image_and_index.as_bytes(), "ambiguous"),
        ("application/vnd.oci.image.index.v1+json", too_many_entries.as_bytes(), "10001 entries, more than"),
        (OCI, too_many_layers.as_bytes(), "10001 entries, more than"),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", b"{\"schemaVersion\":1}", "schema 1"),
        ("application/json", b"{\"schemaVersion\":1,\"fsLayers\":[]}", "schema 1"),
        ("text/html", b"{}", "neither an image manifest nor an index"),
        (
            "application/vnd.oci.image.index.v1+json",
            b"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"}",
            "its Content-Type is",
        ),
        ("application/vnd.oci.image.index.v1+json", b"{\"manifests\":[1,2]}", "not a valid manifest"),
    ];
    for (content_type, body, expected) in cases {
        let (inspected, pushed) = inspect_and_push_errors(manifest_response(200, content_type, body));
        let both_fail = inspected.contains(expected) && pushed.contains(expected);
        assert!(both_fail, "{expected}: {inspected} {pushed}");
    }
}

#[test]
fn refusals_are_errors_without_control_characters_and_404s_are_skipped() {
    let error = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"words\u001b[31m"}}]}}"#).into_bytes();
    for (status, body) in
        [(404, error("DENIED")), (500, error("UNKNOWN")), (403, error("DENIED")), (401, error("UNAUTHORIZED"))]
    {
        let (_, pushed) = inspect_and_push_errors(manifest_response(status, "application/json", &body));
        assert!(pushed.contains(&format!("HTTP {status}")) && !pushed.contains("skipped"), "{pushed}");
        assert!(!pushed.contains('\x1b'), "{pushed:?}");
    }
    for body in [error("MANIFEST_UNKNOWN"), b"<html>proxy</html>".to_vec(), vec![]] {
        let (_, pushed) = inspect_and_push_errors(manifest_response(404, "application/json", &body));
        assert!(pushed.contains("skipped") && pushed.contains("all sources are missing"), "{pushed}");
    }
}

#[test]
fn a_manifest_with_the_wrong_digest_is_an_error() {
    let body = b"{}".to_vec();
    let headers = vec![("Content-Type", OCI.to_owned()), ("Docker-Content-Digest", sha256(b"other"))];
    let (inspected, _) = inspect_and_push_errors((200, headers, body));
    assert!(inspected.contains("according to the registry's header"), "{inspected}");
    let server = ScriptedServer::start(|_, _| (200, vec![("Content-Type", OCI.to_owned())], b"{}".to_vec()));
    let reference = format!("HOST/app@{}", sha256(b"other"));
    workspace(&server).run(&["inspect", &reference]).fails(1, "according to the reference");
}

#[test]
fn a_refused_connection_is_an_error_with_the_reference() {
    let workspace = Workspace::new().flags(&["--plain-http", "--retries", "0"]);
    let outcome = workspace.run(&["inspect", "127.0.0.1:1/app:x"]);
    let error = "error: 127.0.0.1:1/app:x: no response to GET /v2/app/manifests/x: Connection refused";
    assert!(outcome.exit == 1 && outcome.stderr.starts_with(error), "{outcome:?}");
}

#[test]
fn errors_configs_and_tokens_are_read_up_to_a_limit() {
    let long = vec![b'x'; 3 << 20];
    let (inspected, _) = inspect_and_push_errors(manifest_response(500, "text/plain", &long));
    assert!(inspected.contains("HTTP 500") && inspected.len() < 1000, "{}", inspected.len());
    let config = json!({
        "mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(b""), "size": 8388609,
    });
    let manifest = json!({"config": config, "layers": []}).to_string();
    let server = ScriptedServer::start(move |_, _| manifest_response(200, OCI, manifest.as_bytes()));
    inspect(&server).fails(1, "larger than the limit of 8388608 bytes");
    assert_eq!(server.requests().len(), 1, "the config is not requested");
    let token = format!(r#"{{"token":"{}"}}"#, "x".repeat(3 << 20)).into_bytes();
    let server = ScriptedServer::start(move |request, host| {
        if request.line.starts_with("GET /token") {
            return (200, vec![], token.clone());
        }
        (401, vec![("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\""))], vec![])
    });
    inspect(&server).fails(1, "larger than the limit of 1048576 bytes");
}

/// Each byte resets an idle timeout, so only a minimum rate ends the transfer, which would otherwise take a day.
#[test]
fn a_trickling_response_body_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || trickle(stream));
        }
    });
    let workspace =
        Workspace::new().flags(&["--plain-http", "--retries", "1", "--max-wait", "100ms", "--timeout", "1s"]);
    for args in [["inspect", &format!("{host}/app:v1")], ["tags", &format!("{host}/app")]] {
        workspace.run(&args).fails(1, " bytes received in 1 s");
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
