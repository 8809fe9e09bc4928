//! Work on files that ends early when the run is stopped.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Tells whether the run was stopped. Long work on a layout asks between two pieces, so that it ends soon and removes
/// what it has begun.
#[derive(Clone)]
pub(crate) struct CancelCheck(Arc<dyn Fn() -> bool + Send + Sync>);

/// The cause inside the [`io::Error`] of work that was stopped.
#[derive(Debug)]
pub(super) struct Stopped;

impl CancelCheck {
    /// A token that asks `is_stopped`, which must be cheap.
    pub(crate) fn new(is_stopped: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_stopped))
    }

    /// # Errors
    ///
    /// The run was stopped. [`Stopped`] is the cause, and not a kind of I/O error: `io::copy` repeats a read that was
    /// interrupted.
    pub(super) fn check(&self) -> io::Result<()> {
        if (self.0)() { Err(io::Error::other(Stopped)) } else { Ok(()) }
    }
}

/// Whether an error comes from [`CancelCheck::check`].
pub(super) fn is_stopped(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<Stopped>())
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped before it was done")
    }
}

impl std::error::Error for Stopped {}
