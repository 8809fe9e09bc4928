//! Answers to an upload that come before its body was read, and a connection that closes with them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::support::images::{OCI, descriptor};
use crate::support::registry::sha256;
use crate::support::{Outcome, manifest_tool};

/// A registry that answers each PUT of a blob or manifest whose path holds `refused` right after its head, and closes
/// the connection with the rest unread, so that the client's next write fails. It takes everything else.
struct Hasty {
    host: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Hasty {
    fn start(refused: &'static str, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let lines = Arc::default();
        let log: Arc<Mutex<Vec<String>>> = Arc::clone(&lines);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || serve(stream, refused, answer, &log));
            }
        });
        Self { host, lines }
    }

    fn count(&self, start: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.starts_with(start)).count()
    }
}

fn serve(stream: TcpStream, refused: &str, answer: &str, log: &Mutex<Vec<String>>) -> Option<()> {
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
            return reader.get_mut().write_all(answer.as_bytes()).ok();
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

/// Writes a layout that holds an image with one layer of `size` bytes.
fn layout(folder: &tempfile::TempDir, size: usize) {
    let blobs = folder.path().join("image/blobs/sha256");
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
    std::fs::write(folder.path().join("image/index.json"), index.to_string()).unwrap();
    std::fs::write(folder.path().join("image/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

fn copy(folder: &tempfile::TempDir, server: &Hasty) -> Outcome {
    let target = format!("{}/app:v1", server.host);
    manifest_tool(folder.path(), &["--plain-http", "--retries", "0", "copy", "oci:image", &target])
}

#[test]
fn an_upload_that_is_refused_early_reports_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    layout(&folder, 32 << 20);
    for (answer, said) in [
        ("HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n", "HTTP 413"),
        ("HTTP/1.1 413 X\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>too large</htm", "HTTP 413"),
        ("HTTP/1.1 403 X\r\nConnection: close\r\n\r\n{\"errors\":[{\"code\":\"DENIED\"}]}", "HTTP 403"),
        ("HTTP/1.1 411 X\r\nContent-Length: 1000\r\n\r\ncut off", "HTTP 411"),
    ] {
        let server = Hasty::start("digest=", answer);
        let outcome = copy(&folder, &server);
        // The config and the layer.
        assert_eq!((outcome.exit, outcome.stderr.matches(said).count()), (1, 2), "{answer:?}: {outcome:?}");
        assert!(!outcome.stderr.contains("no answer"), "{answer:?}: {outcome:?}");
        assert_eq!((server.count("PUT /v2/app/manifests/"), server.count("POST ")), (0, 2), "no try begins again");
    }
}

/// The body may have been sent as a whole, or not: the answer is the same.
#[test]
fn a_small_upload_and_a_manifest_that_are_refused_early_report_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    layout(&folder, 10);
    for refused in ["digest=", "/manifests/"] {
        let server = Hasty::start(refused, "HTTP/1.1 413 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let outcome = copy(&folder, &server);
        assert!(outcome.exit == 1 && outcome.stderr.contains("HTTP 413"), "{refused}: {outcome:?}");
    }
}
