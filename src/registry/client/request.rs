//! A request to a registry's API, before the client adds credentials.

use reqwest::Method;
use url::Url;

use super::registries_conf::{Place, Reads};
use crate::registry::auth::scopes::Scopes;
use crate::registry::error::Error;
use crate::registry::transport::request::{Content, WireRequest};
use crate::registry::transport::response::Expected;

/// One request to a registry's API.
pub(crate) struct Request {
    pub(crate) wire: WireRequest,
    /// The scopes that its token must have.
    pub(crate) scopes: Scopes,
    /// Whether its content refers to content that was just written, which may not be visible on every node of the
    /// registry yet.
    pub(crate) refers_to_new: bool,
    /// Whether it is sent immediately after another request, without acquiring a permit. Otherwise a request that holds
    /// a permit while it waits for a token could deadlock with the request that obtains this token and waits for a
    /// permit.
    pub(crate) is_urgent: bool,
    /// Whether it is sent without credentials, because it follows a redirect to another origin.
    pub(crate) anonymous: bool,
    /// Whether it is for a mirror or another location, and must not be redirected again.
    pub(crate) is_redirected: bool,
}

impl Request {
    pub(crate) fn new(method: Method, target: String, scopes: Scopes, subject: String) -> Self {
        let wire = WireRequest::new(method, target, subject);
        Self { wire, scopes, refers_to_new: false, is_urgent: false, anonymous: false, is_redirected: false }
    }

    /// Creates a `GET /v2/` request, which every registry supports (distribution-spec, "Determining Support").
    pub(crate) fn ping(api: &Url) -> Self {
        Self::new(Method::GET, "v2/".into(), Scopes::default(), format!("{api}v2/"))
    }

    /// Returns what it reads, if it is a read of a repository.
    pub(super) fn reads(&self) -> Option<Reads> {
        let rest = self.path_in_repository().filter(|_| self.wire.is_read() && self.wire.content.is_none())?;
        Some(match rest.split_once('/') {
            Some(("blobs", _)) => Reads::Digest,
            Some(("manifests", name)) if name.contains(':') => Reads::Digest,
            Some(("manifests", _)) => Reads::Tag,
            _ => Reads::List,
        })
    }

    fn path_in_repository(&self) -> Option<&str> {
        self.wire.target.strip_prefix("v2/")?.strip_prefix(self.scopes.repository())?.strip_prefix('/')
    }

    /// Returns the same read of another repository. Errors still name the reference of this request.
    pub(super) fn moved_to(&self, place: &Place) -> Self {
        let rest = self.path_in_repository().unwrap_or_default();
        let wire = WireRequest {
            method: self.wire.method.clone(),
            target: format!("v2/{}/{rest}", place.repository),
            accept: self.wire.accept,
            content: None,
            limit: self.wire.limit,
            expected: self.wire.expected.clone(),
            streamed: self.wire.streamed,
            service: self.wire.service,
            subject: self.wire.subject.clone(),
        };
        Self { wire, scopes: Scopes::pull(&place.repository), is_redirected: true, ..*self }
    }

    pub(crate) fn with_content(mut self, content: Content) -> Self {
        self.wire.content = Some(content);
        self
    }

    /// Sets the `Accept` header.
    pub(crate) fn accepting(mut self, media_types: &'static str) -> Self {
        self.wire.accept = Some(media_types);
        self
    }

    /// Reads at most this many bytes of the response body.
    pub(crate) fn with_limit(mut self, bytes: u64) -> Self {
        self.wire.limit = bytes;
        self
    }

    /// Verifies the response body.
    pub(crate) fn expecting(mut self, expected: Expected) -> Self {
        self.wire.expected = expected;
        self
    }

    /// Leaves the body of a successful response unread, to be streamed by the caller.
    pub(crate) fn streamed(mut self) -> Self {
        self.wire.streamed = true;
        self
    }

    /// Returns the subject of errors.
    pub(crate) fn subject(&self) -> &str {
        &self.wire.subject
    }

    pub(crate) fn protocol(&self, reason: String) -> Error {
        self.wire.protocol(reason)
    }
}
