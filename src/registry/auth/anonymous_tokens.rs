//! Anonymous tokens for other registries to which a registry redirects.
//!
//! A registry may redirect a request to another registry that requires a token even for public content
//! (go-containerregistry#2333). That token is requested without credentials, and sent to that origin only.

use std::time::Instant;

use url::{Origin, Url};

use super::challenge::Challenge;
use super::realm::checked_realm;
use super::scopes::Scopes;
use super::token::Token;
use super::token_service::TokenService;
use crate::registry::transport::addresses::checked_address;
use crate::registry::transport::handle::Transport;
use crate::registry::transport::redact::{Secret, host_of};
use crate::single_flight::SingleFlight;

/// The anonymous tokens of a run, by origin and challenge.
#[derive(Default)]
pub(crate) struct AnonymousTokens(SingleFlight<(Origin, Challenge), Token, NoToken>);

/// No token was issued, so the response of the other origin is final.
#[derive(Clone)]
struct NoToken {
    /// Whether the failure applies to every caller that waited for the token.
    is_shared: bool,
}

impl AnonymousTokens {
    /// Returns the `Authorization` header with an anonymous token for the origin of `url`, to which the registry at
    /// `api` redirected and which responded with this challenge. Returns `None` if the challenge is not Bearer, its
    /// realm breaks a rule for realms, or no token is issued.
    pub(crate) async fn get(
        &self,
        transport: &Transport,
        api: &Url,
        url: &Url,
        challenge: Option<Challenge>,
    ) -> Option<Secret> {
        let challenge = challenge?;
        let Challenge::Bearer { realm, service, scope, .. } = &challenge else { return None };
        let realm = checked_realm(realm, url).ok()?;
        // The realm must not be on this machine either, unless the registry is.
        checked_address(&realm, api).ok()?;
        let fetch = Box::pin(async {
            let service = TokenService { registry: &host_of(url), api, realm, service: service.clone() };
            let scopes = Scopes::default().with_challenge(scope);
            service.fetch(transport, &scopes, None).await.map_err(|error| NoToken { is_shared: error.is_shared() })
        });
        let key = (url.origin(), challenge.clone());
        let is_fresh = |token: &Token| token.is_fresh(Instant::now());
        let token = self.0.get_with(&key, is_fresh, |failure| failure.is_shared, fetch).await;
        token.ok().map(|token| token.header)
    }
}
