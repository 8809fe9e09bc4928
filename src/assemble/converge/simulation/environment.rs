use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::super::super::existing::Existing;
use super::super::Environment;
use super::bugs::Bug;
use super::edits::EditCache;
use super::registry::Registry;
use super::scheduler::{Scheduler, Time};
use crate::event::Phase;
use crate::image::{Digest, Location};
use crate::registry::StopReason;
use crate::store::{Error, Publication, PublishError, PublishReport, TagOutcome, TagTarget};

/// The environment of a simulated writer.
pub struct SimulatedEnvironment {
    pub scheduler: Scheduler,
    pub registry: Registry,
    pub edits: Arc<EditCache>,
    pub writer: usize,
    pub bug: Option<Bug>,
    /// When the writer is interrupted.
    pub stop: Option<Time>,
    pub reads: Cell<u32>,
    pub restarts: Cell<usize>,
    /// The content that was read or written last.
    pub known: RefCell<Option<Digest>>,
    pub last: Cell<LastStep>,
    pub has_written: Cell<bool>,
    /// Whether the next wait is a settling time.
    pub is_settling: Cell<bool>,
}

/// What a writer did last with the target. Some of the deliberate defects depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LastStep {
    #[default]
    Read,
    Wrote,
    /// The settling time was skipped, so the next read returns what is known.
    Skipped,
}

impl SimulatedEnvironment {
    /// Returns the error of an interrupted writer.
    fn check_stop(&self, tag: &Location) -> Result<(), Error> {
        let reason = StopReason::Signal(2);
        let stopped = || Error::Stopped { subject: tag.to_string(), reason };
        if self.stop.is_some_and(|stop| stop <= self.scheduler.now()) { Err(stopped()) } else { Ok(()) }
    }

    async fn write_tag(&self, publication: &Publication<'_>, tag: &TagTarget) -> Result<TagOutcome, Error> {
        if tag.points_at(&publication.descriptor.digest, publication.bytes) {
            return Ok(TagOutcome::Unchanged);
        }
        self.check_stop(&tag.location)?;
        let number = self.registry.tag(&tag.location);
        self.registry.push(self.writer, number, publication.descriptor, tag.if_match.as_ref()).await?;
        if number == 0 {
            self.known.replace(Some(publication.descriptor.digest.clone()));
            self.last.set(LastStep::Wrote);
            self.has_written.set(true);
        }
        Ok(match &tag.current {
            Some(Ok(Some(_))) => TagOutcome::Updated,
            Some(Ok(None)) => TagOutcome::Created,
            Some(Err(_)) | None => TagOutcome::Written,
        })
    }

    /// Whether a deliberate defect skips this settling time.
    fn skips_settling(&self) -> bool {
        self.is_settling.take()
            && match self.bug {
                Some(Bug::NoReadBack) => self.last.get() == LastStep::Wrote,
                Some(Bug::NoSettleWithoutWrite) => !self.has_written.get(),
                Some(Bug::AnyReadBackIsFinal) => self.last.get() == LastStep::Read && self.has_written.get(),
                _ => false,
            }
    }
}

impl Environment for SimulatedEnvironment {
    async fn read(&self, tag: &Location) -> Result<Existing, Error> {
        self.check_stop(tag)?;
        self.reads.set(self.reads.get() + 1);
        if self.last.replace(LastStep::Read) == LastStep::Skipped {
            return Ok(self.edits.existing(self.known.borrow().as_ref()));
        }
        let digest = self.registry.read(self.writer, self.registry.tag(tag), "reads").await?;
        let existing = self.edits.existing(digest.as_ref());
        self.known.replace(digest);
        Ok(existing)
    }

    async fn current_digest(&self, tag: &Location) -> Result<Option<Digest>, Error> {
        self.check_stop(tag)?;
        self.registry.read(self.writer, self.registry.tag(tag), "reads the digest of").await
    }

    async fn current_digests(&self, tags: &[Location]) -> Vec<Result<Option<Digest>, Error>> {
        join_all(tags.iter().map(|tag| self.current_digest(tag))).await
    }

    /// Writes the tags one after another, as `Run::publish` does.
    async fn publish(&self, publication: &Publication<'_>) -> Result<PublishReport, PublishError> {
        publication.check().map_err(|error| publication.failed_before(vec![error]))?;
        self.edits.add_content(publication.descriptor, publication.bytes);
        let mut tags = publication.failed_before(Vec::new()).tags;
        for (at, tag) in publication.tags.iter().enumerate() {
            let written = self.write_tag(publication, tag).await;
            tags[at].outcome = match &written {
                Ok(outcome) => *outcome,
                Err(error) if error.is_outcome_unknown() => TagOutcome::Unknown,
                Err(_) => TagOutcome::Failed,
            };
            if let Err(error) = written {
                return Err(PublishError { tags, ..publication.failed_before(vec![error]) });
            }
        }
        Ok(PublishReport { descriptor: publication.descriptor.clone(), tags, platforms: Vec::new() })
    }

    fn retries(&self) -> usize {
        if self.bug == Some(Bug::LateAttemptIsForgotten) { 0 } else { self.registry.retries(self.writer) }
    }

    async fn sleep(&self, time: Duration) -> Result<(), StopReason> {
        if self.skips_settling() {
            self.last.set(LastStep::Skipped);
            return Ok(());
        }
        let (now, time) = (self.scheduler.now(), time.as_millis().try_into().unwrap_or(Time::MAX));
        match self.stop.filter(|stop| *stop <= now + time) {
            Some(stop) => {
                self.scheduler.wait(stop.saturating_sub(now)).await;
                Err(StopReason::Signal(2))
            }
            None => {
                self.scheduler.wait(time).await;
                Ok(())
            }
        }
    }

    fn random(&self) -> f64 {
        self.scheduler.fraction()
    }

    fn phase(&self, phase: Phase) {
        self.is_settling.set(matches!(phase, Phase::Settling { .. }));
    }

    fn restarted(&self) {
        self.restarts.set(self.restarts.get() + 1);
        self.scheduler.note(|| format!("writer {} starts over", self.writer));
    }
}
