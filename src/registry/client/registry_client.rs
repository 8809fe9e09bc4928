//! The client and the state that its clones share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use super::config::ClientConfig;
use super::host::Host;
use super::mirror_state::Mirrors;
use super::request::Request;
use crate::event::{Event, Events};
use crate::image::Reference;
use crate::memory::Budget;
use crate::registry::auth::anonymous_tokens::AnonymousTokens;
use crate::registry::auth::credentials::Credentials;
use crate::registry::auth::scopes::Scopes;
use crate::registry::error::Error;
use crate::registry::transport::attempts::Attempts;
use crate::registry::transport::{CancelToken, Hosts, RetryPolicy, Secrets, Traffic, Transport, TransportConfig};

/// A registry client. Clones are cheap and share connections, tokens and the state of each registry, so a process needs
/// only one client.
///
/// Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`. Connections to a loopback registry
/// bypass the proxy.
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

/// State shared by the clones of a client.
struct Shared {
    transport: Transport,
    concurrency: usize,
    credentials: Arc<Credentials>,
    anonymous_tokens: AnonymousTokens,
    /// Registries at which a mount failed after all retries.
    failing_mounts: Mutex<HashSet<String>>,
    /// Number of push intents per repository, as `HOST/REPOSITORY`; see [`Client::will_push`].
    push_intents: Mutex<HashMap<String, usize>>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    mirrors: Mirrors,
    /// Registries that are reached over plain HTTP if their port does not speak TLS.
    insecure: Hosts,
}

/// Announces writes to a repository until it is dropped; see [`Client::will_push`].
#[must_use]
pub(crate) struct PushIntent {
    client: Client,
    name: String,
}

impl Drop for PushIntent {
    fn drop(&mut self) {
        let mut push_intents = self.client.0.push_intents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = push_intents.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                push_intents.remove(&self.name);
            }
        }
    }
}

impl Client {
    /// Creates a client. It reads no files and opens no connections before the first request.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        let ClientConfig {
            plain_http,
            mut tls,
            credentials,
            registries_conf,
            concurrency,
            retry,
            idle_timeout,
            cancel_token,
            events,
        } = config;
        let insecure = registries_conf.insecure();
        tls.insecure = tls.insecure.and(&insecure);
        Self(Arc::new(Shared {
            transport: Transport::new(TransportConfig { plain_http, tls, retry, idle_timeout, cancel_token, events }),
            concurrency: concurrency.get(),
            credentials: Arc::new(Credentials::new(&credentials)),
            anonymous_tokens: AnonymousTokens::default(),
            failing_mounts: Mutex::default(),
            push_intents: Mutex::default(),
            hosts: Mutex::default(),
            mirrors: Mirrors::new(registries_conf),
            insecure,
        }))
    }

    /// Returns the token that stops this client's work early.
    #[must_use]
    pub fn cancel_token(&self) -> &CancelToken {
        self.transport().cancel_token()
    }

    /// Returns the receiver of events from this client and from the jobs that use it.
    pub(crate) fn events(&self) -> &Events {
        self.transport().events()
    }

    /// Returns the passwords and tokens sent so far.
    pub(crate) fn secrets(&self) -> &Secrets {
        self.transport().secrets()
    }

    /// Whether half of the memory budget is in use. Callers should then finish work before they start more.
    pub(crate) fn is_low_on_memory(&self) -> bool {
        self.budget().is_half_used()
    }

    /// Returns the memory budget for content read by this client and its users.
    pub(crate) fn budget(&self) -> &Budget {
        self.transport().budget()
    }

    /// Returns the traffic of this client and its clones so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.transport().traffic().total()
    }

    /// Announces writes to a repository. Until the result is dropped, reads in the repository also request the push
    /// scope, so that one token serves both.
    pub(crate) fn will_push(&self, repository: &Reference) -> PushIntent {
        let name = repository.without_name().to_string();
        *self.0.push_intents.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default() += 1;
        PushIntent { client: self.clone(), name }
    }

    /// Announces the repositories that a run writes and reads, so that one token can serve all of them in a registry. A
    /// registry with more repositories than a token request may name uses the first ones, the written ones before the
    /// others.
    pub(crate) fn announce<'r>(
        &self,
        written: impl Iterator<Item = &'r Reference>,
        read: impl Iterator<Item = &'r Reference>,
    ) {
        let mut scopes: HashMap<&str, Scopes> = HashMap::new();
        let all = written.map(|at| (at, &["pull", "push"][..])).chain(read.map(|at| (at, &["pull"][..])));
        for (reference, actions) in all {
            let repository = reference.repository();
            let of_registry = scopes.remove(reference.registry()).unwrap_or_else(|| Scopes::pull(repository));
            scopes.insert(reference.registry(), of_registry.and_if_possible(repository, actions));
        }
        for (registry, scopes) in scopes {
            self.host(registry).sign_in().announce(scopes);
        }
    }

    /// Opens connections to a registry before the requests that will need them. Does so only for plain HTTP: over TLS, one
    /// connection may serve all requests (HTTP/2).
    pub(crate) async fn preconnect(&self, registry: &str, count: usize) {
        if let Some(api) = self.plain_api(registry).await {
            self.transport().connections().preconnect(&api, count.min(self.concurrency()));
        }
    }

    /// Opens connections for the children of an index, the number of which is not known yet, as soon as the request for
    /// the index has its connection; once per registry. See [`Self::preconnect`].
    pub(crate) async fn preconnect_for_children(&self, registry: &str) {
        if !self.host(registry).is_preconnected.swap(true, Ordering::Relaxed)
            && let Some(api) = self.plain_api(registry).await
        {
            self.transport().connections().preconnect_after_next(&api, self.concurrency() - 1);
        }
    }

    /// Returns the URL of a registry without TLS, which no mirror stands in for.
    async fn plain_api(&self, registry: &str) -> Option<Url> {
        if self.mirrors().are_configured() {
            return None;
        }
        self.api(&self.host(registry)).await.ok().filter(|api| api.scheme() == "http")
    }

    /// Returns the scopes of a read in a repository, including push if writes are announced.
    pub(crate) fn scopes_to_read(&self, repository: &Reference) -> Scopes {
        let name = repository.without_name().to_string();
        match self.0.push_intents.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&name) {
            true => Scopes::push(repository.repository()),
            false => Scopes::pull(repository.repository()),
        }
    }

    /// Returns the maximum number of concurrent requests to one registry.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.0.concurrency
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.transport().retry()
    }

    /// Waits before a retry of work that failed with `error`, as long as before the retry of a request. `failed` is the
    /// number of failed attempts so far.
    ///
    /// # Errors
    ///
    /// Returns `error`, marked as permanent, if it is not transient, no retries are left, the run was stopped, or
    /// another part of the job failed.
    pub async fn wait_after(&self, error: &Error, failed: u32) -> Result<(), Error> {
        self.transport().wait_after(error, failed).await
    }

    /// Waits until the registry's pause is over, and starts counting the attempts of a request.
    pub(crate) async fn attempts<'a>(&'a self, registry: &'a str, request: &'a Request) -> Result<Attempts<'a>, Error> {
        let pause = Arc::clone(&self.host(registry).pause);
        Attempts::at_host(self.transport(), &request.wire, request.refers_to_new, registry, pause).await
    }

    /// Whether a mount failed at this registry after all retries.
    pub(crate) fn mounts_fail(&self, registry: &str) -> bool {
        self.0.failing_mounts.lock().unwrap_or_else(PoisonError::into_inner).contains(registry)
    }

    /// Records that a mount failed at this registry, so that no further mounts are tried there.
    pub(crate) fn record_mount_failure(&self, registry: &str, reason: &str) {
        if self.0.failing_mounts.lock().unwrap_or_else(PoisonError::into_inner).insert(registry.to_owned()) {
            self.emit(|| Event::MountsFail { registry: registry.to_owned(), reason: reason.to_owned() });
        }
    }

    pub(super) fn mirrors(&self) -> &Mirrors {
        &self.0.mirrors
    }

    pub(super) fn anonymous_tokens(&self) -> &AnonymousTokens {
        &self.0.anonymous_tokens
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    /// Reports an event of this client, with secrets and control characters removed.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        self.transport().emit(event);
    }

    /// Reports a warning unless it was reported before.
    pub(crate) fn emit_once(&self, event: Event) {
        self.transport().emit_once(event);
    }

    /// Returns the shared state of a registry.
    pub(crate) fn host(&self, registry: &str) -> Arc<Host> {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let credentials = Arc::clone(&self.0.credentials);
            Host::new(registry, self.concurrency(), credentials, self.0.insecure.contains(registry))
        };
        Arc::clone(hosts.entry(registry.to_owned()).or_insert_with(|| Arc::new(new())))
    }

    /// Returns the URL of a registry's API, which is detected once.
    pub(crate) async fn api(&self, host: &Host) -> Result<Url, Error> {
        host.api(self.transport()).await
    }
}
