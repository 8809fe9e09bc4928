//! Signing in to one registry: challenges, tokens, and whose credentials are sent where.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use url::Url;

use super::challenge::Challenge;
use super::credentials::{Found, Login, Looked};
use super::realm::checked_realm;
use super::scopes::Scopes;
use super::token::{Token, TokenError, TokenService, basic};
use super::token_cache::Slots;
use crate::event::Event;
use crate::registry::client::registry_client::Client;
use crate::registry::error::{Error, ErrorKind, Refusal};
use crate::registry::transport::redact::Secret;

/// What is known about signing in to one registry, kept for the whole run.
pub(crate) struct SignIn {
    pub(super) registry: String,
    known: Mutex<Known>,
    pub(super) slots: Slots,
    /// By repository. Locked while one is looked up: a helper is run once, however many wait for it.
    logins: tokio::sync::Mutex<HashMap<String, Looked>>,
    /// Locked by who tries credentials that nothing has accepted yet: wrong ones are tried once, not by all at once,
    /// which may lock an account.
    proving: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub(super) struct Known {
    challenge: Option<Challenge>,
    /// The token service failed for two repositories, and not for one.
    one_at_a_time: bool,
    /// The token service does not work, and user and password are sent to the registry itself.
    is_without_tokens: bool,
    /// The registry or its token service took the credentials, for whatever it was.
    pub(super) accepted: bool,
    /// The registry or its token service refused the credentials of a source before it had accepted any.
    pub(super) refused: HashMap<String, Error>,
}

/// What a request carries to be let in.
pub(crate) struct Authorization<'a> {
    pub(crate) header: Secret,
    /// Held while user and password are tried for the first time.
    pub(crate) proving: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl SignIn {
    pub(crate) fn new(registry: &str) -> Self {
        Self {
            registry: registry.to_owned(),
            known: Mutex::default(),
            slots: Slots::default(),
            logins: tokio::sync::Mutex::default(),
            proving: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the registry has said by now that it wants to be signed in to.
    pub(crate) fn is_challenged(&self) -> bool {
        self.known().challenge.is_some()
    }

    pub(super) fn is_basic(&self) -> bool {
        self.known().challenge == Some(Challenge::Basic)
    }

    /// Waits for whoever tries the credentials first.
    async fn first_to_prove(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if self.known().accepted {
            return None;
        }
        let proving = self.proving.lock().await;
        if self.known().accepted { None } else { Some(proving) }
    }

    /// What a request is to carry, if it is known by now that anything is wanted.
    pub(crate) async fn authorization(
        &self,
        client: &Client,
        api: &Url,
        scopes: &Scopes,
    ) -> Result<Option<Authorization<'_>>, Error> {
        let Some(challenge) = self.known().challenge.clone() else { return Ok(None) };
        let found = self.login(client, scopes.repository()).await?;
        let Challenge::Bearer { realm, service, .. } = challenge else {
            return self.basic(client, found.as_ref()).await.map(Some);
        };
        let realm = checked_realm(&realm, api).map_err(|reason| self.failed(reason))?;
        let service = TokenService { registry: &self.registry, api, realm, service };
        match self.token(client, &service, scopes, found.as_ref()).await {
            Ok(token) => Ok(Some(Authorization { header: token.header, proving: None })),
            // This or another request has found out that the token service does not work.
            Err(_) if self.is_basic() => self.basic(client, found.as_ref()).await.map(Some),
            Err(error) => Err(error),
        }
    }

    /// User and password, for the registry's own host.
    async fn basic(&self, client: &Client, found: Option<&Found>) -> Result<Authorization<'_>, Error> {
        let Some(found) = found else {
            let refusal = Refusal { status: 401, ..Refusal::default() };
            return Err(self.no_credentials(client, &self.registry, refusal));
        };
        let Login::Password { user, password } = &found.login else {
            return Err(self.failed("it wants user and password, and only a token is configured".into()));
        };
        let proving = self.first_to_prove().await;
        self.unless_refused(Some(found))?;
        Ok(Authorization { header: basic(user, password), proving })
    }

    /// Gives up a token service that does not work, where the registry takes user and password itself and they are known.
    fn give_up_tokens(&self, client: &Client, reason: &str) {
        let mut known = self.known();
        if let Some(Challenge::Bearer { or_basic: true, .. }) = known.challenge {
            let (registry, reason) = (self.registry.clone(), reason.to_owned());
            client.emit(|| Event::BasicInsteadOfToken { registry, reason });
            known.challenge = Some(Challenge::Basic);
            known.is_without_tokens = true;
        }
    }

    /// A fresh token from its slot, or from the token service.
    async fn token(
        &self,
        client: &Client,
        service: &TokenService<'_>,
        scopes: &Scopes,
        found: Option<&Found>,
    ) -> Result<Token, Error> {
        let locked = self.slots.of(scopes);
        let mut slot = locked.lock_or_failure().await?;
        if let Some(token) = slot.token.as_ref().filter(|token| token.is_fresh(Instant::now())) {
            return Ok(token.clone());
        }
        let _proving = if found.is_some() { self.first_to_prove().await } else { None };
        self.unless_refused(found)?;
        let login = found.map(|found| &found.login);
        let (own_alone, one_at_a_time) = (slot.wanted.own_alone(), self.known().one_at_a_time);
        let result = match &own_alone {
            Some(own) if one_at_a_time => service.fetch(client, own, login).await,
            _ => service.fetch(client, &slot.wanted, login).await,
        };
        let result = match (result, own_alone) {
            // Not for a 401, after which refused credentials would be tried once more; those that worked before are not
            // what it refuses.
            (Err(TokenError::Answer(answer)), Some(own))
                if !one_at_a_time && (answer.status != 401 || self.known().accepted) =>
            {
                let alone = service.fetch(client, &own, login).await;
                self.known().one_at_a_time |= alone.is_ok();
                alone
            }
            (result, _) => result,
        };
        match result {
            Ok(token) => {
                self.known().accepted |= found.is_some();
                Ok(slot.token.insert(token).clone())
            }
            Err(error) => {
                if let (Some(reason), Some(Login::Password { .. })) = (error.of_no_service(), login) {
                    self.give_up_tokens(client, &reason);
                }
                let error = match error {
                    TokenError::Other(error) | TokenError::NoService(error) => error,
                    TokenError::Answer(answer) => {
                        self.no_token(client, &service.realm, scopes.repository(), found, answer.refusal())
                    }
                };
                locked.failed(&mut slot, &error);
                Err(error)
            }
        }
    }

    /// The login for a repository, with its source.
    pub(super) async fn login(&self, client: &Client, repository: &str) -> Result<Option<Found>, Error> {
        let mut logins = self.logins.lock().await;
        if let Some(known) = logins.get(repository) {
            return known.clone().map_err(|reason| self.failed(reason));
        }
        let credentials = client.credentials();
        // A helper may take seconds, or never end. It writes nothing, so a run that stops does not wait for it.
        // On the heap: every request's future has this one in it.
        let looking = client.stop().or(Box::pin(credentials.find(&self.registry, repository))).await;
        let found = looking.map_err(|reason| Error::stopped(self.registry.as_str(), reason))?;
        if logins.values().all(|known| said(known) != said(&found)) {
            client.emit(|| Event::Credentials { registry: self.registry.clone(), source: said(&found) });
        }
        logins.insert(repository.to_owned(), found.clone());
        found.map_err(|reason| self.failed(reason))
    }

    /// Takes in a 401, or a 403 to a request without credentials. `used` is what the request carried. Tells whether
    /// trying again makes sense.
    pub(crate) async fn challenged(
        &self,
        challenge: Option<Challenge>,
        used: Option<&Secret>,
        scopes: &Scopes,
    ) -> bool {
        if let Some(Challenge::Bearer { scope, is_insufficient, .. }) = &challenge
            && !scope.is_empty()
        {
            let slot = self.slots.of(scopes);
            let mut slot = slot.lock().await;
            let wanted = slot.wanted.clone();
            slot.wanted = match *is_insufficient && used.is_some() && scopes.want_delete() {
                true => wanted.with_insufficient(scope),
                false => wanted.with_challenge(scope),
            };
        }
        if used.is_some() && self.is_basic() {
            return false; // user and password do not get better with time
        }
        if let Some(used) = used {
            // A token may have run out, or be for too little.
            let slot = self.slots.of(scopes);
            let mut slot = slot.lock().await;
            if slot.token.as_ref().is_some_and(|token| token.header == *used) {
                slot.token = None;
            }
        }
        let mut known = self.known();
        let is_basic_enough =
            known.is_without_tokens && matches!(challenge, Some(Challenge::Bearer { or_basic: true, .. }));
        if challenge.is_some() && !is_basic_enough {
            known.challenge = challenge;
        }
        known.challenge.is_some()
    }

    /// Takes in that a request with credentials was answered by anything but a 401.
    pub(crate) fn accepted(&self) {
        self.known().accepted = true;
    }

    fn failed(&self, reason: String) -> Error {
        Error::new(self.registry.as_str(), ErrorKind::SignIn(reason.into()))
    }
}

fn said(found: &Looked) -> String {
    match found {
        Ok(Some(found)) => format!("from {}", found.source),
        Ok(None) => "none".to_owned(),
        Err(reason) => reason.clone(),
    }
}
