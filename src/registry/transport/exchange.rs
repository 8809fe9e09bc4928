//! Sends one request, follows its redirects and reads the response. Decides which headers each host receives.

use reqwest::header::{HeaderMap, LOCATION, WARNING};

use url::{Origin, Url};

use super::dispatch::DispatchError;
use super::handle::Transport;
use super::redact::{Secret, host_of};
use super::redirects::{MAX_REDIRECTS, is_followed, resolve_location};
use super::request::{Service, WireRequest};
use super::response::{Reading, Response, redirected};
use crate::event::Event;
use crate::image::one_line;
use crate::registry::error::{Error, TransportFault};

/// The position of a request in a chain of redirects.
pub(crate) struct Hop {
    /// The URL that the request is sent to next.
    pub(crate) url: Url,
    /// Whether every URL so far has the origin of the registry's API.
    is_same_origin: bool,
    /// The number of URLs that the request was sent to.
    sent: usize,
    /// An anonymous token for an origin other than the registry's.
    anonymous: Option<(Origin, Secret)>,
}

impl Hop {
    /// Creates the first hop of a request to a registry.
    pub(crate) fn first(api: &Url, url: &Url) -> Self {
        Self { url: url.clone(), is_same_origin: url.origin() == api.origin(), sent: 0, anonymous: None }
    }

    /// Adds a token for the origin of this hop's URL.
    pub(crate) fn with_token(self, token: Secret) -> Self {
        Self { anonymous: Some((self.url.origin(), token)), ..self }
    }

    /// Returns the `Authorization` header for this hop. The registry's is dropped on any change of host, port or
    /// scheme, and never sent again after that (CVE-2020-15157).
    fn authorization<'a>(&'a self, for_registry: Option<&'a Secret>) -> Option<&'a Secret> {
        let anonymous = self.anonymous.as_ref().filter(|(origin, _)| *origin == self.url.origin());
        if self.is_same_origin { for_registry } else { anonymous.map(|(_, token)| token) }
    }

    /// Returns the host if it is not the registry's.
    fn redirect_host(&self) -> Option<String> {
        (!self.is_same_origin).then(|| host_of(&self.url))
    }
}

/// The outcome of an exchange.
pub(crate) enum Exchange {
    /// A response.
    Answered(Response),
    /// A challenge from another origin.
    Challenged(Challenged),
}

/// A 401 from another origin, to which the registry redirects, to a request that can be repeated. To retry with a
/// token, call [`Transport::exchange`] with [`Self::hop`]. To read the 401, call [`Transport::read_challenged`].
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
    /// Sends a request, starting at a hop, and follows redirects. Only the origin of the registry's API gets
    /// `authorization`.
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
                Err(error) => return Err(self.no_response(request, api, &hop, error)),
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

    /// Reads the 401 of another origin, if no token was issued for it.
    pub(crate) async fn read_challenged(
        &self,
        request: &WireRequest,
        challenged: Challenged,
    ) -> Result<Response, Error> {
        self.read_registry(request, challenged.hop, challenged.response).await
    }

    /// Sends a request to one URL and reads the response, without following redirects.
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
            Err(error) => {
                let hint = error.failure.hint(url.origin() == api.origin());
                Err(error.into_error(request).with_hint(hint))
            }
        }
    }

    fn no_response(&self, request: &WireRequest, api: &Url, hop: &Hop, mut error: DispatchError) -> Error {
        // TLS was tried first, unless the user configured the registry as plain HTTP.
        let needs_tls = matches!(error.failure.fault, Some(TransportFault::TlsRequired | TransportFault::SpeaksTls));
        let was_tried = needs_tls && !self.plain_http().contains_api(api);
        let hint = if was_tried { None } else { error.failure.hint(hop.is_same_origin) };
        if let Some(host) = hop.redirect_host() {
            error.failure.reason = format!("{}: {}", redirected(&host), error.failure.reason);
        }
        error.into_error(request).with_hint(hint)
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
        let response = Response::read(response, reading, redirect_host).await?;
        // The body of a successful write is not used, so its encoding does not matter.
        let is_needed = request.can_be_given_up() || response.status >= 400;
        let response = match is_needed {
            true => response.decode(&request.expected, &request.subject, request.limit, self.budget())?,
            false => response,
        };
        response.verify(&request.expected, &request.subject)
    }

    /// Reports the warnings of a registry (distribution-spec, "Warnings").
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

/// Returns the target of a redirect if this module follows it. Blob uploads follow their redirects themselves, because
/// they must reopen the source for each URL.
fn redirect_target(request: &WireRequest, response: &reqwest::Response) -> Option<String> {
    let is_followed = is_followed(&request.method, response.status().as_u16()) && request.can_be_repeated();
    let location = response.headers().get(LOCATION).filter(|_| is_followed)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}
