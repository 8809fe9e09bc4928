//! Sends requests, with retries and sign-in.

use std::time::Instant;

use futures_util::future::BoxFuture;

use super::handshake::Handshake;
use super::registry_client::Client;
use super::request::Request;
use crate::registry::auth::challenge::Challenge;
use crate::registry::error::Error;
use crate::registry::transport::redirects::resolve_location;
use crate::registry::transport::response::Response;

impl Client {
    /// Sends a request with retries, and signs in if the registry requires it. Returns responses of any status. A read
    /// may go to a mirror or another location, which registries.conf names.
    pub(crate) async fn send(&self, registry: &str, request: &Request) -> Result<Response, Error> {
        match self.redirection(registry, request)? {
            None => self.send_to(registry, request).await,
            Some(redirection) => Box::pin(self.send_redirected(request, redirection)).await,
        }
    }

    /// Sends a request to this registry.
    pub(super) async fn send_to(&self, registry: &str, request: &Request) -> Result<Response, Error> {
        let host = self.host(registry);
        let _prepared = host.prepared.acquire().await;
        // The future is boxed only after the wait, because thousands of requests may wait. Its type is erased because
        // it is too deep for the compiler to prove that the future of a job is `Send`.
        let sending: BoxFuture<'_, _> = Box::pin(async {
            let mut attempts = self.attempts(registry, request).await?;
            loop {
                if let Some(outcome) =
                    attempts.outcome_of(self.send_authorized(registry, request, attempts.failed())).await
                {
                    return outcome;
                }
            }
        });
        sending.await
    }

    /// Sends a request with retries and sign-in, and turns a response of 400 or above into an error. A denial names the
    /// credentials that were denied.
    pub(crate) async fn send_ok(&self, registry: &str, request: &Request) -> Result<Response, Error> {
        let response = self.send(registry, request).await?;
        if response.status >= 400 {
            return Err(self.response_error(registry, request, &response).await);
        }
        Ok(response)
    }

    /// Sends a request once, and again for each step of sign-in. `before` is the number of times it was sent before.
    pub(crate) async fn send_authorized(
        &self,
        registry: &str,
        request: &Request,
        before: u32,
    ) -> Result<Response, Error> {
        self.send_authorized_until(registry, request, before, None).await
    }

    /// Sends a request once, and again for each step of sign-in, but not after `until`.
    ///
    /// # Errors
    ///
    /// Fails with [`ErrorKind::PreconditionStale`](crate::registry::ErrorKind::PreconditionStale) if waiting for a
    /// token, a permit or the end of a pause took longer.
    pub(crate) async fn send_authorized_until(
        &self,
        registry: &str,
        request: &Request,
        before: u32,
        until: Option<Instant>,
    ) -> Result<Response, Error> {
        // Refuses writes to a blocked repository, which do not all go through `send`.
        self.redirection(registry, request)?;
        let host = &self.host(registry);
        let api = &self.api(host).await?;
        let transport = self.transport();
        let invalid_target = |reason: String| request.protocol(transport.secrets().scrub_foreign(&reason).into_owned());
        let url = resolve_location(api, api, &request.wire.target).map_err(invalid_target)?;
        // Report certificate files that cannot be read before sending: the registry did not cause this failure.
        transport.connections().client(api, api).map_err(|reason| request.protocol(reason))?;
        let handshake = Handshake { client: self, host, api, url: &url, request, until };
        if request.anonymous || url.origin() != api.origin() {
            // Send credentials only to the registry's own origin.
            let _permit = host.request_permit(transport, request).await?;
            return Box::pin(handshake.exchange(None, before + 1)).await;
        }
        Box::pin(handshake.run(before)).await
    }

    /// Converts an error response to an error. A 401 or 403 becomes an error that names the credentials.
    pub(crate) async fn response_error(&self, registry: &str, request: &Request, response: &Response) -> Error {
        if !matches!(response.status, 401 | 403) || response.redirect_host.is_some() {
            return response.error(request.subject());
        }
        let redirected = self.at_location(registry, request).ok().flatten();
        let (registry, request) =
            redirected.as_ref().map_or((registry, request), |(registry, request)| (registry.as_str(), request));
        let is_insufficient =
            Challenge::from_headers(&response.headers).is_some_and(|challenge| challenge.is_insufficient());
        let (host, response) = (self.host(registry), response.error_response());
        let sign_in = host.sign_in();
        sign_in.explain(self.transport(), request.subject(), &request.scopes, response, is_insufficient).await
    }
}
