//! The requests to the registry that are part of sign-in. `auth` explains the steps.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Instant;

use reqwest::Version;
use url::Url;

use super::host::{FirstRequest, Host};
use super::registry_client::Client;
use super::request::Request;
use crate::registry::auth::challenge::Challenge;
use crate::registry::auth::sign_in::Authorization;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::Transport;
use crate::registry::transport::exchange::{Exchange, Hop};
use crate::registry::transport::redact::Secret;
use crate::registry::transport::redirects::resolve_location;
use crate::registry::transport::response::Response;

/// Sends one request until the registry accepts its authorization, or refuses it permanently.
pub(super) struct Handshake<'a> {
    pub(super) client: &'a Client,
    pub(super) host: &'a Host,
    pub(super) api: &'a Url,
    pub(super) url: &'a Url,
    pub(super) request: &'a Request,
    /// The time after which the request must not be sent.
    pub(super) until: Option<Instant>,
}

/// State of one request between its responses.
struct SignInProgress<'a> {
    /// Set for the first request to a host.
    first: Option<FirstRequest<'a>>,
    /// Whether the request was refused without credentials.
    anonymous_refused: bool,
    /// Whether the request was refused with credentials.
    authorized_refused: bool,
    /// The last refusal, kept until credentials for another attempt are known.
    response: Option<Response>,
}

impl<'a> Handshake<'a> {
    fn transport(&self) -> &'a Transport {
        self.client.transport()
    }

    /// Sends the request, and again for each step of sign-in. `before` is the number of times it was sent before.
    pub(super) async fn run(&self, before: u32) -> Result<Response, Error> {
        let first = self.host.claim_first_request(&self.request.scopes).await;
        let mut progress =
            SignInProgress { first, anonymous_refused: false, authorized_refused: false, response: None };
        for attempt in before + 1.. {
            if progress.anonymous_refused {
                // The challenge is known, so release the waiting requests. They share one token or one failure.
                progress.first = None;
            }
            let authorization = match self.authorization(progress.response.take()).await? {
                ControlFlow::Continue(authorization) => authorization,
                ControlFlow::Break(response) => return Ok(response),
            };
            if attempt > before + 1 && !self.request.wire.can_be_repeated() {
                // The body is consumed. A retry has the token from the start.
                let kind = ErrorKind::Protocol("the registry required sign-in during the upload".into());
                return Err(Error::transient(self.request.subject(), kind));
            }
            let header = authorization.as_ref().map(|authorization| &authorization.header);
            let response = self.send_in_time(header, attempt).await?;
            if let ControlFlow::Break(response) = self.process_response(response, authorization, &mut progress).await? {
                return Ok(response);
            }
        }
        Err(self.request.protocol("the registry keeps sending new challenges".into()))
    }

    /// Returns the authorization for the request. Breaks with the last refusal if no credentials are available, because
    /// the registry's message is more helpful than that error.
    async fn authorization(
        &self,
        response: Option<Response>,
    ) -> Result<ControlFlow<Response, Option<Authorization<'a>>>, Error> {
        let authorization = self.host.sign_in().authorization(self.transport(), self.api, &self.request.scopes).await;
        match (authorization, response) {
            (Ok(authorization), _) => Ok(ControlFlow::Continue(authorization)),
            (Err(error), Some(response))
                if (response.status == 403 && error.is_shared()) || error.lacks_credentials() =>
            {
                Ok(ControlFlow::Break(response))
            }
            (Err(Error { kind: ErrorKind::Stopped(reason), .. }), _) => Err(self.request.wire.stopped(reason)),
            (Err(error), _) => Err(error),
        }
    }

    /// Sends the request once it has a permit, unless `until` has passed.
    async fn send_in_time(&self, authorization: Option<&Secret>, attempt: u32) -> Result<Response, Error> {
        let _permit = self.host.request_permit(self.transport(), self.request).await?;
        if self.until.is_some_and(|until| until < Instant::now()) {
            return Err(Error::new(self.request.subject(), ErrorKind::PreconditionStale));
        }
        self.exchange(authorization, attempt).await
    }

    /// Sends the request once. If the registry redirects to another registry, uses an anonymous token there.
    pub(super) async fn exchange(&self, authorization: Option<&Secret>, attempt: u32) -> Result<Response, Error> {
        let (transport, wire) = (self.transport(), &self.request.wire);
        let mut hop = Hop::first(self.api, self.url);
        loop {
            let challenged = match transport.exchange(wire, self.api, hop, authorization, attempt).await? {
                Exchange::Answered(response) => return Ok(response),
                Exchange::Challenged(challenged) => challenged,
            };
            let challenge = Challenge::from_headers(challenged.headers());
            let tokens = self.client.anonymous_tokens();
            match tokens.get(transport, self.api, &challenged.hop.url, challenge).await {
                Some(token) => hop = challenged.hop.with_token(token),
                None => return transport.read_challenged(wire, challenged).await,
            }
        }
    }

    /// Processes the challenge in a response. Breaks with a response that another attempt would not change.
    async fn process_response(
        &self,
        response: Response,
        authorization: Option<Authorization<'_>>,
        progress: &mut SignInProgress<'_>,
    ) -> Result<ControlFlow<Response>, Error> {
        if response.redirect_host.is_some() {
            return Ok(ControlFlow::Break(response));
        }
        let sign_in = self.host.sign_in();
        let header = authorization.as_ref().map(|authorization| &authorization.header);
        if let Some(authorization) = authorization.as_ref().filter(|_| response.status != 401) {
            sign_in.accepted(authorization);
        }
        let mut challenge = Challenge::from_headers(&response.headers);
        // Some registries with anonymous read access respond with 403 to a write without credentials, and some to a
        // token with insufficient scope (RFC 6750, section 3.1).
        let is_insufficient = challenge.as_ref().is_some_and(Challenge::is_insufficient);
        let is_refused = response.status == 401 || (response.status == 403 && (header.is_none() || is_insufficient));
        let was_refused =
            if header.is_some() { &mut progress.authorized_refused } else { &mut progress.anonymous_refused };
        if !is_refused || std::mem::replace(was_refused, true) {
            return Ok(ControlFlow::Break(response));
        }
        if header.is_none() && response.status == 401 {
            sign_in.refused_anonymous(response.error_response());
        }
        if challenge.is_none() && header.is_none() {
            challenge = self.client.ping(self.host, self.api).await.ok().flatten();
        }
        if sign_in.challenged(challenge, header, &self.request.scopes).await {
            if progress.first.is_some() && response.version == Version::HTTP_11 {
                self.preconnect();
            }
            progress.response = Some(response);
            Ok(ControlFlow::Continue(()))
        } else if authorization.as_ref().is_some_and(|authorization| authorization.unproven.is_some()) {
            // Fail now, before the waiting requests try the same credentials.
            let registry = self.host.registry();
            Err(self.client.response_error(registry, self.request, &response).await)
        } else {
            Ok(ControlFlow::Break(response))
        }
    }

    /// Opens connections for the waiting requests, each of which will need one.
    fn preconnect(&self) {
        let waiting = self.host.waiting.load(Ordering::Relaxed);
        self.transport().connections().preconnect(self.api, waiting.min(self.client.concurrency() - 1));
    }
}

impl Client {
    /// Sends `GET /v2/`, once per registry, to get the challenge that another response lacked.
    pub(crate) async fn ping(&self, host: &Host, api: &Url) -> Result<Option<Challenge>, Error> {
        let request_challenge = async {
            let request = &Request::ping(api);
            let url = &resolve_location(api, api, &request.wire.target).map_err(|reason| request.protocol(reason))?;
            let handshake = Handshake { client: self, host, api, url, request, until: None };
            let response = handshake.exchange(None, 1).await?;
            // The status does not matter: a registry with anonymous read access may respond with 200 and still name its
            // token service.
            Ok(Challenge::from_headers(&response.headers).filter(|_| response.redirect_host.is_none()))
        };
        host.ping.get(&(), request_challenge).await
    }
}
