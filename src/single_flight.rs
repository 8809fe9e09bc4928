//! Deduplicates concurrent work.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Deduplicates concurrent work per key: the first caller runs it, later callers await its result. A value is kept. A
/// failure is passed on to the callers that waited for it, and the next caller runs the work again.
pub(crate) struct SingleFlight<K, V, E> {
    slots: Mutex<HashMap<K, Arc<Slot<V, E>>>>,
}

struct Slot<V, E> {
    /// How often the work was done, with or without success.
    ended: AtomicU64,
    last: tokio::sync::Mutex<Option<Result<V, E>>>,
}

impl<K, V, E> Default for SingleFlight<K, V, E> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone, E: Clone> SingleFlight<K, V, E> {
    /// Returns the value of a key: the one that is kept, or that of `work`.
    pub(crate) async fn get(&self, key: &K, work: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        self.get_or_share(key, work, |_| true).await
    }

    /// Returns the value of a key as [`Self::get`] does. Runs `work` if another caller's failure does not count for this
    /// one.
    pub(crate) async fn get_or_share(
        &self,
        key: &K,
        work: impl Future<Output = Result<V, E>>,
        counts: impl Fn(&E) -> bool,
    ) -> Result<V, E> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Slot { ended: AtomicU64::new(0), last: tokio::sync::Mutex::new(None) });
            Arc::clone(slots.entry(key.clone()).or_insert_with(new))
        };
        let before = slot.ended.load(Ordering::Acquire);
        let mut last = slot.last.lock().await;
        match last.as_ref() {
            Some(Ok(value)) => return Ok(value.clone()),
            Some(Err(error)) if slot.ended.load(Ordering::Acquire) > before && counts(error) => {
                return Err(error.clone());
            }
            _ => {}
        }
        let outcome = work.await;
        *last = Some(outcome.clone());
        slot.ended.fetch_add(1, Ordering::Release);
        outcome
    }

    /// Drops the value of a key.
    pub(crate) fn forget(&self, key: &K) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_works_and_the_others_share() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let once = SingleFlight::<&str, u32, u32>::default();
            let count = Mutex::new(0);
            let work = |fails: bool| {
                let count = &count;
                async move {
                    tokio::task::yield_now().await;
                    *count.lock().unwrap() += 1;
                    let count = *count.lock().unwrap();
                    if fails { Err(count) } else { Ok(count) }
                }
            };
            assert_eq!(once.get(&"a", work(true)).await, Err(1));
            let failed = futures_util::future::join_all((0..9).map(|_| once.get(&"b", work(true)))).await;
            assert_eq!(failed, vec![Err(2); 9], "those who waited share it");
            let asked = futures_util::future::join_all((0..9).map(|_| once.get(&"a", work(false)))).await;
            assert_eq!(asked, vec![Ok(3); 9]);
            assert_eq!(once.get(&"b", work(false)).await, Ok(4), "the next tries anew");
            once.forget(&"a");
            assert_eq!(once.get(&"a", work(false)).await, Ok(5));
        });
    }
}
