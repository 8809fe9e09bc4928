//! Sends one request to one URL, and waits for the beginning of the response.

use std::sync::PoisonError;
use std::time::Instant;

use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

use super::failure::Failure;
use super::handle::Transport;
use super::idle::Progress;
use super::redact::{Secret, redacted};
use super::request::{Content, Service, WireRequest};
use super::response::idle_message;
use crate::event::Event;
use crate::image::one_line;
use crate::registry::error::Error;

/// Why a request was not sent or got no response.
pub(crate) struct DispatchError {
    pub(crate) failure: Failure,
    /// Whether no part of the request was sent.
    pub(crate) unsent: bool,
}

impl<T: Into<String>> From<T> for DispatchError {
    fn from(reason: T) -> Self {
        Self { failure: Failure::permanent(reason.into()), unsent: true }
    }
}

impl DispatchError {
    pub(crate) fn into_error(self, request: &WireRequest) -> Error {
        let Failure { reason, fault, is_transient, .. } = self.failure;
        request.transport(reason, is_transient, self.unsent).with_fault(fault)
    }
}

impl Transport {
    /// Sends a request to a URL, and reports the outcome. `api` is the registry on whose behalf it is sent.
    pub(crate) async fn dispatch(
        &self,
        request: &WireRequest,
        api: &Url,
        url: &Url,
        authorization: Option<&Secret>,
        attempt: u32,
    ) -> Result<reqwest::Response, DispatchError> {
        let client = self.connections().client(url, api)?;
        let mut headers = self.headers(request, authorization)?;
        let carries_secret = match request.service {
            Service::Registry => authorization.is_some() && url.origin() == api.origin(),
            // The form contains an identity token.
            Service::Token => authorization.is_some() || request.content.is_some(),
        };
        if carries_secret {
            self.warn_of_cleartext(url);
        }
        let progress = Progress::new();
        let (body, length) = body(request, &mut headers, &progress)?;
        let builder = client.request(request.method.clone(), url.clone()).headers(headers);
        let builder = match body {
            Some(body) => builder.body(body),
            None => builder,
        };
        self.traffic().count(attempt);
        let started = Instant::now();
        let result = progress.within(self.idle_timeout(), builder.send()).await;
        let Some(result) = result else {
            let reason = idle_message(self.idle_timeout());
            self.emit(|| idle_timeout_event(&request.method, url, reason.clone(), attempt));
            return Err(DispatchError { failure: Failure::idle_timeout(reason), unsent: false });
        };
        self.emit(|| request_event(&request.method, url, length, &result, started, attempt));
        match result {
            Ok(response) => Ok(response),
            Err(error) => {
                let failure = self.connections().failure(url, &error).await;
                Err(DispatchError { failure, unsent: error.is_connect() || error.is_builder() })
            }
        }
    }

    /// Returns the headers of a request, except those of its body.
    fn headers(&self, request: &WireRequest, authorization: Option<&Secret>) -> Result<HeaderMap, DispatchError> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = request.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(authorization) = authorization {
            self.secrets().add_authorization(authorization);
            let value = secret_value(authorization);
            headers
                .insert(AUTHORIZATION, value.ok_or("the credentials contain characters that a header cannot contain")?);
        }
        Ok(headers)
    }
}

/// Returns the body of a request and its length in bytes. Adds the headers that describe the body.
fn body(
    request: &WireRequest,
    headers: &mut HeaderMap,
    progress: &Progress,
) -> Result<(Option<reqwest::Body>, Option<u64>), DispatchError> {
    match &request.content {
        Some(Content::Bytes(media_type, body)) => {
            let value = HeaderValue::from_str(media_type);
            headers.insert(
                CONTENT_TYPE,
                value.map_err(|_| "the media type contains characters that a header cannot contain")?,
            );
            headers.insert(CONTENT_LENGTH, body.len().into());
            Ok((Some(body.clone().into()), Some(body.len() as u64)))
        }
        Some(Content::Stream(length, stream)) => {
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(CONTENT_LENGTH, (*length).into());
            Ok((Some(progress.body(stream.ok_or("the blob was already sent")?)), Some(*length)))
        }
        // Some registries and proxies respond 411 to an empty POST without `Content-Length`.
        None if request.method == Method::POST => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            Ok((None, None))
        }
        None => Ok((None, None)),
    }
}

/// Creates a header value that `Debug` does not show and HTTP/2 does not index.
fn secret_value(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.reveal()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns the event for a request: bytes sent, bytes announced, and the time until the response began.
pub(crate) fn request_event(
    method: &Method,
    url: &Url,
    sent: Option<u64>,
    result: &reqwest::Result<reqwest::Response>,
    started: Instant,
    attempt: u32,
) -> Event {
    let outcome = match result {
        Ok(response) => {
            let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            let length = one_line(length.unwrap_or("?"));
            format!("{} {:?}, {length} bytes", response.status().as_u16(), response.version())
        }
        Err(error) => Failure::from_reqwest(error).reason,
    };
    let (method, url, elapsed) = (method.to_string(), redacted(url), Some(started.elapsed()));
    Event::Request { method, url, sent, outcome, elapsed, attempt }
}

/// Returns the event for a request that got no response within the idle timeout.
fn idle_timeout_event(method: &Method, url: &Url, outcome: String, attempt: u32) -> Event {
    let (method, url) = (method.to_string(), redacted(url));
    Event::Request { method, url, sent: None, outcome, elapsed: None, attempt }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_a_secret_header() {
        assert_eq!(format!("{:?}", secret_value(&Secret::new("Bearer x")).unwrap()), "Sensitive");
        assert!(secret_value(&Secret::new("Bearer x\ny")).is_none());
    }
}
