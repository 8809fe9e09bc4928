//! Sends requests: again where that may help, and with each step of signing in.

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
    /// Sends a request, signing in when the registry asks for it, and again where that may help. Answers of any
    /// status come back.
    pub(crate) async fn send(&self, registry: &str, request: &Request) -> Result<Response, Error> {
        let host = self.host(registry);
        let _prepared = host.prepared.acquire().await;
        // On the heap, and only now: thousands may wait for their turn. Without its type, which is too deep for the
        // compiler to see in a job's future that this one is `Send`.
        let sending: BoxFuture<'_, _> = Box::pin(async {
            let mut attempts = self.attempts(registry, request).await?;
            loop {
                if let Some(outcome) = attempts.outcome_of(self.send_signed(registry, request, attempts.failed())).await
                {
                    return outcome;
                }
            }
        });
        sending.await
    }

    /// Sends a request as [`Self::send`] does. An answer of 400 and above is an error; if rights are
    /// missing, it says whose.
    pub(crate) async fn send_ok(&self, registry: &str, request: &Request) -> Result<Response, Error> {
        let response = self.send(registry, request).await?;
        if response.status >= 400 {
            return Err(self.refused(registry, request, &response).await);
        }
        Ok(response)
    }

    /// Sends a request once, and once more for each step of signing in. `before` is how often it was sent already.
    pub(crate) async fn send_signed(&self, registry: &str, request: &Request, before: u32) -> Result<Response, Error> {
        self.send_signed_until(registry, request, before, None).await
    }

    /// Sends a request as [`Self::send_signed`] does, but not later than `until`.
    ///
    /// # Errors
    /// [`ErrorKind::PreconditionStale`](crate::registry::ErrorKind::PreconditionStale) if a token, or the registry's pause, took longer.
    pub(crate) async fn send_signed_until(
        &self,
        registry: &str,
        request: &Request,
        before: u32,
        until: Option<Instant>,
    ) -> Result<Response, Error> {
        let host = &self.host(registry);
        let api = &self.api(host).await?;
        let transport = self.transport();
        let refused = |reason: String| request.protocol(transport.secrets().scrub_foreign(&reason).into_owned());
        let url = resolve_location(api, api, &request.wire.target).map_err(refused)?;
        // Files of certificates that cannot be read are not the registry's doing.
        transport.connections().client(api, api).map_err(|reason| request.protocol(reason))?;
        let handshake = Handshake { client: self, host, api, url: &url, request, until };
        if request.unsigned || url.origin() != api.origin() {
            // Credentials are only for the registry's own origin.
            let _slot = host.request_permit(transport, request).await?;
            return Box::pin(handshake.exchange(None, before + 1)).await;
        }
        Box::pin(handshake.run(before)).await
    }

    /// The error that an answer is, in terms of credentials where it is about those.
    pub(crate) async fn refused(&self, registry: &str, request: &Request, response: &Response) -> Error {
        if !matches!(response.status, 401 | 403) || response.redirect_host.is_some() {
            return response.error(request.subject());
        }
        let is_insufficient = Challenge::of(&response.headers).is_some_and(|challenge| challenge.is_insufficient());
        let (host, response) = (self.host(registry), response.error_response());
        let sign_in = host.sign_in();
        sign_in.explain(self.transport(), request.subject(), &request.scopes, response, is_insufficient).await
    }
}
