//! Deduplicates concurrent work by key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Deduplicates concurrent work per key: the first caller runs it, later callers await its result. Values are cached. A
/// failure is returned to all callers that waited for it, and the next caller runs the work again.
pub(crate) struct SingleFlight<K, V, E> {
    flights: Mutex<HashMap<K, Arc<Flight<V, E>>>>,
}

struct Flight<V, E> {
    /// How often the work ran, with or without success.
    runs: AtomicU64,
    last: tokio::sync::Mutex<Option<Result<V, E>>>,
}

impl<K, V, E> Default for SingleFlight<K, V, E> {
    fn default() -> Self {
        Self { flights: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone, E: Clone> SingleFlight<K, V, E> {
    /// Returns the cached value of a key, or runs `work` for it.
    pub(crate) async fn get(&self, key: &K, work: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        self.get_with(key, |_| true, |_| true, work).await
    }

    /// Returns the cached value of a key if `is_fresh` accepts it, or the failure that this call waited for if
    /// `is_shared` accepts it. Otherwise runs `work`.
    pub(crate) async fn get_with(
        &self,
        key: &K,
        is_fresh: impl Fn(&V) -> bool,
        is_shared: impl Fn(&E) -> bool,
        work: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let flight = self.flight(key);
        let before = flight.runs.load(Ordering::Acquire);
        let mut last = flight.last.lock().await;
        match last.as_ref() {
            Some(Ok(value)) if is_fresh(value) => return Ok(value.clone()),
            Some(Err(error)) if flight.runs.load(Ordering::Acquire) > before && is_shared(error) => {
                return Err(error.clone());
            }
            _ => {}
        }
        let outcome = work.await;
        *last = Some(outcome.clone());
        flight.runs.fetch_add(1, Ordering::Release);
        outcome
    }

    /// Waits for running work on a key, and returns the cached value, fresh or not.
    pub(crate) async fn peek(&self, key: &K) -> Option<V> {
        self.flight(key).last.lock().await.as_ref().and_then(|last| last.as_ref().ok().cloned())
    }

    /// Returns the number of keys.
    pub(crate) fn len(&self) -> usize {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Drops all values.
    pub(crate) fn clear(&self) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Drops the value of a key.
    pub(crate) fn forget(&self, key: &K) {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Waits for running work on a key, and drops the cached value if `is_stale` accepts it.
    pub(crate) async fn forget_if(&self, key: &K, is_stale: impl Fn(&V) -> bool) {
        let flight = self.flight(key);
        let mut last = flight.last.lock().await;
        if matches!(last.as_ref(), Some(Ok(value)) if is_stale(value)) {
            *last = None;
        }
    }

    fn flight(&self, key: &K) -> Arc<Flight<V, E>> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Flight { runs: AtomicU64::new(0), last: tokio::sync::Mutex::new(None) });
        Arc::clone(flights.entry(key.clone()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    fn block_on(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    /// Work that returns how often it ran, as a value or as a failure.
    #[derive(Default)]
    struct CountedWork(Mutex<u32>);

    impl CountedWork {
        async fn run(&self, fails: bool) -> Result<u32, u32> {
            tokio::task::yield_now().await;
            let mut count = self.0.lock().unwrap();
            *count += 1;
            if fails { Err(*count) } else { Ok(*count) }
        }
    }

    #[test]
    fn concurrent_callers_share_one_run_and_its_failure() {
        block_on(async {
            let (flight, work) = (SingleFlight::<&str, u32, u32>::default(), CountedWork::default());
            assert_eq!(flight.get(&"a", work.run(true)).await, Err(1));
            let failed = join_all((0..9).map(|_| flight.get(&"b", work.run(true)))).await;
            assert_eq!(failed, vec![Err(2); 9], "callers that waited share the failure");
            let values = join_all((0..9).map(|_| flight.get(&"a", work.run(false)))).await;
            assert_eq!(values, vec![Ok(3); 9]);
            assert_eq!(flight.get(&"b", work.run(false)).await, Ok(4), "the next caller runs the work again");
            flight.forget(&"a");
            assert_eq!(flight.get(&"a", work.run(false)).await, Ok(5));
        });
    }

    #[test]
    fn concurrent_callers_replace_a_stale_value_once() {
        block_on(async {
            let (flight, work) = (SingleFlight::<&str, u32, u32>::default(), CountedWork::default());
            assert_eq!(flight.get_with(&"a", |_| true, |_| true, work.run(false)).await, Ok(1));
            assert_eq!(flight.get_with(&"a", |_| true, |_| true, work.run(false)).await, Ok(1));
            let values =
                join_all((0..9).map(|_| flight.get_with(&"a", |value| *value > 1, |_| true, work.run(false)))).await;
            assert_eq!(values, vec![Ok(2); 9], "callers that waited accept the new value as fresh");
            assert_eq!(flight.get_with(&"a", |_| false, |_| true, work.run(true)).await, Err(3));
            assert_eq!(
                flight.get_with(&"a", |_| true, |_| true, work.run(false)).await,
                Ok(4),
                "a failure is not cached"
            );
        });
    }

    #[test]
    fn a_caller_that_rejects_a_shared_failure_runs_the_work_itself() {
        block_on(async {
            let (flight, work) = (SingleFlight::<&str, u32, u32>::default(), CountedWork::default());
            let calls = (0..3).map(|_| flight.get_with(&"a", |_| true, |error| *error > 1, work.run(true)));
            assert_eq!(join_all(calls).await, [Err(1), Err(2), Err(2)]);
        });
    }

    #[test]
    fn forget_if_drops_only_a_stale_value() {
        block_on(async {
            let (flight, work) = (SingleFlight::<&str, u32, u32>::default(), CountedWork::default());
            flight.forget_if(&"a", |_| true).await;
            assert_eq!(flight.peek(&"a").await, None);
            assert_eq!(flight.get(&"a", work.run(false)).await, Ok(1));
            flight.forget_if(&"a", |value| *value == 7).await;
            assert_eq!(flight.peek(&"a").await, Some(1));
            flight.forget_if(&"a", |value| *value == 1).await;
            assert_eq!(flight.peek(&"a").await, None);
            assert_eq!(flight.get(&"a", work.run(false)).await, Ok(2));
        });
    }

    #[test]
    fn the_next_caller_runs_work_that_was_dropped() {
        block_on(async {
            let (flight, work) = (SingleFlight::<&str, u32, u32>::default(), CountedWork::default());
            let dropped = flight.get(&"a", std::future::pending());
            assert!(tokio::time::timeout(std::time::Duration::from_millis(1), dropped).await.is_err());
            assert_eq!(flight.get(&"a", work.run(false)).await, Ok(1));
        });
    }
}
