use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::scopes::Scopes;
use super::token::Token;

/// Tokens by what was asked of them. A slot is locked while its token is fetched, so that all who want the same one
/// wait for one request.
#[derive(Default)]
pub(super) struct Slots(Mutex<HashMap<Scopes, Arc<tokio::sync::Mutex<Slot>>>>);

pub(super) struct Slot {
    /// What is asked for, with what challenges named besides.
    pub(super) wanted: Scopes,
    pub(super) token: Option<Token>,
}

impl Slots {
    /// The slot for a request: its own, or that of a token that is asked for more.
    pub(super) fn of(&self, scopes: &Scopes) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(scopes) {
            return Arc::clone(slot);
        }
        let wider = slots.iter().find(|(asked, _)| asked.cover(scopes)).map(|(_, slot)| Arc::clone(slot));
        let new = || Arc::new(tokio::sync::Mutex::new(Slot { wanted: scopes.clone(), token: None }));
        let slot = wider.unwrap_or_else(new);
        slots.insert(scopes.clone(), Arc::clone(&slot));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrower_request_shares_the_wider_slot_and_renews_the_wider_token() {
        let slots = Slots::default();
        let push = slots.of(&Scopes::push("a"));
        let pull = slots.of(&Scopes::pull("a"));
        assert!(Arc::ptr_eq(&push, &pull));
        assert_eq!(pull.blocking_lock().wanted, Scopes::push("a"));
        assert!(!Arc::ptr_eq(&push, &slots.of(&Scopes::pull("b"))));
        let both = Scopes::push("a").and("b", &["pull"]);
        assert!(!Arc::ptr_eq(&push, &slots.of(&both)) && Arc::ptr_eq(&slots.of(&both), &slots.of(&both)));
    }
}
