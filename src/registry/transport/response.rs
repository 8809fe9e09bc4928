use std::time::Duration;

use bytes::Bytes;
use reqwest::Version;
use reqwest::header::HeaderMap;
use tokio::time::Instant;
use url::Url;

use super::encoding;
use super::failure::Failure;
use super::redact::redacted_text;
use super::secrets::Secrets;
use crate::image::{Digest, looks_like_schema_1};
use crate::memory::Budget;
use crate::registry::error::{Error, ErrorKind, ErrorResponse, RateLimit, TransportFault};

/// The maximum size of a token response or error body, in bytes.
pub(crate) const MAX_ERROR_BODY: u64 = 1 << 20;

/// Bytes of a body that must arrive within the idle timeout, unless the body ends first: a server that sends one byte
/// per second would otherwise never time out. This is 2 kB/s with the default timeout of 30 s. Streamed blobs may be
/// slower.
const MIN_PROGRESS: usize = 64 << 10;

/// A response with its body.
pub(crate) struct Response {
    /// Method and path of the request.
    pub(crate) request: String,
    /// The URL that responded, after redirects and without a fragment. `Link` and `Location` are relative to it.
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Secrets that messages must not show when they quote the response.
    secrets: Secrets,
    /// The response with its unread body, if the body is streamed.
    pub(crate) unread: Option<reqwest::Response>,
    /// The host that responded, if the registry redirected to another one.
    pub(crate) redirect_host: Option<String>,
}

/// What the body of a response must match.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    pub(crate) digest: Option<Digest>,
    /// The source of the digest, for messages.
    pub(crate) named_by: &'static str,
    pub(crate) size: Option<u64>,
    /// Whether the body must match the digest in the header of the response, as with manifests.
    pub(crate) verify_header_digest: bool,
}

impl Expected {
    fn is_any(&self) -> bool {
        self.digest.is_some() || self.size.is_some() || self.verify_header_digest
    }
}

/// How to read a body.
pub(crate) struct Reading<'a> {
    /// The subject of errors.
    pub(crate) subject: &'a str,
    /// Method and path of the request.
    pub(crate) request: String,
    /// The URL that responded.
    pub(crate) url: Url,
    /// The maximum number of bytes.
    pub(crate) limit: u64,
    /// How long a server may go without sending data, or enough data: see [`MIN_PROGRESS`].
    pub(crate) idle_timeout: Duration,
    /// The memory budget that the body is charged to.
    pub(crate) budget: &'a Budget,
    /// Secrets that messages must not show.
    pub(crate) secrets: &'a Secrets,
    /// Whether the body of a successful response is left unread, to be streamed.
    pub(crate) streamed: bool,
    /// Whether the content matters. The body of a successful write does not.
    pub(crate) needed: bool,
    /// Whether the response may arrive before the request's body is sent. The server may then refuse the request and
    /// close the connection, so the status of the response is enough.
    pub(crate) is_early: bool,
}

impl Response {
    /// Reads the body, unless it is streamed. Drops an error body that is too large.
    pub(crate) async fn read(
        mut response: reqwest::Response,
        reading: Reading<'_>,
        redirect_host: Option<String>,
    ) -> Result<Self, Error> {
        let (status, version) = (response.status().as_u16(), response.version());
        let headers = std::mem::take(response.headers_mut());
        let secrets = reading.secrets.clone();
        if reading.streamed && status == 200 {
            let Reading { request, url, .. } = reading;
            let (body, unread) = (Bytes::new(), Some(response));
            return Ok(Self { request, url, status, version, headers, body, secrets, unread, redirect_host });
        }
        let body = match read_body(response, if status >= 400 { MAX_ERROR_BODY } else { reading.limit }, &reading).await
        {
            Err(_) if status < 400 && !reading.needed => Bytes::new(),
            Err(error) if status >= 400 && (reading.is_early || !error.is_transient()) => Bytes::new(),
            body => body?,
        };
        let Reading { request, url, .. } = reading;
        Ok(Self { request, url, status, version, headers, body, secrets, unread: None, redirect_host })
    }

    /// Decodes a body that is encoded although the request accepted no encoding. A body that already has the expected
    /// digest stays unchanged, because its header is wrong. Digests and parsers apply to the decoded bytes.
    ///
    /// # Errors
    /// See [`encoding::decoded`]. With a status of 400 or above, the body is dropped instead.
    pub(crate) fn decode(
        mut self,
        expected: &Expected,
        subject: &str,
        limit: u64,
        budget: &Budget,
    ) -> Result<Self, Error> {
        let encodings = encoding::encodings(&self.headers);
        let is_expected = |digest: &Digest| digest.matches(&self.body);
        if encodings.is_empty() || self.body.is_empty() || expected.digest.as_ref().is_some_and(is_expected) {
            return Ok(self);
        }
        let body = std::mem::take(&mut self.body);
        match encoding::decoded(body, &encodings, subject, limit, budget) {
            Ok(body) => self.body = body,
            Err(_) if self.status >= 400 => {}
            Err(error) => return Err(error),
        }
        Ok(self)
    }

    /// Compares the body of a successful response with what is expected. A mismatch is transient: the body may have
    /// been truncated or corrupted in transit, and a retry may return the right bytes.
    pub(crate) fn verify(self, expected: &Expected, subject: &str) -> Result<Self, Error> {
        if self.status >= 400 || !expected.is_any() {
            return Ok(self);
        }
        if self.status != 200 {
            return Err(Error::protocol(subject, format!("answered with HTTP {}, expected HTTP 200", self.status)));
        }
        let mismatch = |kind| Err(Error::transient(subject, kind));
        let actual = self.body.len() as u64;
        if let Some(expected) = expected.size.filter(|size| *size != actual) {
            return mismatch(ErrorKind::Size { expected, actual });
        }
        let is_manifest = expected.verify_header_digest;
        let header_digest = if expected.verify_header_digest { self.digest() } else { None };
        let expected_digests = [(expected.digest.clone(), expected.named_by), (header_digest, "registry's header")];
        for (digest, named_by) in expected_digests {
            if let Some(expected) = digest.filter(|digest| !digest.matches(&self.body)) {
                // The digest of a signed schema 1 manifest is that of its payload. All who expect a manifest refuse it.
                if is_manifest && looks_like_schema_1(&self.body) {
                    return Ok(self);
                }
                let actual = Digest::sha256(&self.body);
                return mismatch(ErrorKind::Digest { expected, actual, named_by });
            }
        }
        Ok(self)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the digest in `Docker-Content-Digest`, if it is valid.
    pub(crate) fn digest(&self) -> Option<Digest> {
        Digest::parse(self.header("docker-content-digest")?.trim()).ok()
    }

    /// Returns the details of an error response for messages.
    pub(crate) fn error_response(&self) -> ErrorResponse {
        let rate_limit = RateLimit::from_headers(self.header("ratelimit-limit"), self.header("ratelimit-remaining"));
        let body = String::from_utf8_lossy(&self.body);
        let request = self.secrets.scrub_foreign(&self.request);
        let mut response = ErrorResponse::new(request, self.status, self.secrets.scrub_foreign(&body).as_bytes());
        if let (301..=303, Some(location)) = (self.status, self.header("location")) {
            let location = self.secrets.scrub_foreign(&redacted_text(location)).into_owned();
            response.redirected_to = Some(location.into());
        }
        ErrorResponse { rate_limit, ..response }
    }

    /// Returns the error for a response with a status of 400 or above.
    pub(crate) fn error(&self, subject: &str) -> Error {
        let response = Box::new(self.error_response());
        let kind = match self.redirect_host.clone() {
            None => ErrorKind::Rejected(response),
            // The response is not from the registry, so signing in would not change it.
            Some(host) => ErrorKind::RedirectTarget { host, response },
        };
        Error::new(subject, kind)
    }
}

/// Reads a whole body, up to `limit` bytes counted as they arrive, regardless of `Content-Length`. Its memory is
/// charged to the run's budget for as long as the body is kept.
async fn read_body(mut response: reqwest::Response, limit: u64, reading: &Reading<'_>) -> Result<Bytes, Error> {
    let interrupted = |reason: String| {
        let kind = ErrorKind::Transport { request: reading.request.clone(), reason: reason.into(), unsent: false };
        Error::transient(reading.subject, kind)
    };
    let over_limit = |error| Error::new(reading.subject, ErrorKind::from(error));
    let (mut body, mut charge) = (Vec::new(), reading.budget.open());
    let (mut deadline, mut progress) = (Instant::now() + reading.idle_timeout, 0);
    loop {
        let Ok(chunk) = tokio::time::timeout_at(deadline, response.chunk()).await else {
            return Err(match progress {
                0 => interrupted(idle_message(reading.idle_timeout)).with_fault(Some(TransportFault::IdleTimeout)),
                _ => interrupted(slow_message(progress, reading.idle_timeout)),
            });
        };
        let chunk = match chunk {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                body.shrink_to_fit();
                return charge.keep(body).map_err(over_limit);
            }
            Err(error) => return Err(interrupted(Failure::from_reqwest(&error).reason)),
        };
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(Error::new(reading.subject, ErrorKind::TooLarge { limit }));
        }
        charge.grow(chunk.len()).map_err(over_limit)?;
        body.extend_from_slice(&chunk);
        progress += chunk.len();
        if progress >= MIN_PROGRESS {
            (deadline, progress) = (Instant::now() + reading.idle_timeout, 0);
        }
    }
}

/// Returns the message for a server that sent no data within the idle timeout.
pub(crate) fn idle_message(idle_timeout: Duration) -> String {
    format!("no data received for {} s", idle_timeout.as_secs_f64())
}

/// Returns the message for a server that sent too little data within the idle timeout.
fn slow_message(bytes: usize, idle_timeout: Duration) -> String {
    format!("only {bytes} bytes received in {} s", idle_timeout.as_secs_f64())
}

/// Names a host that the registry redirects to, for messages.
pub(crate) fn redirected(host: &str) -> String {
    format!("at {host}, to which the registry redirects")
}
