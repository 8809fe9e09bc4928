//! stderr and stdout belong to the whole process: what is written to them must not get mixed up with the line that shows
//! progress on a terminal.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::output::Progress;

static PROGRESS: Mutex<Option<Arc<Progress>>> = Mutex::new(None);

/// The line that is shown from now on.
pub(super) fn show(progress: Option<Arc<Progress>>) {
    *PROGRESS.lock().unwrap_or_else(PoisonError::into_inner) = progress;
}

/// Tells the user something. A stderr that takes nothing must not end the work.
pub(super) fn say(line: impl Display) {
    let _ = aside(|| writeln!(std::io::stderr(), "{line}"));
}

/// Writes with the line of progress out of the way.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match progress {
        Some(progress) => progress.aside(write),
        None => write(),
    }
}
