//! One request on the wire, with its redirects: which host gets which header.

use std::sync::PoisonError;
use std::time::Instant;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WARNING};
use reqwest::{Method, RequestBuilder, Response};
use url::{Origin, Url};

use super::answer::{Answer, Reading, redirected, silent};
use super::failure::Failure;
use super::idle::Progress;
use super::redact::{Secret, host_of, redacted};
use super::redirects::{MAX_REDIRECTS, is_followed, pointed_to};
use crate::event::Event;
use crate::image::one_line;
use crate::registry::client::registry_client::Client;
use crate::registry::client::send::{Content, Request, challenge_of};
use crate::registry::error::{Error, Fault};

impl Client {
    /// Sends a request to `url` and follows redirects. `Authorization` stays with the origin of the registry's API: it
    /// is dropped on any change of host, port or scheme, and not taken up again (CVE-2020-15157). Another registry gets a
    /// token that anyone can get there; see [`Client::visitor_token`].
    pub(crate) async fn exchange(
        &self,
        request: &Request,
        api: &Url,
        url: &Url,
        authorization: Option<&Secret>,
        attempt: u32,
    ) -> Result<Answer, Error> {
        let mut url = url.clone();
        let mut at_home = url.origin() == api.origin();
        let mut visitor: Option<(Origin, Secret)> = None;
        for _ in 0..=MAX_REDIRECTS {
            let of_visitor = visitor.as_ref().filter(|(origin, _)| !at_home && *origin == url.origin());
            let authorization = authorization.filter(|_| at_home).or(of_visitor.map(|(_, token)| token));
            let elsewhere = (!at_home).then(|| host_of(&url));
            let response = match self.send_once(request, api, &url, authorization, attempt).await {
                Ok(response) => response,
                Err(NotSent { reason, transient, unsent, fault }) => {
                    // Without the flag, TLS was tried before.
                    let fault = fault.filter(|fault| *fault != Fault::SpeaksTls || self.plain_http().contains_api(api));
                    let hint = fault.and_then(|fault| fault.hint(at_home));
                    let reason = match &elsewhere {
                        Some(host) => format!("{}: {reason}", redirected(host)),
                        None => reason,
                    };
                    return Err(request.transport(reason, transient, unsent).with_hint(hint));
                }
            };
            if !at_home && authorization.is_none() && response.status() == 401 && request.can_be_repeated() {
                let challenge = challenge_of(response.headers());
                if let Some(token) = self.visitor_token(api, &url, challenge).await {
                    visitor = Some((url.origin(), token));
                    continue;
                }
            }
            let Some(location) = redirect_target(request, &response) else {
                self.show_warnings(&url, &response);
                url.set_fragment(None);
                let reading = Reading {
                    subject: &request.subject,
                    request: request.name(),
                    url,
                    limit: request.limit,
                    silence: self.idle_timeout(),
                    budget: self.budget(),
                    secrets: self.secrets(),
                    needed: request.is_read(),
                    is_early: request.content.is_some(),
                    streamed: request.streamed,
                };
                let answer = Answer::read(response, reading, elsewhere).await?;
                // A write that succeeded has succeeded, however its body is encoded.
                let is_needed = request.is_read() || answer.status >= 400;
                let answer = match is_needed {
                    true => answer.decode(&request.expected, &request.subject, request.limit, self.budget())?,
                    false => answer,
                };
                return answer.verify(&request.expected, &request.subject);
            };
            let refused = |reason: String| request.protocol(self.secrets().scrub_foreign(&reason).into_owned());
            let next = pointed_to(api, &url, &location).map_err(refused)?;
            at_home = at_home && next.origin() == api.origin();
            url = next;
        }
        Err(request.protocol(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// What a registry has to say to its users (distribution-spec, "Warnings").
    fn show_warnings(&self, url: &Url, response: &Response) {
        for value in response.headers().get_all(WARNING) {
            let text = String::from_utf8_lossy(value.as_bytes());
            if let Some(text) = text.trim().strip_prefix("299 - ") {
                let text = self.secrets().scrub_foreign(text.trim_matches('"'));
                self.emit_once(Event::RegistryWarning { host: host_of(url), text: one_line(&text) });
            }
        }
    }

    async fn send_once(
        &self,
        request: &Request,
        api: &Url,
        url: &Url,
        authorization: Option<&Secret>,
        attempt: u32,
    ) -> Result<Response, NotSent> {
        let client = self.connections().client(url, api)?;
        let mut headers = HeaderMap::new();
        if let Some(accept) = request.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(authorization) = authorization {
            self.secrets().add_authorization(authorization);
            if url.origin() == api.origin() {
                self.warn_of_cleartext(url);
            }
            let value = secret_value(authorization);
            headers.insert(AUTHORIZATION, value.ok_or("the credentials have characters that cannot be sent")?);
        }
        let progress = Progress::new();
        let mut builder = client.request(request.method.clone(), url.clone());
        let mut sent = None;
        match &request.content {
            Some(Content::Bytes(media_type, body)) => {
                let value = HeaderValue::from_str(media_type);
                headers.insert(CONTENT_TYPE, value.map_err(|_| "the media type has characters that cannot be sent")?);
                headers.insert(CONTENT_LENGTH, body.len().into());
                sent = Some(body.len() as u64);
                builder = builder.body(body.clone());
            }
            Some(Content::Stream(length, stream)) => {
                let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                headers.insert(CONTENT_LENGTH, (*length).into());
                sent = Some(*length);
                builder = builder.body(progress.body(stream.ok_or("the blob was sent already")?));
            }
            // Some registries and proxies answer 411 to a POST that does not say that it is empty.
            None if request.method == Method::POST => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            None => {}
        }
        let sending = Sending { method: &request.method, url, sent, attempt };
        self.dispatch(builder.headers(headers), &progress, &sending).await
    }

    /// Puts a request on the wire, waits for the beginning of the answer, and reports both.
    pub(crate) async fn dispatch(
        &self,
        builder: RequestBuilder,
        progress: &Progress,
        sending: &Sending<'_>,
    ) -> Result<Response, NotSent> {
        let &Sending { method, url, sent, attempt } = sending;
        self.count(attempt);
        let started = Instant::now();
        match progress.within(self.idle_timeout(), builder.send()).await {
            Some(result) => {
                self.emit(|| request_event(method, url, sent, &result, started, attempt));
                result.map_err(|error| {
                    let Failure { reason, fault, is_transient } = self.connections().failure(url, &error);
                    let unsent = error.is_connect() || error.is_builder();
                    NotSent { reason, transient: is_transient, unsent, fault }
                })
            }
            None => {
                let reason = silent(self.idle_timeout());
                self.emit(|| Event::Request {
                    method: method.to_string(),
                    url: redacted(url),
                    sent: None,
                    outcome: reason.clone(),
                    elapsed: None,
                    attempt,
                });
                Err(NotSent { reason, transient: true, unsent: false, fault: None })
            }
        }
    }
}

/// What is reported of a request before there is an answer.
pub(crate) struct Sending<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    /// Bytes of the body.
    pub(crate) sent: Option<u64>,
    pub(crate) attempt: u32,
}

/// Why a request was not sent, or not answered.
pub(crate) struct NotSent {
    pub(crate) reason: String,
    pub(crate) transient: bool,
    /// Nothing of it went out.
    pub(crate) unsent: bool,
    pub(crate) fault: Option<Fault>,
}

impl<T: Into<String>> From<T> for NotSent {
    fn from(reason: T) -> Self {
        Self { reason: reason.into(), transient: false, unsent: true, fault: None }
    }
}

/// A header value that no `Debug` shows and HTTP/2 does not index.
pub(crate) fn secret_value(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.reveal()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The target of a redirect, if it is followed here. The upload of a blob follows its redirects itself, because it must
/// open the source again for each URL.
fn redirect_target(request: &Request, response: &Response) -> Option<String> {
    let is_followed = is_followed(&request.method, response.status().as_u16()) && request.can_be_repeated();
    let location = response.headers().get(LOCATION).filter(|_| is_followed)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// What is reported of a request: bytes sent and bytes announced, and the time until the answer began.
pub(crate) fn request_event(
    method: &Method,
    url: &Url,
    sent: Option<u64>,
    result: &reqwest::Result<Response>,
    started: Instant,
    attempt: u32,
) -> Event {
    let outcome = match result {
        Ok(response) => {
            let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            let length = one_line(length.unwrap_or("?"));
            format!("{} {:?}, {length} bytes", response.status().as_u16(), response.version())
        }
        Err(error) => Failure::of(error).reason,
    };
    let (method, url, elapsed) = (method.to_string(), redacted(url), Some(started.elapsed()));
    Event::Request { method, url, sent, outcome, elapsed, attempt }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_header_does_not_show() {
        assert_eq!(format!("{:?}", secret_value(&Secret::new("Bearer x")).unwrap()), "Sensitive");
        assert!(secret_value(&Secret::new("Bearer x\ny")).is_none());
    }
}
