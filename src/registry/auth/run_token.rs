//! One token for all repositories that a run uses in a registry.

use std::sync::{Mutex, PoisonError};

use super::credentials::SourcedLogin;
use super::scopes::Scopes;
use super::token::Token;
use crate::registry::error::CredentialOrigin;
use crate::registry::transport::redact::Secret;

/// The token for the announced repositories of a run. Without it, a push from ten repositories needs a token for each of
/// them, and another one for each of them with the target, to mount blobs. It is used only for scopes that it is known to
/// grant, so a token service that grants part of it, or issues opaque tokens, costs one request.
#[derive(Default)]
pub(super) struct RunToken(Mutex<State>);

#[derive(Default)]
struct State {
    /// The scopes to request, if several repositories were announced.
    scopes: Option<Scopes>,
    /// The origin of the login that the token is requested with; the inner `None` for an anonymous token.
    origin: Option<Option<CredentialOrigin>>,
    /// The token that was used last.
    header: Option<Secret>,
}

impl RunToken {
    /// Announces the scopes of a run.
    pub(super) fn announce(&self, scopes: Scopes) {
        if scopes.has_several_repositories() {
            self.state().scopes = Some(scopes);
        }
    }

    /// Returns the scopes to request if they include `needed`. Repositories with another login use their own tokens.
    pub(super) fn scopes_for(&self, needed: &Scopes, login: Option<&SourcedLogin>) -> Option<Scopes> {
        let mut state = self.state();
        let scopes = state.scopes.clone().filter(|scopes| needed.lacking(scopes).is_none())?;
        let origin = login.map(|login| login.origin.clone());
        (*state.origin.get_or_insert_with(|| origin.clone()) == origin).then_some(scopes)
    }

    /// Returns whether a token may be used for `needed`. If its scopes are unknown, no such token is requested again.
    pub(super) fn accept(&self, token: &Token, needed: &Scopes) -> bool {
        let Some(granted) = &token.granted else {
            self.give_up();
            return false;
        };
        self.state().header = Some(token.header.clone());
        needed.lacking(granted).is_none()
    }

    /// Gives up on the token if the registry refused it.
    pub(super) fn refused(&self, header: &Secret) {
        if self.state().header.as_ref() == Some(header) {
            self.give_up();
        }
    }

    /// Uses a token for each request's own scopes from now on.
    pub(super) fn give_up(&self) {
        self.state().scopes = None;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    fn announced() -> RunToken {
        let token = RunToken::default();
        token.announce(Scopes::push("whole").and("a", &["pull"]).and("b", &["pull"]));
        token
    }

    /// Returns a token that grants pull in these repositories.
    fn token(repositories: &[&str]) -> Token {
        let access: Vec<_> = repositories
            .iter()
            .map(|name| json!({"type": "repository", "name": name, "actions": ["pull", "push"]}))
            .collect();
        let claims = BASE64_URL_SAFE_NO_PAD.encode(json!({"access": access}).to_string());
        Token::new(&Secret::new(format!("e30.{claims}.x")))
    }

    #[test]
    fn only_announced_scopes_of_several_repositories_share_a_token() {
        let run = announced();
        for needed in [Scopes::pull("a"), Scopes::push("whole"), Scopes::push("whole").and("b", &["pull"])] {
            assert!(run.scopes_for(&needed, None).is_some(), "{needed:?}");
        }
        for needed in [Scopes::push("a"), Scopes::pull("c"), Scopes::pull("whole").and("whole", &["delete"])] {
            assert!(run.scopes_for(&needed, None).is_none(), "{needed:?}");
        }
        let single = RunToken::default();
        single.announce(Scopes::push("whole").and("whole", &["pull"]));
        assert!(single.scopes_for(&Scopes::pull("whole"), None).is_none());
    }

    #[test]
    fn a_token_is_used_for_what_it_grants() {
        let run = announced();
        let partial = token(&["a", "whole"]);
        assert!(run.accept(&partial, &Scopes::pull("a")) && !run.accept(&partial, &Scopes::pull("b")));
        assert!(run.scopes_for(&Scopes::pull("a"), None).is_some(), "a part is useful");
        assert!(!run.accept(&Token::new(&Secret::new("opaque")), &Scopes::pull("a")));
        assert!(run.scopes_for(&Scopes::pull("a"), None).is_none(), "opaque tokens are not requested again");
    }

    #[test]
    fn a_refused_token_is_not_used_again() {
        let run = announced();
        assert!(run.accept(&token(&["a"]), &Scopes::pull("a")));
        run.refused(&Secret::new("Bearer other"));
        assert!(run.scopes_for(&Scopes::pull("a"), None).is_some());
        run.refused(&token(&["a"]).header);
        assert!(run.scopes_for(&Scopes::pull("a"), None).is_none());
    }
}
