//! Refusals in the words of credentials: whether there are any, where they came from, and what they were not good for.

use url::Url;

use super::credentials::Found;
use super::scopes::Scopes;
use super::sign_in::SignIn;
use crate::registry::client::registry_client::Client;
use crate::registry::error::{Denial, Denied, Error, ErrorKind, Refusal};
use crate::registry::transport::redact::redacted;

impl SignIn {
    pub(crate) fn unless_refused(&self, found: Option<&Found>) -> Result<(), Error> {
        let known = self.known();
        found.and_then(|found| known.refused.get(&found.source)).map_or(Ok(()), |error| Err(error.clone()))
    }

    pub(crate) fn no_token(
        &self,
        client: &Client,
        realm: &Url,
        repository: &str,
        found: Option<&Found>,
        refusal: Refusal,
    ) -> Error {
        if !matches!(refusal.status, 401 | 403) {
            let mut realm = realm.clone();
            realm.set_query(None);
            let subject = format!("token service {} of {}", redacted(&realm), self.registry);
            return Error::new(subject, ErrorKind::Answer(refusal.into()));
        }
        let of_repository = format!("{}/{repository}", self.registry);
        let of_repository = of_repository.trim_end_matches('/');
        let Some(found) = found else {
            return self.no_credentials(client, of_repository, refusal);
        };
        let by = format!("the token service of {}", self.registry);
        let refused = Denial::Refused { by, source: found.source.clone() };
        if self.known().accepted {
            // Good ones, but not for this repository.
            return self.denied(of_repository, refused, refusal);
        }
        self.refuse(found, refused, refusal)
    }

    /// Notes that a source's credentials are wrong, for the whole run.
    pub(crate) fn refuse(&self, found: &Found, denial: Denial, refusal: Refusal) -> Error {
        let error = self.denied(&self.registry, denial, refusal);
        self.known().refused.insert(found.source.clone(), error.clone());
        error
    }

    /// Why a request was refused although all was tried, in the words of credentials. `is_insufficient` is whether the
    /// registry says that the token was good for too little.
    pub(crate) async fn explain(
        &self,
        client: &Client,
        subject: &str,
        scopes: &Scopes,
        refusal: Refusal,
        is_insufficient: bool,
    ) -> Error {
        let status = refusal.status;
        if !self.is_challenged() {
            return Error::new(subject, ErrorKind::Answer(refusal.into()));
        }
        let found = match self.login(client, scopes.repository()).await {
            Ok(found) => found,
            Err(error) => return error,
        };
        if let Err(error) = self.unless_refused(found.as_ref()) {
            return error;
        }
        let (basic, accepted) = (self.is_basic(), self.known().accepted);
        let Some(found) = found else {
            // Where the registry takes no one without, it is not about the reference.
            let subject = if basic && status == 401 { &self.registry } else { subject };
            return self.no_credentials(client, subject, refusal);
        };
        let refused = Denial::Refused { by: self.registry.clone(), source: found.source.clone() };
        if basic && status == 401 && !accepted {
            return self.refuse(&found, refused, refusal);
        }
        let slot = self.slots.of(scopes);
        let granted = slot.lock().await.token.as_ref().and_then(|token| token.granted.clone());
        let denial = match granted.as_ref().and_then(|granted| scopes.lacking(granted)) {
            Some((repository, granted, lacking)) => {
                Denial::NotGranted { repository: repository.into(), granted, lacking, source: found.source }
            }
            None if status == 401 && !is_insufficient => refused,
            None => Denial::Forbidden { source: found.source },
        };
        self.denied(subject, denial, refusal)
    }

    pub(crate) fn no_credentials(&self, client: &Client, subject: &str, refusal: Refusal) -> Error {
        let unused = client.credentials().unused().map(str::to_owned);
        let denied = Denied { registry: self.registry.clone(), denial: Denial::NoCredentials, refusal, unused };
        Error::new(subject, ErrorKind::Denied(Box::new(denied)))
    }

    pub(crate) fn denied(&self, subject: &str, denial: Denial, refusal: Refusal) -> Error {
        let denied = Denied { registry: self.registry.clone(), denial, refusal, unused: None };
        Error::new(subject, ErrorKind::Denied(Box::new(denied)))
    }
}
