//! stderr and stdout belong to the whole process: what is written to them must not get mixed up with the line that shows
//! progress on a terminal.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::image::visible;
use crate::output::Progress;
use crate::registry::{Client, Secrets};
use crate::store::Store;

/// Blobs are looked at so often.
const TICK: Duration = Duration::from_millis(200);

static PROGRESS: Mutex<Option<Arc<Progress>>> = Mutex::new(None);

/// What this process has sent to sign in.
static SECRETS: OnceLock<Secrets> = OnceLock::new();

/// Keeps the passwords and tokens that a client sends out of everything that is printed from now on.
pub(super) fn hide_secrets_of(client: &Client) {
    let _ = SECRETS.set(client.secrets().clone());
}

/// A text that leaves the program, with `****` in place of passwords and tokens.
pub(super) fn scrubbed(text: &str) -> Cow<'_, str> {
    SECRETS.get().map_or(Cow::Borrowed(text), |secrets| secrets.scrub(text))
}

/// Tells the user something. A stderr that takes nothing must not end the work.
pub(super) fn say(line: impl Display) {
    // Third-party text is one visible line by its type; this is the last defence for text without that type.
    let lines: String = line.to_string().split('\n').map(|line| visible(line) + "\n").collect();
    let lines = scrubbed(&lines);
    let _ = aside(|| std::io::stderr().write_all(lines.as_bytes()));
}

/// Writes with the line of progress out of the way.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match progress {
        Some(progress) => progress.aside(write),
        None => write(),
    }
}

/// One more of those that are counted is done.
pub(super) fn done(requests: usize, sent_again: usize) {
    let progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(progress) = progress {
        progress.done(requests, sent_again);
    }
}

/// Does the work, and shows it on a terminal if it is so many things of a kind: nothing where it is nothing.
pub(super) async fn with_progress<T>(
    store: &Store<'_>,
    shown: Option<(usize, &str)>,
    work: impl Future<Output = T>,
) -> T {
    let Some((count, kind)) = shown.filter(|_| std::io::stderr().is_terminal()) else { return work.await };
    let progress = Arc::new(Progress::new(count, kind));
    *PROGRESS.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&progress));
    let mut work = std::pin::pin!(work);
    let outcome = loop {
        match tokio::time::timeout(TICK, work.as_mut()).await {
            Ok(outcome) => break outcome,
            Err(_) => {
                let (running, arrived) = store.transfers().now();
                progress.show(&running, arrived);
            }
        }
    };
    finish();
    outcome
}

/// Takes the line away: what is said next is the end.
pub(super) fn finish() {
    let progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(progress) = progress {
        progress.finish();
    }
}
