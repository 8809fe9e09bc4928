//! Servers that respond to an upload before they have read its body, and then close the connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::images::{OCI, descriptor};
use crate::support::registry::sha256;
use crate::support::{Outcome, Workspace};

/// A registry that responds to a PUT whose path contains `refused` right after the request's head. It then closes the
/// connection with the body unread, so that the client's next write fails. It accepts all other requests.
struct EarlyResponder {
    host: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl EarlyResponder {
    fn start(refused: &'static str, response: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let lines = Arc::default();
        let log: Arc<Mutex<Vec<String>>> = Arc::clone(&lines);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || serve(stream, refused, response, &log));
            }
        });
        Self { host, lines }
    }

    fn count(&self, prefix: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.starts_with(prefix)).count()
    }
}

fn serve(stream: TcpStream, refused: &str, response: &str, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let header = header.trim().to_lowercase();
            if header.is_empty() {
                break;
            }
            length = header.strip_prefix("content-length: ").map_or(length, |value| value.parse().unwrap());
        }
        log.lock().unwrap().push(line.clone());
        if line.starts_with("PUT ") && line.contains(refused) {
            return reader.get_mut().write_all(response.as_bytes()).ok();
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        let head = match line.split(' ').next().unwrap() {
            "POST" => "202 X\r\nLocation: /v2/app/blobs/uploads/1",
            "PUT" | "DELETE" => "201 X",
            _ => "404 X",
        };
        write!(reader.get_mut(), "HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}

/// Writes a layout `image` with one image, whose layer has `size` bytes.
fn write_layout(workspace: &Workspace, size: usize) {
    let blobs = workspace.path("image/blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let write = |bytes: &[u8]| {
        let digest = sha256(bytes);
        std::fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        digest
    };
    let (config, layer) = (br#"{"os":"linux","architecture":"amd64"}"#, vec![7; size]);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &write(config), config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &write(&layer), &layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let index = json!({"schemaVersion": 2, "manifests": [descriptor(OCI, &write(&manifest), &manifest)]});
    workspace.write("image/index.json", &index.to_string());
    workspace.write("image/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
}

fn copy(workspace: &Workspace, server: &EarlyResponder) -> Outcome {
    workspace.run(&["--plain-http", "--retries", "0", "copy", "oci:image", &format!("{}/app:v1", server.host)])
}

#[test]
fn an_early_refusal_of_a_large_upload_is_reported() {
    let workspace = Workspace::new();
    write_layout(&workspace, 32 << 20);
    for (response, error) in [
        ("HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n", "HTTP 413"),
        ("HTTP/1.1 413 X\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>too large</htm", "HTTP 413"),
        ("HTTP/1.1 403 X\r\nConnection: close\r\n\r\n{\"errors\":[{\"code\":\"DENIED\"}]}", "HTTP 403"),
        ("HTTP/1.1 411 X\r\nContent-Length: 1000\r\n\r\ncut off", "HTTP 411"),
    ] {
        let server = EarlyResponder::start("digest=", response);
        let outcome = copy(&workspace, &server);
        // The config and the layer have one cause, unless the body of a response was lost with its connection.
        let blobs = outcome.stderr.matches(&format!("blob {}/app@sha256:", server.host)).count();
        assert_eq!((outcome.exit, blobs), (1, 2), "{response:?}: {outcome:?}");
        assert!(outcome.stderr.contains(error), "{response:?}: {outcome:?}");
        assert!(!outcome.stderr.contains("no response"), "{response:?}: {outcome:?}");
        assert_eq!((server.count("PUT /v2/app/manifests/"), server.count("POST ")), (0, 2), "no upload is retried");
    }
}

/// The client may have sent the whole body before the connection closes.
#[test]
fn an_early_refusal_of_a_small_blob_or_a_manifest_is_reported() {
    let workspace = Workspace::new();
    write_layout(&workspace, 10);
    for refused in ["digest=", "/manifests/"] {
        let server = EarlyResponder::start(refused, "HTTP/1.1 413 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let outcome = copy(&workspace, &server);
        assert!(outcome.exit == 1 && outcome.stderr.contains("HTTP 413"), "{refused}: {outcome:?}");
    }
}
