use std::fmt;

use super::hint::Hint;
use super::messages::{RegistryMessage, registry_messages};
use crate::image::UntrustedText;

/// An answer of 400 or above, or a redirect that is not followed: what was asked, and what the registry says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ErrorResponse {
    /// Method and path of the request, such as `PUT /v2/app/manifests/v1`.
    pub request: String,
    /// HTTP status.
    pub status: u16,
    /// The registry's own codes and words.
    pub messages: Vec<RegistryMessage>,
    /// How much the registry lets be asked, where it says so.
    pub rate_limit: Option<RateLimit>,
    /// Where the registry redirected a write with a status after which a write is not repeated: 301, 302 or 303 (RFC 9110,
    /// section 15.4).
    pub redirected_to: Option<UntrustedText>,
}

/// The headers `ratelimit-limit` and `ratelimit-remaining`, as Docker Hub sends them: `100;w=21600` is a hundred in six
/// hours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RateLimit {
    /// Requests that are allowed.
    pub limit: Option<u64>,
    /// In so many seconds.
    pub window: Option<u64>,
    /// Requests that are left.
    pub remaining: Option<u64>,
}

/// Codes of a 404 that say that the content, or its repository, does not exist.
const MISSING: [&str; 6] = ["NAME_UNKNOWN", "MANIFEST_UNKNOWN", "TAG_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND", "UNKNOWN"];

impl RateLimit {
    pub(crate) fn from_headers(limit: Option<&str>, remaining: Option<&str>) -> Option<Self> {
        let number = |text: &str| text.split([';', ',']).next()?.trim().parse().ok();
        let window = |text: &str| text.split(';').find_map(|part| part.trim().strip_prefix("w=")?.parse().ok());
        let found = Self {
            limit: limit.and_then(number),
            window: limit.and_then(window).or(remaining.and_then(window)),
            remaining: remaining.and_then(number),
        };
        (found.limit.is_some() || found.remaining.is_some()).then_some(found)
    }
}

impl ErrorResponse {
    /// With what can be read from the answer's body.
    pub(crate) fn new(request: impl Into<String>, status: u16, body: &[u8]) -> Self {
        Self { request: request.into(), status, messages: registry_messages(body), ..Self::default() }
    }

    /// Whether the registry uses one of these codes.
    pub(crate) fn says(&self, codes: &[&str]) -> bool {
        self.messages.iter().any(|message| codes.iter().any(|code| code.eq_ignore_ascii_case(&message.code)))
    }

    /// Whether the registry says that what was asked for does not exist: a 404 with a code that says so, or without any
    /// code, as error bodies are optional (distribution-spec, "Error Codes"). A 404 that speaks of rights says nothing
    /// of the content, and neither does one of a token service or of a refused write.
    pub(crate) fn is_missing(&self) -> bool {
        self.is_not_found() && (self.has_no_code() || self.says(&MISSING))
    }

    /// Whether content that a manifest names is missing: blobs have a code of their own.
    pub(crate) fn is_missing_content(&self) -> bool {
        self.is_missing() || (self.is_not_found() && self.says(&["MANIFEST_BLOB_UNKNOWN"]))
    }

    /// A 404 to a request for content or for its deletion.
    fn is_not_found(&self) -> bool {
        let is_of_content = ["GET ", "HEAD ", "DELETE "].iter().any(|method| self.request.starts_with(method));
        self.status == 404 && is_of_content && !self.says(&["DENIED", "UNAUTHORIZED"])
    }

    fn has_no_code(&self) -> bool {
        self.messages.iter().all(|message| message.code.is_empty())
    }

    /// Whether storage to which a registry redirects says that it does not have the content, in the words of S3, Google
    /// or Azure.
    pub(crate) fn is_missing_in_storage(&self) -> bool {
        self.status == 404 && self.says(&["NoSuchKey", "BlobNotFound"])
    }

    /// Whether a manifest may have been refused because what it refers to is not yet known everywhere in the registry.
    /// Nexus says nothing with it.
    pub(crate) fn is_unknown_content(&self) -> bool {
        let codes = ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"];
        matches!(self.status, 400 | 404) && (self.says(&codes) || (self.status == 400 && self.messages.is_empty()))
    }

    /// Whether a server that speaks TLS got a request without TLS, in the words of Go and of nginx.
    pub(crate) fn wants_tls(&self) -> bool {
        let words = ["HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS"];
        self.messages.iter().any(|message| words.iter().any(|words| message.message.contains(words)))
    }

    /// Whether a tag was refused because it points at something already. Harbor answers 412, ECR 400, Docker Hub and
    /// Artifactory 403, each with words of its own.
    pub(crate) fn is_of_immutable_tag(&self) -> bool {
        let of_it = |message: &RegistryMessage| {
            let words = message.message.to_lowercase();
            message.code == "TAG_INVALID"
                || ["immutab", "already exist", "overwrit"].iter().any(|part| words.contains(part))
        };
        matches!(self.status, 409 | 412) || (matches!(self.status, 400 | 403) && self.messages.iter().any(of_it))
    }
}

impl ErrorResponse {
    /// What the user can do about it.
    pub(super) fn hint(&self) -> Option<Hint> {
        let (of_blob, of_write) = (self.request.contains("/blobs/"), self.request.starts_with('P'));
        Some(match self.status {
            400 if self.wants_tls() => Hint::UseTls { is_certain: true },
            407 => Hint::ProxyCredentials,
            _ if self.says(&["NAME_INVALID"]) => Hint::SpellRepository,
            _ if of_write && self.says(&["NAME_UNKNOWN"]) => Hint::CreateRepository,
            401 => Hint::NoWayToSignIn,
            413 if of_blob => Hint::RaiseBodyLimit,
            413 => Hint::ShrinkIndex,
            415 => Hint::TryOciType,
            429 => Hint::WaitLonger,
            403 if self.says(&["DENIED"]) => Hint::CheckRepository,
            _ => return None,
        })
    }
}

/// The status and, labelled as such, the registry's own words. What was asked is clear where a thing is missing.
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
            write!(f, "; it redirects to {location}, where a write is not repeated")?;
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
            (Some(_), Some(left)) => write!(f, ", {left} left"),
            (None, Some(left)) => write!(f, "{left} requests left"),
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
    fn words_of_storage() {
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
    fn rate_limits() {
        for (limit, remaining, shown) in [
            (Some("100;w=21600"), Some("0;w=21600"), "rate limit: 100 requests in 21600 s, 0 left"),
            (Some("100, 100;w=60"), None, "rate limit: 100 requests in 60 s"),
            (None, Some("7"), "rate limit: 7 requests left"),
            (Some("100"), Some("soon"), "rate limit: 100 requests"),
        ] {
            assert_eq!(RateLimit::from_headers(limit, remaining).unwrap().to_string(), shown);
        }
        assert_eq!(RateLimit::from_headers(Some("many"), None), None);
    }

    #[test]
    fn content_that_is_not_known_yet() {
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
    fn tags_that_must_not_move() {
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
            assert_eq!(response(status, code, message).is_of_immutable_tag(), expected, "{status} {code} {message}");
        }
    }

    #[test]
    fn hints_for_answers() {
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
        fn never_panics(body: Vec<u8>, limit: String, remaining: String) {
            let mut response = ErrorResponse::new("x", 500, &body);
            response.rate_limit = RateLimit::from_headers(Some(&limit), Some(&remaining));
            proptest::prop_assert!(!response.to_string().contains('\x1b'));
        }
    }
}
