use std::num::NonZeroUsize;
use std::time::Duration;

use crate::event::Events;
use crate::registry::auth::credentials::CredentialSources;
use crate::registry::transport::{CancelToken, Hosts, RetryPolicy, Tls};

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
    /// Where credentials come from. Defaults to `DOCKER_AUTH_CONFIG` and the files of Docker and Podman, in the order that
    /// [`CredentialSources`] lists.
    pub credentials: CredentialSources,
    /// The number of requests in flight at once to one registry. Defaults to 16: registries slow down clients that open
    /// more.
    pub concurrency: NonZeroUsize,
    /// Which requests are sent again, and when. Defaults to 5 retries and waits of at most 60 s.
    pub retry: RetryPolicy,
    /// How long a server may send nothing before the request fails. Defaults to 30 s.
    pub idle_timeout: Duration,
    /// Ends the client's work early when it is raised. Defaults to one that nothing raises.
    pub cancel_token: CancelToken,
    /// Receives what happens, such as requests, retries and warnings. Defaults to no receiver.
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
            cancel_token: CancelToken::default(),
            events: Events::default(),
        }
    }
}
