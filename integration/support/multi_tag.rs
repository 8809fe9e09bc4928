//! A registry that takes several tags in one request, as zot does, in front of a registry that does not.

use super::scripted_server::{ReceivedRequest, Response, ScriptedServer, forward_request};
use super::{Registry, registry::sha256};

/// How a registry confirms the tags that it has written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OciTag {
    /// One header for each tag.
    Headers,
    /// One header with a comma-separated list.
    List,
    /// Writes and confirms only the first tag.
    FirstOnly,
}

/// Starts the registry.
pub fn multi_tag_registry(registry: &Registry, oci_tag: OciTag) -> ScriptedServer {
    let upstream = registry.host.clone();
    ScriptedServer::in_front_of(registry, move |request| {
        let (path, tags) = tags_in_request(request)?;
        let written = if oci_tag == OciTag::FirstOnly { &tags[..1] } else { &tags[..] };
        for tag in written {
            let line = format!("PUT {path}/manifests/{tag}");
            let (status, _, _) = forward_request(&ReceivedRequest { line, ..request.clone() }, &upstream, "");
            assert_eq!(status, 201);
        }
        Some(created(request, written, oci_tag))
    })
}

/// Returns the path of the repository and the tags of a request with several tags.
pub fn tags_in_request(request: &ReceivedRequest) -> Option<(String, Vec<String>)> {
    let target = request.line.strip_prefix("PUT ")?;
    let (path, query) = target.split_once('?')?;
    let (path, _) = path.split_once("/manifests/sha256:")?;
    let tags: Vec<String> = query.split('&').filter_map(|pair| pair.strip_prefix("tag=")).map(str::to_owned).collect();
    (!tags.is_empty()).then(|| (path.to_owned(), tags))
}

fn created(request: &ReceivedRequest, tags: &[String], oci_tag: OciTag) -> Response {
    let mut headers = vec![("Docker-Content-Digest", sha256(&request.body))];
    match oci_tag {
        OciTag::List => headers.push(("OCI-Tag", tags.join(", "))),
        OciTag::Headers | OciTag::FirstOnly => headers.extend(tags.iter().map(|tag| ("OCI-Tag", tag.clone()))),
    }
    (201, headers, vec![])
}
