use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt as _};

use super::failure::Failure;
use super::global::Global;
use super::print;
use super::talk::{self, say};
use crate::assemble::{Assembler, Error, Event, PushOptions};
use crate::spec::Spec;
use crate::store::{Report, Store};

/// Indexes under way at once: enough to keep every connection busy, few enough that memory does not grow with a run.
const INDEXES: usize = 32;

/// How the indexes of a run are pushed and told of.
pub(super) struct Batch {
    pub(super) options: PushOptions,
    pub(super) fail_fast: bool,
    pub(super) debug: bool,
    /// Errors alone are told.
    pub(super) quiet: bool,
    pub(super) progress: bool,
}

#[derive(Default)]
struct Tally {
    done: usize,
    unchanged: usize,
    failed: usize,
    skipped: usize,
    /// The exit code that all failures have, if it is one.
    code: Option<u8>,
}

impl Batch {
    /// Pushes all indexes; prints one line for each, in the order given, as soon as those before it are done.
    pub(super) fn run(&self, global: &Global, specs: &[Spec]) -> Result<(), Failure> {
        let Some(first) = specs.first() else { return Ok(()) };
        let sources = first.sources.iter().map(|source| &source.location);
        let client = global.client(std::iter::once(&first.target).chain(sources))?;
        let store = Store::new(&client);
        let shown = self.progress.then_some((specs.len(), "indexes"));
        match specs {
            [only] => global.block_on(&client, talk::with_progress(&store, shown, self.push_one(&store, only))),
            _ => global.block_on(&client, talk::with_progress(&store, shown, self.push_all(&store, specs))),
        }
    }

    async fn push_one(&self, store: &Store<'_>, spec: &Spec) -> Result<(), Failure> {
        let assembler = Assembler::new(store, std::slice::from_ref(spec), self.options.clone());
        let report = assembler.push(spec, &|event| self.tell(&event, None)).await?;
        print(&format!("Digest: {} {}\n", report.descriptor.digest, report.descriptor.size))
    }

    async fn push_all(&self, store: &Store<'_>, specs: &[Spec]) -> Result<(), Failure> {
        let assembler = Assembler::new(store, specs, self.options.clone());
        let stop = AtomicBool::new(false);
        let push = async |spec| {
            if stop.load(Ordering::Relaxed) || store.client().stop().raised().is_some() {
                return None;
            }
            let outcome = assembler.push(spec, &|event| self.tell(&event, Some(spec))).await;
            if outcome.is_err() && self.fail_fast {
                stop.store(true, Ordering::Relaxed);
            }
            let traffic = store.client().traffic();
            talk::done(traffic.requests, traffic.retries);
            Some(outcome)
        };
        let (mut tally, mut unprinted) = (Tally::default(), None);
        let mut outcomes =
            std::pin::pin!(stream::iter(specs).map(async |spec| (spec, push(spec).await)).buffered(INDEXES));
        while let Some((spec, outcome)) = outcomes.next().await {
            if let Err(failure) = tally.take(spec, outcome) {
                // What is under way comes to its end, and is told of on stderr.
                stop.store(true, Ordering::Relaxed);
                unprinted.get_or_insert(failure);
            }
        }
        talk::finish();
        if let Some(failure) = unprinted {
            say(tally.summary(specs.len()));
            return Err(failure);
        }
        match tally {
            Tally { failed: 0, skipped: 0, .. } => {
                if !self.quiet {
                    say(tally.summary(specs.len()));
                }
                Ok(())
            }
            tally => Err(tally.failure(specs.len())),
        }
    }

    fn tell(&self, event: &Event, of: Option<&Spec>) {
        let of = of.map(|spec| format!("{}: ", spec.target)).unwrap_or_default();
        match event {
            Event::SkippedMissing { .. } if !self.quiet => say(format_args!("warning: {of}{event}")),
            event if self.debug => say(format_args!("debug: {of}{event}")),
            _ => {}
        }
    }
}

impl Tally {
    fn take(&mut self, spec: &Spec, outcome: Option<Result<Report, Error>>) -> Result<(), Failure> {
        match outcome {
            None => self.skipped += 1,
            Some(Err(error)) => {
                let failure = Failure::from(error);
                let same = self.failed == 0 || self.code == Some(failure.code());
                self.code = Some(failure.code()).filter(|_| same);
                self.failed += 1;
                say(failure);
            }
            Some(Ok(report)) => {
                *if report.moved.is_empty() { &mut self.unchanged } else { &mut self.done } += 1;
                print(&format!("Digest: {} {} {}\n", report.descriptor.digest, report.descriptor.size, spec.target))?;
            }
        }
        Ok(())
    }

    fn failure(&self, total: usize) -> Failure {
        // Who hears that nothing was moved must be able to believe it.
        let code = self.code.filter(|_| self.done + self.unchanged + self.skipped == 0);
        Failure::new(self.summary(total)).with_code(code.unwrap_or(1))
    }

    fn summary(&self, total: usize) -> String {
        let Self { done, unchanged, failed, skipped, .. } = self;
        format!("{total} indexes: {done} done, {unchanged} unchanged, {failed} failed, {skipped} skipped")
    }
}
