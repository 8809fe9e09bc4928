//! A registry in memory that takes manifests of every type. Whether it lists referrers is an argument.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Scripted;
use super::images::OCI_INDEX;
use super::registry::sha256;
use super::scripted::{Answer, Asked};

/// Content by path, such as `app/manifests/v1`, with its media type.
type Content = HashMap<String, (String, Vec<u8>)>;

pub struct MemoryRegistry {
    pub server: Scripted,
    content: Arc<Mutex<Content>>,
}

impl MemoryRegistry {
    pub fn start(lists_referrers: bool) -> Self {
        let content = Arc::<Mutex<Content>>::default();
        let kept = Arc::clone(&content);
        let server = Scripted::start(move |asked, _| answer(asked, &mut kept.lock().unwrap(), lists_referrers));
        Self { server, content }
    }

    /// What is under a tag or digest.
    pub fn manifest(&self, repository: &str, name: &str) -> Option<Vec<u8>> {
        self.get(&format!("{repository}/manifests/{name}"))
    }

    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.get(&format!("{repository}/blobs/{digest}"))
    }

    fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.content.lock().unwrap().get(path).map(|(_, bytes)| bytes.clone())
    }

    /// Puts a blob in place; gives its descriptor.
    pub fn put_blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes);
        self.content.lock().unwrap().insert(format!("{repository}/blobs/{digest}"), (String::new(), bytes.to_vec()));
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Puts a manifest in place, by its digest and under a tag; gives its descriptor.
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

fn answer(asked: &Asked, content: &mut Content, lists_referrers: bool) -> Answer {
    let (method, target) = asked.line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.trim_start_matches("/v2/");
    let done = |status| (status, vec![], vec![]);
    match method {
        "POST" => (202, vec![("Location", format!("/v2/{path}1"))], vec![]),
        "PUT" => {
            let digest = sha256(&asked.body);
            let media_type = asked.content_type.clone().unwrap_or_default();
            let repository = path.split("/blobs/").next().unwrap();
            let paths = match path.split_once("/manifests/") {
                Some((repository, _)) => vec![path.to_owned(), format!("{repository}/manifests/{digest}")],
                None if query == format!("digest={digest}") => vec![format!("{repository}/blobs/{digest}")],
                None => return done(400),
            };
            for path in paths {
                content.insert(path, (media_type.clone(), asked.body.clone()));
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
                _ => done(404),
            },
        },
        _ => done(202),
    }
}

fn referrers(content: &Content, repository: &str, subject: &str) -> Answer {
    let start = format!("{repository}/manifests/sha256:");
    let found = content.iter().filter(|(path, _)| path.starts_with(&start)).filter_map(|(_, (media_type, bytes))| {
        let manifest: Value = serde_json::from_slice(bytes).ok()?;
        let entry = json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()});
        (manifest["subject"]["digest"] == subject).then_some(entry)
    });
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found.collect::<Vec<_>>()});
    (200, vec![("Content-Type", OCI_INDEX.to_owned())], index.to_string().into_bytes())
}
