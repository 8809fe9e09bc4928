//! Requests as a caller words them, to find out how a registry answers.

use bytes::Bytes;
use reqwest::Method;
use url::Url;

use crate::image::{MAX_MANIFEST, Reference, media_type};
use crate::registry::auth::scopes::Scopes;
use crate::registry::client::Client;
use crate::registry::client::request::Request;
use crate::registry::error::{Error, Refusal};
use crate::registry::transport::answer::Answer;
use crate::registry::transport::redirects::location;
use crate::registry::transport::request::Content;

/// One request below a repository.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Such as `PUT`.
    pub verb: Verb,
    /// Such as `manifests/v1` or `tags/list?n=1`; or a whole URL, such as [`Told::location`].
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
pub(crate) struct Told {
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

impl Question {
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

impl Told {
    fn new(api: &Url, answer: Answer) -> Self {
        let location = location(api, &answer).ok().flatten().map(String::from);
        let text = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let headers = answer.headers.iter().filter_map(text).collect();
        let words = match answer.status {
            400.. => {
                let refusal = Refusal { request: String::new(), rate_limit: None, ..answer.refusal() };
                refusal.to_string().trim_matches(['(', ')']).to_owned()
            }
            status => format!("HTTP {status}"),
        };
        Self { status: answer.status, body: answer.body, words, location, headers }
    }

    /// A header, if it is there and is text; its name in lower case.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether it says that it is done.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

impl Client {
    /// Asks a registry about a repository: signed in, and again where that may help, but nothing is compared with
    /// anything. Answers of any status come back.
    ///
    /// # Errors
    /// No answer, or one that cannot be read.
    pub(crate) async fn ask(&self, repository: &Reference, question: &Question) -> Result<Told, Error> {
        let method = match question.verb {
            Verb::Delete => Method::DELETE,
            Verb::Get => Method::GET,
            Verb::Head => Method::HEAD,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
        };
        let name = repository.repository();
        let mut scopes = Scopes::push(name);
        if question.verb == Verb::Delete {
            scopes = scopes.and(name, &["delete"]);
        }
        if let Some(from) = &question.from {
            scopes = scopes.and(from, &["pull"]);
        }
        let target = match question.target.contains("://") {
            true => question.target.clone(),
            false => format!("v2/{name}/{}", question.target),
        };
        let subject = repository.without_name().to_string();
        let mut request = Request::new(method, target, scopes, subject).with_limit(MAX_MANIFEST);
        request.wire.accept = question.target.starts_with("manifests/").then_some(media_type::ACCEPT);
        request.wire.content = question.content.clone().map(|(media_type, bytes)| Content::Bytes(media_type, bytes));
        let answer = self.send(repository.registry(), &request).await?;
        let api = self.api(&self.host(repository.registry())).await?;
        Ok(Told::new(&api, answer))
    }
}
