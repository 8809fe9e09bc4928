//! Requests tokens from a token service.

use std::time::Instant;

use reqwest::Method;
use url::{Url, form_urlencoded};

use super::credentials::Login;
use super::scopes::Scopes;
use super::token::{Token, basic};
use crate::event::Event;
use crate::image::UntrustedText;
use crate::registry::error::{Error, ErrorKind, TransportFault};
use crate::registry::transport::attempts::Attempts;
use crate::registry::transport::handle::Transport;
use crate::registry::transport::redact::{Secret, redacted};
use crate::registry::transport::request::{Content, Service, WireRequest};
use crate::registry::transport::response::Response;

/// A token service that a challenge names. Its realm has passed the checks.
pub(crate) struct TokenService<'a> {
    pub(crate) registry: &'a str,
    pub(crate) api: &'a Url,
    pub(crate) realm: Url,
    pub(crate) service: Option<String>,
}

/// Why no token was issued.
pub(crate) enum TokenError {
    /// The service responded with an error.
    Rejected(Box<Response>),
    /// The realm does not lead to a working token service.
    NoService(Error),
    /// Any other failure.
    Other(Error),
}

impl TokenError {
    /// Whether the error applies to every caller that waited for the token; see [`Error::is_shared`].
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::Rejected(_) => true,
            Self::NoService(error) | Self::Other(error) => error.is_shared(),
        }
    }

    /// Returns the reason if no working token service exists at the realm: it cannot be reached, or its response is
    /// about neither credentials nor scopes.
    pub(crate) fn no_service_reason(&self) -> Option<String> {
        match self {
            Self::Rejected(response) if matches!(response.status, 404 | 405 | 410 | 500..) => {
                Some(format!("its token service answered with HTTP {}", response.status))
            }
            Self::NoService(error) => Some(error.to_string()),
            Self::Rejected(_) | Self::Other(_) => None,
        }
    }
}

/// The client name that token services log.
const CLIENT_ID: &str = "manifest-tool";

impl TokenService<'_> {
    /// Fetches a token with a user name and password, with an identity token, or without credentials.
    pub(crate) async fn fetch(
        &self,
        transport: &Transport,
        scopes: &Scopes,
        login: Option<&Login>,
    ) -> Result<Token, TokenError> {
        let requested_at = Instant::now();
        let response = match login {
            None => self.get(transport, scopes, None).await?,
            Some(Login::Password { user, password }) => self.get(transport, scopes, Some((user, password))).await?,
            Some(Login::IdentityToken(token)) => match self.post(transport, scopes, token).await? {
                // The service does not support OAuth2.
                response if matches!(response.status, 404 | 405) => {
                    self.get(transport, scopes, Some(("<token>", token))).await?
                }
                response => response,
            },
            Some(Login::RegistryToken(token)) => return Ok(Token::new(token)),
        };
        if response.status != 200 {
            return Err(TokenError::Rejected(Box::new(response)));
        }
        Token::read(&response.body, requested_at)
            .ok_or_else(|| TokenError::NoService(self.error("the token service's response contains no token")))
    }

    /// Requests a token with `GET realm`, using Basic if a login is given (Docker's token authentication).
    async fn get(
        &self,
        transport: &Transport,
        scopes: &Scopes,
        login: Option<(&str, &Secret)>,
    ) -> Result<Response, TokenError> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some((user, _)) = login {
                query.append_pair("account", user);
            }
            query.append_pair("client_id", CLIENT_ID);
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            for scope in scopes.texts() {
                query.append_pair("scope", &scope);
            }
        }
        let header = login.map(|(user, password)| basic(user, password));
        self.send(transport, Method::GET, &url, header.as_ref(), None, scopes).await
    }

    /// Requests a token with `POST realm` and the identity token as refresh token (Docker's OAuth2 form).
    async fn post(&self, transport: &Transport, scopes: &Scopes, token: &Secret) -> Result<Response, TokenError> {
        transport.secrets().add(token.reveal());
        let form = Content::Bytes("application/x-www-form-urlencoded".into(), self.form(scopes, token).into());
        self.send(transport, Method::POST, &self.realm, None, Some(form), scopes).await
    }

    fn form(&self, scopes: &Scopes, token: &Secret) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.reveal());
        form.append_pair("client_id", CLIENT_ID);
        if let Some(service) = &self.service {
            form.append_pair("service", service);
        }
        let scope = scopes.texts().collect::<Vec<_>>().join(" ");
        if !scope.is_empty() {
            form.append_pair("scope", &scope);
        }
        form.finish()
    }

    async fn send(
        &self,
        transport: &Transport,
        method: Method,
        url: &Url,
        authorization: Option<&Secret>,
        content: Option<Content>,
        scopes: &Scopes,
    ) -> Result<Response, TokenError> {
        transport.emit(|| Event::TokenRequest {
            registry: self.registry.to_owned(),
            scopes: scopes.texts().collect::<Vec<_>>().join(" "),
        });
        let subject = format!("token service {}", redacted(url));
        let request =
            WireRequest { content, service: Service::Token, ..WireRequest::new(method, url.to_string(), subject) };
        let response = self.send_with_retries(transport, &request, url, authorization).await?;
        if (300..400).contains(&response.status) {
            let status = response.status;
            let reason = format!("its token service answered with a redirect (HTTP {status}), which is not followed");
            return Err(TokenError::NoService(self.error(reason)));
        }
        Ok(response)
    }

    /// Sends a request, with retries. Does not follow redirects, and accepts an unchecked certificate only if the
    /// service is the registry itself.
    async fn send_with_retries(
        &self,
        transport: &Transport,
        request: &WireRequest,
        url: &Url,
        authorization: Option<&Secret>,
    ) -> Result<Response, TokenError> {
        let mut attempts = Attempts::new(transport, request);
        let outcome = loop {
            let sending = transport.exchange_at(request, self.api, url, authorization, attempts.failed() + 1);
            if let Some(outcome) = attempts.outcome_of(sending).await {
                break outcome;
            }
        };
        outcome.map_err(|error| match error.kind {
            ErrorKind::Stopped(reason) => TokenError::Other(Error::stopped(self.registry, reason)),
            _ => {
                // A cancelled run does not retry, so its failure does not show that the service is unreachable.
                let is_no_service = transport.cancel_token().reason().is_none() && is_unreachable(&error);
                let error = self.error(error.to_string()).caused_by(error);
                if is_no_service { TokenError::NoService(error) } else { TokenError::Other(error) }
            }
        })
    }

    fn error(&self, reason: impl Into<UntrustedText>) -> Error {
        Error::new(self.registry, ErrorKind::SignIn(reason.into()))
    }
}

/// Whether the service could not be reached. A refused certificate does not count: it may be a sign of an attack.
fn is_unreachable(error: &Error) -> bool {
    let is_unknown_name = error.fault() == Some(TransportFault::HostNotFound);
    matches!(error.kind, ErrorKind::Transport { .. }) && (error.was_transient() || is_unknown_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_transient_errors_and_unknown_names_mean_an_unreachable_service() {
        let transport = || ErrorKind::Transport { request: String::new(), reason: "no".into(), unsent: false };
        let with = |fault: TransportFault| Error::new("x", transport()).with_fault(Some(fault));
        for (error, expected) in [
            (Error::transient("x", transport()), true),
            (Error::transient("x", transport()).into_permanent(), true),
            (with(TransportFault::HostNotFound), true),
            (with(TransportFault::NotTrusted), false),
            (Error::new("x", ErrorKind::TooLarge { limit: 1 }), false),
        ] {
            assert_eq!(is_unreachable(&error), expected, "{error}");
        }
    }
}
