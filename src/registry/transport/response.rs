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
use crate::image::Digest;
use crate::memory::Budget;
use crate::registry::error::{Error, ErrorKind, ErrorResponse, RateLimit, TransportFault};

/// Tokens and error bodies larger than this are not read; bytes.
pub(crate) const MAX_ERROR_BODY: u64 = 1 << 20;

/// Bytes of a body that must come within the idle timeout, unless the body ends before: a server
/// that sends a byte a second would never end. Two kilobytes a second, with the default of 30 s. Blobs, which are streamed,
/// may be slower.
const MIN_PROGRESS: usize = 64 << 10;

/// A registry's answer, its body read.
pub(crate) struct Response {
    /// Method and path of the request.
    pub(crate) request: String,
    /// The URL that answered, after redirects and without a fragment. `Link` and `Location` are relative to it.
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What messages may not show of the body.
    secrets: Secrets,
    /// The body, where it is streamed.
    pub(crate) rest: Option<reqwest::Response>,
    /// The host that answered, where the registry redirected to another.
    pub(crate) redirect_host: Option<String>,
}

/// What a body must be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    pub(crate) digest: Option<Digest>,
    /// Who named the digest.
    pub(crate) named_by: &'static str,
    pub(crate) size: Option<u64>,
    /// A digest in the answer's header is that of its body, as with manifests.
    pub(crate) as_header_says: bool,
}

impl Expected {
    fn is_any(&self) -> bool {
        self.digest.is_some() || self.size.is_some() || self.as_header_says
    }
}

/// How a body is read.
pub(crate) struct Reading<'a> {
    /// What errors are about.
    pub(crate) subject: &'a str,
    /// Method and path of the request.
    pub(crate) request: String,
    /// The URL that answered.
    pub(crate) url: Url,
    /// Bytes at most.
    pub(crate) limit: u64,
    /// How long a server may send nothing, or too little: see [`MIN_PROGRESS`].
    pub(crate) idle_timeout: Duration,
    /// What the body is charged to.
    pub(crate) budget: &'a Budget,
    /// What messages may not show of it.
    pub(crate) secrets: &'a Secrets,
    /// The body of a success is left for later.
    pub(crate) streamed: bool,
    /// Its content matters: not in the answer to a write that says that it succeeded.
    pub(crate) needed: bool,
    /// The request has a body. An answer that refuses it may come before that was sent, and the connection close with it:
    /// the status then says enough.
    pub(crate) is_early: bool,
}

impl Response {
    /// Reads the body; of one that says what is wrong, its beginning.
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
            let (body, rest) = (Bytes::new(), Some(response));
            return Ok(Self { request, url, status, version, headers, body, secrets, rest, redirect_host });
        }
        let body = match read_body(response, if status >= 400 { MAX_ERROR_BODY } else { reading.limit }, &reading).await
        {
            Err(_) if status < 400 && !reading.needed => Bytes::new(),
            Err(error) if status >= 400 && (reading.is_early || !error.is_transient()) => Bytes::new(),
            body => body?,
        };
        let Reading { request, url, .. } = reading;
        Ok(Self { request, url, status, version, headers, body, secrets, rest: None, redirect_host })
    }

    /// Unpacks a body that came encoded although that was not asked for. Bytes that have the expected digest stay as they
    /// are: then the header is wrong. What is compared with digests and parsed are the unpacked bytes.
    ///
    /// # Errors
    /// Those of [`encoding::decoded`]. The body of an answer of 400 and above is then left out.
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

    /// Compares the body of a success with what it must be. What is not may have been cut off, or mixed up on the way:
    /// another try may bring the right bytes.
    pub(crate) fn verify(self, expected: &Expected, subject: &str) -> Result<Self, Error> {
        if self.status >= 400 || !expected.is_any() {
            return Ok(self);
        }
        if self.status != 200 {
            return Err(Error::protocol(subject, format!("answered with HTTP {}, which is no content", self.status)));
        }
        let wrong = |kind| Err(Error::transient(subject, kind));
        let actual = self.body.len() as u64;
        if let Some(expected) = expected.size.filter(|size| *size != actual) {
            return wrong(ErrorKind::Size { expected, actual });
        }
        let of_header = if expected.as_header_says { self.digest() } else { None };
        let named = [(expected.digest.clone(), expected.named_by), (of_header, "registry's header")];
        for (digest, named_by) in named {
            if let Some(expected) = digest.filter(|digest| !digest.matches(&self.body)) {
                let actual = Digest::sha256(&self.body);
                return wrong(ErrorKind::Digest { expected, actual, named_by });
            }
        }
        Ok(self)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The digest that the registry names in `Docker-Content-Digest`, if it is one.
    pub(crate) fn digest(&self) -> Option<Digest> {
        Digest::parse(self.header("docker-content-digest")?.trim()).ok()
    }

    /// What an answer of 400 and above says.
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

    /// The error that an answer of 400 and above is.
    pub(crate) fn error(&self, subject: &str) -> Error {
        let response = Box::new(self.error_response());
        let kind = match self.redirect_host.clone() {
            None => ErrorKind::Rejected(response),
            // It is not the registry's answer, and signing in would not change it.
            Some(host) => ErrorKind::RedirectTarget { host, response },
        };
        Error::new(subject, kind)
    }
}

/// Reads a whole body, up to `limit` bytes counted as they arrive, whatever Content-Length says. Its memory is charged to
/// the run's budget for as long as the body is kept.
async fn read_body(mut response: reqwest::Response, limit: u64, reading: &Reading<'_>) -> Result<Bytes, Error> {
    let broke_off = |reason: String| {
        let kind = ErrorKind::Transport { request: reading.request.clone(), reason: reason.into(), unsent: false };
        Error::transient(reading.subject, kind)
    };
    let over_limit = |error| Error::new(reading.subject, ErrorKind::from(error));
    let (mut body, mut charge) = (Vec::new(), reading.budget.open());
    let (mut due, mut progress) = (Instant::now() + reading.idle_timeout, 0);
    loop {
        let Ok(chunk) = tokio::time::timeout_at(due, response.chunk()).await else {
            return Err(match progress {
                0 => broke_off(silent(reading.idle_timeout)).with_fault(Some(TransportFault::Silent)),
                _ => broke_off(slow(progress, reading.idle_timeout)),
            });
        };
        let chunk = match chunk {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                body.shrink_to_fit();
                return charge.keep(body).map_err(over_limit);
            }
            Err(error) => return Err(broke_off(Failure::of(&error).reason)),
        };
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(Error::new(reading.subject, ErrorKind::TooLarge { limit }));
        }
        charge.grow(chunk.len()).map_err(over_limit)?;
        body.extend_from_slice(&chunk);
        progress += chunk.len();
        if progress >= MIN_PROGRESS {
            (due, progress) = (Instant::now() + reading.idle_timeout, 0);
        }
    }
}

/// How messages say that a server sent nothing.
pub(crate) fn silent(idle_timeout: Duration) -> String {
    format!("nothing came for {} s", idle_timeout.as_secs_f64())
}

/// How messages say that a server sent too little.
fn slow(bytes: usize, idle_timeout: Duration) -> String {
    format!("only {bytes} bytes came in {} s", idle_timeout.as_secs_f64())
}

/// How messages name a host that the registry redirects to.
pub(crate) fn redirected(host: &str) -> String {
    format!("at {host}, to which the registry redirects")
}
