//! `push --append` and `remove`: they change entries of an index and keep the rest, even with concurrent writers.

mod append;
mod concurrent;
mod overwritten;
mod remove;
mod uncertain;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::images::push_image;
use crate::support::registry::sha256;
use crate::support::{Outcome, Registry, ScriptedServer, Workspace, push_from_args};

/// The request that reads the existing index.
const READ_INDEX: &str = "GET /v2/whole/manifests/v1";

/// Starts a registry with images `parts:ARCHITECTURE`.
fn registry_with_parts(architectures: &[&str]) -> Arc<Registry> {
    let registry = Registry::start();
    for architecture in architectures {
        push_image(&registry, "parts", architecture, architecture);
    }
    Arc::new(registry)
}

/// Runs `push` with `parts:ARCH` as template and `whole:v1` as target.
fn push(host: &str, platforms: &str, args: &[&str]) -> Outcome {
    push_from_args(host, platforms, "parts:ARCH", "whole:v1", args)
}

/// Runs `push --append` with `parts:ARCH` as template and `whole:v1` as target.
fn append(host: &str, platforms: &str, args: &[&str]) -> Outcome {
    push(host, platforms, &[&["--append", "--settle", "20ms"], args].concat())
}

/// Runs `remove` on `whole:v1`.
fn remove(host: &str, args: &[&str]) -> Outcome {
    let index = format!("{host}/whole:v1");
    Workspace::new().run(&[&["--plain-http", "remove", &index, "--settle", "20ms"], args].concat())
}

fn index_at(registry: &Registry, tag: &str) -> Value {
    serde_json::from_slice(&registry.manifest("whole", tag).unwrap().bytes).unwrap()
}

/// Returns the architecture and digest of each entry, or the attested digest and digest of an attestation.
fn entries(registry: &Registry, tag: &str) -> Vec<(String, String)> {
    let entry = |entry: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let attested = text(&entry["annotations"]["vnd.docker.reference.digest"]);
        let name = if attested.is_empty() { text(&entry["platform"]["architecture"]) } else { attested };
        (name, text(&entry["digest"]))
    };
    index_at(registry, tag)["manifests"].as_array().unwrap().iter().map(entry).collect()
}

fn architectures(registry: &Registry, tag: &str) -> Vec<String> {
    entries(registry, tag).into_iter().map(|(name, _)| name).collect()
}

/// Asserts that `skopeo` can copy the index with all its images.
#[track_caller]
fn assert_skopeo_copies(registry: &Registry, tag: &str) {
    let target = tempfile::tempdir().unwrap();
    let (from, to) = (format!("docker://{}/whole:{tag}", registry.host), format!("dir:{}", target.path().display()));
    let args = ["--insecure-policy", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", &from, &to];
    let copied = Command::new("skopeo").args(args).output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let manifest = std::fs::read(target.path().join("manifest.json")).unwrap();
    assert_eq!(sha256(&manifest), registry.manifest("whole", tag).unwrap().digest);
}

/// Starts a server in front of the registry that calls `write` just before the `nth` request (from 1) of a kind.
fn with_concurrent_write(
    registry: &Arc<Registry>,
    line: &'static str,
    nth: usize,
    write: impl Fn(&Registry) + Send + Sync + 'static,
) -> ScriptedServer {
    let (writer, requests) = (Arc::clone(registry), AtomicUsize::new(0));
    ScriptedServer::in_front_of(registry, move |request| {
        if request.line == line && requests.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            write(&writer);
        }
        None
    })
}

/// Returns how often `whole:v1` was written through the server.
fn index_writes(server: &ScriptedServer) -> usize {
    server.requests().iter().filter(|request| request.writes_manifest("v1")).count()
}
