use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Notify;

use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::talk::{self, say};
use crate::registry::Client;
use crate::store::Run;

/// A run of several things of a kind.
pub(super) struct Many<'s> {
    pub(super) run: &'s Run,
    /// What they are called, such as `indexes`.
    pub(super) kind: &'static str,
    /// What came of those that moved, such as `done`.
    pub(super) done: &'static str,
    /// So many are under way at once.
    pub(super) at_once: usize,
    /// After one that failed no other is begun.
    pub(super) fail_fast: bool,
    /// Errors alone are told.
    pub(super) quiet: bool,
}

/// What came of one of them.
pub(super) enum Came<'r, R> {
    Done(&'r R),
    Failed(&'r Failure),
    NotBegun,
}

/// Why one of them was not begun.
pub(super) fn not_begun() -> Failure {
    Failure::new("not begun, as the run had ended")
}

/// What something that is done is, for the summary.
pub(super) trait Moved {
    /// Whether anything was written.
    fn has_moved(&self) -> bool;
}

#[derive(Default)]
struct Tally {
    done: usize,
    unchanged: usize,
    failed: usize,
    skipped: usize,
    /// The exit status that all failures have, if it is one.
    status: Option<ExitStatus>,
}

impl Many<'_> {
    /// Does them all; tells of each, in the order given, as soon as those before it are done, and what came of all in
    /// the end.
    pub(super) async fn run<T, R: Moved>(
        &self,
        items: &[T],
        work: impl AsyncFn(&T) -> Result<R, Failure>,
        mut tell: impl FnMut(&T, Came<'_, R>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (stop, room) = (AtomicBool::new(false), Room::default());
        let one = async |item| {
            let _place = room.take(self.run.store().client()).await;
            if stop.load(Ordering::Relaxed) || self.run.store().client().stop().raised().is_some() {
                return None;
            }
            let outcome = work(item).await;
            if outcome.is_err() && self.fail_fast {
                stop.store(true, Ordering::Relaxed);
            }
            let traffic = self.run.store().client().traffic();
            talk::done(traffic.requests, traffic.retries);
            Some(outcome)
        };
        let (mut tally, mut unprinted) = (Tally::default(), None);
        let begun = stream::iter(items).map(async |item| (item, one(item).await));
        let mut outcomes = std::pin::pin!(begun.buffered(self.at_once));
        while let Some((item, outcome)) = outcomes.next().await {
            let told = match &outcome {
                Some(Ok(done)) => tell(item, Came::Done(done)),
                Some(Err(failure)) => tell(item, Came::Failed(failure)),
                None => tell(item, Came::NotBegun),
            };
            tally.take(outcome);
            if let Err(failure) = told {
                // What is under way comes to its end, and is told of on stderr.
                stop.store(true, Ordering::Relaxed);
                unprinted.get_or_insert(failure);
            }
        }
        if tally.failed + tally.skipped > 0 || unprinted.is_some() {
            for archive in self.run.store().unfinished() {
                say(format_args!("{archive} is not written, as not all of it is done"));
            }
        } else {
            self.run.finish().await?;
        }
        talk::finish();
        let summary = tally.summary(items.len(), self.kind, self.done);
        match (unprinted, &tally) {
            (Some(failure), _) => {
                say(summary);
                Err(failure)
            }
            (None, Tally { failed: 0, skipped: 0, .. }) => {
                if !self.quiet {
                    say(summary);
                }
                Ok(())
            }
            (None, tally) => Err(Failure::new(summary).with_status(tally.status())),
        }
    }
}

/// Holds back the next of several things while those under way use much of the run's memory; one always goes on.
#[derive(Default)]
struct Room {
    under_way: Cell<usize>,
    left: Notify,
}

struct Place<'r>(&'r Room);

impl Room {
    async fn take(&self, client: &Client) -> Place<'_> {
        while self.under_way.get() > 0 && client.is_short_of_memory() {
            self.left.notified().await;
        }
        self.under_way.set(self.under_way.get() + 1);
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.left.notify_waiters();
    }
}

impl Tally {
    fn take<R: Moved>(&mut self, outcome: Option<Result<R, Failure>>) {
        match outcome {
            None => self.skipped += 1,
            Some(Err(failure)) => {
                let same = self.failed == 0 || self.status == Some(failure.status());
                self.status = Some(failure.status()).filter(|_| same);
                self.failed += 1;
                say(failure);
            }
            Some(Ok(done)) => *if done.has_moved() { &mut self.done } else { &mut self.unchanged } += 1,
        }
    }

    /// A specific exit status is given only if every item failed with it, so that callers can rely on it.
    fn status(&self) -> ExitStatus {
        self.status.filter(|_| self.done + self.unchanged + self.skipped == 0).unwrap_or(ExitStatus::Failed)
    }

    fn summary(&self, total: usize, kind: &str, word: &str) -> String {
        let Self { done, unchanged, failed, skipped, .. } = self;
        format!("{total} {kind}: {done} {word}, {unchanged} unchanged, {failed} failed, {skipped} skipped")
    }
}
