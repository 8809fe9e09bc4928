//! The part of signing in that needs requests to the registry; `auth` explains the steps.

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

/// One request, sent until the registry accepts how it is signed, or refuses it for good.
pub(super) struct Handshake<'a> {
    pub(super) client: &'a Client,
    pub(super) host: &'a Host,
    pub(super) api: &'a Url,
    pub(super) url: &'a Url,
    pub(super) request: &'a Request,
    /// The time after which the request is not sent any more.
    pub(super) until: Option<Instant>,
}

/// What the answers to a request have shown so far.
struct Seen<'a> {
    /// Held by the first request to a host.
    first: Option<FirstRequest<'a>>,
    /// The request was refused without credentials.
    bare_refused: bool,
    /// The request was refused with credentials.
    signed_refused: bool,
    /// The last refusal, until there are credentials to answer it with.
    response: Option<Response>,
}

impl<'a> Handshake<'a> {
    fn transport(&self) -> &'a Transport {
        self.client.transport()
    }

    /// Sends the request, and once more for each step of signing in. `before` is how often it was sent already.
    pub(super) async fn run(&self, before: u32) -> Result<Response, Error> {
        let first = self.host.first(&self.request.scopes).await;
        let mut seen = Seen { first, bare_refused: false, signed_refused: false, response: None };
        for attempt in before + 1.. {
            if seen.bare_refused {
                // The requests that wait know what they waited for, and share a token, or that there is none.
                seen.first = None;
            }
            let authorization = match self.authorization(seen.response.take()).await? {
                ControlFlow::Continue(authorization) => authorization,
                ControlFlow::Break(response) => return Ok(response),
            };
            if attempt > before + 1 && !self.request.wire.can_be_repeated() {
                // The next try has the token from its beginning.
                let kind = ErrorKind::Protocol("the registry asked for sign-in during the upload".into());
                return Err(Error::transient(self.request.subject(), kind));
            }
            let header = authorization.as_ref().map(|authorization| &authorization.header);
            let response = self.send_in_time(header, attempt).await?;
            if let ControlFlow::Break(response) = self.take_in(response, authorization, &mut seen).await? {
                return Ok(response);
            }
        }
        Err(self.request.protocol("the registry does not settle on how to sign in".into()))
    }

    /// What the request carries. Breaks with the last refusal where there is nothing to carry: the registry's own words say
    /// more than that.
    async fn authorization(
        &self,
        response: Option<Response>,
    ) -> Result<ControlFlow<Response, Option<Authorization<'a>>>, Error> {
        let authorization = self.host.sign_in().authorization(self.transport(), self.api, &self.request.scopes).await;
        match (authorization, response) {
            (Ok(authorization), _) => Ok(ControlFlow::Continue(authorization)),
            (Err(error), Some(response))
                if (response.status == 403 && error.is_shared()) || error.is_want_of_credentials() =>
            {
                Ok(ControlFlow::Break(response))
            }
            (Err(Error { kind: ErrorKind::Stopped(reason), .. }), _) => Err(self.request.wire.stopped(reason)),
            (Err(error), _) => Err(error),
        }
    }

    /// Sends the request once there is room for it, unless that is too late.
    async fn send_in_time(&self, authorization: Option<&Secret>, attempt: u32) -> Result<Response, Error> {
        let _slot = self.host.request_permit(self.transport(), self.request).await?;
        if self.until.is_some_and(|until| until < Instant::now()) {
            return Err(Error::new(self.request.subject(), ErrorKind::PreconditionStale));
        }
        self.exchange(authorization, attempt).await
    }

    /// Sends the request once. Another registry, to which this one redirects, gets a token that anyone can get there.
    pub(super) async fn exchange(&self, authorization: Option<&Secret>, attempt: u32) -> Result<Response, Error> {
        let (transport, wire) = (self.transport(), &self.request.wire);
        let mut hop = Hop::first(self.api, self.url);
        loop {
            let challenged = match transport.exchange(wire, self.api, hop, authorization, attempt).await? {
                Exchange::Answered(response) => return Ok(response),
                Exchange::Challenged(challenged) => challenged,
            };
            let challenge = Challenge::of(challenged.headers());
            let tokens = self.client.anonymous_tokens();
            match tokens.get(transport, self.api, &challenged.hop.url, challenge).await {
                Some(token) => hop = challenged.hop.with_token(token),
                None => return transport.answer_of(wire, challenged).await,
            }
        }
    }

    /// Takes in what an answer says of signing in. Breaks with an answer that another try does not change.
    async fn take_in(
        &self,
        response: Response,
        authorization: Option<Authorization<'_>>,
        seen: &mut Seen<'_>,
    ) -> Result<ControlFlow<Response>, Error> {
        if response.redirect_host.is_some() {
            return Ok(ControlFlow::Break(response));
        }
        let sign_in = self.host.sign_in();
        let header = authorization.as_ref().map(|authorization| &authorization.header);
        if header.is_some() && response.status != 401 {
            sign_in.accepted();
        }
        let mut challenge = Challenge::of(&response.headers);
        // Some registries that anyone may read answer 403 to a write without credentials, and some to a token that is
        // good for too little (RFC 6750, section 3.1).
        let is_insufficient = challenge.as_ref().is_some_and(Challenge::is_insufficient);
        let is_refused = response.status == 401 || (response.status == 403 && (header.is_none() || is_insufficient));
        let was_refused = if header.is_some() { &mut seen.signed_refused } else { &mut seen.bare_refused };
        if !is_refused || std::mem::replace(was_refused, true) {
            return Ok(ControlFlow::Break(response));
        }
        if challenge.is_none() && header.is_none() {
            challenge = self.client.ping(self.host, self.api).await.ok().flatten();
        }
        if sign_in.challenged(challenge, header, &self.request.scopes).await {
            if seen.first.is_some() && response.version == Version::HTTP_11 {
                self.preconnect();
            }
            seen.response = Some(response);
            Ok(ControlFlow::Continue(()))
        } else if authorization.as_ref().is_some_and(|authorization| authorization.unproven.is_some()) {
            // Before the requests that wait for it try the same.
            let registry = self.host.registry();
            Err(self.client.refused(registry, self.request, &response).await)
        } else {
            Ok(ControlFlow::Break(response))
        }
    }

    /// Opens connections for the requests that wait: each of them will need one.
    fn preconnect(&self) {
        let waiting = self.host.waiting.load(Ordering::Relaxed);
        self.transport().connections().preconnect(self.api, waiting.min(self.client.concurrency() - 1));
    }
}

impl Client {
    /// Asks `GET /v2/`, once for a registry, for the challenge that another answer lacked.
    pub(crate) async fn ping(&self, host: &Host, api: &Url) -> Result<Option<Challenge>, Error> {
        let ask = async {
            let request = &Request::ping(api);
            let url = &resolve_location(api, api, &request.wire.target).map_err(|reason| request.protocol(reason))?;
            let handshake = Handshake { client: self, host, api, url, request, until: None };
            let response = handshake.exchange(None, 1).await?;
            // Whatever the status: a registry that anyone may read may answer 200 and still name its token service.
            Ok(Challenge::of(&response.headers).filter(|_| response.redirect_host.is_none()))
        };
        host.ping.get(&(), ask).await
    }
}
