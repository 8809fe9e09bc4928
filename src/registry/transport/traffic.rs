use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of requests sent so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// All requests, including retries and those to token services.
    pub requests: usize,
    /// Retries.
    pub retries: usize,
}

/// Counts the requests of a run.
#[derive(Default)]
pub(crate) struct TrafficCount {
    requests: AtomicUsize,
    retries: AtomicUsize,
}

impl TrafficCount {
    /// Counts a request; `attempt` is 1 for the first attempt.
    pub(crate) fn count(&self, attempt: u32) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.retries.fetch_add(usize::from(attempt > 1), Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> Traffic {
        Traffic { requests: self.requests.load(Ordering::Relaxed), retries: self.retries.load(Ordering::Relaxed) }
    }
}
