use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::registry::error::StopReason;

/// How long a write in progress may still take: many programs that send SIGTERM send SIGKILL ten seconds later.
pub(crate) const CANCEL_GRACE: Duration = Duration::from_secs(3);

/// Cancels the requests of a [`Client`](crate::registry::Client). A write in progress has three seconds to finish;
/// reads, waits and token requests end immediately. Clones share one state.
#[derive(Debug, Clone)]
pub struct CancelToken(Arc<watch::Sender<Option<StopReason>>>);

impl Default for CancelToken {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl CancelToken {
    /// Cancels the requests of every client with this token or a clone of it. Only the first reason is kept.
    pub fn cancel(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert(reason);
            is_first
        });
    }

    /// Returns the reason for the cancellation, or `None` if the token is not cancelled.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// Awaits a future, for at most three seconds after the token is cancelled.
    ///
    /// # Errors
    /// Returns the reason for the cancellation.
    pub async fn run_until_cancelled_with_grace<T>(&self, future: impl Future<Output = T>) -> Result<T, StopReason> {
        let mut future = std::pin::pin!(future);
        match self.run_until_cancelled(future.as_mut()).await {
            Err(reason) => tokio::time::timeout(CANCEL_GRACE, future).await.map_err(|_| reason),
            output => output,
        }
    }

    /// Awaits a future until the token is cancelled.
    ///
    /// # Errors
    /// Returns the reason for the cancellation.
    pub async fn run_until_cancelled<T>(&self, future: impl Future<Output = T>) -> Result<T, StopReason> {
        let mut receiver = self.0.subscribe();
        let cancelled = std::pin::pin!(async move {
            match receiver.wait_for(Option::is_some).await {
                Ok(reason) => *reason,
                Err(_) => None,
            }
        });
        match futures_util::future::select(cancelled, std::pin::pin!(future)).await {
            futures_util::future::Either::Left((Some(reason), _)) => Err(reason),
            // Unreachable: `self` contains the sender.
            futures_util::future::Either::Left((None, future)) => Ok(future.await),
            futures_util::future::Either::Right((output, _)) => Ok(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_is_given_up_once_the_token_is_cancelled_and_the_first_reason_is_kept() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let token = CancelToken::default();
            assert_eq!(token.run_until_cancelled(async { 7 }).await, Ok(7));
            let clone = token.clone();
            let cancel = async {
                tokio::task::yield_now().await;
                clone.cancel(StopReason::Signal(15));
                clone.cancel(StopReason::Deadline);
            };
            let (given_up, ()) =
                futures_util::future::join(token.run_until_cancelled(std::future::pending::<()>()), cancel).await;
            assert_eq!(given_up, Err(StopReason::Signal(15)));
            assert_eq!(token.run_until_cancelled(async { 7 }).await, Err(StopReason::Signal(15)));
            assert_eq!(token.reason(), Some(StopReason::Signal(15)));
        });
    }
}
