//! Ends the back-off of requests whose answers are of no use any more.

use futures_util::future::{Either, select};
use tokio::sync::watch;

/// A group of requests that are of use only together, such as those for one index. Once one part has failed for good, no
/// request of the group waits to be sent again: it ends with the last answer that it got.
///
/// Requests belong to the group in whose [`run`](Self::run) they are sent, so that the many functions between a job and
/// its requests need not pass it on. Work that `tokio::spawn` starts belongs to none.
#[derive(Clone)]
pub(crate) struct RetryGroup(watch::Sender<bool>);

tokio::task_local! {
    static CURRENT: RetryGroup;
}

impl RetryGroup {
    /// Runs a job as a group of its own.
    pub(crate) async fn run<T>(job: impl Future<Output = T>) -> T {
        CURRENT.scope(Self(watch::Sender::new(false)), job).await
    }

    /// Says that a part of the current group, if there is one, has failed for good.
    pub(crate) fn fail_current() {
        let _ = CURRENT.try_with(|group| group.0.send_replace(true));
    }

    /// Whether a part of the current group has failed for good.
    pub(crate) fn has_failed() -> bool {
        CURRENT.try_with(|group| *group.0.borrow()).unwrap_or(false)
    }

    /// Waits for the work; `None` if a part of the current group fails first, or has failed.
    pub(crate) async fn run_until_failed<T>(work: impl Future<Output = T>) -> Option<T> {
        let Ok(mut failed) = CURRENT.try_with(|group| group.0.subscribe()) else { return Some(work.await) };
        let failing = std::pin::pin!(async move { failed.wait_for(|failed| *failed).await.is_ok() });
        match select(failing, std::pin::pin!(work)).await {
            Either::Left((true, _)) => None,
            // The group is gone; so is its job, which does this work.
            Either::Left((false, work)) => Some(work.await),
            Either::Right((done, _)) => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join;

    use super::*;

    #[test]
    fn a_failure_ends_the_waits_of_its_own_group() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let sleep = || tokio::time::sleep(std::time::Duration::from_secs(60));
        runtime.block_on(async {
            let failing = RetryGroup::run(join(RetryGroup::run_until_failed(sleep()), async {
                tokio::task::yield_now().await;
                RetryGroup::fail_current();
                assert!(RetryGroup::has_failed());
            }));
            let other = RetryGroup::run(RetryGroup::run_until_failed(sleep()));
            let ((ended, ()), slept) = join(failing, other).await;
            assert_eq!((ended, slept), (None, Some(())));
            RetryGroup::fail_current();
            assert!(!RetryGroup::has_failed(), "outside of a group");
            assert_eq!(RetryGroup::run_until_failed(sleep()).await, Some(()));
        });
    }
}
