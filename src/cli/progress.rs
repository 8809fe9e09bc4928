use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::image::Digest;

/// The lines at the bottom of a terminal: one for each blob in transfer, one for all blobs, and in a run of several indexes
/// or tags one for these. Draws only if stderr is a terminal.
pub(super) struct Progress {
    lines: MultiProgress,
    items: Option<ProgressBar>,
    blobs: Mutex<BlobProgress>,
}

#[derive(Default)]
struct BlobProgress {
    /// By the identifier of the transfer.
    running: HashMap<u64, ProgressBar>,
    /// Bytes of the blobs whose transfer has ended.
    arrived: u64,
    total: Option<ProgressBar>,
}

/// The time between two redraws of a line.
const TICK: Duration = Duration::from_millis(200);

impl Progress {
    /// Shows progress through `count` items of a kind, such as 12 indexes. For a single one, shows only blobs.
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

    /// Counts one more item as done. `requests` were sent so far in all, `sent_again` of them as retries.
    pub(super) fn done(&self, requests: usize, sent_again: usize) {
        if let Some(items) = &self.items {
            items.inc(1);
            items.set_message(format!("{requests} requests, {sent_again} sent again"));
        }
    }

    /// Shows the progress of a blob: `done` of `size` bytes.
    pub(super) fn transfer(&self, id: u64, digest: &Digest, size: u64, done: u64, is_over: bool) {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if is_over {
            blobs.arrived += done;
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
        let bytes = blobs.arrived + blobs.running.values().map(ProgressBar::position).sum::<u64>();
        let total = blobs.total.get_or_insert_with(|| {
            let bar = self.lines.add(ProgressBar::new_spinner());
            bar.set_style(style("all blobs           {bytes:>11} {bytes_per_sec:>32}"));
            bar
        });
        total.set_position(bytes);
    }

    /// Hides the lines while something else is written to the terminal.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
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
