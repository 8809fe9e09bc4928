//! Errors for refused requests in terms of credentials: whether any exist, where they come from, and what they do not
//! allow.

use url::Url;

use super::credentials::SourcedLogin;
use super::sign_in_state::SignInState;
use crate::registry::error::{Denial, Denied, Error, ErrorKind, ErrorResponse};
use crate::registry::transport::redact::redacted;

impl SignInState {
    /// Fails if these credentials were refused before.
    pub(super) fn check_not_refused(&self, credentials: Option<&SourcedLogin>) -> Result<(), Error> {
        let learned = self.learned();
        credentials
            .and_then(|credentials| learned.refused.get(&credentials.origin))
            .map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Returns the error for a token request that the token service refused.
    pub(super) fn token_denied(
        &self,
        realm: &Url,
        repository: &str,
        credentials: Option<&SourcedLogin>,
        response: ErrorResponse,
    ) -> Error {
        if !matches!(response.status, 401 | 403) {
            let mut realm = realm.clone();
            realm.set_query(None);
            let subject = format!("token service {} of {}", redacted(&realm), self.registry);
            return Error::new(subject, ErrorKind::Rejected(response.into()));
        }
        let repository = format!("{}/{repository}", self.registry);
        let repository = repository.trim_end_matches('/');
        let Some(credentials) = credentials else {
            return self.no_credentials(repository, response);
        };
        let by = format!("the token service of {}", self.registry);
        let refused = Denial::Refused { by, source: credentials.origin.clone() };
        if self.has_accepted(Some(credentials)) {
            // The credentials are valid, but not for this repository.
            return self.denied(repository, refused, response);
        }
        self.refuse(credentials, refused, response)
    }

    /// Records for the whole run that these credentials are wrong, and returns the error.
    pub(super) fn refuse(&self, credentials: &SourcedLogin, denial: Denial, response: ErrorResponse) -> Error {
        let error = self.denied(&self.registry, denial, response);
        self.learned().refused.insert(credentials.origin.clone(), error.clone());
        error
    }

    /// Returns the error for a request without credentials.
    pub(super) fn no_credentials(&self, subject: &str, response: ErrorResponse) -> Error {
        let unused = self.credentials.unused().map(str::to_owned);
        let denied = Denied { registry: self.registry.clone(), denial: Denial::NoCredentials, response, unused };
        Error::new(subject, ErrorKind::Denied(Box::new(denied)))
    }

    /// Returns the error for a request whose credentials were insufficient.
    pub(super) fn denied(&self, subject: &str, denial: Denial, response: ErrorResponse) -> Error {
        let denied = Denied { registry: self.registry.clone(), denial, response, unused: None };
        Error::new(subject, ErrorKind::Denied(Box::new(denied)))
    }
}
