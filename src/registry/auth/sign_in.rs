//! Signs in to one registry: decides which credentials are sent where.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::MutexGuard;
use url::Url;

use super::challenge::Challenge;
use super::credentials::{Credentials, Login, LoginLookup, SourcedLogin};
use super::realm::checked_realm;
use super::run_token::RunToken;
use super::scopes::Scopes;
use super::sign_in_state::SignInState;
use super::token::{Token, basic};
use super::token_cache::{TokenCache, TokenKey};
use super::token_service::{TokenError, TokenService};
use crate::event::Event;
use crate::registry::error::{CredentialOrigin, Denial, Error, ErrorKind, ErrorResponse};
use crate::registry::transport::handle::Transport;
use crate::registry::transport::redact::Secret;
use crate::single_flight::SingleFlight;

/// Adds credentials to the requests to one registry. Its state is kept for the whole run.
pub(crate) struct SignIn {
    state: SignInState,
    tokens: TokenCache,
    run_token: RunToken,
    /// Locked by the request that fetches the first token; see [`Self::claim_first_token`].
    first_token: tokio::sync::Mutex<()>,
    first_token_failed: AtomicBool,
    /// The results of credential lookups by repository. Failed and empty lookups are cached as well.
    logins: SingleFlight<String, LoginLookup, Error>,
    /// The sources of credentials that were reported, each once.
    reported: Mutex<HashSet<String>>,
    /// Locked by the request that sends credentials that no server has accepted yet. Wrong credentials are then sent
    /// only once, not by every concurrent request, which may lock an account.
    unproven: tokio::sync::Mutex<()>,
}

/// The credentials that a request carries.
pub(crate) struct Authorization<'a> {
    /// The value of the `Authorization` header.
    pub(crate) header: Secret,
    /// Locked while a user name and password are sent for the first time.
    pub(crate) unproven: Option<MutexGuard<'a, ()>>,
    /// The origin of the credentials; `None` for an anonymous token.
    origin: Option<CredentialOrigin>,
}

impl SignIn {
    pub(crate) fn new(registry: &str, credentials: Arc<Credentials>) -> Self {
        Self {
            state: SignInState::new(registry, credentials),
            tokens: TokenCache::default(),
            run_token: RunToken::default(),
            first_token: tokio::sync::Mutex::default(),
            first_token_failed: AtomicBool::new(false),
            logins: SingleFlight::default(),
            reported: Mutex::default(),
            unproven: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the registry has sent a challenge so far.
    pub(crate) fn is_challenged(&self) -> bool {
        self.state.is_challenged()
    }

    /// Whether credentials for a repository may exist, as far as that is known without running a helper.
    pub(crate) async fn may_have_credentials(&self, repository: &str) -> bool {
        self.state.credentials.may_have(&self.state.registry, repository).await
    }

    /// Waits while another request tries the credentials. Returns the lock if no server has accepted them so far.
    async fn lock_unproven(&self, credentials: &SourcedLogin) -> Option<MutexGuard<'_, ()>> {
        if self.state.has_accepted(Some(credentials)) {
            return None;
        }
        let unproven = self.unproven.lock().await;
        if self.state.has_accepted(Some(credentials)) { None } else { Some(unproven) }
    }

    /// Returns the credentials for a request, or `None` if the registry has sent no challenge so far.
    pub(crate) async fn authorization(
        &self,
        transport: &Transport,
        api: &Url,
        scopes: &Scopes,
    ) -> Result<Option<Authorization<'_>>, Error> {
        let Some(challenge) = self.state.learned().challenge.clone() else { return Ok(None) };
        let credentials = self.login(transport, scopes.repository()).await?;
        let Challenge::Bearer { realm, service, .. } = challenge else {
            return self.basic(credentials.as_ref()).await.map(Some);
        };
        let realm = checked_realm(&realm, api).map_err(|reason| self.state.error(reason))?;
        let service = TokenService { registry: &self.state.registry, api, realm, service };
        match self.token(transport, &service, scopes, credentials.as_ref()).await {
            Ok(token) => {
                let origin = credentials.map(|credentials| credentials.origin);
                Ok(Some(Authorization { header: token.header, unproven: None, origin }))
            }
            // This or another request has fallen back to Basic, because the token service does not work.
            Err(_) if self.state.is_basic() => self.basic(credentials.as_ref()).await.map(Some),
            Err(error) => Err(error),
        }
    }

    /// Returns the Basic header, which may be sent only to the registry's own host.
    async fn basic(&self, credentials: Option<&SourcedLogin>) -> Result<Authorization<'_>, Error> {
        let Some(credentials) = credentials else {
            let known = self.state.learned().anonymous_response.clone();
            let response = known.unwrap_or_else(|| ErrorResponse { status: 401, ..ErrorResponse::default() });
            return Err(self.state.no_credentials(&self.state.registry, response));
        };
        let Login::Password { user, password } = &credentials.login else {
            return Err(self
                .state
                .error("it requires a user name and password, but only a token is configured".into()));
        };
        let unproven = self.lock_unproven(credentials).await;
        self.state.check_not_refused(Some(credentials))?;
        Ok(Authorization { header: basic(user, password), unproven, origin: Some(credentials.origin.clone()) })
    }

    /// Announces the scopes of all requests of a run, so that one token can serve them, unless the caller passed
    /// different credentials for its repositories.
    pub(crate) fn announce(&self, scopes: Scopes) {
        if !self.state.credentials.differ_within(&self.state.registry) {
            self.run_token.announce(scopes);
        }
    }

    /// Returns a fresh token from the cache or from the token service.
    async fn token(
        &self,
        transport: &Transport,
        service: &TokenService<'_>,
        scopes: &Scopes,
        credentials: Option<&SourcedLogin>,
    ) -> Result<Token, Error> {
        let key = self.tokens.key(scopes);
        let first = self.claim_first_token(scopes, credentials).await;
        let is_proven = credentials.is_none() || self.state.has_accepted(credentials);
        if first.is_none()
            && is_proven
            && let Some(token) = Box::pin(self.run_token(transport, service, &key, scopes, credentials)).await?
        {
            return Ok(token);
        }
        // Boxed, because the future of every request contains this one.
        let fetch = Box::pin(self.fetch_token(transport, service, &key, scopes, credentials));
        let token = self.tokens.get(&key, fetch).await;
        if first.is_some() && token.is_err() {
            self.first_token_failed.store(true, Ordering::Relaxed);
        }
        token
    }

    /// Returns a lock for the request that fetches the first token with credentials that were not accepted yet, if
    /// others may then share the token of the run. A service may answer 401 because it does not grant one of many scopes,
    /// which would look like a wrong password, so the first token is for the request's own scopes.
    async fn claim_first_token(
        &self,
        scopes: &Scopes,
        credentials: Option<&SourcedLogin>,
    ) -> Option<MutexGuard<'_, ()>> {
        let is_accepted = || self.state.has_accepted(credentials);
        if credentials.is_none() || is_accepted() || self.run_token.scopes_for(scopes, credentials).is_none() {
            return None;
        }
        let first = self.first_token.lock().await;
        // After a failure, the requests that wait share the next attempt, instead of failing one after another.
        let is_over = is_accepted() || self.first_token_failed.load(Ordering::Relaxed);
        if is_over { None } else { Some(first) }
    }

    /// Returns the token of the run if it grants these scopes, unless the request's own token is known already.
    async fn run_token(
        &self,
        transport: &Transport,
        service: &TokenService<'_>,
        own: &TokenKey,
        scopes: &Scopes,
        credentials: Option<&SourcedLogin>,
    ) -> Result<Option<Token>, Error> {
        let Some(run_scopes) = self.run_token.scopes_for(scopes, credentials) else { return Ok(None) };
        if self.state.learned().one_scope_at_a_time || self.tokens.has_fresh(own).await {
            return Ok(None);
        }
        let key = self.tokens.key(&run_scopes);
        let fetch = async {
            let login = credentials.map(|credentials| &credentials.login);
            service.fetch(transport, &run_scopes, login).await.map_err(|error| match error {
                TokenError::Other(error) | TokenError::NoService(error) => error,
                TokenError::Rejected(response) => response.error(&self.state.registry),
            })
        };
        match self.tokens.get(&key, fetch).await {
            Ok(token) => Ok(Some(token).filter(|token| self.run_token.accept(token, scopes))),
            Err(error) if matches!(error.kind, ErrorKind::Stopped(_)) => Err(error),
            Err(_) => {
                self.run_token.give_up();
                Ok(None)
            }
        }
    }

    async fn fetch_token(
        &self,
        transport: &Transport,
        service: &TokenService<'_>,
        key: &TokenKey,
        scopes: &Scopes,
        credentials: Option<&SourcedLogin>,
    ) -> Result<Token, Error> {
        let _unproven = match credentials {
            Some(credentials) => self.lock_unproven(credentials).await,
            None => None,
        };
        self.state.check_not_refused(credentials)?;
        let login = credentials.map(|credentials| &credentials.login);
        let error = match self.request_token(transport, service, &self.tokens.requested(key), credentials).await {
            Ok(token) => {
                if let Some(credentials) = credentials {
                    self.state.accepted(Some(credentials.origin.clone()));
                }
                return Ok(token);
            }
            Err(error) => error,
        };
        // A cancelled run sends no more requests, so its failure does not show that the service is broken.
        let reason = error.no_service_reason().filter(|_| transport.cancel_token().reason().is_none());
        if let (Some(reason), Some(Login::Password { .. })) = (reason, login)
            && self.state.fall_back_to_basic()
        {
            let registry = self.state.registry.clone();
            transport.emit(|| Event::BasicInsteadOfToken { registry, reason });
        }
        Err(match error {
            TokenError::Other(error) | TokenError::NoService(error) => error,
            TokenError::Rejected(response) => {
                self.state.token_denied(&service.realm, scopes.repository(), credentials, response.error_response())
            }
        })
    }

    /// Requests a token for these scopes. If the token service refuses several repositories, requests one for the
    /// request's own repository only.
    async fn request_token(
        &self,
        transport: &Transport,
        service: &TokenService<'_>,
        scopes: &Scopes,
        credentials: Option<&SourcedLogin>,
    ) -> Result<Token, TokenError> {
        let login = credentials.map(|credentials| &credentials.login);
        let Some(own_scopes) = scopes.own_repository_only() else {
            return service.fetch(transport, scopes, login).await;
        };
        if self.state.learned().one_scope_at_a_time {
            return service.fetch(transport, &own_scopes, login).await;
        }
        match service.fetch(transport, scopes, login).await {
            // A 401 to credentials that were never accepted is final: retrying would send wrong credentials twice.
            Err(TokenError::Rejected(response)) if response.status != 401 || self.state.has_accepted(credentials) => {
                let token = service.fetch(transport, &own_scopes, login).await;
                self.state.learned().one_scope_at_a_time |= token.is_ok();
                token
            }
            result => result,
        }
    }

    /// Returns the login for a repository, with its source.
    async fn login(&self, transport: &Transport, repository: &str) -> Result<Option<SourcedLogin>, Error> {
        let SignInState { registry, credentials, .. } = &self.state;
        let look_up = async {
            // A helper may take seconds or hang. It writes no data, so a cancelled run does not wait for it. Boxed to
            // keep the futures of requests small.
            let finding =
                transport.cancel_token().run_until_cancelled(Box::pin(credentials.find(registry, repository))).await;
            let lookup = finding.map_err(|reason| Error::stopped(registry.as_str(), reason))?;
            let source = describe_source(&lookup);
            if self.reported.lock().unwrap_or_else(PoisonError::into_inner).insert(source.clone()) {
                transport.emit(|| Event::Credentials { registry: registry.clone(), source });
            }
            Ok(lookup)
        };
        let lookup = self.logins.get(&repository.to_owned(), look_up).await?;
        lookup.map_err(|reason| self.state.error(reason))
    }

    /// Handles a 401, or a 403 to a request without credentials or with insufficient scope. `used` is the
    /// `Authorization` header that the request carried. Returns whether the request is worth sending again.
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
            let allows_wildcard = *is_insufficient && used.is_some() && scopes.allow_delete();
            self.tokens.widen(&key, |scopes| match allows_wildcard {
                true => scopes.with_insufficient(scope),
                false => scopes.with_challenge(scope),
            });
        }
        if used.is_some() && self.state.is_basic() {
            return false; // The registry would refuse the same user name and password again.
        }
        if let Some(used) = used {
            // The token may have expired, or may lack a scope.
            self.tokens.forget(&key, used).await;
            self.run_token.refused(used);
        }
        self.state.challenged(challenge)
    }

    /// Records a 401 to a request without credentials: later requests fail with the same words without being sent.
    pub(crate) fn refused_anonymous(&self, response: ErrorResponse) {
        self.state.learned().anonymous_response = Some(response);
    }

    /// Records that a request with this authorization got a response other than 401.
    pub(crate) fn accepted(&self, authorization: &Authorization<'_>) {
        self.state.accepted(authorization.origin.clone());
    }

    /// Returns the error for a request that was refused after every step of signing in, in terms of its credentials.
    /// `is_insufficient` is whether the registry reported that the token lacks a scope.
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
        let credentials = match self.login(transport, scopes.repository()).await {
            Ok(credentials) => credentials,
            Err(error) => return error,
        };
        if let Err(error) = self.state.check_not_refused(credentials.as_ref()) {
            return error;
        }
        let (basic, accepted) = (self.state.is_basic(), self.state.has_accepted(credentials.as_ref()));
        let Some(credentials) = credentials else {
            // The registry refuses every anonymous request, so the error names the registry, not this reference.
            let subject = if basic && status == 401 { &self.state.registry } else { subject };
            return self.state.no_credentials(subject, response);
        };
        let refused = Denial::Refused { by: self.state.registry.clone(), source: credentials.origin.clone() };
        if basic && status == 401 && !accepted {
            return self.state.refuse(&credentials, refused, response);
        }
        let granted = self.tokens.granted(&self.tokens.key(scopes)).await;
        let denial = match granted.as_ref().and_then(|granted| scopes.lacking(granted)) {
            Some((repository, granted, lacking)) => {
                Denial::NotGranted { repository: repository.into(), granted, lacking, source: credentials.origin }
            }
            None if status == 401 && !is_insufficient => refused,
            None => Denial::Forbidden { source: credentials.origin },
        };
        self.state.denied(subject, denial, response)
    }
}

fn describe_source(lookup: &LoginLookup) -> String {
    match lookup {
        Ok(Some(credentials)) => format!("from {}", credentials.origin),
        Ok(None) => "none".to_owned(),
        Err(reason) => reason.clone(),
    }
}
