//! Work that is done once, however many want its result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Work that is done once for a key: those who ask meanwhile wait for the one who does it, and share the result. A
/// failure is shared by those who waited for it, and the next who asks tries anew.
pub(crate) struct Once<K, V, E> {
    slots: Mutex<HashMap<K, Arc<Slot<V, E>>>>,
}

struct Slot<V, E> {
    /// Times that the work was done, well or not.
    ended: AtomicU64,
    last: tokio::sync::Mutex<Option<Result<V, E>>>,
}

impl<K, V, E> Default for Once<K, V, E> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone, E: Clone> Once<K, V, E> {
    /// The value of a key: from who has it, or from this work.
    pub(crate) async fn get(&self, key: &K, work: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        self.get_or_share(key, work, |_| true).await
    }

    /// Gets the value of a key as [`Self::get`] does, and does the work again if the failure of another caller does not
    /// count for this one.
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

    /// Lets go of a value that nobody will ask for again.
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
            let once = Once::<&str, u32, u32>::default();
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
