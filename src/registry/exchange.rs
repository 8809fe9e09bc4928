//! One request on the wire, with its redirects: who gets which header, and the line that `--debug` shows.

use std::sync::PoisonError;
use std::time::Instant;

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, WARNING,
};
use reqwest::{Method, RequestBuilder, Response};
use url::{Origin, Url};

use super::addresses::checked_address;
use super::answer::{Answer, Reading, redirected, silent};
use super::client::Client;
use super::error::{Error, Fault};
use super::failure::Failure;
pub(super) use super::redact::host_of;
use super::redact::{Secret, redacted, redacted_text};
use super::send::{Content, Request, challenge_of};
use super::silence::Progress;
use crate::image::one_line;

/// A registry needs one, to where its blobs are.
pub(super) const MAX_REDIRECTS: usize = 5;

impl Client {
    /// Sends a request to `url` and follows redirects. `Authorization` stays with the origin of the registry's API: it
    /// is dropped on any change of host, port or scheme, and not taken up again (CVE-2020-15157). Another registry gets a
    /// token that anyone can get there; see [`Client::visitor_token`].
    pub(super) async fn exchange(
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
            let Some(location) = redirection(request, &response) else {
                self.show_warnings(&url, &response);
                url.set_fragment(None);
                let reading = Reading {
                    subject: &request.subject,
                    request: request.name(),
                    url,
                    limit: request.limit,
                    silence: self.silence(),
                    budget: self.budget(),
                    secrets: self.secrets(),
                    needed: request.is_read(),
                    is_early: request.content.is_some(),
                    streamed: request.streamed,
                };
                let answer = Answer::read(response, reading, elsewhere).await?;
                let answer = answer.decode(&request.expected, &request.subject, request.limit, self.budget())?;
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
                self.warn_once(format!("{} says: {}", host_of(url), one_line(&text)));
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
        if request.is_read() {
            // Digests are those of bytes that are not encoded; without this header any coding may come (RFC 9110, section
            // 12.5.3).
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
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
                let again = || NotSent {
                    reason: "the upload has to begin anew".into(),
                    transient: true,
                    unsent: true,
                    fault: None,
                };
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                headers.insert(CONTENT_LENGTH, (*length).into());
                sent = Some(*length);
                builder = builder.body(progress.body(stream.ok_or_else(again)?));
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

    /// Puts a request on the wire, waits for the beginning of the answer, and shows both to `--debug`.
    pub(super) async fn dispatch(
        &self,
        builder: RequestBuilder,
        progress: &Progress,
        sending: &Sending<'_>,
    ) -> Result<Response, NotSent> {
        let &Sending { method, url, sent, attempt } = sending;
        self.count(attempt);
        let started = Instant::now();
        match progress.within(self.silence(), builder.send()).await {
            Some(result) => {
                self.trace(|| line(method, url, sent, &result, started, attempt));
                result.map_err(|error| {
                    let Failure { reason, fault, is_transient } = self.connections().failure(url, &error);
                    let unsent = error.is_connect() || error.is_builder();
                    NotSent { reason, transient: is_transient, unsent, fault }
                })
            }
            None => {
                let reason = silent(self.silence());
                self.trace(|| format!("{method} {} -> {reason}, attempt {attempt}", redacted(url)));
                Err(NotSent { reason, transient: true, unsent: false, fault: None })
            }
        }
    }
}

/// What `--debug` shows of a request before there is an answer.
pub(super) struct Sending<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    /// Bytes of the body.
    pub(super) sent: Option<u64>,
    pub(super) attempt: u32,
}

/// Why a request was not sent, or not answered.
pub(super) struct NotSent {
    pub(super) reason: String,
    pub(super) transient: bool,
    /// Nothing of it went out.
    pub(super) unsent: bool,
    pub(super) fault: Option<Fault>,
}

impl<T: Into<String>> From<T> for NotSent {
    fn from(reason: T) -> Self {
        Self { reason: reason.into(), transient: false, unsent: true, fault: None }
    }
}

/// A header value that no `Debug` shows and HTTP/2 does not index.
pub(super) fn secret_value(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.reveal()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a status redirects. A write is repeated elsewhere only when the answer says that it is to be the same request
/// there (RFC 9110, sections 15.4.8 and 15.4.9).
pub(super) fn redirect(method: &Method, status: u16) -> bool {
    match status {
        307 | 308 => true,
        301..=303 => *method == Method::GET || *method == Method::HEAD,
        _ => false,
    }
}

/// Where an answer redirects to, if that is to be followed here. A blob that is sent has to be read again from its
/// beginning for each URL: that redirect is left to the upload.
fn redirection(request: &Request, response: &Response) -> Option<String> {
    let is_followed = redirect(&request.method, response.status().as_u16()) && request.can_be_repeated();
    let location = response.headers().get(LOCATION).filter(|_| is_followed)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// The URL that a registry points to, by redirect or `Location`, if it may: never from https to another scheme, nor
/// from elsewhere to this machine or its metadata service. User info in it is dropped.
pub(super) fn pointed_to(api: &Url, base: &Url, location: &str) -> Result<Url, String> {
    let shown = || base.join(location).map_or_else(|_| redacted_text(location), |url| redacted(&url));
    let refused = |why: &str| Err(format!("the registry points to \"{}\", which is not followed: {why}", shown()));
    let Ok(mut url) = base.join(location) else { return refused("it is no URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return refused("it is not http or https");
    }
    if url.scheme() != "https" && (api.scheme() == "https" || base.scheme() == "https") {
        return refused("it goes from https to http");
    }
    if let Err(why) = checked_address(&url, api) {
        return refused(why);
    }
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url)
}

/// The URL that an answer names in `Location`, such as that of an upload session: relative to the URL that answered (RFC
/// 9110, section 10.2.2), and without a fragment. `None` if it names none.
///
/// Errors: it may not be followed; see [`pointed_to`].
pub(super) fn location(api: &Url, answer: &Answer) -> Result<Option<Url>, String> {
    let Some(location) = answer.headers.get(LOCATION) else { return Ok(None) };
    let mut url = pointed_to(api, &answer.url, &String::from_utf8_lossy(location.as_bytes()))?;
    url.set_fragment(None);
    Ok(Some(url))
}

/// What `--debug` shows of a request: bytes sent and bytes announced, milliseconds until the answer began.
pub(super) fn line(
    method: &Method,
    url: &Url,
    sent: Option<u64>,
    result: &reqwest::Result<Response>,
    started: Instant,
    attempt: u32,
) -> String {
    let sent = sent.map(|bytes| format!(" ({bytes} bytes)")).unwrap_or_default();
    let outcome = match result {
        Ok(response) => {
            let length = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
            let length = one_line(length.unwrap_or("?"));
            format!("{} {:?}, {length} bytes", response.status().as_u16(), response.version())
        }
        Err(error) => Failure::of(error).reason,
    };
    format!("{method} {}{sent} -> {outcome}, {} ms, attempt {attempt}", redacted(url), started.elapsed().as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_header_does_not_show() {
        assert_eq!(format!("{:?}", secret_value(&Secret::new("Bearer x")).unwrap()), "Sensitive");
        assert!(secret_value(&Secret::new("Bearer x\ny")).is_none());
    }

    #[test]
    fn redirects_that_are_followed() {
        for (method, status, followed) in [
            (Method::GET, 301, true),
            (Method::HEAD, 303, true),
            (Method::PUT, 301, false),
            (Method::POST, 302, false),
            (Method::PUT, 307, true),
            (Method::POST, 308, true),
            (Method::GET, 200, false),
            (Method::GET, 304, false),
        ] {
            assert_eq!(redirect(&method, status), followed, "{method} {status}");
        }
    }

    #[test]
    fn once_https_has_answered_nothing_goes_back_to_http() {
        let (api, base) = ("http://r.io".parse().unwrap(), "https://cdn.io/x".parse().unwrap());
        assert!(pointed_to(&api, &base, "http://cdn.io/y").unwrap_err().contains("from https to http"));
        let said = pointed_to(&api, &base, "http://u:hidden@cdn.io/y?hidden").unwrap_err();
        assert!(!said.contains("hidden"), "{said}");
    }

    #[test]
    fn where_a_registry_may_point() {
        for (api, location, expected) in [
            ("https://r.io", "/v2/x", Some("https://r.io/v2/x")),
            ("https://r.io", "../x?y=1", Some("https://r.io/v2/x?y=1")),
            ("https://r.io", "https://cdn.io/x", Some("https://cdn.io/x")),
            ("https://r.io", "https://u:p@cdn.io/x", Some("https://cdn.io/x")),
            ("https://r.io", "//cdn.io/x", Some("https://cdn.io/x")),
            ("https://r.io", "http://r.io/x", None),
            ("http://r.io", "http://cdn.io/x", Some("http://cdn.io/x")),
            ("https://r.io", "https://127.0.0.1/x", None),
            ("http://r.io", "http://169.254.169.254/latest", None),
            ("http://127.0.0.1:5000", "http://localhost:80/x", Some("http://localhost/x")),
            ("https://r.io", "file:///etc/passwd", None),
            ("https://r.io", "https://", None),
        ] {
            let api: Url = api.parse().unwrap();
            let pointed = pointed_to(&api, &api.join("v2/a/b").unwrap(), location).ok();
            assert_eq!(pointed.as_ref().map(Url::as_str), expected, "{location} of {api}");
        }
    }
}
