//! Stops file operations early when the run is cancelled.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Reports whether the run was stopped. Long operations on a layout check it between chunks, so that they end soon and
/// remove their temporary files.
#[derive(Clone)]
pub(crate) struct CancelCheck(Arc<dyn Fn() -> bool + Send + Sync>);

/// The source of the [`io::Error`] that a stopped operation returns.
#[derive(Debug)]
pub(super) struct Stopped;

impl CancelCheck {
    /// Creates a check that calls `is_stopped`, which must be cheap.
    pub(crate) fn new(is_stopped: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_stopped))
    }

    /// Returns a check that never fails, for short operations.
    pub(super) fn never() -> Self {
        Self::new(|| false)
    }

    /// Fails if the run was stopped.
    ///
    /// # Errors
    ///
    /// The error wraps [`Stopped`]. It does not use `ErrorKind::Interrupted`, because `io::copy` retries interrupted
    /// reads.
    pub(super) fn check(&self) -> io::Result<()> {
        if (self.0)() { Err(io::Error::other(Stopped)) } else { Ok(()) }
    }
}

/// Returns whether an error comes from [`CancelCheck::check`].
pub(super) fn is_stopped(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<Stopped>())
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped before it finished")
    }
}

impl std::error::Error for Stopped {}
