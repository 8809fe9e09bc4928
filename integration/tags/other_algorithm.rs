//! A registry that names the digests of tags with SHA-512, as the distribution-spec allows.

use sha2::Digest as _;

use crate::support::images::{OCI, push_image};
use crate::support::scripted_server::forward_request;
use crate::support::{Outcome, Registry, ScriptedServer, push_from_args};

fn sha512(bytes: &[u8]) -> String {
    let hex: String = sha2::Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha512:{hex}")
}

struct Fixture {
    registry: Registry,
    server: ScriptedServer,
}

impl Fixture {
    fn new() -> Self {
        let registry = Registry::start();
        for architecture in ["amd64", "arm64"] {
            push_image(&registry, "parts", architecture, architecture);
        }
        let upstream = registry.host.clone();
        let server = ScriptedServer::start(move |request, host| {
            let (status, mut headers, body) = forward_request(request, &upstream, host);
            let is_tag = request.line.contains("/manifests/") && !request.line.contains("/manifests/sha256:");
            if is_tag && status < 300 {
                let bytes = match request.line.split_once(' ').unwrap() {
                    ("PUT", _) => request.body.clone(),
                    (_, path) => {
                        let url = format!("http://{upstream}{path}");
                        let get = ureq::get(&url).header("Accept", manifest_tool::image::media_type::ACCEPT);
                        get.call().unwrap().body_mut().read_to_vec().unwrap()
                    }
                };
                headers.retain(|(name, _)| *name != "Docker-Content-Digest");
                headers.push(("Docker-Content-Digest", sha512(&bytes)));
            }
            (status, headers, body)
        });
        Self { registry, server }
    }

    fn push(&self, platforms: &str, flags: &[&str]) -> Outcome {
        push_from_args(&self.server.host, platforms, "parts:ARCH", "whole:v1", flags)
    }

    fn writes(&self) -> usize {
        let is_write = |line: &str| line.starts_with("PUT /v2/whole/manifests/v1");
        self.server.requests().iter().filter(|request| is_write(&request.line)).count()
    }
}

#[test]
fn wait_compares_the_content_of_a_tag_with_a_digest_of_another_algorithm() {
    let fixture = Fixture::new();
    fixture.push("linux/amd64", &["--wait", "--retries", "0"]).success();
    let outcome = fixture.push("linux/amd64,linux/arm64", &["--wait", "--retries", "0", "--tags", "latest"]).success();
    let stored = fixture.registry.manifest("whole", "latest").unwrap();
    outcome.stdout_is(&format!("Digest: {} {}\n", stored.digest, stored.bytes.len()));
}

#[test]
fn a_tag_with_the_same_content_is_not_written_again() {
    let fixture = Fixture::new();
    for _ in 0..2 {
        fixture.push("linux/amd64", &[]).success();
    }
    assert_eq!(fixture.writes(), 1);
}

#[test]
fn if_match_and_append_compare_the_content_of_the_tag() {
    let fixture = Fixture::new();
    fixture.push("linux/amd64", &["--if-match", "none"]).success();
    let digest = fixture.registry.manifest("whole", "v1").unwrap().digest;
    fixture.push("linux/arm64", &["--if-match", "none"]).exits(3);
    fixture.push("linux/arm64", &["--append", "--settle", "1ms", "--if-match", &digest]).success();
    let stored = fixture.registry.manifest("whole", "v1").unwrap();
    assert_eq!(String::from_utf8_lossy(&stored.bytes).matches("\"architecture\"").count(), 2);
    assert_eq!(fixture.writes(), 2);
}

#[test]
fn copy_compares_the_content_of_the_tag() {
    let fixture = Fixture::new();
    let (from, to) = (format!("{}/parts:amd64", fixture.server.host), format!("{}/copy:v1", fixture.server.host));
    for _ in 0..2 {
        crate::support::manifest_tool(&std::env::temp_dir(), &["--plain-http", "copy", "--wait", &from, &to]).success();
    }
    let requests = fixture.server.requests();
    assert_eq!(requests.iter().filter(|request| request.line == "PUT /v2/copy/manifests/v1").count(), 1);
    assert!(requests.iter().any(|request| request.content_type.as_deref() == Some(OCI)));
}
