use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// One line at the bottom of a terminal for a run of several indexes.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// For so many indexes. Nothing is drawn where stderr is not a terminal.
    #[must_use]
    pub fn new(indexes: usize) -> Self {
        let bar = ProgressBar::new(indexes as u64);
        let plain = ProgressStyle::default_bar();
        bar.set_style(ProgressStyle::with_template("{pos}/{len} indexes {wide_bar} {msg}").unwrap_or(plain));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// One more index is done, with so many requests in all, and so many of them sent again.
    pub fn done(&self, requests: usize, sent_again: usize) {
        self.bar.inc(1);
        self.bar.set_message(format!("{requests} requests, {sent_again} sent again"));
    }

    /// Lets something else be written to the terminal.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
