use std::sync::atomic::{AtomicUsize, Ordering};

/// What was sent so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Requests, including those to token services and those sent again.
    pub requests: usize,
    /// Requests that were sent again.
    pub retries: usize,
}

/// Counts the requests of a run.
#[derive(Default)]
pub(crate) struct TrafficCount {
    requests: AtomicUsize,
    retries: AtomicUsize,
}

impl TrafficCount {
    /// Counts a request; `attempt` is 1 for one that is sent for the first time.
    pub(crate) fn count(&self, attempt: u32) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.retries.fetch_add(usize::from(attempt > 1), Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> Traffic {
        Traffic { requests: self.requests.load(Ordering::Relaxed), retries: self.retries.load(Ordering::Relaxed) }
    }
}
