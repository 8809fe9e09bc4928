//! Tokens for other registries to which a registry redirects, as anyone can get them.
//!
//! A registry may redirect a request to another registry that wants a token for everything, also for what anyone may read
//! (go-containerregistry#2333). That token is asked for without credentials, and sent to that origin only.

use std::collections::HashMap;
use std::time::Instant;

use url::{Origin, Url};

use super::challenge::Challenge;
use super::realm::checked_realm;
use super::scopes::Scopes;
use super::token::{Token, TokenService};
use crate::registry::client::registry_client::Client;
use crate::registry::transport::addresses::checked_address;
use crate::registry::transport::redact::{Secret, host_of};

/// The tokens of a run, by origin and by what they were asked for. Locked while one is fetched: requests that want the same
/// token share it.
#[derive(Default)]
pub(crate) struct VisitorTokens(tokio::sync::Mutex<HashMap<(Origin, Challenge), Token>>);

impl Client {
    /// The `Authorization` value of an anonymous token for the origin of `url`, to which the registry at `api` redirected
    /// and which answered with this challenge. `None` if it wants something else, its realm breaks a rule for realms, or
    /// it issues no token: its answer then stands.
    pub(crate) async fn visitor_token(&self, api: &Url, url: &Url, challenge: Option<Challenge>) -> Option<Secret> {
        let challenge = challenge?;
        let Challenge::Bearer { realm, service, scope, .. } = &challenge else { return None };
        let realm = checked_realm(realm, url).ok()?;
        // Not to this machine either, unless the registry is on it.
        checked_address(&realm, api).ok()?;
        let mut tokens = self.visitor_tokens().0.lock().await;
        let key = (url.origin(), challenge.clone());
        if let Some(token) = tokens.get(&key).filter(|token| token.is_fresh(Instant::now())) {
            return Some(token.header.clone());
        }
        let service = TokenService { registry: &host_of(url), api, realm, service: service.clone() };
        let token = service.fetch(self, &Scopes::default().with_challenge(scope), None).await.ok()?;
        Some(tokens.entry(key).insert_entry(token).get().header.clone())
    }
}
