//! stderr and stdout belong to the whole process: what is written to them must not get mixed up with the line that shows
//! progress on a terminal.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::event::{Event, Level, Warning};
use crate::image::visible;
use crate::output::Progress;
use crate::output::event_text;
use crate::registry::{Client, Secrets};

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

/// Events are about one of several targets, which is named with each.
static NAMES_TARGETS: AtomicBool = AtomicBool::new(false);
/// Whether the warning about OCI images in a Docker list was printed, which is shown once for all indexes of a run.
static HAS_WARNED_OF_OCI: AtomicBool = AtomicBool::new(false);

/// From now on events name their target.
pub(super) fn name_targets() {
    NAMES_TARGETS.store(true, Ordering::Relaxed);
}

/// Shows an event.
pub(super) fn report(event: &Event, quiet: bool, debug: bool) {
    let names_target = NAMES_TARGETS.load(Ordering::Relaxed);
    let is_of_oci = names_target && matches!(event, Event::Warning { warning: Warning::OciInDockerList { .. }, .. });
    if is_of_oci && HAS_WARNED_OF_OCI.swap(true, Ordering::Relaxed) {
        return;
    }
    // The place in its file says which spec a warning is about.
    let is_of_spec = matches!(event, Event::Warning { warning: Warning::Spec(_), .. });
    let of = event.target().filter(|_| names_target && !is_of_spec);
    let of = of.map(|target| format!("{target}: ")).unwrap_or_default();
    let text = event_text(event);
    match (event.level(), event) {
        (Level::Progress, Event::Transfer { digest, size, done, is_over }) => {
            let progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(progress) = progress {
                progress.transfer(digest, *size, *done, *is_over);
            }
        }
        (Level::Warning, _) if !quiet => {
            say(format_args!("warning: {of}{text}{}", if is_of_oci { " (shown once for all indexes)" } else { "" }));
        }
        _ if debug => say(format_args!("debug: {of}{text}")),
        _ => {}
    }
}

/// Does the work, and shows it on a terminal if it is so many things of a kind: nothing where it is nothing.
pub(super) async fn with_progress<T>(shown: Option<(usize, &str)>, work: impl Future<Output = T>) -> T {
    let Some((count, kind)) = shown.filter(|_| std::io::stderr().is_terminal()) else { return work.await };
    let progress = Arc::new(Progress::new(count, kind));
    *PROGRESS.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&progress));
    let outcome = work.await;
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
