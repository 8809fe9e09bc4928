//! What is known about signing in to one registry, kept for the whole run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::challenge::Challenge;
use super::credentials::Credentials;
use crate::registry::error::{CredentialOrigin, Error, ErrorKind};

/// What is known about signing in to one registry.
pub(super) struct SignInState {
    /// The registry's host.
    pub(super) registry: String,
    /// Where credentials come from.
    pub(super) credentials: Arc<Credentials>,
    learned: Mutex<Learned>,
}

#[derive(Default)]
pub(super) struct Learned {
    /// What the registry last asked for.
    pub(super) challenge: Option<Challenge>,
    /// The token service failed for two repositories, and not for one.
    pub(super) one_scope_at_a_time: bool,
    /// The token service does not work, and user and password are sent to the registry itself.
    pub(super) is_without_tokens: bool,
    /// The registry or its token service took the credentials, for whatever it was.
    pub(super) accepted: bool,
    /// The registry or its token service refused the credentials of an origin before it had accepted any.
    pub(super) refused: HashMap<CredentialOrigin, Error>,
}

impl SignInState {
    pub(super) fn new(registry: &str, credentials: Arc<Credentials>) -> Self {
        Self { registry: registry.to_owned(), credentials, learned: Mutex::default() }
    }

    pub(super) fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the registry has said by now that it wants to be signed in to.
    pub(super) fn is_challenged(&self) -> bool {
        self.learned().challenge.is_some()
    }

    /// Whether user and password go to the registry itself.
    pub(super) fn is_basic(&self) -> bool {
        self.learned().challenge == Some(Challenge::Basic)
    }

    /// Gives up a token service that does not work, where the registry takes user and password itself. Returns whether it
    /// does.
    pub(super) fn fall_back_to_basic(&self) -> bool {
        let mut known = self.learned();
        let takes_basic = matches!(known.challenge, Some(Challenge::Bearer { or_basic: true, .. }));
        if takes_basic {
            known.challenge = Some(Challenge::Basic);
            known.is_without_tokens = true;
        }
        takes_basic
    }

    /// Takes in the challenge of an answer, if there is one. Returns whether the registry wants to be signed in to.
    pub(super) fn challenged(&self, challenge: Option<Challenge>) -> bool {
        let mut known = self.learned();
        let is_basic_enough =
            known.is_without_tokens && matches!(challenge, Some(Challenge::Bearer { or_basic: true, .. }));
        if challenge.is_some() && !is_basic_enough {
            known.challenge = challenge;
        }
        known.challenge.is_some()
    }

    pub(super) fn failed(&self, reason: String) -> Error {
        Error::new(self.registry.as_str(), ErrorKind::SignIn(reason.into()))
    }
}
