//! A request to a registry's API, before the client adds credentials.

use reqwest::Method;
use url::Url;

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
}

impl Request {
    pub(crate) fn new(method: Method, target: String, scopes: Scopes, subject: String) -> Self {
        let wire = WireRequest::new(method, target, subject);
        Self { wire, scopes, refers_to_new: false, is_urgent: false, anonymous: false }
    }

    /// Creates a `GET /v2/` request, which every registry supports (distribution-spec, "Determining Support").
    pub(crate) fn ping(api: &Url) -> Self {
        Self::new(Method::GET, "v2/".into(), Scopes::default(), format!("{api}v2/"))
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
