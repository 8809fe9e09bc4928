//! Progress lines at the bottom of a terminal: the phase of the run, and one line per blob in transfer.
//!
//! `state` computes the lines from the events of the run; this module draws them.

mod amount;
mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use self::state::ProgressState;
use crate::event::Event;

pub(super) use self::state::Activity;

/// The time before the first lines are drawn, so that a fast command shows none.
const DELAY: Duration = Duration::from_millis(250);
/// The time between two redraws.
const INTERVAL: Duration = Duration::from_millis(100);
/// The width of a terminal that does not report its own, in columns.
const DEFAULT_WIDTH: usize = 80;
/// Shown one after another in front of the last line.
const SPINNER: [char; 4] = ['|', '/', '-', '\\'];

/// Draws progress lines until it is finished.
pub(super) struct Progress {
    shared: Arc<Shared>,
    drawing: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    started: Instant,
    state: Mutex<ProgressState>,
    lines: MultiProgress,
    is_finished: Mutex<bool>,
    finished: Condvar,
}

impl Progress {
    /// Starts to draw on stderr, which must be a terminal.
    pub(super) fn start(activity: Activity) -> Self {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            state: Mutex::new(ProgressState::new(activity)),
            lines: MultiProgress::new(),
            is_finished: Mutex::new(false),
            finished: Condvar::new(),
        });
        let drawn = Arc::clone(&shared);
        // Without a thread, the run has no progress lines.
        let drawing = std::thread::Builder::new().name("progress".into()).spawn(move || drawn.draw()).ok();
        Self { shared, drawing: Mutex::new(drawing) }
    }

    /// Sets the number of items of the run.
    pub(super) fn begin_items(&self, total: usize) {
        self.shared.state().begin_items(total);
    }

    /// Counts one more item as finished. `requests` is the total sent so far, including `retries`.
    pub(super) fn item_done(&self, requests: usize, retries: usize) {
        self.shared.state().item_done(requests, retries);
    }

    /// Shows an event.
    pub(super) fn event(&self, event: &Event) {
        let now = self.shared.started.elapsed();
        self.shared.state().apply(event, now);
    }

    /// Hides the lines while other output is written to the terminal.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.shared.lines.suspend(write)
    }

    /// Removes the lines.
    pub(super) fn finish(&self) {
        *lock(&self.shared.is_finished) = true;
        self.shared.finished.notify_all();
        if let Some(drawing) = lock(&self.drawing).take() {
            let _ = drawing.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, ProgressState> {
        lock(&self.state)
    }

    /// Redraws the lines until the progress is finished, then removes them.
    fn draw(&self) {
        let (mut bars, mut frame) = (Vec::new(), 0);
        while !self.is_finished_within(if frame == 0 { DELAY } else { INTERVAL }) {
            self.redraw(&mut bars, frame);
            frame += 1;
        }
        bars.iter().for_each(ProgressBar::finish_and_clear);
        let _ = self.lines.clear();
    }

    fn is_finished_within(&self, time: Duration) -> bool {
        let finished = self.finished.wait_timeout_while(lock(&self.is_finished), time, |finished| !*finished);
        finished.is_ok_and(|(finished, _)| *finished)
    }

    fn redraw(&self, bars: &mut Vec<ProgressBar>, frame: usize) {
        let width =
            terminal_size::terminal_size_of(std::io::stderr()).map_or(DEFAULT_WIDTH, |(width, _)| width.0.into());
        // Two columns are for the spinner, and the last one stays free, because some terminals wrap after it.
        let lines = self.state().lines(self.started.elapsed(), width.saturating_sub(3).max(1));
        while bars.len() > lines.len() {
            let Some(bar) = bars.pop() else { break };
            bar.finish_and_clear();
            self.lines.remove(&bar);
        }
        let last = lines.len() - 1;
        for (position, line) in lines.into_iter().enumerate() {
            let spinner = SPINNER.get(frame % SPINNER.len()).filter(|_| position == last).unwrap_or(&' ');
            let line = format!("{spinner} {line}");
            match bars.get(position) {
                Some(bar) => bar.set_message(line),
                None => {
                    let bar = self.lines.add(ProgressBar::new_spinner());
                    bar.set_style(style());
                    bar.set_message(line);
                    bars.push(bar);
                }
            }
        }
    }
}

/// The style of a line: its message, cut off at the width of the terminal.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
