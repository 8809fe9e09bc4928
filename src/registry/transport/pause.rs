use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A pause that is extended by more than this is reported again.
const REPORT_AGAIN: Duration = Duration::from_secs(1);

/// The time until which no request is sent to a host, because it requested a wait or refused a connection.
#[derive(Default)]
pub(crate) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// Begins or extends a pause. Returns whether to report it: no pause was active, or one that was shorter by more
    /// than [`REPORT_AGAIN`].
    pub(crate) fn begin(&self, time: Duration) -> bool {
        let now = Instant::now();
        let mut pause = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = pause.filter(|until| *until > now);
        *pause = Some(previous.map_or(now + time, |until| until.max(now + time)));
        previous.is_none_or(|until| until + REPORT_AGAIN < now + time)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|until| until <= Instant::now())
    }

    /// Waits until the pause is over, even if it is extended during the wait.
    pub(crate) async fn over(&self) {
        loop {
            let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match until.and_then(|until| until.checked_duration_since(Instant::now())) {
                Some(remaining) if !remaining.is_zero() => tokio::time::sleep(remaining).await,
                _ => return,
            }
        }
    }
}
