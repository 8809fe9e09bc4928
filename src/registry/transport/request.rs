//! A request as it is sent.

use std::sync::Mutex;

use bytes::Bytes;
use reqwest::Method;

use super::idle::BodyStream;
use super::response::{Expected, MAX_ERROR_BODY};
use crate::image::one_line;
use crate::registry::error::{Error, ErrorKind, StopReason};

/// One request, without its credentials. All of it except a stream can be sent again.
pub(crate) struct WireRequest {
    pub(crate) method: Method,
    /// Path and query, or a complete URL from a `Location` header.
    pub(crate) target: String,
    pub(crate) accept: Option<&'static str>,
    pub(crate) content: Option<Content>,
    /// The maximum number of bytes to read of the response's body.
    pub(crate) limit: u64,
    /// What the response's body must match.
    pub(crate) expected: Expected,
    /// Whether the body of a successful response is left unread, to be streamed.
    pub(crate) streamed: bool,
    pub(crate) service: Service,
    /// The subject of errors.
    pub(crate) subject: String,
}

/// The kind of service that a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// A registry, or a host to which it redirects.
    Registry,
    /// A token service. Messages do not name the request, as its URL is already their subject.
    Token,
}

/// The body of a request.
pub(crate) enum Content {
    /// Bytes of this media type.
    Bytes(String, Bytes),
    /// A blob of this many bytes, which can be sent once.
    Stream(u64, Mutex<Option<BodyStream>>),
}

impl WireRequest {
    pub(crate) fn new(method: Method, target: String, subject: String) -> Self {
        let (limit, expected) = (MAX_ERROR_BODY, Expected::default());
        let service = Service::Registry;
        Self { method, target, accept: None, content: None, limit, expected, streamed: false, service, subject }
    }

    /// Whether the request can be sent again unchanged. The stream of a blob cannot.
    pub(crate) fn can_be_repeated(&self) -> bool {
        !matches!(self.content, Some(Content::Stream(..)))
    }

    pub(crate) fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// Whether the request can be given up at any time, because it changes no content: a read or a token request.
    pub(crate) fn can_be_given_up(&self) -> bool {
        self.is_read() || self.service == Service::Token
    }

    /// Returns method and path for messages, without the query, which may contain the secret of an upload session.
    pub(crate) fn name(&self) -> String {
        if self.service == Service::Token {
            return String::new();
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let path = path.split_once("://").map_or(path, |(_, rest)| rest.find('/').map_or("", |at| rest.split_at(at).1));
        one_line(&format!("{} /{}", self.method, path.trim_start_matches('/')))
    }

    pub(crate) fn stopped(&self, reason: StopReason) -> Error {
        Error::new(self.subject.as_str(), ErrorKind::Stopped(reason))
    }

    /// Returns the error for a request that was not sent because another part of the job had failed.
    pub(crate) fn not_needed(&self) -> Error {
        Error::new(self.subject.as_str(), ErrorKind::NotNeeded).given_up(0)
    }

    pub(crate) fn protocol(&self, reason: String) -> Error {
        Error::protocol(&self.subject, reason)
    }

    pub(crate) fn transport(&self, reason: String, transient: bool, unsent: bool) -> Error {
        let kind = ErrorKind::Transport { request: self.name(), reason: reason.into(), unsent };
        if transient { Error::transient(self.subject.as_str(), kind) } else { Error::new(self.subject.as_str(), kind) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_name_has_method_and_path_without_the_query() {
        for (target, name) in [
            ("v2/a/manifests/v1", "PUT /v2/a/manifests/v1"),
            ("/v2/a/blobs/uploads/1?_state=secret", "PUT /v2/a/blobs/uploads/1"),
            ("https://u:p@r.io/v2/a/blobs/uploads/1?_state=secret&x=http://y/z", "PUT /v2/a/blobs/uploads/1"),
            ("https://r.io", "PUT /"),
        ] {
            let request = WireRequest::new(Method::PUT, target.into(), String::new());
            assert_eq!(request.name(), name);
        }
    }
}
