use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::host::Host;
use super::send::Request;
use crate::event::{Event, Events, Level};
use crate::image::{Reference, visible};
use crate::memory::Budget;
use crate::registry::auth::credentials::{CredentialSources, Credentials};
use crate::registry::auth::scopes::Scopes;
use crate::registry::auth::visitor_tokens::VisitorTokens;
use crate::registry::error::{Error, ErrorKind};
use crate::registry::transport::cleartext::Warned;
use crate::registry::transport::connections::Connections;
use crate::registry::transport::hosts::Hosts;
use crate::registry::transport::retry::RetryPolicy;
use crate::registry::transport::secrets::Secrets;
use crate::registry::transport::stop::Stop;
use crate::registry::transport::tls::Tls;

/// Requests in flight at once to one registry, unless the configuration says otherwise.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// How to reach registries. `ClientConfig::default()` suits most programs.
///
/// ```
/// use std::time::Duration;
///
/// use manifest_tool::registry::{Client, ClientConfig};
///
/// let config = ClientConfig { idle_timeout: Duration::from_secs(10), ..ClientConfig::default() };
/// let client = Client::new(config);
/// ```
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Registries to reach over HTTP without TLS. Defaults to none; a loopback registry that does not speak TLS is reached
    /// without it in any case.
    pub plain_http: Hosts,
    /// Which certificates are trusted. Defaults to the system's.
    pub tls: Tls,
    /// Where credentials come from. Defaults to the environment and the files of Docker and Podman.
    pub credentials: CredentialSources,
    /// Requests in flight at once to one registry. Defaults to 16: registries slow down clients that open more.
    pub concurrency: NonZeroUsize,
    /// Which requests are sent again, and when. Defaults to 5 retries and waits of at most 60 s.
    pub retry: RetryPolicy,
    /// How long a server may send nothing before the request fails. Defaults to 30 s.
    pub idle_timeout: Duration,
    /// Ends the client's work early. Defaults to one that nothing raises.
    pub stop: Stop,
    /// Gets what happens, such as requests, retries and warnings. Defaults to none.
    pub events: Events,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            plain_http: Hosts::default(),
            tls: Tls::default(),
            credentials: CredentialSources::default(),
            concurrency: DEFAULT_CONCURRENCY,
            retry: RetryPolicy::default(),
            idle_timeout: Duration::from_secs(30),
            stop: Stop::default(),
            events: Events::default(),
        }
    }
}

/// A registry client. Cheap to clone: clones share connections, tokens and what is known of each registry, so a process
/// needs one.
///
/// Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`; a loopback registry is reached without
/// one.
///
/// ```
/// use manifest_tool::image::Reference;
/// use manifest_tool::registry::{Client, ClientConfig, Error};
///
/// async fn newest(client: &Client) -> Result<Vec<String>, Error> {
///     let repository: Reference = "registry.example/app".parse().expect("a valid repository");
///     client.tags(&repository, 10).await
/// }
///
/// let client = Client::new(ClientConfig::default());
/// let _newest = newest(&client);
/// ```
#[derive(Clone)]
pub struct Client(Arc<Shared>);

/// What the clones of a client share.
struct Shared {
    plain_http: Hosts,
    cleartext: Warned,
    concurrency: usize,
    idle_timeout: Duration,
    connections: Connections,
    credentials: Arc<Credentials>,
    retry: RetryPolicy,
    stop: Stop,
    events: Events,
    /// Warnings that were given, and are not given again.
    warned: Mutex<HashSet<String>>,
    budget: Budget,
    secrets: Secrets,
    visitor_tokens: VisitorTokens,
    /// Registries that failed at a mount to the end.
    failing_mounts: Mutex<HashSet<String>>,
    /// The repositories that this client writes to, as `HOST/REPOSITORY`; see [`Client::will_push`].
    written: Mutex<HashSet<String>>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    traffic: TrafficCount,
}

/// Different warnings of registries that are passed on, each once.
const MAX_WARNINGS: usize = 100;

/// What was sent so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Requests, including those to token services and those sent again.
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
    /// A client. Nothing is opened or read before the first request.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Self(Arc::new(Shared {
            plain_http: config.plain_http,
            cleartext: Warned::default(),
            concurrency: config.concurrency.get(),
            connections: Connections::new(config.tls, config.idle_timeout),
            idle_timeout: config.idle_timeout,
            retry: config.retry,
            stop: config.stop,
            events: config.events,
            warned: Mutex::default(),
            credentials: Arc::new(Credentials::new(&config.credentials)),
            budget: Budget::default(),
            secrets: Secrets::default(),
            visitor_tokens: VisitorTokens::default(),
            failing_mounts: Mutex::default(),
            written: Mutex::default(),
            hosts: Mutex::default(),
            traffic: TrafficCount::default(),
        }))
    }

    /// Ends this client's work before all is done.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// Where the events of this client, and of the jobs that use it, go.
    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    /// The passwords and tokens that were sent so far.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.0.secrets
    }

    /// Whether half of the memory for what is read is in use: time to finish something before the next thing is begun.
    pub(crate) fn is_short_of_memory(&self) -> bool {
        self.0.budget.is_half_used()
    }

    /// The memory for what this client and its users read.
    pub(crate) fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// What was sent so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let TrafficCount { requests, retries } = &self.0.traffic;
        Traffic { requests: requests.load(Ordering::Relaxed), retries: retries.load(Ordering::Relaxed) }
    }

    pub(crate) fn count(&self, attempt: u32) {
        self.0.traffic.requests.fetch_add(1, Ordering::Relaxed);
        self.0.traffic.retries.fetch_add(usize::from(attempt > 1), Ordering::Relaxed);
    }

    /// Announces that a repository will be written to: reads in it then ask for the right to push as well, so that one
    /// token serves for both.
    pub(crate) fn will_push(&self, repository: &Reference) {
        let name = repository.without_name().to_string();
        self.0.written.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
    }

    /// The scopes of a read in a repository: with the right to push where that will be needed.
    pub(crate) fn scopes_to_read(&self, repository: &Reference) -> Scopes {
        let name = repository.without_name().to_string();
        match self.0.written.lock().unwrap_or_else(PoisonError::into_inner).contains(&name) {
            true => Scopes::push(repository.repository()),
            false => Scopes::pull(repository.repository()),
        }
    }

    pub(crate) fn plain_http(&self) -> &Hosts {
        &self.0.plain_http
    }

    pub(crate) fn cleartext(&self) -> &Warned {
        &self.0.cleartext
    }

    /// Requests in flight at once to one registry.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.0.concurrency
    }

    /// How long a server may send nothing.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.0.idle_timeout
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.0.retry
    }

    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.0.credentials)
    }

    /// Whether a registry has failed at a mount to the end.
    pub(crate) fn fails_at_mounts(&self, registry: &str) -> bool {
        self.0.failing_mounts.lock().unwrap_or_else(PoisonError::into_inner).contains(registry)
    }

    /// Notes that a registry failed at a mount for this reason, for all further blobs of the run.
    pub(crate) fn failed_at_mount(&self, registry: &str, reason: &str) {
        if self.0.failing_mounts.lock().unwrap_or_else(PoisonError::into_inner).insert(registry.to_owned()) {
            self.emit(|| Event::MountsFail { registry: registry.to_owned(), reason: reason.to_owned() });
        }
    }

    pub(crate) fn visitor_tokens(&self) -> &VisitorTokens {
        &self.0.visitor_tokens
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }

    /// Reports an event of this client, without secrets and control characters.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if !self.0.events.is_listening() {
            return;
        }
        let event = event();
        // What the program says itself may hold a short password as a word like any other.
        let is_own = event.level() == Level::Warning;
        let scrub = |text: &str| match is_own {
            true => visible(&self.0.secrets.scrub(text)),
            false => visible(&self.0.secrets.scrub_foreign(text)),
        };
        self.0.events.emit(&event.map_texts(scrub));
    }

    /// Reports a warning once: a registry may give the same one with every answer.
    pub(crate) fn emit_once(&self, event: Event) {
        let mut warned = self.0.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < MAX_WARNINGS && warned.insert(event.to_string()) {
            self.emit(|| event);
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
        self.stop().or(checking).await.map_err(stopped)??;
        Ok(host.sign_in.is_challenged())
    }

    pub(crate) fn host(&self, registry: &str) -> Arc<Host> {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Host::new(registry, self.concurrency());
        Arc::clone(hosts.entry(registry.to_owned()).or_insert_with(|| Arc::new(new())))
    }
}
