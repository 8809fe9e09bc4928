//! What is known of a registry's host, and what all requests to it share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::sync::{MutexGuard, OnceCell, Semaphore, SemaphorePermit};
use url::Url;

use super::registry_client::Client;
use super::send::Request;
use crate::registry::auth::challenge::Challenge;
use crate::registry::auth::scopes::Scopes;
use crate::registry::auth::sign_in::SignIn;
use crate::registry::error::{Error, ErrorKind, Fault};
use crate::registry::transport::addresses::is_loopback;
use crate::registry::transport::answer::silent;
use crate::registry::transport::exchange::request_event;
use crate::registry::transport::failure::Failure;
use crate::registry::transport::hosts::api_url;
use crate::registry::transport::idle::Progress;
use crate::registry::transport::retry_group::RetryGroup;
use crate::single_flight::SingleFlight;

/// Held while a request is under way.
pub(crate) type Slot<'a> = Option<SemaphorePermit<'a>>;

pub(crate) struct Host {
    /// The URL of its API, once it is found out.
    api: SingleFlight<(), Url, Error>,
    pub(crate) sign_in: SignIn,
    /// Bounds the requests under way.
    slots: Semaphore,
    /// Bounds the requests that are prepared, each of which takes some 15 KB: those under way, and as many that wait for
    /// a token or for their turn. The others wait as what they were asked with, which is small.
    pub(crate) prepared: Semaphore,
    /// Whether a first answer has shown if sign-in is wanted.
    answered: AtomicBool,
    /// Locked by the request that finds out.
    finding_out: tokio::sync::Mutex<()>,
    /// Requests that wait for it.
    pub(crate) waiting: AtomicUsize,
    pub(crate) pause: Pause,
    /// What `GET /v2/` says of signing in.
    pub(crate) ping: OnceCell<Option<Challenge>>,
}

/// Held by the first request of a host until its answer, and what it says of signing in, are taken in; or until it is
/// clear that there is no answer, so that the others do not fail one after another.
pub(crate) struct First<'a> {
    host: &'a Host,
    _guard: MutexGuard<'a, ()>,
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        self.host.answered.store(true, Ordering::Release);
    }
}

/// A pause that becomes longer by this is told of again.
const NEWS: Duration = Duration::from_secs(1);

/// Until when a host is left alone.
#[derive(Default)]
pub(crate) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// Tells whether that is news: the host was not left alone already, or not for so long.
    pub(crate) fn begin(&self, time: Duration) -> bool {
        let now = Instant::now();
        let mut pause = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pause.filter(|until| *until > now);
        *pause = Some(before.map_or(now + time, |until| until.max(now + time)));
        before.is_none_or(|until| until + NEWS < now + time)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|until| until <= Instant::now())
    }

    pub(crate) async fn over(&self) {
        loop {
            let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match until.and_then(|until| until.checked_duration_since(Instant::now())) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return,
            }
        }
    }
}

impl Host {
    pub(crate) fn new(registry: &str, concurrency: usize) -> Self {
        Self {
            api: SingleFlight::default(),
            sign_in: SignIn::new(registry),
            slots: Semaphore::new(concurrency),
            prepared: Semaphore::new(concurrency.saturating_mul(2)),
            answered: AtomicBool::new(false),
            finding_out: tokio::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            pause: Pause::default(),
            ping: OnceCell::new(),
        }
    }
}

impl Client {
    /// Room for one request, once the host is not left alone: who waited for room may have missed that it is. When the
    /// run is to end no write begins any more.
    pub(crate) async fn slot<'h>(&self, host: &'h Host, request: &Request) -> Result<Slot<'h>, Error> {
        loop {
            if self.stop().raised().is_none() {
                // Who looks at what became of a write does not wait.
                let waited = self.stop().or(RetryGroup::or(host.pause.over())).await;
                if waited == Ok(None) && !host.pause.is_over() {
                    return Err(request.not_needed());
                }
            }
            let permit = if request.at_once { None } else { host.slots.acquire().await.ok() };
            match self.stop().raised() {
                Some(reason) if !request.is_read() => return Err(request.stopped(reason)),
                None if !host.pause.is_over() => {}
                _ => return Ok(permit),
            }
        }
    }

    /// The URL of a registry's API, found out once.
    pub(crate) async fn api(&self, registry: &str, host: &Host) -> Result<Url, Error> {
        host.api.get(&(), self.find_api(registry)).await
    }

    /// Where there are credentials for a registry, it is likely to want them, and each request sent before it says so
    /// would be sent twice: the first goes alone, and the others wait here for its answer.
    pub(crate) async fn first<'a>(&self, registry: &str, host: &'a Host, scopes: &Scopes) -> Option<First<'a>> {
        let known = || host.answered.load(Ordering::Acquire);
        if known() || !Box::pin(self.credentials().may_have(registry, scopes.repository())).await {
            return None;
        }
        host.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = host.finding_out.lock().await;
        host.waiting.fetch_sub(1, Ordering::Relaxed);
        if known() { None } else { Some(First { host, _guard: guard }) }
    }

    /// The URL of a registry's API. A loopback registry is tried with HTTPS, and spoken to without TLS if its port
    /// does not speak it; nothing secret is sent while finding out.
    async fn find_api(&self, registry: &str) -> Result<Url, Error> {
        let parse = |scheme: &str| {
            api_url(scheme, registry).map_err(|error| {
                Error::new(registry, ErrorKind::Protocol(format!("not a registry host: {error}").into()))
            })
        };
        let https = parse("https")?;
        if self.plain_http().contains(registry) {
            return parse("http");
        }
        if !is_loopback(&https) {
            return Ok(https);
        }
        let client = self
            .connections()
            .client(&https, &https)
            .map_err(|reason| Error::new(registry, ErrorKind::Protocol(reason.into())))?;
        let ping = https.join("v2/").unwrap_or_else(|_| https.clone());
        let started = Instant::now();
        // There may be none at all yet; what it speaks is not known.
        let unknown = |reason: String| {
            let kind = ErrorKind::Transport { request: String::new(), reason: reason.into(), unsent: true };
            Err(Error::transient(registry, kind))
        };
        let Some(probe) = Progress::new().within(self.idle_timeout(), client.get(ping.clone()).send()).await else {
            return unknown(silent(self.idle_timeout()));
        };
        self.emit(|| request_event(&Method::GET, &ping, None, &probe, started, 1));
        match probe.map_err(|error| self.connections().failure(&ping, &error)) {
            // What a server without TLS does with a TLS greeting: it answers in plain text, or hangs up.
            Err(Failure { fault: Some(Fault::NotTls | Fault::ClosedInHandshake), .. }) => parse("http"),
            Err(Failure { reason, is_transient: true, fault }) => {
                unknown(reason).map_err(|error| error.with_hint(fault.and_then(|fault| fault.hint(true))))
            }
            _ => Ok(https),
        }
    }
}
