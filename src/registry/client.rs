use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cleartext::Warned;
use super::connections::Connections;
use super::error::{Error, ErrorKind};
use super::host::Host;
use super::hosts::Hosts;
use super::retry::RetryPolicy;
use super::secrets::Secrets;
use super::send::Request;
use super::sign_in::credentials::{CredentialSources, Credentials};
use super::sign_in::scopes::Scopes;
use super::sign_in::visitor::VisitorTokens;
use super::stop::Stop;
use super::tls::Tls;
use crate::image::visible;
use crate::memory::Budget;

/// Takes one line of debugging talk.
pub type Trace = Box<dyn Fn(&str) + Send + Sync>;

/// Requests under way at once to one registry, unless told otherwise. Registries slow a client down that opens more.
pub const DEFAULT_CONCURRENCY: usize = 16;

/// How long a server may say nothing, unless told otherwise.
pub const DEFAULT_SILENCE: Duration = Duration::from_secs(30);

/// How to reach registries.
#[derive(Default)]
pub struct Options {
    /// Registries to speak HTTP without TLS to.
    pub plain_http: Hosts,
    /// What certificates are believed.
    pub tls: Tls,
    /// Where credentials come from.
    pub credentials: CredentialSources,
    /// Requests under way at once to one registry; [`DEFAULT_CONCURRENCY`] where it is 0.
    pub concurrency: usize,
    /// What is sent again, and when.
    pub retry: RetryPolicy,
    /// How long a server may say nothing; [`DEFAULT_SILENCE`] where it is zero.
    pub silence: Duration,
    /// Raised to end before all is done.
    pub stop: Stop,
    /// Gets what users should know: waits, and registries' own warnings.
    pub warn: Option<Trace>,
    /// Gets a line for each request, for each host's credentials and for each token asked for; nothing secret is in
    /// them.
    pub trace: Option<Trace>,
}

/// A registry client: one for the process, so that connections, tokens and what is known of hosts are shared.
///
/// Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; a loopback registry is reached without one.
pub struct Client {
    plain_http: Hosts,
    cleartext: Warned,
    concurrency: usize,
    silence: Duration,
    connections: Connections,
    credentials: Arc<Credentials>,
    retry: RetryPolicy,
    stop: Stop,
    warn: Option<Trace>,
    warned: Mutex<HashSet<String>>,
    trace: Option<Trace>,
    budget: Budget,
    secrets: Secrets,
    visitor_tokens: VisitorTokens,
    /// Registries that failed at a mount to the end.
    failing_mounts: Mutex<HashSet<String>>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    traffic: TrafficCount,
}

/// What was sent so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Requests, those to token services and those sent again included.
    pub requests: usize,
    /// Requests that were sent again.
    pub retries: usize,
}

#[derive(Default)]
struct TrafficCount {
    requests: AtomicUsize,
    retries: AtomicUsize,
}

impl Client {
    /// A client; nothing is opened or read before the first request.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let silence = if options.silence.is_zero() { DEFAULT_SILENCE } else { options.silence };
        Self {
            plain_http: options.plain_http,
            cleartext: Warned::default(),
            concurrency: if options.concurrency == 0 { DEFAULT_CONCURRENCY } else { options.concurrency },
            connections: Connections::new(options.tls, silence),
            silence,
            retry: options.retry,
            stop: options.stop,
            warn: options.warn,
            warned: Mutex::default(),
            credentials: Arc::new(Credentials::new(&options.credentials)),
            trace: options.trace,
            budget: Budget::default(),
            secrets: Secrets::default(),
            visitor_tokens: VisitorTokens::default(),
            failing_mounts: Mutex::default(),
            hosts: Mutex::default(),
            traffic: TrafficCount::default(),
        }
    }

    /// Ends this client's work before all is done.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The passwords and tokens that were sent so far.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Whether half of the memory for what is read is in use: time to finish something before the next thing is begun.
    pub(crate) fn is_short_of_memory(&self) -> bool {
        self.budget.is_half_used()
    }

    /// The memory for what this client and its users read.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What was sent so far.
    pub fn traffic(&self) -> Traffic {
        let TrafficCount { requests, retries } = &self.traffic;
        Traffic { requests: requests.load(Ordering::Relaxed), retries: retries.load(Ordering::Relaxed) }
    }

    pub(super) fn count(&self, attempt: u32) {
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        self.traffic.retries.fetch_add(usize::from(attempt > 1), Ordering::Relaxed);
    }

    pub(super) fn plain_http(&self) -> &Hosts {
        &self.plain_http
    }

    pub(super) fn cleartext(&self) -> &Warned {
        &self.cleartext
    }

    /// Requests under way at once to one registry.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// How long a server may say nothing.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    pub(super) fn retry(&self) -> RetryPolicy {
        self.retry
    }

    pub(super) fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials)
    }

    /// Whether a registry has failed at a mount to the end.
    pub(super) fn fails_at_mounts(&self, registry: &str) -> bool {
        self.failing_mounts.lock().unwrap_or_else(PoisonError::into_inner).contains(registry)
    }

    /// Notes that a registry failed at a mount for this reason, for all further blobs of the run.
    pub(super) fn failed_at_mount(&self, registry: &str, reason: &str) {
        if self.failing_mounts.lock().unwrap_or_else(PoisonError::into_inner).insert(registry.to_owned()) {
            self.warn(format!("{registry} fails at mounting blobs ({reason}), which are sent instead"));
        }
    }

    pub(super) fn visitor_tokens(&self) -> &VisitorTokens {
        &self.visitor_tokens
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn warn(&self, line: String) {
        if let Some(warn) = &self.warn {
            warn(&visible(&self.secrets.scrub(&line)));
        }
    }

    /// A registry may say the same with every answer.
    pub(super) fn warn_once(&self, line: String) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < 100 && warned.insert(line.clone()) {
            self.warn(line);
        }
    }

    pub(super) fn trace(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace(&visible(&self.secrets.scrub_foreign(&line())));
        }
    }

    /// Whether a registry takes this run's credentials: asks it, and its token service where it names one.
    ///
    /// `false` says that it wants none, so that they could not be checked. Errors: they are refused, or there is no
    /// registry.
    pub async fn check_login(&self, registry: &str) -> Result<bool, Error> {
        let host = self.host(registry);
        let checking = async {
            let api = &self.api(registry, &host).await?;
            if let Some(challenge) = self.ping(&host, api).await? {
                host.sign_in.challenged(Some(challenge), None, &Scopes::default()).await;
            }
            self.send_ok(registry, &Request::ping(api)).await
        };
        let stopped = |reason| Error::new(registry, ErrorKind::Stopped(reason));
        self.stop.or(checking).await.map_err(stopped)??;
        Ok(host.sign_in.is_challenged())
    }

    pub(super) fn host(&self, registry: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Host::new(registry, self.concurrency);
        Arc::clone(hosts.entry(registry.to_owned()).or_insert_with(|| Arc::new(new())))
    }
}
