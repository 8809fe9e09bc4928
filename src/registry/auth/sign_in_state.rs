//! The state of signing in to one registry, kept for the whole run.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::challenge::Challenge;
use super::credentials::{Credentials, SourcedLogin};
use crate::registry::error::{CredentialOrigin, Error, ErrorKind, ErrorResponse};

/// The state of signing in to one registry.
pub(super) struct SignInState {
    /// The registry's host.
    pub(super) registry: String,
    /// Finds credentials in their sources.
    pub(super) credentials: Arc<Credentials>,
    learned: Mutex<Learned>,
}

#[derive(Default)]
pub(super) struct Learned {
    /// The registry's latest challenge.
    pub(super) challenge: Option<Challenge>,
    /// The latest 401 to a request without credentials, for errors of requests that are not sent.
    pub(super) anonymous_response: Option<ErrorResponse>,
    /// The token service refused a token for two repositories, but issued one for a single repository.
    pub(super) one_scope_at_a_time: bool,
    /// The token service does not work, so user name and password are sent to the registry itself.
    pub(super) fell_back_to_basic: bool,
    /// The origins whose credentials the registry or its token service accepted, for any request. `None` if it accepted
    /// an anonymous token.
    accepted: HashSet<Option<CredentialOrigin>>,
    /// The origins whose credentials the registry or its token service refused before it had accepted them.
    pub(super) refused: HashMap<CredentialOrigin, Error>,
}

impl SignInState {
    pub(super) fn new(registry: &str, credentials: Arc<Credentials>) -> Self {
        Self { registry: registry.to_owned(), credentials, learned: Mutex::default() }
    }

    pub(super) fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the registry or its token service has accepted these credentials, or an anonymous token.
    pub(super) fn has_accepted(&self, credentials: Option<&SourcedLogin>) -> bool {
        self.learned().accepted.contains(&credentials.map(|credentials| credentials.origin.clone()))
    }

    /// Records that the registry or its token service has accepted the credentials from this origin.
    pub(super) fn accepted(&self, origin: Option<CredentialOrigin>) {
        self.learned().accepted.insert(origin);
    }

    /// Whether the registry has sent a challenge so far.
    pub(super) fn is_challenged(&self) -> bool {
        self.learned().challenge.is_some()
    }

    /// Whether user name and password are sent to the registry itself.
    pub(super) fn is_basic(&self) -> bool {
        self.learned().challenge == Some(Challenge::Basic)
    }

    /// Gives up on a token service that does not work if the registry also offers Basic. Returns whether it does.
    pub(super) fn fall_back_to_basic(&self) -> bool {
        let mut learned = self.learned();
        let offers_basic = matches!(learned.challenge, Some(Challenge::Bearer { or_basic: true, .. }));
        if offers_basic {
            learned.challenge = Some(Challenge::Basic);
            learned.fell_back_to_basic = true;
        }
        offers_basic
    }

    /// Records a response's challenge, if it has one. Returns whether the registry has sent a challenge so far.
    pub(super) fn challenged(&self, challenge: Option<Challenge>) -> bool {
        let mut learned = self.learned();
        let keeps_basic =
            learned.fell_back_to_basic && matches!(challenge, Some(Challenge::Bearer { or_basic: true, .. }));
        if challenge.is_some() && !keeps_basic {
            learned.challenge = challenge;
        }
        learned.challenge.is_some()
    }

    pub(super) fn error(&self, reason: String) -> Error {
        Error::new(self.registry.as_str(), ErrorKind::SignIn(reason.into()))
    }
}
