//! Tokens for other registries to which a registry redirects, as anyone can get them.
//!
//! A registry may redirect a request to another registry that wants a token for everything, also for what anyone may read
//! (go-containerregistry#2333). That token is asked for without credentials, and sent to that origin only.

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

/// The anonymous tokens of a run, by origin and by what they were asked for.
#[derive(Default)]
pub(crate) struct AnonymousTokens(SingleFlight<(Origin, Challenge), Token, NoToken>);

/// No token was issued: the answer of the other origin then stands.
#[derive(Clone)]
struct NoToken {
    /// Whether that goes for each caller that waited for it.
    is_shared: bool,
}

impl AnonymousTokens {
    /// The `Authorization` value of an anonymous token for the origin of `url`, to which the registry at `api` redirected
    /// and which answered with this challenge. `None` if it wants something else, its realm breaks a rule for realms, or
    /// it issues no token.
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
        // Not to this machine either, unless the registry is on it.
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
