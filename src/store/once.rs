use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Work that is done once for a key, however many ask for it: they wait for the one who does it, and share the result.
/// What failed is done again by the next who asks.
pub struct Once<K, V> {
    slots: Mutex<HashMap<K, Arc<tokio::sync::Mutex<Option<V>>>>>,
}

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Once<K, V> {
    /// The value of a key: from who has it, or from this work.
    pub async fn get<E>(&self, key: &K, work: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(value) = slot.as_ref() {
            return Ok(value.clone());
        }
        let value = work.await?;
        *slot = Some(value.clone());
        Ok(value)
    }

    /// Lets go of a value that nobody will ask for again.
    pub fn forget(&self, key: &K) {
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
            let once = Once::<&str, u32>::default();
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
            let asked = futures_util::future::join_all((0..9).map(|_| once.get(&"a", work(false)))).await;
            assert_eq!(asked, vec![Ok(2); 9]);
            assert_eq!(once.get(&"b", work(false)).await, Ok(3));
            once.forget(&"a");
            assert_eq!(once.get(&"a", work(false)).await, Ok(4));
        });
    }
}
