//! Batches of items: processes items concurrently, reports each in the order given, and counts the outcomes.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Notify;

use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::references::NamedLocation;
use crate::registry::Client;
use crate::store::{Run, Store};

/// An item of a batch.
pub(super) trait BatchItem {
    /// Returns the reference of the item, as messages name it.
    fn name(&self) -> String;
}

impl BatchItem for NamedLocation {
    fn name(&self) -> String {
        self.name.clone()
    }
}

/// Prints the result of each item of a batch, and collects its part of the JSON document.
pub(super) trait Reporter {
    type Item: BatchItem;
    type Report;

    /// Reports an item. Called for every item in the order given, as soon as all earlier items have been reported.
    ///
    /// # Errors
    /// Writing to stdout fails, or the document is too large.
    fn report(&mut self, item: &Self::Item, result: Result<Self::Report, &Failure>) -> Result<(), Failure>;

    /// Whether the item counts as changed in the summary of a batch that writes.
    fn has_changed(&self, _report: &Self::Report) -> bool {
        true
    }
}

/// Processes several items concurrently.
pub(super) struct BatchRunner<'a> {
    pub(super) store: &'a Store,
    pub(super) console: &'a Console,
    /// The maximum number of items in progress.
    pub(super) concurrency: usize,
    pub(super) mode: Mode<'a>,
}

/// How a batch handles failures and ends.
pub(super) enum Mode<'a> {
    /// Tries every item. Prints failures at the end, with a count of the references that `failed`, such as
    /// "cannot be read".
    Read { failed: &'static str },
    /// With a single item, that item commits its own run. With more than one, prints failures as they happen, commits
    /// the run if every item succeeded, and prints a summary that counts the outcomes.
    Write {
        /// The run that the items share.
        run: &'a Run,
        /// The plural noun for the items, such as `indexes`.
        kind: &'static str,
        /// The word for changed items, such as `done`.
        changed: &'static str,
        /// Whether a failure prevents further items from being started.
        fail_fast: bool,
    },
}

impl BatchRunner<'_> {
    /// Processes all items.
    ///
    /// # Errors
    /// The failure of the only item, a summary of the failures of several items, or a failure to write a report, after
    /// which no further item is started.
    pub(super) async fn run<R: Reporter, E>(
        &self,
        items: &[R::Item],
        job: impl AsyncFn(&R::Item) -> Result<R::Report, E>,
        reporter: &mut R,
    ) -> Result<(), Failure>
    where
        Failure: From<E>,
    {
        let state = RunState { is_only: items.len() == 1, ..RunState::default() };
        self.console.begin_items(items.len());
        let mut counts = BatchCounts::default();
        let results = stream::iter(items).map(async |item| (item, self.process(item, &job, &state).await));
        let mut results = std::pin::pin!(results.buffered(self.concurrency));
        while let Some((item, result)) = results.next().await {
            if let Err(failure) = self.report(item, result, reporter, &mut counts, state.is_only) {
                if !self.writes() {
                    return Err(failure);
                }
                // Let items in progress finish.
                state.is_stopping.set(true);
                counts.unreported.get_or_insert(failure);
            }
        }
        match self.mode {
            Mode::Read { failed } => fail_all(self.console, counts.failures, failed, items.len()),
            Mode::Write { .. } if state.is_only => counts.into_result_of_one(),
            Mode::Write { run, kind, changed, .. } => {
                let summary = counts.summary(items.len(), kind, changed);
                self.end(counts, run, summary).await
            }
        }
    }

    /// Processes an item. Returns `None` if the run ended before the item was started.
    async fn process<T, R, E>(
        &self,
        item: &T,
        job: &impl AsyncFn(&T) -> Result<R, E>,
        state: &RunState,
    ) -> Option<Result<R, Failure>>
    where
        Failure: From<E>,
    {
        let _admission = state.memory.enter(self.store.client()).await;
        if !state.is_only && self.has_ended(state) {
            return None;
        }
        let result = job(item).await.map_err(Failure::from);
        if result.is_err() && matches!(self.mode, Mode::Write { fail_fast: true, .. }) {
            state.is_stopping.set(true);
        }
        self.console.item_done(self.store.client());
        Some(result)
    }

    fn writes(&self) -> bool {
        matches!(self.mode, Mode::Write { .. })
    }

    /// Whether no further item may be started. Reads need no check: they fail once the client is stopped.
    fn has_ended(&self, state: &RunState) -> bool {
        self.writes() && (state.is_stopping.get() || self.store.client().cancel_token().reason().is_some())
    }

    /// Reports an item and counts it. A `result` of `None` means that the item was not started.
    fn report<R: Reporter>(
        &self,
        item: &R::Item,
        result: Option<Result<R::Report, Failure>>,
        reporter: &mut R,
        counts: &mut BatchCounts,
        is_only: bool,
    ) -> Result<(), Failure> {
        match result {
            None => {
                counts.skipped += 1;
                reporter.report(item, Err(&Failure::new("not started: the run has ended")))
            }
            Some(Ok(report)) => {
                *if reporter.has_changed(&report) { &mut counts.changed } else { &mut counts.unchanged } += 1;
                reporter.report(item, Ok(report))
            }
            Some(Err(failure)) => {
                let reported = reporter.report(item, Err(&failure));
                counts.count_failure(&failure);
                if self.writes() && !is_only {
                    counts.causes.print(self.console, item.name(), &failure);
                } else {
                    counts.failures.push((item.name(), failure));
                }
                reported
            }
        }
    }

    /// Commits the run if every item succeeded, and prints the summary of a batch that writes.
    async fn end(&self, counts: BatchCounts, run: &Run, summary: String) -> Result<(), Failure> {
        if counts.is_complete() && counts.unreported.is_none() {
            run.commit().await?;
        } else {
            for archive in self.store.uncommitted_archives() {
                self.console.line(format_args!("{archive} is not written: the run is incomplete"));
            }
        }
        self.console.finish_progress();
        if let Some(failure) = counts.unreported {
            self.console.line(summary);
            return Err(failure);
        }
        if !counts.is_complete() {
            return Err(Failure::new(summary).with_status(counts.status()));
        }
        self.console.info(summary);
        Ok(())
    }
}

/// Combines the failures of references into one. Prints each failure if the command has several references; the failure
/// of a single reference becomes the failure of the command. A cause that several references share is printed once, with
/// the references.
pub(super) fn fail_all(
    console: &Console,
    mut failures: Vec<(String, Failure)>,
    what: &str,
    total: usize,
) -> Result<(), Failure> {
    if failures.is_empty() {
        return Ok(());
    }
    if total == 1 {
        return Err(failures.remove(0).1);
    }
    let groups = grouped(failures);
    match groups.as_slice() {
        [group] if group.len() > 1 => {}
        groups => groups.iter().for_each(|group| match group.as_slice() {
            [(name, only)] => console.error_of(name, only),
            group => console.error(&Failure::of_references(format!("{} references {what}", group.len()), group)),
        }),
    }
    let failures: Vec<(String, Failure)> = groups.into_iter().flatten().collect();
    Err(Failure::of_references(format!("{} of {total} references {what}", failures.len()), &failures))
}

/// Groups failures by cause, in the order of the first failure of each cause.
fn grouped(failures: Vec<(String, Failure)>) -> Vec<Vec<(String, Failure)>> {
    let mut groups: Vec<Vec<(String, Failure)>> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    for (name, failure) in failures {
        let at = *positions.entry(failure.hit(&name).cause).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push((name, failure)),
            None => groups.push(vec![(name, failure)]),
        }
    }
    groups
}

/// The causes that a batch has printed, each with the first item that failed with it.
#[derive(Default)]
struct PrintedCauses(HashMap<String, String>);

impl PrintedCauses {
    /// Prints the failure of an item. If the registry as a whole fails in the same way as for an earlier item, only names
    /// that item.
    fn print(&mut self, console: &Console, name: String, failure: &Failure) {
        let Some(cause) = failure.cause_of_registry() else {
            return console.error(failure);
        };
        match self.0.entry(cause.key()) {
            Entry::Occupied(first) => {
                let message = format!("{name}: same cause as {}", first.get());
                console.error(&Failure::new(message));
            }
            Entry::Vacant(first) => {
                first.insert(name);
                console.error(failure);
            }
        }
    }
}

/// Counts of outcomes, and the failures that have not been printed yet.
#[derive(Default)]
struct BatchCounts {
    changed: usize,
    unchanged: usize,
    failed: usize,
    skipped: usize,
    /// The exit status of the failures, if they all share one.
    status: Option<ExitStatus>,
    failures: Vec<(String, Failure)>,
    causes: PrintedCauses,
    /// The first failure to write a report.
    unreported: Option<Failure>,
}

impl BatchCounts {
    fn count_failure(&mut self, failure: &Failure) {
        let same = self.failed == 0 || self.status == Some(failure.status());
        self.status = Some(failure.status()).filter(|_| same);
        self.failed += 1;
    }

    fn is_complete(&self) -> bool {
        self.failed + self.skipped == 0
    }

    /// Returns the exit status of a batch with failures: a specific one only if every item failed with it, so that
    /// callers can rely on it.
    fn status(&self) -> ExitStatus {
        self.status.filter(|_| self.changed + self.unchanged + self.skipped == 0).unwrap_or(ExitStatus::Failed)
    }

    fn summary(&self, total: usize, kind: &str, changed_word: &str) -> String {
        let Self { changed, unchanged, failed, skipped, .. } = self;
        format!("{total} {kind}: {changed} {changed_word}, {unchanged} unchanged, {failed} failed, {skipped} skipped")
    }

    fn into_result_of_one(self) -> Result<(), Failure> {
        let failures = self.failures.into_iter().map(|(_, failure)| failure);
        self.unreported.into_iter().chain(failures).next().map_or(Ok(()), Err)
    }
}

/// State that the items of a run share.
#[derive(Default)]
struct RunState {
    /// Whether the run has a single item.
    is_only: bool,
    /// Whether no further item may be started.
    is_stopping: Cell<bool>,
    memory: MemoryGate,
}

/// Delays items while the items in progress use most of the run's memory. Always admits at least one.
#[derive(Default)]
struct MemoryGate {
    in_progress: Cell<usize>,
    released: Notify,
}

struct Admission<'g>(&'g MemoryGate);

impl MemoryGate {
    async fn enter(&self, client: &Client) -> Admission<'_> {
        while self.in_progress.get() > 0 && client.is_low_on_memory() {
            self.released.notified().await;
        }
        self.in_progress.set(self.in_progress.get() + 1);
        Admission(self)
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        self.0.in_progress.set(self.0.in_progress.get() - 1);
        self.0.released.notify_waiters();
    }
}
