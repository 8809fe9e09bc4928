//! Requests built by the caller, to probe the behaviour of a registry.

use bytes::Bytes;
use reqwest::Method;
use url::Url;

use crate::image::{MAX_MANIFEST, Reference, media_type};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, ErrorResponse};
use crate::registry::transport::redirects::location;
use crate::registry::transport::request::Content;
use crate::registry::transport::response::Response;

/// A request to an endpoint of a repository.
#[derive(Debug, Clone)]
pub(crate) struct RawRequest {
    /// The HTTP method.
    pub verb: Verb,
    /// Path below the repository, such as `manifests/v1` or `tags/list?n=1`, or a URL, such as
    /// [`RawResponse::location`].
    pub target: String,
    /// Media type and content of the body.
    pub content: Option<(String, Bytes)>,
    /// Another repository of the registry, for which the request needs the pull scope.
    pub from: Option<String>,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the HTTP methods")]
#[non_exhaustive]
pub(crate) enum Verb {
    Delete,
    Get,
    Head,
    Post,
    Put,
}

/// A response of any status.
#[derive(Debug, Clone)]
pub(crate) struct RawResponse {
    /// HTTP status.
    pub status: u16,
    /// Body of the response.
    pub body: Bytes,
    /// The status and the registry's messages, on one line for an error message.
    pub summary: String,
    /// The resolved `Location` header, if it may be followed.
    pub location: Option<String>,
    headers: Vec<(String, String)>,
}

impl RawRequest {
    /// Creates a request without content.
    #[must_use]
    pub(crate) fn new(verb: Verb, target: impl Into<String>) -> Self {
        Self { verb, target: target.into(), content: None, from: None }
    }

    /// Creates a request that writes a manifest.
    #[must_use]
    pub(crate) fn put(name: &str, media_type: &str, bytes: Bytes) -> Self {
        Self { content: Some((media_type.to_owned(), bytes)), ..Self::new(Verb::Put, format!("manifests/{name}")) }
    }
}

impl RawResponse {
    fn new(api: &Url, response: Response) -> Self {
        let location = location(api, &response).ok().flatten().map(String::from);
        let text = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let headers = response.headers.iter().filter_map(text).collect();
        let summary = match response.status {
            400.. => {
                let response = ErrorResponse { request: String::new(), rate_limit: None, ..response.error_response() };
                response.to_string().trim_matches(['(', ')']).to_owned()
            }
            status => format!("HTTP {status}"),
        };
        Self { status: response.status, body: response.body, summary, location, headers }
    }

    /// Returns a header by its lower-case name, if it is present and is text.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

impl Client {
    /// Sends a raw request to a repository, with sign-in and retries. Returns responses of any status, without
    /// verifying the digest or size.
    ///
    /// # Errors
    ///
    /// Fails if the registry does not respond, or if its response cannot be read.
    pub(crate) async fn send_raw(&self, repository: &Reference, request: &RawRequest) -> Result<RawResponse, Error> {
        let method = match request.verb {
            Verb::Delete => Method::DELETE,
            Verb::Get => Method::GET,
            Verb::Head => Method::HEAD,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
        };
        let name = repository.repository();
        let mut scopes = Scopes::push(name);
        if request.verb == Verb::Delete {
            scopes = scopes.and(name, &["delete"]);
        }
        if let Some(from) = &request.from {
            scopes = scopes.and(from, &["pull"]);
        }
        let target = match request.target.contains("://") {
            true => request.target.clone(),
            false => format!("v2/{name}/{}", request.target),
        };
        let subject = repository.without_name().to_string();
        let mut prepared = Request::new(method, target, scopes, subject).with_limit(MAX_MANIFEST);
        prepared.wire.accept = request.target.starts_with("manifests/").then_some(media_type::ACCEPT);
        prepared.wire.content = request.content.clone().map(|(media_type, bytes)| Content::Bytes(media_type, bytes));
        let response = self.send(repository.registry(), &prepared).await?;
        let api = self.api(&self.host(repository.registry())).await?;
        Ok(RawResponse::new(&api, response))
    }
}
