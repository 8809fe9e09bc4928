//! Ends the back-off of requests whose responses are no longer needed.

use futures_util::future::{Either, select};
use tokio::sync::watch;

/// A group of requests that are useful only together, such as those for one index. Once one part has failed
/// permanently, no request of the group waits for a retry: each ends with the last response that it got.
///
/// Requests belong to the group in whose [`run`](Self::run) they are sent, so the many functions between a job and its
/// requests need not pass the group on. Tasks started by `tokio::spawn` belong to no group.
#[derive(Clone)]
pub(crate) struct RetryGroup(watch::Sender<bool>);

tokio::task_local! {
    static CURRENT: RetryGroup;
}

impl RetryGroup {
    /// Runs a job in a new group.
    pub(crate) async fn run<T>(job: impl Future<Output = T>) -> T {
        CURRENT.scope(Self(watch::Sender::new(false)), job).await
    }

    /// Records that a part of the current group, if any, has failed permanently.
    pub(crate) fn fail_current() {
        let _ = CURRENT.try_with(|group| group.0.send_replace(true));
    }

    /// Whether a part of the current group has failed permanently.
    pub(crate) fn has_failed() -> bool {
        CURRENT.try_with(|group| *group.0.borrow()).unwrap_or(false)
    }

    /// Awaits a future; `None` if a part of the current group has failed or fails first.
    pub(crate) async fn run_until_failed<T>(future: impl Future<Output = T>) -> Option<T> {
        let Ok(mut failed) = CURRENT.try_with(|group| group.0.subscribe()) else { return Some(future.await) };
        let failing = std::pin::pin!(async move { failed.wait_for(|failed| *failed).await.is_ok() });
        match select(failing, std::pin::pin!(future)).await {
            Either::Left((true, _)) => None,
            // Unreachable: the group is dropped only together with the job that polls this future.
            Either::Left((false, future)) => Some(future.await),
            Either::Right((output, _)) => Some(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join;

    use super::*;

    #[test]
    fn a_failure_ends_only_the_waits_of_its_own_group() {
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
            assert!(!RetryGroup::has_failed(), "outside of a group, a failure has no effect");
            assert_eq!(RetryGroup::run_until_failed(sleep()).await, Some(()));
        });
    }
}
