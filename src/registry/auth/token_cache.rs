use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::scopes::Scopes;
use super::token::Token;
use crate::registry::error::Error;
use crate::registry::transport::redact::Secret;
use crate::single_flight::SingleFlight;

/// The tokens for one registry. Requests that need the same token share one request to the token service, and its
/// failure. A token is fetched again when it expires, and after [`Self::forget`].
#[derive(Default)]
pub(crate) struct TokenCache {
    entries: Mutex<HashMap<Scopes, CacheEntry>>,
    tokens: SingleFlight<TokenKey, Token, Error>,
}

/// Identifies a token by the scopes of the request that it was first fetched for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey(Scopes);

/// The token for requests with certain scopes.
struct CacheEntry {
    key: TokenKey,
    /// The scopes to request: the key's and those of challenges. Read only from the entry whose scopes are the key.
    requested: Scopes,
}

impl TokenCache {
    /// Returns the key of the token for a request with these scopes: its own token, or one that covers more.
    pub(crate) fn key(&self, scopes: &Scopes) -> TokenKey {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(scopes) {
            return entry.key.clone();
        }
        let wider = entries.iter().find(|(other, _)| other.cover(scopes)).map(|(_, entry)| entry.key.clone());
        let key = wider.unwrap_or_else(|| TokenKey(scopes.clone()));
        entries.insert(scopes.clone(), CacheEntry { key: key.clone(), requested: scopes.clone() });
        key
    }

    /// Returns the scopes to request for a token.
    pub(crate) fn requested(&self, key: &TokenKey) -> Scopes {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&key.0).map_or_else(|| key.0.clone(), |entry| entry.requested.clone())
    }

    /// Changes the scopes to request the next time the token is fetched.
    pub(crate) fn widen(&self, key: &TokenKey, widen: impl FnOnce(Scopes) -> Scopes) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(&key.0) {
            entry.requested = widen(std::mem::take(&mut entry.requested));
        }
    }

    /// Returns a fresh token: the cached one, or the result of `fetch`.
    pub(crate) async fn get(
        &self,
        key: &TokenKey,
        fetch: impl Future<Output = Result<Token, Error>>,
    ) -> Result<Token, Error> {
        let is_fresh = |token: &Token| token.is_fresh(Instant::now());
        self.tokens.get_with(key, is_fresh, Error::is_shared, fetch).await
    }

    /// Whether a token is cached that can still be used.
    pub(crate) async fn has_fresh(&self, key: &TokenKey) -> bool {
        self.tokens.peek(key).await.is_some_and(|token| token.is_fresh(Instant::now()))
    }

    /// Returns the scopes that the cached token grants, if they are known.
    pub(crate) async fn granted(&self, key: &TokenKey) -> Option<Scopes> {
        self.tokens.peek(key).await?.granted
    }

    /// Drops a token that the registry refused, unless it has already been replaced.
    pub(crate) async fn forget(&self, key: &TokenKey, header: &Secret) {
        self.tokens.forget_if(key, |token| token.header == *header).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrower_request_shares_the_wider_token_and_renews_it() {
        let cache = TokenCache::default();
        let push = cache.key(&Scopes::push("a"));
        let pull = cache.key(&Scopes::pull("a"));
        assert_eq!(push, pull);
        assert_eq!(cache.requested(&pull), Scopes::push("a"));
        cache.widen(&pull, |requested| requested.and("b", &["pull"]));
        assert_eq!(cache.requested(&push), Scopes::push("a").and("b", &["pull"]));
        assert_ne!(push, cache.key(&Scopes::pull("b")));
        let both = Scopes::push("a").and("b", &["pull"]);
        assert_ne!(push, cache.key(&both));
        assert_eq!(cache.key(&both), cache.key(&both));
    }

    #[test]
    fn a_token_is_fetched_once_and_again_after_a_refusal() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cache = TokenCache::default();
            let key = cache.key(&Scopes::pull("a"));
            let fetch = |text: &'static str| async move { Ok(Token::new(&Secret::new(text))) };
            let get = async |text| cache.get(&key, fetch(text)).await.unwrap().header;
            assert_eq!(get("one").await, Secret::new("Bearer one"));
            assert_eq!(get("two").await, Secret::new("Bearer one"));
            cache.forget(&key, &Secret::new("Bearer other")).await;
            assert_eq!(get("two").await, Secret::new("Bearer one"), "another token was refused");
            cache.forget(&key, &Secret::new("Bearer one")).await;
            assert_eq!(get("two").await, Secret::new("Bearer two"));
        });
    }
}
