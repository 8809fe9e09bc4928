use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::MutexGuard;

use super::scopes::Scopes;
use super::token::Token;
use crate::registry::error::Error;

/// Tokens by what was asked of them. A slot is locked while its token is fetched, so that all who want the same one
/// wait for one request.
#[derive(Default)]
pub(crate) struct Slots(Mutex<HashMap<Scopes, Arc<Locked>>>);

/// A slot, and how often fetching its token failed.
pub(crate) struct Locked {
    slot: tokio::sync::Mutex<Slot>,
    failures: AtomicU64,
}

impl Locked {
    pub(crate) async fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().await
    }

    /// Locks it; who had to wait for a failure gets that failure.
    pub(crate) async fn lock_or_failure(&self) -> Result<MutexGuard<'_, Slot>, Error> {
        let before = self.failures.load(Ordering::Acquire);
        let slot = self.slot.lock().await;
        match &slot.failure {
            Some(error) if self.failures.load(Ordering::Acquire) > before => Err(error.clone()),
            _ => Ok(slot),
        }
    }

    /// Keeps a failure for those who wait.
    pub(crate) fn failed(&self, slot: &mut Slot, error: &Error) {
        slot.failure = Some(error.clone());
        self.failures.fetch_add(1, Ordering::Release);
    }
}

pub(crate) struct Slot {
    /// What is asked for, with what challenges named besides.
    pub(crate) wanted: Scopes,
    pub(crate) token: Option<Token>,
    failure: Option<Error>,
}

impl Slots {
    /// The slot for a request: its own, or that of a token that is asked for more.
    pub(crate) fn of(&self, scopes: &Scopes) -> Arc<Locked> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(scopes) {
            return Arc::clone(slot);
        }
        let wider = slots.iter().find(|(asked, _)| asked.cover(scopes)).map(|(_, slot)| Arc::clone(slot));
        let new = || {
            let slot = Slot { wanted: scopes.clone(), token: None, failure: None };
            Arc::new(Locked { slot: tokio::sync::Mutex::new(slot), failures: AtomicU64::new(0) })
        };
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
        assert_eq!(pull.slot.blocking_lock().wanted, Scopes::push("a"));
        assert!(!Arc::ptr_eq(&push, &slots.of(&Scopes::pull("b"))));
        let both = Scopes::push("a").and("b", &["pull"]);
        assert!(!Arc::ptr_eq(&push, &slots.of(&both)) && Arc::ptr_eq(&slots.of(&both), &slots.of(&both)));
    }
}
