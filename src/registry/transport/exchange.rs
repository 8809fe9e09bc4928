//! One request with its redirects, and its answer: which host gets which header.

use reqwest::header::{HeaderMap, LOCATION, WARNING};

use url::{Origin, Url};

use super::dispatch::NotSent;
use super::handle::Transport;
use super::redact::{Secret, host_of};
use super::redirects::{MAX_REDIRECTS, is_followed, resolve_location};
use super::request::{Service, WireRequest};
use super::response::{Reading, Response, redirected};
use crate::event::Event;
use crate::image::one_line;
use crate::registry::error::{Error, TransportFault};

/// The place that a request has reached on its way along redirects.
pub(crate) struct Hop {
    /// The URL that the request goes to next.
    pub(crate) url: Url,
    /// Every URL so far had the origin of the registry's API.
    is_same_origin: bool,
    /// URLs that the request was sent to.
    sent: usize,
    /// A token for another origin than the registry's.
    anonymous: Option<(Origin, Secret)>,
}

impl Hop {
    /// The first hop of a request to a registry.
    pub(crate) fn first(api: &Url, url: &Url) -> Self {
        Self { url: url.clone(), is_same_origin: url.origin() == api.origin(), sent: 0, anonymous: None }
    }

    /// Adds a token for the origin of this hop's URL.
    pub(crate) fn with_token(self, token: Secret) -> Self {
        Self { anonymous: Some((self.url.origin(), token)), ..self }
    }

    /// What the request carries here: `own` is for the registry's origin, and dropped on any change of host, port or
    /// scheme, and never sent again after that (CVE-2020-15157).
    fn authorization<'a>(&'a self, own: Option<&'a Secret>) -> Option<&'a Secret> {
        let anonymous = self.anonymous.as_ref().filter(|(origin, _)| *origin == self.url.origin());
        if self.is_same_origin { own } else { anonymous.map(|(_, token)| token) }
    }

    /// The host, where it is not the registry's.
    fn redirect_host(&self) -> Option<String> {
        (!self.is_same_origin).then(|| host_of(&self.url))
    }
}

/// The outcome of an exchange.
pub(crate) enum Exchange {
    /// To its answer.
    Answered(Response),
    /// To another origin that wants a token.
    Challenged(Challenged),
}

/// A request to which another origin than the registry's, to which the registry redirects, answered 401, and which can
/// be sent there again: with [`Transport::exchange`] from [`Self::hop`] on. [`Transport::answer_of`] reads the 401.
pub(crate) struct Challenged {
    pub(crate) hop: Hop,
    response: reqwest::Response,
}

impl Challenged {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }
}

impl Transport {
    /// Sends a request from a hop on and follows redirects. `authorization` stays with the origin of the registry's API.
    pub(crate) async fn exchange(
        &self,
        request: &WireRequest,
        api: &Url,
        mut hop: Hop,
        authorization: Option<&Secret>,
        attempt: u32,
    ) -> Result<Exchange, Error> {
        while hop.sent <= MAX_REDIRECTS {
            hop.sent += 1;
            let carried = hop.authorization(authorization);
            let is_unauthorized = !hop.is_same_origin && carried.is_none();
            let response = match self.dispatch(request, api, &hop.url, carried, attempt).await {
                Ok(response) => response,
                Err(not_sent) => return Err(self.no_answer(request, api, &hop, not_sent)),
            };
            if is_unauthorized && response.status() == 401 && request.can_be_repeated() {
                return Ok(Exchange::Challenged(Challenged { hop, response }));
            }
            let Some(location) = redirect_target(request, &response) else {
                return self.read_registry(request, hop, response).await.map(Exchange::Answered);
            };
            let refused = |reason: String| request.protocol(self.secrets().scrub_foreign(&reason).into_owned());
            let next = resolve_location(api, &hop.url, &location).map_err(refused)?;
            hop = Hop { is_same_origin: hop.is_same_origin && next.origin() == api.origin(), url: next, ..hop };
        }
        Err(request.protocol(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// Reads the answer of another origin that wants a token, if no token was issued.
    pub(crate) async fn answer_of(&self, request: &WireRequest, challenged: Challenged) -> Result<Response, Error> {
        self.read_registry(request, challenged.hop, challenged.response).await
    }

    /// Sends a request to one URL, follows no redirect, and reads the answer.
    pub(crate) async fn exchange_at(
        &self,
        request: &WireRequest,
        api: &Url,
        url: &Url,
        authorization: Option<&Secret>,
        attempt: u32,
    ) -> Result<Response, Error> {
        match self.dispatch(request, api, url, authorization, attempt).await {
            Ok(response) => self.read(request, url.clone(), response, None).await,
            Err(not_sent) => {
                let hint = not_sent.failure.hint(url.origin() == api.origin());
                Err(not_sent.into_error(request).with_hint(hint))
            }
        }
    }

    fn no_answer(&self, request: &WireRequest, api: &Url, hop: &Hop, mut not_sent: NotSent) -> Error {
        // TLS is tried first with a registry that is not named as one without TLS.
        let was_tried =
            not_sent.failure.fault == Some(TransportFault::SpeaksTls) && !self.plain_http().contains_api(api);
        let hint = if was_tried { None } else { not_sent.failure.hint(hop.is_same_origin) };
        if let Some(host) = hop.redirect_host() {
            not_sent.failure.reason = format!("{}: {}", redirected(&host), not_sent.failure.reason);
        }
        not_sent.into_error(request).with_hint(hint)
    }

    async fn read_registry(
        &self,
        request: &WireRequest,
        hop: Hop,
        response: reqwest::Response,
    ) -> Result<Response, Error> {
        self.show_warnings(&hop.url, &response);
        let redirect_host = hop.redirect_host();
        self.read(request, hop.url, response, redirect_host).await
    }

    async fn read(
        &self,
        request: &WireRequest,
        mut url: Url,
        response: reqwest::Response,
        redirect_host: Option<String>,
    ) -> Result<Response, Error> {
        url.set_fragment(None);
        let reading = Reading {
            subject: &request.subject,
            request: request.name(),
            url,
            limit: request.limit,
            idle_timeout: self.idle_timeout(),
            budget: self.budget(),
            secrets: self.secrets(),
            needed: request.can_be_given_up(),
            is_early: request.content.is_some() && request.service == Service::Registry,
            streamed: request.streamed,
        };
        let answer = Response::read(response, reading, redirect_host).await?;
        // A write that succeeded has succeeded, however its body is encoded.
        let is_needed = request.can_be_given_up() || answer.status >= 400;
        let answer = match is_needed {
            true => answer.decode(&request.expected, &request.subject, request.limit, self.budget())?,
            false => answer,
        };
        answer.verify(&request.expected, &request.subject)
    }

    /// Reports what a registry has to say to its users (distribution-spec, "Warnings").
    fn show_warnings(&self, url: &Url, response: &reqwest::Response) {
        for value in response.headers().get_all(WARNING) {
            let text = String::from_utf8_lossy(value.as_bytes());
            if let Some(text) = text.trim().strip_prefix("299 - ") {
                let text = self.secrets().scrub_foreign(text.trim_matches('"'));
                self.emit_once(Event::RegistryWarning { host: host_of(url), text: one_line(&text) });
            }
        }
    }
}

/// The target of a redirect, if it is followed here. The upload of a blob follows its redirects itself, because it must
/// open the source again for each URL.
fn redirect_target(request: &WireRequest, response: &reqwest::Response) -> Option<String> {
    let is_followed = is_followed(&request.method, response.status().as_u16()) && request.can_be_repeated();
    let location = response.headers().get(LOCATION).filter(|_| is_followed)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}
