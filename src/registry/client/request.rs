//! A request to a registry's API, with what the client adds to it before it goes out.

use reqwest::Method;
use url::Url;

use crate::registry::auth::scopes::Scopes;
use crate::registry::error::Error;
use crate::registry::transport::request::{Content, WireRequest};
use crate::registry::transport::response::Expected;

/// One request to a registry's API.
pub(crate) struct Request {
    pub(crate) wire: WireRequest,
    /// What a token for it must allow.
    pub(crate) scopes: Scopes,
    /// What its content refers to was written a moment ago: a registry may not know it everywhere yet.
    pub(crate) refers_to_new: bool,
    /// It follows another request at once, and waits for no slot. A request that held one while waiting for a token could
    /// wait for a request that waits for a slot with that token.
    pub(crate) is_urgent: bool,
    /// It carries no credentials, as it follows a redirect to another origin.
    pub(crate) unsigned: bool,
}

impl Request {
    pub(crate) fn new(method: Method, target: String, scopes: Scopes, subject: String) -> Self {
        let wire = WireRequest::new(method, target, subject);
        Self { wire, scopes, refers_to_new: false, is_urgent: false, unsigned: false }
    }

    /// A request for `GET /v2/`, which every registry has (distribution-spec, "Determining Support").
    pub(crate) fn ping(api: &Url) -> Self {
        Self::new(Method::GET, "v2/".into(), Scopes::default(), format!("{api}v2/"))
    }

    pub(crate) fn with_content(mut self, content: Content) -> Self {
        self.wire.content = Some(content);
        self
    }

    /// Asks for this media type, or these.
    pub(crate) fn accepting(mut self, media_types: &'static str) -> Self {
        self.wire.accept = Some(media_types);
        self
    }

    /// Reads at most this many bytes of the answer's body.
    pub(crate) fn with_limit(mut self, bytes: u64) -> Self {
        self.wire.limit = bytes;
        self
    }

    /// Compares the answer's body.
    pub(crate) fn expecting(mut self, expected: Expected) -> Self {
        self.wire.expected = expected;
        self
    }

    /// Leaves the body of a success for later.
    pub(crate) fn streamed(mut self) -> Self {
        self.wire.streamed = true;
        self
    }

    /// What errors are about.
    pub(crate) fn subject(&self) -> &str {
        &self.wire.subject
    }

    pub(crate) fn protocol(&self, reason: String) -> Error {
        self.wire.protocol(reason)
    }
}
