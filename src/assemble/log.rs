use std::sync::{Mutex, PoisonError};

use crate::event::{Event, Events, Phase, Skipped, Step, Warning};
use crate::image::{Digest, Location};
use crate::store::Store;

/// Emits the events of a target, and records steps and skipped sources for its report.
pub(super) struct Log {
    events: Events,
    target: Location,
    /// Whether steps are only predicted; such steps are recorded but not emitted.
    dry_run: bool,
    steps: Mutex<Vec<Step>>,
    skipped: Mutex<Vec<Skipped>>,
}

impl Log {
    pub(super) fn new(store: &Store, target: &Location, dry_run: bool) -> Self {
        let (events, target) = (store.client().events().clone(), target.clone());
        Self { events, target, dry_run, steps: Mutex::default(), skipped: Mutex::default() }
    }

    pub(super) fn warn<'w>(&self, warnings: impl IntoIterator<Item = &'w Warning>) {
        for warning in warnings {
            self.events.emit(&Event::Warning { target: self.target.clone(), warning: warning.clone() });
        }
    }

    pub(super) fn skipped(&self, skipped: Skipped) {
        self.events.emit(&Event::Skipped { target: self.target.clone(), skipped: skipped.clone() });
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).push(skipped);
    }

    /// Records the skipped sources of another target of the same index, without emitting them again.
    pub(super) fn copy_skipped(&self, other: &Self) {
        let skipped = other.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *self.skipped.lock().unwrap_or_else(PoisonError::into_inner) = skipped;
    }

    pub(super) fn resolved(&self, source: Location, digest: Digest) {
        self.events.emit(&Event::Resolved { target: self.target.clone(), source, digest });
    }

    pub(super) fn phase(&self, phase: Phase) {
        self.events.emit(&Event::Phase { target: self.target.clone(), phase });
    }

    pub(super) fn restarted(&self) {
        self.events.emit(&Event::Restarted { target: self.target.clone() });
    }

    pub(super) fn step(&self, step: Step) {
        if !self.dry_run {
            self.events.emit(&Event::Step { target: self.target.clone(), step: step.clone() });
        }
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// Returns the steps and the skipped sources so far.
    pub(super) fn snapshot(&self) -> (Vec<Step>, Vec<Skipped>) {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (steps, self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
