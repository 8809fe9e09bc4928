//! What is known of a registry's host, and what all requests to it share.

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
use crate::registry::transport::response::silent;
use crate::registry::transport::retry_group::RetryGroup;
use crate::single_flight::SingleFlight;

/// Held while a request is under way.
pub(super) type RequestPermit<'a> = Option<SemaphorePermit<'a>>;

/// One registry.
pub(crate) struct Host {
    /// The name by which references name it.
    registry: String,
    /// The URL of its API, once it is found out.
    api: SingleFlight<(), Url, Error>,
    sign_in: SignIn,
    /// Limits the requests under way.
    permits: Semaphore,
    /// Limits the requests that are prepared, each of which takes some 15 KB: those under way, and as many that wait for
    /// a token or for their turn. The others wait before they are prepared, which takes little memory.
    pub(super) prepared: Semaphore,
    /// Whether a first answer has shown if sign-in is wanted.
    answered: AtomicBool,
    /// Locked by the request that finds out.
    first_request: tokio::sync::Mutex<()>,
    /// Requests that wait for it.
    pub(super) waiting: AtomicUsize,
    pub(super) pause: Arc<Pause>,
    /// What `GET /v2/` says of signing in.
    pub(super) ping: SingleFlight<(), Option<Challenge>, Error>,
}

/// Held by the first request of a host until its answer, and what it says of signing in, are taken in; or until it is
/// clear that there is no answer, so that the others do not fail one after another.
pub(super) struct FirstRequest<'a> {
    host: &'a Host,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for FirstRequest<'_> {
    fn drop(&mut self) {
        self.host.answered.store(true, Ordering::Release);
    }
}

impl Host {
    /// A registry to which at most `concurrency` requests are under way at once.
    pub(super) fn new(registry: &str, concurrency: usize, credentials: Arc<Credentials>) -> Self {
        Self {
            registry: registry.to_owned(),
            api: SingleFlight::default(),
            sign_in: SignIn::new(registry, credentials),
            permits: Semaphore::new(concurrency),
            prepared: Semaphore::new(concurrency.saturating_mul(2)),
            answered: AtomicBool::new(false),
            first_request: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            pause: Arc::default(),
            ping: SingleFlight::default(),
        }
    }

    pub(crate) fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// Waits for room for one request, and for the end of a pause: one may begin while a request waits for room. Once the
    /// run is stopped no write begins any more.
    pub(super) async fn request_permit(
        &self,
        transport: &Transport,
        request: &Request,
    ) -> Result<RequestPermit<'_>, Error> {
        let stop = transport.cancel_token();
        loop {
            if stop.reason().is_none() {
                // A read that finds out what became of a write does not wait.
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

    /// Where there are credentials for a registry, it is likely to want them, and each request sent before it says so
    /// would be sent twice: the first is sent by itself, and the others wait here for its answer.
    pub(super) async fn first(&self, scopes: &Scopes) -> Option<FirstRequest<'_>> {
        let known = || self.answered.load(Ordering::Acquire);
        if known() || !Box::pin(self.sign_in.may_have_credentials(scopes.repository())).await {
            return None;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = self.first_request.lock().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if known() { None } else { Some(FirstRequest { host: self, _guard: guard }) }
    }

    /// The URL of the registry's API, found out once.
    pub(super) async fn api(&self, transport: &Transport) -> Result<Url, Error> {
        self.api.get(&(), self.find_api(transport)).await
    }

    /// Finds the URL of the registry's API. A loopback registry is tried with HTTPS, and spoken to without TLS if its port
    /// does not speak it; nothing secret is sent while finding out.
    async fn find_api(&self, transport: &Transport) -> Result<Url, Error> {
        let https = self.url("https")?;
        if transport.plain_http().contains(&self.registry) {
            return self.url("http");
        }
        if !is_loopback(&https) {
            return Ok(https);
        }
        let client = transport.connections().client(&https, &https).map_err(|reason| self.protocol(reason))?;
        let ping = https.join("v2/").unwrap_or_else(|_| https.clone());
        let started = Instant::now();
        // No server may be there at all yet; what it speaks is not known.
        let unknown = |reason: String| {
            let kind = ErrorKind::Transport { request: String::new(), reason: reason.into(), unsent: true };
            Error::transient(self.registry.as_str(), kind)
        };
        let idle_timeout = transport.idle_timeout();
        let Some(probe) = Progress::new().within(idle_timeout, client.get(ping.clone()).send()).await else {
            return Err(unknown(silent(idle_timeout)).with_fault(Some(TransportFault::Silent)));
        };
        transport.emit(|| request_event(&Method::GET, &ping, None, &probe, started, 1));
        match probe.map_err(|error| transport.connections().failure(&ping, &error)) {
            // What a server without TLS does with a TLS greeting: it answers in plain text, or hangs up.
            Err(Failure { fault: Some(TransportFault::NotTls | TransportFault::ClosedInHandshake), .. }) => {
                self.url("http")
            }
            Err(failure) if failure.is_transient => {
                let (hint, fault) = (failure.hint(true), failure.fault);
                Err(unknown(failure.reason).with_fault(fault).with_hint(hint))
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
