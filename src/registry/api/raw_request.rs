//! Requests as a caller words them, to find out how a registry answers.

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

/// One request below a repository.
#[derive(Debug, Clone)]
pub(crate) struct RawRequest {
    /// Such as `PUT`.
    pub verb: Verb,
    /// Such as `manifests/v1` or `tags/list?n=1`; or a whole URL, such as [`RawResponse::location`].
    pub target: String,
    /// What it carries, with its media type.
    pub content: Option<(String, Bytes)>,
    /// Another repository of the registry that is read from.
    pub from: Option<String>,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "HTTP's own")]
#[non_exhaustive]
pub(crate) enum Verb {
    Delete,
    Get,
    Head,
    Post,
    Put,
}

/// What a registry answers, whatever it is.
#[derive(Debug, Clone)]
pub(crate) struct RawResponse {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    /// The status and the registry's own words, as messages have them.
    pub words: String,
    /// The URL that `Location` names, if it may be followed.
    pub location: Option<String>,
    headers: Vec<(String, String)>,
}

impl RawRequest {
    /// Without content.
    #[must_use]
    pub(crate) fn new(verb: Verb, target: impl Into<String>) -> Self {
        Self { verb, target: target.into(), content: None, from: None }
    }

    /// A manifest that is written.
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
        let words = match response.status {
            400.. => {
                let response = ErrorResponse { request: String::new(), rate_limit: None, ..response.error_response() };
                response.to_string().trim_matches(['(', ')']).to_owned()
            }
            status => format!("HTTP {status}"),
        };
        Self { status: response.status, body: response.body, words, location, headers }
    }

    /// A header, if it is there and is text; its name in lower case.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether it says that it is done.
    #[must_use]
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

impl Client {
    /// Asks a registry about a repository: signed in, and again where that may help, but nothing is compared with
    /// anything. Answers of any status come back.
    ///
    /// # Errors
    /// No answer, or one that cannot be read.
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
        let mut sent = Request::new(method, target, scopes, subject).with_limit(MAX_MANIFEST);
        sent.wire.accept = request.target.starts_with("manifests/").then_some(media_type::ACCEPT);
        sent.wire.content = request.content.clone().map(|(media_type, bytes)| Content::Bytes(media_type, bytes));
        let response = self.send(repository.registry(), &sent).await?;
        let api = self.api(&self.host(repository.registry())).await?;
        Ok(RawResponse::new(&api, response))
    }
}
