//! Signing in to one registry: challenges, tokens, and whose credentials are sent where.

pub(in crate::registry) mod challenge;
pub(in crate::registry) mod credentials;
pub(in crate::registry) mod realm;
pub(in crate::registry) mod scopes;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use url::Url;

use crate::registry::client::Client;
use crate::registry::error::{Denial, Denied, Error, ErrorKind, RegistryMessage, registry_messages};
use crate::registry::redact::{Secret, redacted};
use challenge::Challenge;
use credentials::{Found, Login, Looked};
use realm::checked_realm;
use scopes::Scopes;
use token::{Token, TokenError, TokenService, basic};

/// What is known about signing in to one registry, kept for the whole run.
pub(in crate::registry) struct SignIn {
    registry: String,
    known: Mutex<Known>,
    /// By repository. Locked while one is looked up: a helper is run once, however many wait for it.
    logins: tokio::sync::Mutex<HashMap<String, Looked>>,
}

#[derive(Default)]
struct Known {
    challenge: Option<Challenge>,
    /// Tokens by what was asked of them. A slot is locked while its token is fetched, so that all who want the same
    /// one wait for one request.
    slots: HashMap<Scopes, Arc<tokio::sync::Mutex<Slot>>>,
    /// What challenges asked for besides, by the request's own scopes.
    asked_besides: HashMap<Scopes, Scopes>,
    /// The token service failed for two repositories, and not for one.
    one_at_a_time: bool,
    /// A request with credentials went through.
    accepted: bool,
    /// The registry or its token service refused the credentials of a source: asking again may lock an account.
    refused: HashMap<String, Error>,
}

#[derive(Default)]
struct Slot {
    token: Option<Token>,
}

impl SignIn {
    pub(in crate::registry) fn new(registry: &str) -> Self {
        Self { registry: registry.to_owned(), known: Mutex::default(), logins: tokio::sync::Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the registry has said by now that it wants to be signed in to.
    pub(in crate::registry) fn is_challenged(&self) -> bool {
        self.known().challenge.is_some()
    }

    /// The `Authorization` value for a request, if it is known by now that one is wanted.
    pub(in crate::registry) async fn authorization(
        &self,
        client: &Client,
        api: &Url,
        scopes: &Scopes,
    ) -> Result<Option<Secret>, Error> {
        let Some(challenge) = self.known().challenge.clone() else { return Ok(None) };
        let found = self.login(client, scopes.repository()).await?;
        self.unless_refused(found.as_ref())?;
        match challenge {
            Challenge::Basic => match found.map(|found| found.login) {
                Some(Login::Password { user, password }) => Ok(Some(basic(&user, &password))),
                Some(_) => Err(self.failed("it wants user and password, and only a token is configured".into())),
                None => Err(self.denied(&self.registry, Denial::NoCredentials, 401, Vec::new())),
            },
            Challenge::Bearer { realm, service, .. } => {
                let realm = checked_realm(&realm, api).map_err(|reason| self.failed(reason))?;
                let service = TokenService { registry: &self.registry, api, realm, service };
                self.token(client, &service, scopes, found.as_ref()).await.map(|token| Some(token.header))
            }
        }
    }

    fn unless_refused(&self, found: Option<&Found>) -> Result<(), Error> {
        let known = self.known();
        found.and_then(|found| known.refused.get(&found.source)).map_or(Ok(()), |error| Err(error.clone()))
    }

    /// A fresh token from its slot, or from the token service.
    async fn token(
        &self,
        client: &Client,
        service: &TokenService<'_>,
        scopes: &Scopes,
        found: Option<&Found>,
    ) -> Result<Token, Error> {
        let slot = self.slot(scopes);
        let mut slot = slot.lock().await;
        if let Some(token) = slot.token.as_ref().filter(|token| token.is_fresh(Instant::now())) {
            return Ok(token.clone());
        }
        // Those who waited here while the credentials were refused do not ask again.
        self.unless_refused(found)?;
        let (wanted, one_at_a_time) = {
            let known = self.known();
            (known.asked_besides.get(scopes).unwrap_or(scopes).clone(), known.one_at_a_time)
        };
        let login = found.map(|found| &found.login);
        let own_alone = wanted.own_alone();
        let result = match &own_alone {
            Some(own) if one_at_a_time => service.fetch(client, own, login).await,
            _ => service.fetch(client, &wanted, login).await,
        };
        let result = match (result, own_alone) {
            (Err(TokenError::Answer(..)), Some(own)) if !one_at_a_time => {
                let alone = service.fetch(client, &own, login).await;
                self.known().one_at_a_time |= alone.is_ok();
                alone
            }
            (result, _) => result,
        };
        match result {
            Ok(token) => Ok(slot.token.insert(token).clone()),
            Err(TokenError::Other(error)) => Err(error),
            Err(TokenError::Answer(status, body)) => {
                Err(self.no_token(&service.realm, &wanted, found, status, registry_messages(&body)))
            }
        }
    }

    fn slot(&self, scopes: &Scopes) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut known = self.known();
        if let Some(slot) = known.slots.get(scopes) {
            return Arc::clone(slot);
        }
        let wider = known.slots.iter().find(|(asked, _)| asked.cover(scopes)).map(|(_, slot)| Arc::clone(slot));
        let slot = wider.unwrap_or_default();
        known.slots.insert(scopes.clone(), Arc::clone(&slot));
        slot
    }

    fn no_token(
        &self,
        realm: &Url,
        wanted: &Scopes,
        found: Option<&Found>,
        status: u16,
        messages: Vec<RegistryMessage>,
    ) -> Error {
        let Some(source) = found.map(|found| found.source.clone()) else {
            let subject = format!("{}/{}", self.registry, wanted.repository());
            return self.denied(subject.trim_end_matches('/'), Denial::NoCredentials, status, messages);
        };
        if status != 401 {
            let mut realm = realm.clone();
            realm.set_query(None);
            let subject = format!("token service {} of {}", redacted(&realm), self.registry);
            return Error::new(subject, ErrorKind::Answer { status, messages });
        }
        let by = format!("the token service of {}", self.registry);
        let error = self.denied(&self.registry, Denial::Refused { by, source: source.clone() }, status, messages);
        self.known().refused.insert(source, error.clone());
        error
    }

    /// The login for a repository, with its source.
    async fn login(&self, client: &Client, repository: &str) -> Result<Option<Found>, Error> {
        let mut logins = self.logins.lock().await;
        if let Some(known) = logins.get(repository) {
            return known.clone().map_err(|reason| self.failed(reason));
        }
        let (credentials, registry) = (client.credentials(), self.registry.clone());
        let of = repository.to_owned();
        // Helpers may take seconds, and other requests are under way.
        let looking = tokio::task::spawn_blocking(move || credentials.find(&registry, &of));
        let found = looking.await.unwrap_or_else(|error| Err(error.to_string()));
        if logins.values().all(|known| said(known) != said(&found)) {
            client.trace(|| format!("credentials for {}: {}", self.registry, said(&found)));
        }
        logins.insert(repository.to_owned(), found.clone());
        found.map_err(|reason| self.failed(reason))
    }

    /// Takes in a 401, or a 403 to a request without credentials. `used` is what the request carried. Tells whether
    /// trying again makes sense.
    pub(in crate::registry) async fn challenged(
        &self,
        challenge: Option<Challenge>,
        used: Option<&Secret>,
        scopes: &Scopes,
    ) -> bool {
        if let Some(Challenge::Bearer { scope, .. }) = &challenge
            && !scope.is_empty()
        {
            let mut known = self.known();
            let wanted = known.asked_besides.entry(scopes.clone()).or_insert_with(|| scopes.clone());
            *wanted = wanted.clone().with_challenge(scope);
        }
        let Some(used) = used else {
            let mut known = self.known();
            if challenge.is_some() {
                known.challenge = challenge;
            }
            return known.challenge.is_some();
        };
        if self.known().challenge == Some(Challenge::Basic) {
            return false; // user and password do not get better with time
        }
        // A token may have run out, or be for too little.
        let slot = self.slot(scopes);
        let mut slot = slot.lock().await;
        if slot.token.as_ref().is_some_and(|token| token.header == *used) {
            slot.token = None;
        }
        drop(slot);
        if let Some(challenge) = challenge {
            self.known().challenge = Some(challenge);
        }
        true
    }

    /// Takes in that a request with credentials went through.
    pub(in crate::registry) fn accepted(&self) {
        self.known().accepted = true;
    }

    /// Why a request was refused although all was tried, in the words of credentials.
    pub(in crate::registry) async fn explain(
        &self,
        client: &Client,
        subject: &str,
        scopes: &Scopes,
        status: u16,
        messages: Vec<RegistryMessage>,
    ) -> Error {
        if !self.is_challenged() {
            return Error::new(subject, ErrorKind::Answer { status, messages });
        }
        let found = match self.login(client, scopes.repository()).await {
            Ok(found) => found,
            Err(error) => return error,
        };
        if let Err(error) = self.unless_refused(found.as_ref()) {
            return error;
        }
        if let Some(found) = found.as_ref().filter(|_| status == 401 && self.are_refused()) {
            let refused = Denial::Refused { by: self.registry.clone(), source: found.source.clone() };
            let error = self.denied(&self.registry, refused, status, messages);
            self.known().refused.insert(found.source.clone(), error.clone());
            return error;
        }
        let slot = self.known().slots.get(scopes).cloned();
        let token = match slot {
            Some(slot) => slot.lock().await.token.clone(),
            None => None,
        };
        let granted = token.and_then(|token| token.granted);
        let denial = match (found, granted.as_ref().and_then(|granted| scopes.lacking(granted))) {
            (None, _) => Denial::NoCredentials,
            (Some(found), Some((repository, granted, lacking))) => {
                Denial::NotGranted { repository: repository.to_owned(), granted, lacking, source: found.source }
            }
            (Some(found), None) if status == 401 => Denial::Refused { by: self.registry.clone(), source: found.source },
            (Some(found), None) => Denial::Forbidden { source: found.source },
        };
        self.denied(subject, denial, status, messages)
    }

    /// Whether a 401 means that user and password are wrong, and not that they are for something else.
    fn are_refused(&self) -> bool {
        let known = self.known();
        known.challenge == Some(Challenge::Basic) && !known.accepted
    }

    fn denied(&self, subject: &str, denial: Denial, status: u16, messages: Vec<RegistryMessage>) -> Error {
        let denied = Denied { registry: self.registry.clone(), denial, status, messages };
        Error::new(subject, ErrorKind::Denied(Box::new(denied)))
    }

    fn failed(&self, reason: String) -> Error {
        Error::new(self.registry.as_str(), ErrorKind::SignIn(reason))
    }
}

fn said(found: &Looked) -> String {
    match found {
        Ok(Some(found)) => format!("from {}", found.source),
        Ok(None) => "none".to_owned(),
        Err(reason) => reason.clone(),
    }
}
