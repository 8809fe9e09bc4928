//! Refusals in terms of credentials: whether there are any, where they come from, and what they do not allow.

use url::Url;

use super::credentials::SourcedLogin;
use super::sign_in_state::SignInState;
use crate::registry::error::{Denial, Denied, Error, ErrorKind, ErrorResponse};
use crate::registry::transport::redact::redacted;

impl SignInState {
    /// Fails if the credentials of a source were refused before.
    pub(super) fn unless_refused(&self, found: Option<&SourcedLogin>) -> Result<(), Error> {
        let known = self.learned();
        found.and_then(|found| known.refused.get(&found.origin)).map_or(Ok(()), |error| Err(error.clone()))
    }

    /// The error of a token service that refuses to issue a token.
    pub(super) fn no_token(
        &self,
        realm: &Url,
        repository: &str,
        found: Option<&SourcedLogin>,
        response: ErrorResponse,
    ) -> Error {
        if !matches!(response.status, 401 | 403) {
            let mut realm = realm.clone();
            realm.set_query(None);
            let subject = format!("token service {} of {}", redacted(&realm), self.registry);
            return Error::new(subject, ErrorKind::Rejected(response.into()));
        }
        let of_repository = format!("{}/{repository}", self.registry);
        let of_repository = of_repository.trim_end_matches('/');
        let Some(found) = found else {
            return self.no_credentials(of_repository, response);
        };
        let by = format!("the token service of {}", self.registry);
        let refused = Denial::Refused { by, source: found.origin.clone() };
        if self.learned().accepted {
            // They are good, but not for this repository.
            return self.denied(of_repository, refused, response);
        }
        self.refuse(found, refused, response)
    }

    /// Notes that a source's credentials are wrong, for the whole run.
    pub(super) fn refuse(&self, found: &SourcedLogin, denial: Denial, response: ErrorResponse) -> Error {
        let error = self.denied(&self.registry, denial, response);
        self.learned().refused.insert(found.origin.clone(), error.clone());
        error
    }

    /// The error of a request without credentials.
    pub(super) fn no_credentials(&self, subject: &str, response: ErrorResponse) -> Error {
        let unused = self.credentials.unused().map(str::to_owned);
        let denied = Denied { registry: self.registry.clone(), denial: Denial::NoCredentials, response, unused };
        Error::new(subject, ErrorKind::Denied(Box::new(denied)))
    }

    /// The error of a request whose credentials were not enough.
    pub(super) fn denied(&self, subject: &str, denial: Denial, response: ErrorResponse) -> Error {
        let denied = Denied { registry: self.registry.clone(), denial, response, unused: None };
        Error::new(subject, ErrorKind::Denied(Box::new(denied)))
    }
}
