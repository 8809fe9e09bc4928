use std::sync::{Mutex, PoisonError};

use super::check::Warning;
use super::event::{Event, Reporter};
use super::plan::Plan;
use crate::image::{Digest, Location};
use crate::store::{Placing, Report, Step, TagReport};

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

/// A source that does not exist and was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The platform asked for, where one was.
    pub platform: Option<String>,
    /// The source.
    pub reference: Location,
    /// What the registry said.
    pub reason: String,
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
                        Placing::There => &mut moves.there,
                        Placing::Mounted => &mut moves.mounted,
                        Placing::Sent => &mut moves.sent,
                    };
                    volume.blobs += 1;
                    volume.bytes += bytes;
                }
                Step::Manifest(digest) => moves.manifests.push(digest.clone()),
                Step::Tag(_) | Step::TagUnchanged(_) | Step::Left(_) => {}
            }
        }
        moves
    }
}

/// Passes events on, and keeps what the outcome tells of them.
pub(super) struct Log<'a> {
    reporter: Reporter<'a>,
    /// Steps are not done, and are not told.
    dry_run: bool,
    steps: Mutex<Vec<Step>>,
    skipped: Mutex<Vec<Skipped>>,
}

impl<'a> Log<'a> {
    pub(super) fn new(reporter: Reporter<'a>, dry_run: bool) -> Self {
        Self { reporter, dry_run, steps: Mutex::default(), skipped: Mutex::default() }
    }

    pub(super) fn event(&self, event: Event) {
        if let Event::Skipped(skipped) = &event {
            self.skipped.lock().unwrap_or_else(PoisonError::into_inner).push(skipped.clone());
        }
        (self.reporter)(event);
    }

    pub(super) fn warn<'w>(&self, warnings: impl IntoIterator<Item = &'w Warning>) {
        warnings.into_iter().for_each(|warning| self.event(Event::Warning(warning.clone())));
    }

    pub(super) fn step(&self, step: Step) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step.clone());
        if !self.dry_run {
            (self.reporter)(step.into());
        }
    }

    pub(super) fn outcome(&self, plan: Plan, report: Report, dry_run: bool) -> Outcome {
        let moves = Moves::of(&*self.steps.lock().unwrap_or_else(PoisonError::into_inner));
        let skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Outcome { plan, tags: report.tags, skipped, moves, dry_run }
    }
}
