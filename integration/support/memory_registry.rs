//! An in-memory registry that accepts manifests of every type, with or without the referrers API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::ScriptedServer;
use super::images::OCI_INDEX;
use super::registry::sha256;
use super::scripted_server::{ReceivedRequest, Response};

/// Media types and bytes by path, such as `app/manifests/v1`.
type Content = HashMap<String, (String, Vec<u8>)>;

pub struct MemoryRegistry {
    pub server: ScriptedServer,
    content: Arc<Mutex<Content>>,
}

impl MemoryRegistry {
    pub fn start(lists_referrers: bool) -> Self {
        let content = Arc::<Mutex<Content>>::default();
        let stored = Arc::clone(&content);
        let server =
            ScriptedServer::start(move |request, _| respond(request, &mut stored.lock().unwrap(), lists_referrers));
        Self { server, content }
    }

    /// Returns the manifest that a tag or digest resolves to.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<Vec<u8>> {
        self.get(&format!("{repository}/manifests/{name}"))
    }

    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.get(&format!("{repository}/blobs/{digest}"))
    }

    fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.content.lock().unwrap().get(path).map(|(_, bytes)| bytes.clone())
    }

    /// Stores a blob, and returns its descriptor.
    pub fn put_blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        self.content.lock().unwrap().insert(format!("{repository}/blobs/{digest}"), (String::new(), bytes.to_vec()));
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Stores a manifest by its digest and a tag, and returns its descriptor.
    pub fn put_manifest(&self, repository: &str, tag: &str, manifest: &Value) -> Value {
        let (media_type, bytes) = (manifest["mediaType"].as_str().unwrap(), manifest.to_string().into_bytes());
        let digest = sha256(&bytes);
        for name in [tag, &digest] {
            let path = format!("{repository}/manifests/{name}");
            self.content.lock().unwrap().insert(path, (media_type.to_owned(), bytes.clone()));
        }
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }
}

fn respond(request: &ReceivedRequest, content: &mut Content, lists_referrers: bool) -> Response {
    let (method, target) = request.line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.trim_start_matches("/v2/");
    let empty = |status| (status, vec![], vec![]);
    match method {
        "POST" => (202, vec![("Location", format!("/v2/{path}1"))], vec![]),
        "PUT" => {
            let digest = sha256(&request.body);
            let media_type = request.content_type.clone().unwrap_or_default();
            let repository = path.split("/blobs/").next().unwrap();
            let paths = match path.split_once("/manifests/") {
                Some((repository, _)) => vec![path.to_owned(), format!("{repository}/manifests/{digest}")],
                None if query == format!("digest={digest}") => vec![format!("{repository}/blobs/{digest}")],
                None => return empty(400),
            };
            for path in paths {
                content.insert(path, (media_type.clone(), request.body.clone()));
            }
            (201, vec![("Docker-Content-Digest", digest)], vec![])
        }
        "GET" | "HEAD" => match content.get(path) {
            Some((media_type, bytes)) => {
                let digest = ("Docker-Content-Digest", sha256(bytes));
                let length = ("Content-Length", bytes.len().to_string());
                (200, vec![("Content-Type", media_type.clone()), digest, length], bytes.clone())
            }
            None => match path.split_once("/referrers/") {
                Some((repository, subject)) if lists_referrers => referrers(content, repository, subject),
                _ => empty(404),
            },
        },
        _ => empty(202),
    }
}

fn referrers(content: &Content, repository: &str, subject: &str) -> Response {
    let prefix = format!("{repository}/manifests/sha256:");
    let entries =
        content.iter().filter(|(path, _)| path.starts_with(&prefix)).filter_map(|(_, (media_type, bytes))| {
            let manifest: Value = serde_json::from_slice(bytes).ok()?;
            let entry = json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()});
            (manifest["subject"]["digest"] == subject).then_some(entry)
        });
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries.collect::<Vec<_>>()});
    (200, vec![("Content-Type", OCI_INDEX.to_owned())], index.to_string().into_bytes())
}
