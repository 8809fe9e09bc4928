//! The client, and what its clones share.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use super::config::ClientConfig;
use super::host::Host;
use super::request::Request;
use crate::event::{Event, Events};
use crate::image::Reference;
use crate::memory::Budget;
use crate::registry::auth::anonymous_tokens::AnonymousTokens;
use crate::registry::auth::credentials::Credentials;
use crate::registry::auth::scopes::Scopes;
use crate::registry::error::Error;
use crate::registry::transport::attempts::Attempts;
use crate::registry::transport::{CancelToken, RetryPolicy, Secrets, Traffic, Transport, TransportConfig};

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
    transport: Transport,
    concurrency: usize,
    credentials: Arc<Credentials>,
    anonymous_tokens: AnonymousTokens,
    /// Registries that failed at a mount to the end.
    failing_mounts: Mutex<HashSet<String>>,
    /// The repositories that this client writes to, as `HOST/REPOSITORY`; see [`Client::will_push`].
    written: Mutex<HashMap<String, usize>>,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// Announces writes to a repository while it lives; see [`Client::will_push`].
#[must_use]
pub(crate) struct PushIntent {
    client: Client,
    name: String,
}

impl Drop for PushIntent {
    fn drop(&mut self) {
        let mut written = self.client.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = written.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                written.remove(&self.name);
            }
        }
    }
}

impl Client {
    /// Creates a client. No file is read and no connection opened before the first request.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        let ClientConfig { plain_http, tls, credentials, concurrency, retry, idle_timeout, cancel_token, events } =
            config;
        Self(Arc::new(Shared {
            transport: Transport::new(TransportConfig { plain_http, tls, retry, idle_timeout, cancel_token, events }),
            concurrency: concurrency.get(),
            credentials: Arc::new(Credentials::new(&credentials)),
            anonymous_tokens: AnonymousTokens::default(),
            failing_mounts: Mutex::default(),
            written: Mutex::default(),
            hosts: Mutex::default(),
        }))
    }

    /// Ends this client's work early when it is raised.
    #[must_use]
    pub fn cancel_token(&self) -> &CancelToken {
        self.transport().cancel_token()
    }

    /// Where the events of this client, and of the jobs that use it, go.
    pub(crate) fn events(&self) -> &Events {
        self.transport().events()
    }

    /// The passwords and tokens that were sent so far.
    pub(crate) fn secrets(&self) -> &Secrets {
        self.transport().secrets()
    }

    /// Whether half of the memory for what is read is in use: time to finish something before the next thing is begun.
    pub(crate) fn is_low_on_memory(&self) -> bool {
        self.budget().is_half_used()
    }

    /// The memory for what this client and its users read.
    pub(crate) fn budget(&self) -> &Budget {
        self.transport().budget()
    }

    /// What was sent so far, by this client and its clones.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.transport().traffic().total()
    }

    /// Announces that a repository will be written to: until the result is dropped, reads in it ask for the right to push
    /// as well, so that one token serves for both.
    pub(crate) fn will_push(&self, repository: &Reference) -> PushIntent {
        let name = repository.without_name().to_string();
        *self.0.written.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default() += 1;
        PushIntent { client: self.clone(), name }
    }

    /// The scopes of a read in a repository: with the right to push where that will be needed.
    pub(crate) fn scopes_to_read(&self, repository: &Reference) -> Scopes {
        let name = repository.without_name().to_string();
        match self.0.written.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&name) {
            true => Scopes::push(repository.repository()),
            false => Scopes::pull(repository.repository()),
        }
    }

    /// The number of requests in flight at once to one registry.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.0.concurrency
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.transport().retry()
    }

    /// Waits before work that ended in `error` is done again, as long as before a request is sent again. `failed` is the
    /// number of times that the work failed so far.
    ///
    /// # Errors
    /// `error` itself: another try does not help, or no more are made, or the run was stopped.
    pub async fn wait_after(&self, error: &Error, failed: u32) -> Result<(), Error> {
        self.transport().wait_after(error, failed).await
    }

    /// Begins the tries of a request, once its registry's pause is over.
    pub(crate) async fn attempts<'a>(&'a self, registry: &'a str, request: &'a Request) -> Result<Attempts<'a>, Error> {
        let pause = Arc::clone(&self.host(registry).pause);
        Attempts::at_host(self.transport(), &request.wire, request.refers_to_new, registry, pause).await
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

    pub(super) fn anonymous_tokens(&self) -> &AnonymousTokens {
        &self.0.anonymous_tokens
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    /// Reports an event of this client, without secrets and control characters.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        self.transport().emit(event);
    }

    /// Reports a warning once.
    pub(crate) fn emit_once(&self, event: Event) {
        self.transport().emit_once(event);
    }

    pub(crate) fn host(&self, registry: &str) -> Arc<Host> {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Host::new(registry, self.concurrency(), Arc::clone(&self.0.credentials));
        Arc::clone(hosts.entry(registry.to_owned()).or_insert_with(|| Arc::new(new())))
    }

    /// The URL of a registry's API, found out once.
    pub(crate) async fn api(&self, host: &Host) -> Result<Url, Error> {
        host.api(self.transport()).await
    }
}
