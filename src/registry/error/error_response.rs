use std::fmt;

use super::hint::Hint;
use super::messages::{RegistryMessage, registry_messages};
use crate::image::UntrustedText;

/// A response with status 400 or above, or a redirect that is not followed: the request, and the registry's error
/// messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// Method and path of the request, such as `PUT /v2/app/manifests/v1`.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// The error codes and messages in the body.
    pub messages: Vec<RegistryMessage>,
    /// The rate limit, if the registry reports one.
    pub rate_limit: Option<RateLimit>,
    /// The target of a 301, 302 or 303 redirect of a write, which is not followed because such a redirect does not
    /// repeat the write (RFC 9110, section 15.4).
    pub redirected_to: Option<UntrustedText>,
}

/// The rate limit in the headers `ratelimit-limit` and `ratelimit-remaining`, as sent by Docker Hub: `100;w=21600`
/// allows 100 requests per 6 hours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RateLimit {
    /// Requests allowed per window.
    pub limit: Option<u64>,
    /// Length of the window in seconds.
    pub window: Option<u64>,
    /// Requests remaining in the current window.
    pub remaining: Option<u64>,
}

/// Error codes of a 404 which mean that the content or its repository does not exist.
const MISSING_CODES: [&str; 6] =
    ["NAME_UNKNOWN", "MANIFEST_UNKNOWN", "TAG_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND", "UNKNOWN"];

impl RateLimit {
    pub(crate) fn from_headers(limit: Option<&str>, remaining: Option<&str>) -> Option<Self> {
        let number = |text: &str| text.split([';', ',']).next()?.trim().parse().ok();
        let window = |text: &str| text.split(';').find_map(|part| part.trim().strip_prefix("w=")?.parse().ok());
        let rate_limit = Self {
            limit: limit.and_then(number),
            window: limit.and_then(window).or(remaining.and_then(window)),
            remaining: remaining.and_then(number),
        };
        (rate_limit.limit.is_some() || rate_limit.remaining.is_some()).then_some(rate_limit)
    }
}

impl ErrorResponse {
    /// Creates an error response with the messages in the body.
    pub(crate) fn new(request: impl Into<String>, status: u16, body: &[u8]) -> Self {
        Self { request: request.into(), status, messages: registry_messages(body), ..Self::default() }
    }

    /// Whether the body contains one of these error codes.
    pub(crate) fn has_code(&self, codes: &[&str]) -> bool {
        self.messages.iter().any(|message| codes.iter().any(|code| code.eq_ignore_ascii_case(&message.code)))
    }

    /// Whether the registry reports that the requested content does not exist: a 404 with a code that means so, or
    /// without a code, because error bodies are optional (distribution-spec, "Error Codes"). A 404 about permissions
    /// does not count, nor does a 404 from a token service or to a write.
    pub(crate) fn is_missing(&self) -> bool {
        self.is_not_found() && (self.has_no_code() || self.has_code(&MISSING_CODES))
    }

    /// Whether content referenced by a manifest is missing. Blobs have their own error code.
    pub(crate) fn is_missing_content(&self) -> bool {
        self.is_missing() || (self.is_not_found() && self.has_code(&["MANIFEST_BLOB_UNKNOWN"]))
    }

    /// Whether this is a 404 to a request that reads or deletes content.
    fn is_not_found(&self) -> bool {
        let is_read_or_delete = ["GET ", "HEAD ", "DELETE "].iter().any(|method| self.request.starts_with(method));
        self.status == 404 && is_read_or_delete && !self.has_code(&["DENIED", "UNAUTHORIZED"])
    }

    /// Returns the response with only the method of its request, because the path differs between references. Whether
    /// content is missing depends on the request, so such a response keeps it; its text has no request.
    pub(super) fn without_path(&self) -> Self {
        let method = self.request.split(' ').next().unwrap_or_default();
        if self.is_missing() { self.clone() } else { Self { request: method.to_owned(), ..self.clone() } }
    }

    fn has_no_code(&self) -> bool {
        self.messages.iter().all(|message| message.code.is_empty())
    }

    /// Whether the storage service to which a registry redirected does not have the content. The codes are those of S3,
    /// Google Cloud Storage and Azure.
    pub(crate) fn is_missing_in_storage(&self) -> bool {
        self.status == 404 && self.has_code(&["NoSuchKey", "BlobNotFound"])
    }

    /// Whether a manifest may have been refused because the content it references is not yet visible on every node of
    /// the registry. Nexus sends a 400 without a message.
    pub(crate) fn is_unknown_content(&self) -> bool {
        let codes = ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"];
        matches!(self.status, 400 | 404) && (self.has_code(&codes) || (self.status == 400 && self.messages.is_empty()))
    }

    /// Whether a TLS server received a plain HTTP request. The texts are those of Go and nginx.
    pub(crate) fn requires_tls(&self) -> bool {
        let texts = ["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS"];
        self.messages.iter().any(|message| texts.iter().any(|text| message.message.contains(text)))
    }

    /// Whether the registry refused to move an immutable tag. Harbor responds with 412, ECR with 400, Docker Hub and
    /// Artifactory with 403, each with a different message.
    pub(crate) fn is_immutable_tag(&self) -> bool {
        let names_immutability = |message: &RegistryMessage| {
            let text = message.message.to_lowercase();
            message.code == "TAG_INVALID"
                || ["immutab", "already exist", "overwrit"].iter().any(|part| text.contains(part))
        };
        matches!(self.status, 409 | 412)
            || (matches!(self.status, 400 | 403) && self.messages.iter().any(names_immutability))
    }
}

impl ErrorResponse {
    /// Suggests what the user can do.
    pub(super) fn hint(&self) -> Option<Hint> {
        let (is_blob, is_write) = (self.request.contains("/blobs/"), self.request.starts_with('P'));
        Some(match self.status {
            400 if self.requires_tls() => Hint::UseTls { is_certain: true },
            407 => Hint::ProxyCredentials,
            _ if self.has_code(&["NAME_INVALID"]) => Hint::SpellRepository,
            _ if is_write && self.has_code(&["NAME_UNKNOWN"]) => Hint::CreateRepository,
            401 => Hint::NoWayToSignIn,
            413 if is_blob => Hint::RaiseBodyLimit,
            413 => Hint::ShrinkIndex,
            415 => Hint::TryOciType,
            429 => Hint::WaitLonger,
            403 if self.has_code(&["DENIED"]) => Hint::CheckRepository,
            _ => return None,
        })
    }
}

/// Shows request, status and the registry's messages, labelled as such. A "not found" error omits the request, because
/// its subject already identifies the content.
impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.request {
            request if request.is_empty() || self.is_missing() => write!(f, "(HTTP {}", self.status)?,
            request => write!(f, "({request}: HTTP {}", self.status)?,
        }
        for RegistryMessage { code, message } in &self.messages {
            match (code.as_str(), message.as_str()) {
                ("", _) => write!(f, "; registry says: {message}")?,
                (_, "") => write!(f, "; registry says: {code}")?,
                _ => write!(f, "; registry says: {code}: {message}")?,
            }
        }
        if let Some(location) = &self.redirected_to {
            write!(f, "; it redirects to {location}, but redirected writes are not repeated")?;
        }
        if let Some(rate_limit) = &self.rate_limit {
            write!(f, "; {rate_limit}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, window, remaining } = self;
        f.write_str("rate limit: ")?;
        if let Some(limit) = limit {
            write!(f, "{limit} requests")?;
        }
        if let Some(window) = window {
            write!(f, " in {window} s")?;
        }
        match (limit, remaining) {
            (Some(_), Some(remaining)) => write!(f, ", {remaining} left"),
            (None, Some(remaining)) => write!(f, "{remaining} requests left"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, code: &str, message: &str) -> ErrorResponse {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]}).to_string();
        ErrorResponse::new("PUT /v2/a/manifests/1", status, if code == "-" { b"" } else { body.as_bytes() })
    }

    #[test]
    fn a_storage_error_in_xml_counts_as_missing_only_in_storage() {
        let body = br#"<?xml version="1.0" encoding="UTF-8"?>
            <Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>docker/x</Key></Error>"#;
        let response = ErrorResponse::new("GET /x", 404, body);
        assert_eq!(
            response.to_string(),
            "(GET /x: HTTP 404; registry says: NoSuchKey: The specified key does not exist.)"
        );
        assert!(response.is_missing_in_storage() && !response.is_missing() && !response.is_missing_content());
        assert!(!ErrorResponse::new("GET /x", 404, b"<html>").is_missing_in_storage());
        assert!(!ErrorResponse::new("GET /x", 403, b"<Code>NoSuchKey</Code>").is_missing_in_storage());
    }

    #[test]
    fn rate_limit_headers_are_parsed_and_displayed() {
        for (limit, remaining, text) in [
            (Some("100;w=21600"), Some("0;w=21600"), "rate limit: 100 requests in 21600 s, 0 left"),
            (Some("100, 100;w=60"), None, "rate limit: 100 requests in 60 s"),
            (None, Some("7"), "rate limit: 7 requests left"),
            (Some("100"), Some("soon"), "rate limit: 100 requests"),
        ] {
            assert_eq!(RateLimit::from_headers(limit, remaining).unwrap().to_string(), text);
        }
        assert_eq!(RateLimit::from_headers(Some("many"), None), None);
    }

    #[test]
    fn a_manifest_with_unknown_references_is_recognized_by_status_and_code() {
        for (status, code, expected) in [
            (400, "MANIFEST_BLOB_UNKNOWN", true),
            (404, "MANIFEST_BLOB_UNKNOWN", true),
            (404, "BLOB_UNKNOWN", true),
            (404, "MANIFEST_UNKNOWN", true),
            (400, "-", true),
            (404, "-", false),
            (400, "MANIFEST_INVALID", false),
            (400, "NAME_INVALID", false),
            (404, "NAME_UNKNOWN", false),
            (403, "MANIFEST_UNKNOWN", false),
        ] {
            assert_eq!(response(status, code, "").is_unknown_content(), expected, "{status} {code}");
        }
    }

    #[test]
    fn immutable_tags_are_recognized_by_status_code_or_message() {
        for (status, code, message, expected) in [
            (412, "PRECONDITION", "configured as immutable, cannot be updated", true),
            (409, "-", "", true),
            (400, "TAG_INVALID", "The image tag 'v1' already exists and cannot be overwritten", true),
            (403, "DENIED", "Tag is immutable", true),
            (403, "DENIED", "Not enough permissions to overwrite artifact", true),
            (403, "DENIED", "requested access to the resource is denied", false),
            (400, "MANIFEST_INVALID", "manifest invalid", false),
            (500, "UNKNOWN", "already exists", false),
        ] {
            assert_eq!(response(status, code, message).is_immutable_tag(), expected, "{status} {code} {message}");
        }
    }

    #[test]
    fn error_responses_have_a_hint_by_request_status_and_code() {
        for (request, status, code, hint) in [
            ("PUT /v2/a/manifests/v1", 413, "SIZE_INVALID", Some(Hint::ShrinkIndex)),
            ("PUT /v2/a/blobs/uploads/1", 413, "", Some(Hint::RaiseBodyLimit)),
            ("PUT /v2/a/manifests/v1", 415, "", Some(Hint::TryOciType)),
            ("PUT /v2/a/manifests/v1", 400, "NAME_INVALID", Some(Hint::SpellRepository)),
            ("POST /v2/a/blobs/uploads/", 404, "NAME_UNKNOWN", Some(Hint::CreateRepository)),
            ("GET /v2/a/manifests/v1", 404, "NAME_UNKNOWN", None),
            ("PUT /v2/a/manifests/v1", 403, "DENIED", Some(Hint::CheckRepository)),
            ("PUT /v2/a/manifests/v1", 403, "", None),
            ("GET /v2/a/manifests/v1", 429, "TOOMANYREQUESTS", Some(Hint::WaitLonger)),
            ("GET /v2/a/manifests/v1", 500, "UNKNOWN", None),
        ] {
            let body = serde_json::json!({"errors": [{"code": code}]}).to_string();
            assert_eq!(ErrorResponse::new(request, status, body.as_bytes()).hint(), hint, "{request} {status} {code}");
        }
    }

    proptest::proptest! {
        #[test]
        fn responses_are_displayed_without_escape_sequences(body: Vec<u8>, limit: String, remaining: String) {
            let mut response = ErrorResponse::new("x", 500, &body);
            response.rate_limit = RateLimit::from_headers(Some(&limit), Some(&remaining));
            proptest::prop_assert!(!response.to_string().contains('\x1b'));
        }
    }
}
