use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::image::Digest;

/// Progress lines at the bottom of a terminal: one per blob in transfer, one for all blobs, and one for the indexes or
/// tags if the run has several. Draws only if stderr is a terminal.
pub(super) struct Progress {
    lines: MultiProgress,
    items: Option<ProgressBar>,
    blobs: Mutex<BlobProgress>,
}

#[derive(Default)]
struct BlobProgress {
    /// Bars of the transfers in progress, by the identifier of the transfer.
    running: HashMap<u64, ProgressBar>,
    /// Bytes of the blobs whose transfer has ended.
    finished_bytes: u64,
    total: Option<ProgressBar>,
}

/// The time between two redraws of a line.
const TICK: Duration = Duration::from_millis(200);

impl Progress {
    /// Shows progress through `count` items of a kind, such as 12 indexes. For a single item, shows only blobs.
    #[must_use]
    pub(super) fn new(count: usize, kind: &str) -> Self {
        let lines = MultiProgress::new();
        let items = (count > 1).then(|| {
            let bar = lines.add(ProgressBar::new(count as u64));
            bar.set_style(style(&format!("{{pos}}/{{len}} {kind} {{wide_bar}} {{msg}}")));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { lines, items, blobs: Mutex::default() }
    }

    /// Counts one more item as done. `requests` is the total sent so far, including `retries`.
    pub(super) fn done(&self, requests: usize, retries: usize) {
        if let Some(items) = &self.items {
            items.inc(1);
            items.set_message(format!("{requests} requests, {retries} retries"));
        }
    }

    /// Shows the progress of a blob: `done` of `size` bytes.
    pub(super) fn transfer(&self, id: u64, digest: &Digest, size: u64, done: u64, is_over: bool) {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if is_over {
            blobs.finished_bytes += done;
            if let Some(bar) = blobs.running.remove(&id) {
                bar.finish_and_clear();
                self.lines.remove(&bar);
            }
        } else {
            let bar = blobs.running.entry(id).or_insert_with(|| {
                let bar = self.lines.insert(0, ProgressBar::new(size));
                bar.set_style(style("{msg} {bytes:>11} of {total_bytes:>11} {bytes_per_sec:>13} {eta:>4} left"));
                bar.set_message(digest.as_str().chars().take(19).collect::<String>());
                bar
            });
            bar.set_position(done);
        }
        let bytes = blobs.finished_bytes + blobs.running.values().map(ProgressBar::position).sum::<u64>();
        let total = blobs.total.get_or_insert_with(|| {
            let bar = self.lines.add(ProgressBar::new_spinner());
            bar.set_style(style("all blobs           {bytes:>11} {bytes_per_sec:>32}"));
            bar
        });
        total.set_position(bytes);
    }

    /// Hides the lines while other output is written to the terminal.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.lines.suspend(write)
    }

    /// Removes the lines.
    pub(super) fn finish(&self) {
        let blobs = std::mem::take(&mut *self.blobs.lock().unwrap_or_else(PoisonError::into_inner));
        blobs.running.values().chain(&blobs.total).chain(&self.items).for_each(ProgressBar::finish_and_clear);
        let _ = self.lines.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
