use std::num::NonZeroUsize;
use std::time::Duration;

use super::registries_conf::RegistriesConf;
use crate::event::Events;
use crate::registry::auth::credentials::CredentialSources;
use crate::registry::transport::{CancelToken, Hosts, RetryPolicy, Tls};

/// Default maximum number of concurrent requests to one registry.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// Configuration of a [`Client`](super::Client). `ClientConfig::default()` suits most programs.
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
    /// Registries to reach over plain HTTP. Defaults to an empty set; the client always uses plain HTTP for a loopback
    /// registry that does not speak TLS.
    pub plain_http: Hosts,
    /// The trusted certificates. Defaults to those of the system.
    pub tls: Tls,
    /// The sources of credentials. Defaults to `DOCKER_AUTH_CONFIG` and the files of Docker and Podman, in the order
    /// documented at [`CredentialSources`].
    pub credentials: CredentialSources,
    /// Mirrors, other locations and blocked registries. Defaults to none: no file is read.
    pub registries_conf: RegistriesConf,
    /// Maximum number of concurrent requests to one registry. Defaults to 16, because registries throttle clients that
    /// send more.
    pub concurrency: NonZeroUsize,
    /// The retry policy. Defaults to 5 retries and waits of at most 60 s.
    pub retry: RetryPolicy,
    /// How long a connection may be idle before the request fails. Defaults to 30 s.
    pub idle_timeout: Duration,
    /// Stops the client's work early. Defaults to a token that is never cancelled.
    pub cancel_token: CancelToken,
    /// Receives events such as requests, retries and warnings. Defaults to no receiver.
    pub events: Events,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            plain_http: Hosts::default(),
            tls: Tls::default(),
            credentials: CredentialSources::default(),
            registries_conf: RegistriesConf::default(),
            concurrency: DEFAULT_CONCURRENCY,
            retry: RetryPolicy::default(),
            idle_timeout: Duration::from_secs(30),
            cancel_token: CancelToken::default(),
            events: Events::default(),
        }
    }
}
