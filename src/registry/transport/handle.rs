//! The state that all requests of a run share.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use url::Url;

use super::cancel_token::CancelToken;
use super::cleartext::CleartextWarnings;
use super::connections::Connections;
use super::hosts::Hosts;
use super::retry::RetryPolicy;
use super::secrets::Secrets;
use super::tls::Tls;
use super::traffic::TrafficCount;
use crate::event::{Event, Events, Level};
use crate::image::visible;
use crate::memory::Budget;

/// The configuration of a [`Transport`].
pub(crate) struct TransportConfig {
    /// Registries to reach over HTTP without TLS.
    pub(crate) plain_http: Hosts,
    pub(crate) tls: Tls,
    pub(crate) retry: RetryPolicy,
    /// How long a server may go without sending data.
    pub(crate) idle_timeout: Duration,
    pub(crate) cancel_token: CancelToken,
    pub(crate) events: Events,
}

/// Sends requests, with retries. Does not interpret credentials, but keeps them out of messages.
pub(crate) struct Transport {
    connections: Connections,
    plain_http: Hosts,
    retry: RetryPolicy,
    idle_timeout: Duration,
    cancel_token: CancelToken,
    budget: Budget,
    secrets: Secrets,
    traffic: TrafficCount,
    events: Events,
    cleartext: CleartextWarnings,
    /// Warnings that were reported, and are not repeated.
    warned: Mutex<HashSet<String>>,
}

/// The maximum number of different warnings that are reported.
const MAX_WARNINGS: usize = 100;

impl Transport {
    /// Creates a transport. Reads no file and opens no connection before the first request.
    pub(crate) fn new(config: TransportConfig) -> Self {
        let TransportConfig { plain_http, tls, retry, idle_timeout, cancel_token, events } = config;
        Self {
            connections: Connections::new(tls, idle_timeout),
            plain_http,
            retry,
            idle_timeout,
            cancel_token,
            budget: Budget::default(),
            secrets: Secrets::default(),
            traffic: TrafficCount::default(),
            events,
            cleartext: CleartextWarnings::default(),
            warned: Mutex::default(),
        }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(crate) fn plain_http(&self) -> &Hosts {
        &self.plain_http
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// How long a server may go without sending data.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Returns the token that cancels the run.
    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.cancel_token
    }

    /// Returns the memory budget for the data that the run reads.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Returns the passwords and tokens that were sent so far.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(crate) fn traffic(&self) -> &TrafficCount {
        &self.traffic
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Reports an event, with secrets and control characters removed.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        if !self.events.is_listening() {
            return;
        }
        let event = event();
        if !self.events.wants(event.level()) {
            return;
        }
        // A warning is the program's own text, where a short password may be an ordinary word.
        let is_own_text = event.level() == Level::Warning;
        let scrub = |text: &str| match is_own_text {
            true => visible(&self.secrets.scrub(text)),
            false => visible(&self.secrets.scrub_foreign(text)),
        };
        self.events.emit(&event.map_texts(scrub));
    }

    /// Reports a warning only once, as a registry may repeat it with every response.
    pub(crate) fn emit_once(&self, event: Event) {
        let is_new = {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            warned.len() < MAX_WARNINGS && warned.insert(event.to_string())
        };
        if is_new {
            self.emit(|| event);
        }
    }

    /// Warns, once per host, that credentials are about to be sent to it without encryption.
    pub(crate) fn warn_of_cleartext(&self, url: &Url) {
        if let Some(host) = self.cleartext.first_exposure(url) {
            self.emit(|| Event::CleartextCredentials { host });
        }
    }
}
