use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::registry::error::StopReason;

/// How long a write that is under way may still take: many programs that send SIGTERM send SIGKILL ten seconds later.
pub(crate) const CANCEL_GRACE: Duration = Duration::from_secs(3);

/// Ends the work of a [`Client`](crate::registry::Client) early. A write that is under way has three seconds to come to its
/// end; reads, waits and requests for tokens end at once. Clones are the same stop.
#[derive(Debug, Clone)]
pub struct CancelToken(Arc<watch::Sender<Option<StopReason>>>);

impl Default for CancelToken {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl CancelToken {
    /// Stops the clients that have this stop. The first reason stays.
    pub fn cancel(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }

    /// The reason for which it was reason, if it was.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// Does the work, unless it is reason and the work is not done three seconds later.
    ///
    /// # Errors
    /// The reason for which it was reason.
    pub async fn run_until_cancelled_with_grace<T>(&self, work: impl Future<Output = T>) -> Result<T, StopReason> {
        let mut work = std::pin::pin!(work);
        match self.run_until_cancelled(work.as_mut()).await {
            Err(reason) => tokio::time::timeout(CANCEL_GRACE, work).await.map_err(|_| reason),
            done => done,
        }
    }

    /// Does the work, unless it is reason before the work is done.
    ///
    /// # Errors
    /// The reason for which it was reason.
    pub async fn run_until_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, StopReason> {
        let mut receiver = self.0.subscribe();
        let reason = std::pin::pin!(async move {
            match receiver.wait_for(Option::is_some).await {
                Ok(reason) => *reason,
                Err(_) => None,
            }
        });
        match futures_util::future::select(reason, std::pin::pin!(work)).await {
            futures_util::future::Either::Left((Some(reason), _)) => Err(reason),
            // The sender is in `self`.
            futures_util::future::Either::Left((None, work)) => Ok(work.await),
            futures_util::future::Either::Right((done, _)) => Ok(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_given_up_when_it_is_raised_and_not_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stop = CancelToken::default();
            assert_eq!(stop.run_until_cancelled(async { 7 }).await, Ok(7));
            let other = stop.clone();
            let raise = async {
                tokio::task::yield_now().await;
                other.cancel(StopReason::Signal(15));
                other.cancel(StopReason::Deadline);
            };
            let (given_up, ()) =
                futures_util::future::join(stop.run_until_cancelled(std::future::pending::<()>()), raise).await;
            assert_eq!(given_up, Err(StopReason::Signal(15)));
            assert_eq!(stop.run_until_cancelled(async { 7 }).await, Err(StopReason::Signal(15)));
            assert_eq!(stop.reason(), Some(StopReason::Signal(15)));
        });
    }
}
