//! Signing in to one registry: which credentials are sent where.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::MutexGuard;
use url::Url;

use super::challenge::Challenge;
use super::credentials::{Credentials, Login, LoginLookup, SourcedLogin};
use super::realm::checked_realm;
use super::scopes::Scopes;
use super::sign_in_state::SignInState;
use super::token::{Token, basic};
use super::token_cache::{TokenCache, TokenKey};
use super::token_service::{TokenError, TokenService};
use crate::event::Event;
use crate::registry::error::{Denial, Error, ErrorKind, ErrorResponse};
use crate::registry::transport::handle::Transport;
use crate::registry::transport::redact::Secret;
use crate::single_flight::SingleFlight;

/// Signs requests to one registry. What it learns is kept for the whole run.
pub(crate) struct SignIn {
    state: SignInState,
    tokens: TokenCache,
    /// By repository. What was looked up, also without success, is not looked up again.
    logins: SingleFlight<String, LoginLookup, Error>,
    /// The sources of credentials that were reported.
    reported: Mutex<HashSet<String>>,
    /// Locked by the request that tries credentials that no server has accepted yet: wrong ones are tried once, not by all
    /// requests at once, which may lock an account.
    unproven: tokio::sync::Mutex<()>,
}

/// What a request carries to be let in.
pub(crate) struct Authorization<'a> {
    pub(crate) header: Secret,
    /// Held while user and password are tried for the first time.
    pub(crate) unproven: Option<MutexGuard<'a, ()>>,
}

impl SignIn {
    pub(crate) fn new(registry: &str, credentials: Arc<Credentials>) -> Self {
        Self {
            state: SignInState::new(registry, credentials),
            tokens: TokenCache::default(),
            logins: SingleFlight::default(),
            reported: Mutex::default(),
            unproven: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the registry has said by now that it wants to be signed in to.
    pub(crate) fn is_challenged(&self) -> bool {
        self.state.is_challenged()
    }

    /// Whether there may be credentials for a repository, as far as can be told without running a helper.
    pub(crate) async fn may_have_credentials(&self, repository: &str) -> bool {
        self.state.credentials.may_have(&self.state.registry, repository).await
    }

    /// Waits for the request that tries the credentials first.
    async fn lock_unproven(&self) -> Option<MutexGuard<'_, ()>> {
        if self.state.learned().accepted {
            return None;
        }
        let unproven = self.unproven.lock().await;
        if self.state.learned().accepted { None } else { Some(unproven) }
    }

    /// What a request carries, if the registry has said by now that it wants to be signed in to.
    pub(crate) async fn authorization(
        &self,
        transport: &Transport,
        api: &Url,
        scopes: &Scopes,
    ) -> Result<Option<Authorization<'_>>, Error> {
        let Some(challenge) = self.state.learned().challenge.clone() else { return Ok(None) };
        let found = self.login(transport, scopes.repository()).await?;
        let Challenge::Bearer { realm, service, .. } = challenge else {
            return self.basic(found.as_ref()).await.map(Some);
        };
        let realm = checked_realm(&realm, api).map_err(|reason| self.state.failed(reason))?;
        let service = TokenService { registry: &self.state.registry, api, realm, service };
        match self.token(transport, &service, scopes, found.as_ref()).await {
            Ok(token) => Ok(Some(Authorization { header: token.header, unproven: None })),
            // This or another request has found out that the token service does not work.
            Err(_) if self.state.is_basic() => self.basic(found.as_ref()).await.map(Some),
            Err(error) => Err(error),
        }
    }

    /// User and password, for the registry's own host.
    async fn basic(&self, found: Option<&SourcedLogin>) -> Result<Authorization<'_>, Error> {
        let Some(found) = found else {
            let response = ErrorResponse { status: 401, ..ErrorResponse::default() };
            return Err(self.state.no_credentials(&self.state.registry, response));
        };
        let Login::Password { user, password } = &found.login else {
            return Err(self.state.failed("it wants user and password, and only a token is configured".into()));
        };
        let unproven = self.lock_unproven().await;
        self.state.unless_refused(Some(found))?;
        Ok(Authorization { header: basic(user, password), unproven })
    }

    /// A fresh token from the cache, or from the token service.
    async fn token(
        &self,
        transport: &Transport,
        service: &TokenService<'_>,
        scopes: &Scopes,
        found: Option<&SourcedLogin>,
    ) -> Result<Token, Error> {
        let key = self.tokens.key(scopes);
        // On the heap: every request's future has this one in it.
        self.tokens.get(&key, Box::pin(self.fetch_token(transport, service, &key, scopes, found))).await
    }

    async fn fetch_token(
        &self,
        transport: &Transport,
        service: &TokenService<'_>,
        key: &TokenKey,
        scopes: &Scopes,
        found: Option<&SourcedLogin>,
    ) -> Result<Token, Error> {
        let _proving = if found.is_some() { self.lock_unproven().await } else { None };
        self.state.unless_refused(found)?;
        let login = found.map(|found| &found.login);
        let error = match self.request_token(transport, service, &self.tokens.wanted(key), login).await {
            Ok(token) => {
                self.state.learned().accepted |= found.is_some();
                return Ok(token);
            }
            Err(error) => error,
        };
        // A run that stops asks no more, and learns nothing of the service.
        let reason = error.of_no_service().filter(|_| transport.cancel_token().reason().is_none());
        if let (Some(reason), Some(Login::Password { .. })) = (reason, login)
            && self.state.fall_back_to_basic()
        {
            let registry = self.state.registry.clone();
            transport.emit(|| Event::BasicInsteadOfToken { registry, reason });
        }
        Err(match error {
            TokenError::Other(error) | TokenError::NoService(error) => error,
            TokenError::Rejected(response) => {
                self.state.no_token(&service.realm, scopes.repository(), found, response.error_response())
            }
        })
    }

    /// Asks the token service for a token for all repositories that are wanted, and where it refuses that, for one for the
    /// request's own repository.
    async fn request_token(
        &self,
        transport: &Transport,
        service: &TokenService<'_>,
        wanted: &Scopes,
        login: Option<&Login>,
    ) -> Result<Token, TokenError> {
        let Some(own) = wanted.own_only() else { return service.fetch(transport, wanted, login).await };
        if self.state.learned().one_scope_at_a_time {
            return service.fetch(transport, &own, login).await;
        }
        match service.fetch(transport, wanted, login).await {
            // Not for a 401, after which refused credentials would be tried once more; those that worked before are not
            // what it refuses.
            Err(TokenError::Rejected(response)) if response.status != 401 || self.state.learned().accepted => {
                let token = service.fetch(transport, &own, login).await;
                self.state.learned().one_scope_at_a_time |= token.is_ok();
                token
            }
            result => result,
        }
    }

    /// The login for a repository, with its source.
    async fn login(&self, transport: &Transport, repository: &str) -> Result<Option<SourcedLogin>, Error> {
        let SignInState { registry, credentials, .. } = &self.state;
        let look_up = async {
            // A helper may take seconds, or never end. It writes nothing, so a run that stops does not wait for it.
            // On the heap, like a token's request.
            let finding =
                transport.cancel_token().run_until_cancelled(Box::pin(credentials.find(registry, repository))).await;
            let found = finding.map_err(|reason| Error::stopped(registry.as_str(), reason))?;
            let source = source_of(&found);
            if self.reported.lock().unwrap_or_else(PoisonError::into_inner).insert(source.clone()) {
                transport.emit(|| Event::Credentials { registry: registry.clone(), source });
            }
            Ok(found)
        };
        let found = self.logins.get(&repository.to_owned(), look_up).await?;
        found.map_err(|reason| self.state.failed(reason))
    }

    /// Takes in a 401, or a 403 to a request without credentials. `used` is what the request carried. Returns whether
    /// another try makes sense.
    pub(crate) async fn challenged(
        &self,
        challenge: Option<Challenge>,
        used: Option<&Secret>,
        scopes: &Scopes,
    ) -> bool {
        let key = self.tokens.key(scopes);
        if let Some(Challenge::Bearer { scope, is_insufficient, .. }) = &challenge
            && !scope.is_empty()
        {
            let is_for_all = *is_insufficient && used.is_some() && scopes.want_delete();
            self.tokens.widen(&key, |wanted| match is_for_all {
                true => wanted.with_insufficient(scope),
                false => wanted.with_challenge(scope),
            });
        }
        if used.is_some() && self.state.is_basic() {
            return false; // user and password do not get better with time
        }
        if let Some(used) = used {
            // A token may have run out, or be for too little.
            self.tokens.forget(&key, used).await;
        }
        self.state.challenged(challenge)
    }

    /// Takes in that a request with credentials was answered by anything except a 401.
    pub(crate) fn accepted(&self) {
        self.state.learned().accepted = true;
    }

    /// Explains in terms of credentials why a request was refused although everything was tried. `is_insufficient` is
    /// whether the registry says that the token was good for too little.
    pub(crate) async fn explain(
        &self,
        transport: &Transport,
        subject: &str,
        scopes: &Scopes,
        response: ErrorResponse,
        is_insufficient: bool,
    ) -> Error {
        let status = response.status;
        if !self.is_challenged() {
            return Error::new(subject, ErrorKind::Rejected(response.into()));
        }
        let found = match self.login(transport, scopes.repository()).await {
            Ok(found) => found,
            Err(error) => return error,
        };
        if let Err(error) = self.state.unless_refused(found.as_ref()) {
            return error;
        }
        let (basic, accepted) = (self.state.is_basic(), self.state.learned().accepted);
        let Some(found) = found else {
            // Where the registry takes no one without, it is not about the reference.
            let subject = if basic && status == 401 { &self.state.registry } else { subject };
            return self.state.no_credentials(subject, response);
        };
        let refused = Denial::Refused { by: self.state.registry.clone(), source: found.origin.clone() };
        if basic && status == 401 && !accepted {
            return self.state.refuse(&found, refused, response);
        }
        let granted = self.tokens.granted(&self.tokens.key(scopes)).await;
        let denial = match granted.as_ref().and_then(|granted| scopes.lacking(granted)) {
            Some((repository, granted, lacking)) => {
                Denial::NotGranted { repository: repository.into(), granted, lacking, source: found.origin }
            }
            None if status == 401 && !is_insufficient => refused,
            None => Denial::Forbidden { source: found.origin },
        };
        self.state.denied(subject, denial, response)
    }
}

fn source_of(found: &LoginLookup) -> String {
    match found {
        Ok(Some(found)) => format!("from {}", found.origin),
        Ok(None) => "none".to_owned(),
        Err(reason) => reason.clone(),
    }
}
