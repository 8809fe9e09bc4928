//! Broken connections are reported in plain words, without Rust debug output.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::support::scripted_server::read_request;
use crate::support::{Outcome, Workspace};

/// Starts a server that sends these bytes in response to each request, and closes the connection. Returns its host.
fn raw_server(response: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, response));
        }
    });
    host
}

fn serve(stream: TcpStream, response: &str) -> Option<()> {
    let mut reader = BufReader::new(stream);
    read_request(&mut reader)?;
    reader.get_mut().write_all(response.as_bytes()).ok()
}

fn inspect(reference: &str, args: &[&str]) -> Outcome {
    let outcome = Workspace::new().run(&[&["--retries", "0", "inspect", reference], args].concat());
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    for debug in ["Error(", "Os {", "os error", "Custom {", "kind:", "UnexpectedEof", "reqwest", "rustls", "hyper"] {
        assert!(!outcome.stderr.contains(debug), "{debug}: {outcome:?}");
    }
    outcome
}

#[test]
fn an_invalid_http_response_is_reported_in_words() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n";
    let leak = |text: String| -> &'static str { text.leak() };
    for (response, message) in [
        (leak(format!("{head}Content-Length: 100\r\n\r\n{{")), "end of file before message length reached"),
        (leak(format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n")), "Invalid chunk size line"),
        ("\u{15}\u{3}\u{1}garbage", "did not answer with HTTP"),
        ("HTTP/1.1 abc OK\r\n\r\n", "did not answer with HTTP"),
        ("", "connection closed before message completed"),
    ] {
        let host = raw_server(response);
        let stderr = inspect(&format!("{host}/app:v1"), &["--plain-http"]).stderr;
        let prefix = format!("error: {host}/app:v1: no response to GET /v2/app/manifests/v1: ");
        assert!(stderr.starts_with(&prefix) && stderr.contains(message), "{response:?}: {stderr}");
    }
}

#[test]
fn a_failed_connection_is_reported_in_words() {
    for args in [&[][..], &["--plain-http"]] {
        let stderr = inspect("127.0.0.1:1/app:v1", args).stderr;
        assert!(stderr.ends_with("Connection refused\n"), "{stderr}");
        let stderr = inspect("registry.invalid/app:v1", args).stderr;
        assert!(stderr.contains("no response to GET /v2/app/manifests/v1: "), "{stderr}");
    }
}
