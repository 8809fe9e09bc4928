use std::sync::{Mutex, PoisonError};

use super::plan::Plan;
use crate::event::{BlobOutcome, Event, Events, Skipped, Step, Warning};
use crate::image::{Digest, Location};
use crate::store::{Report, Store, TagReport};

/// What came of an index, or would come of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// What it is made of.
    pub plan: Plan,
    /// What became of each tag, the target's first.
    pub tags: Vec<TagReport>,
    /// Sources that were left out.
    pub skipped: Vec<Skipped>,
    /// What came to be in the target's repository for it.
    pub moves: Moves,
    /// Nothing was written: all of this would be so.
    pub dry_run: bool,
}

impl Outcome {
    /// Whether any tag was moved, or would be.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.tags.iter().any(|tag| tag.outcome.is_written())
    }
}

/// Blobs, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Volume {
    /// How many.
    pub blobs: usize,
    /// Bytes of them.
    pub bytes: u64,
}

/// What came to be in a repository. What another index of the same run brought there before is not counted again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moves {
    /// Blobs that were there.
    pub there: Volume,
    /// Blobs that the registry took from another of its repositories.
    pub mounted: Volume,
    /// Blobs that were sent.
    pub sent: Volume,
    /// Manifests of images and attestations that were written.
    pub manifests: Vec<Digest>,
}

impl Moves {
    pub(super) fn of<'s>(steps: impl IntoIterator<Item = &'s Step>) -> Self {
        let mut moves = Self::default();
        for step in steps {
            match step {
                Step::Blob(_, bytes, placing) => {
                    let volume = match placing {
                        BlobOutcome::Existing => &mut moves.there,
                        BlobOutcome::Mounted => &mut moves.mounted,
                        BlobOutcome::Uploaded => &mut moves.sent,
                    };
                    volume.blobs += 1;
                    volume.bytes += bytes;
                }
                Step::Manifest(digest) => moves.manifests.push(digest.clone()),
                Step::Tag(_) | Step::TagUnchanged(_) | Step::TagKept(_) => {}
            }
        }
        moves
    }
}

/// Passes on what happens for a target, and keeps what its report needs.
pub(super) struct Log {
    events: Events,
    target: Location,
    /// Steps are not done, and are not reported.
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

    pub(super) fn resolved(&self, source: Location, digest: Digest) {
        self.events.emit(&Event::Resolved { target: self.target.clone(), source, digest });
    }

    pub(super) fn started_over(&self) {
        self.events.emit(&Event::StartedOver { target: self.target.clone() });
    }

    pub(super) fn step(&self, step: Step) {
        if !self.dry_run {
            self.events.emit(&Event::Step { target: self.target.clone(), step: step.clone() });
        }
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    pub(super) fn outcome(&self, plan: Plan, report: Report, dry_run: bool) -> Outcome {
        let moves = Moves::of(&*self.steps.lock().unwrap_or_else(PoisonError::into_inner));
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Outcome { plan, tags: report.tags, skipped, moves, dry_run }
    }
}
