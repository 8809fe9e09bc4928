//! The state of a registry's host, shared by all requests to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use reqwest::Method;
use tokio::sync::{MutexGuard, Semaphore, SemaphorePermit};
use url::Url;

use super::request::Request;
use crate::registry::auth::challenge::Challenge;
use crate::registry::auth::credentials::Credentials;
use crate::registry::auth::scopes::Scopes;
use crate::registry::auth::sign_in::SignIn;
use crate::registry::error::{Error, ErrorKind, TransportFault};
use crate::registry::transport::addresses::is_loopback;
use crate::registry::transport::dispatch::request_event;
use crate::registry::transport::failure::Failure;
use crate::registry::transport::handle::Transport;
use crate::registry::transport::hosts::api_url;
use crate::registry::transport::idle::Progress;
use crate::registry::transport::pause::Pause;
use crate::registry::transport::response::idle_message;
use crate::registry::transport::retry_group::RetryGroup;
use crate::single_flight::SingleFlight;

/// Held while a request is in flight. `None` for a request that does not count towards the limit.
pub(super) type RequestPermit<'a> = Option<SemaphorePermit<'a>>;

/// State shared by all requests to one registry.
pub(crate) struct Host {
    /// The registry's host in references.
    registry: String,
    /// The URL of the API, once it is known.
    api: SingleFlight<(), Url, Error>,
    sign_in: SignIn,
    /// Limits the requests in flight.
    permits: Semaphore,
    /// Limits the prepared requests, each of which takes about 15 KB: those in flight, and the same number again that
    /// wait for a token or a permit. Further requests wait before they are prepared, which takes little memory.
    pub(super) prepared: Semaphore,
    /// Whether the first request has completed, so that it is known whether the registry requires sign-in.
    is_first_done: AtomicBool,
    /// Whether connections were opened for the children of an index.
    pub(super) is_preconnected: AtomicBool,
    /// Locked by the first request.
    first_request: tokio::sync::Mutex<()>,
    /// Number of requests that wait for the first one.
    pub(super) waiting: AtomicUsize,
    pub(super) pause: Arc<Pause>,
    /// Whether plain HTTP is used if the port does not speak TLS, as for a loopback registry.
    may_lack_tls: bool,
    /// The challenge in the response to `GET /v2/`.
    pub(super) ping: SingleFlight<(), Option<Challenge>, Error>,
}

/// Held by the first request to a host until its response and challenge are processed. A first request without a
/// response releases it too, so that the waiting requests do not fail one after another.
pub(super) struct FirstRequest<'a> {
    host: &'a Host,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for FirstRequest<'_> {
    fn drop(&mut self) {
        self.host.is_first_done.store(true, Ordering::Release);
    }
}

impl Host {
    /// Creates the state of a registry with at most `concurrency` concurrent requests.
    pub(super) fn new(registry: &str, concurrency: usize, credentials: Arc<Credentials>, may_lack_tls: bool) -> Self {
        Self {
            registry: registry.to_owned(),
            api: SingleFlight::default(),
            sign_in: SignIn::new(registry, credentials),
            permits: Semaphore::new(concurrency),
            prepared: Semaphore::new(concurrency.saturating_mul(2)),
            is_first_done: AtomicBool::new(false),
            is_preconnected: AtomicBool::new(false),
            first_request: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            pause: Arc::default(),
            may_lack_tls,
            ping: SingleFlight::default(),
        }
    }

    pub(crate) fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// Waits for a permit and for the end of a pause, which may begin while the request waits for the permit. Once the
    /// run is stopped, writes fail instead.
    pub(super) async fn request_permit(
        &self,
        transport: &Transport,
        request: &Request,
    ) -> Result<RequestPermit<'_>, Error> {
        let stop = transport.cancel_token();
        loop {
            if stop.reason().is_none() {
                // Once the run is stopped, the remaining reads check the outcome of a write and skip the pause.
                let waited = stop.run_until_cancelled(RetryGroup::run_until_failed(self.pause.over())).await;
                if waited == Ok(None) && !self.pause.is_over() {
                    return Err(request.wire.not_needed());
                }
            }
            let permit = if request.is_urgent { None } else { self.permits.acquire().await.ok() };
            match stop.reason() {
                Some(reason) if !request.wire.is_read() => return Err(request.wire.stopped(reason)),
                None if !self.pause.is_over() => {}
                _ => return Ok(permit),
            }
        }
    }

    /// Holds other requests back until the first one has a response. A registry with configured credentials is likely
    /// to require them, and each request sent before its challenge is known would have to be sent twice. Returns `None`
    /// once the first request is done, or if no credentials are configured.
    pub(super) async fn claim_first_request(&self, scopes: &Scopes) -> Option<FirstRequest<'_>> {
        let is_done = || self.is_first_done.load(Ordering::Acquire);
        if is_done() || !Box::pin(self.sign_in.may_have_credentials(scopes.repository())).await {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = self.first_request.lock().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if is_done() { None } else { Some(FirstRequest { host: self, _guard: guard }) }
    }

    /// Returns the URL of the registry's API, which is detected once.
    pub(super) async fn api(&self, transport: &Transport) -> Result<Url, Error> {
        self.api.get(&(), self.detect_api(transport)).await
    }

    /// Detects the URL of the registry's API. A loopback registry, or one that may lack TLS, is probed with HTTPS, and
    /// used over plain HTTP if its port does not speak TLS. The probe carries no credentials.
    async fn detect_api(&self, transport: &Transport) -> Result<Url, Error> {
        let https = self.url("https")?;
        if transport.plain_http().contains(&self.registry) {
            return self.url("http");
        }
        if !is_loopback(&https) && !self.may_lack_tls {
            return Ok(https);
        }
        let client = transport.connections().client(&https, &https).map_err(|reason| self.protocol(reason))?;
        let ping = https.join("v2/").unwrap_or_else(|_| https.clone());
        let started = Instant::now();
        // The server may not be running yet, so its protocol stays unknown and the error is transient.
        let undetected = |reason: String| {
            let kind = ErrorKind::Transport { request: String::new(), reason: reason.into(), unsent: true };
            Error::transient(self.registry.as_str(), kind)
        };
        let idle_timeout = transport.idle_timeout();
        let Some(probe) = Progress::new().within(idle_timeout, client.get(ping.clone()).send()).await else {
            return Err(undetected(idle_message(idle_timeout)).with_fault(Some(TransportFault::IdleTimeout)));
        };
        transport.emit(|| request_event(&Method::GET, &ping, None, &probe, started, 1));
        let Err(error) = probe else { return Ok(https) };
        match transport.connections().failure(&ping, &error).await {
            // A server without TLS replies to a TLS handshake in plain text, or closes the connection.
            Failure { fault: Some(TransportFault::NotTls | TransportFault::ClosedInHandshake), .. } => self.url("http"),
            failure if failure.is_transient => {
                let (hint, fault) = (failure.hint(true), failure.fault);
                Err(undetected(failure.reason).with_fault(fault).with_hint(hint))
            }
            _ => Ok(https),
        }
    }

    fn url(&self, scheme: &str) -> Result<Url, Error> {
        api_url(scheme, &self.registry).map_err(|error| self.protocol(format!("not a registry host: {error}")))
    }

    fn protocol(&self, reason: String) -> Error {
        Error::protocol(&self.registry, reason)
    }
}
