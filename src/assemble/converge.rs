//! Changes the index that a tag points at while other writers may do the same. Registries have no conditional write, so
//! a change is written, read back after a settling time, and applied again if it was lost.

mod environment;
mod progress;
#[cfg(test)]
mod simulation;

use std::time::Duration;

use bytes::Bytes;

pub(super) use environment::{Environment, RunEnvironment};
use progress::Progress;

use super::error::Error;
use super::existing::Existing;
use super::plan::Plan;
use super::plan_error::PlanError;
use crate::event::Phase;
use crate::image::{Descriptor, Location};
use crate::store::{Error as StoreError, IfMatch, Publication, PublishError, PublishReport, TagTarget};

/// The maximum number of attempts to apply a change that other writers overwrite.
const MAX_ATTEMPTS: u32 = 50;
/// The maximum random delay after a collision with another writer, if the settling time is shorter.
const MAX_JITTER: Duration = Duration::from_millis(100);

/// A change of the index that a tag points at.
pub(super) trait Edit {
    /// Plans the change. Returns the plan of the existing index if it needs no change.
    fn plan(&self, existing: &Existing) -> Result<Plan, PlanError>;

    /// Whether the change still applies after it replaced `before`. Another writer may have replaced it with its own
    /// change. If the content of `before` is back, a writer that had read the tag earlier overwrote the change.
    fn still_applied(&self, existing: &Existing, before: &Existing) -> bool;

    /// Returns the plan of the existing index, unchanged.
    fn plan_unchanged(&self, existing: &Existing) -> Result<Plan, PlanError>;
}

/// Applies an edit to a tag, then points extra tags at the result.
pub(super) struct Convergence<'a, E> {
    pub(super) environment: &'a E,
    pub(super) target: &'a Location,
    /// Extra tags, to point at the target's final index.
    pub(super) tags: &'a [Location],
    pub(super) edit: &'a (dyn Edit + Sync),
    pub(super) if_match: Option<&'a IfMatch>,
    /// Whether to wait until every written tag resolves to the index.
    pub(super) wait: bool,
    pub(super) settle: Duration,
}

impl<E: Environment> Convergence<'_, E> {
    /// Writes the target until it has the change and stays the same for a settling time. Then writes the extra tags
    /// until they point at the target's current index. A target that needs no change must stay the same as well, because
    /// another writer may be about to overwrite it. `docs/concurrent-writers.md` shows why no change is lost.
    pub(super) async fn run(&self, mut existing: Existing) -> Result<(Plan, PublishReport), Error> {
        let mut progress = Progress::default();
        loop {
            progress.attempts += 1;
            let plan = self.plan(&existing, &progress)?;
            if existing.digest() != Some(&plan.descriptor.digest) {
                existing = self.write_target(&plan, existing, &mut progress).await?;
            } else if !progress.is_settled {
                existing = self.settle(&plan, existing, &mut progress).await?;
            } else {
                let report = self.write_tags(&plan, &existing, &mut progress).await?;
                if self.is_current(&existing, &report).await {
                    return Ok((plan, progress.report(report)));
                }
                if progress.attempts > MAX_ATTEMPTS {
                    return Err(self.contended(&plan, &progress));
                }
                existing = self.read(&plan, &progress).await?;
            }
        }
    }

    fn plan(&self, existing: &Existing, progress: &Progress) -> Result<Plan, Error> {
        let still_applied = progress.before.as_ref().is_some_and(|before| self.edit.still_applied(existing, before));
        let planned = if still_applied { self.edit.plan_unchanged(existing) } else { self.edit.plan(existing) };
        planned.map_err(|error| self.plan_error(error, progress))
    }

    /// Returns the target's content after a settling time. It is final only if it did not change in that time: another
    /// writer may still be about to overwrite it with a change of an index that was replaced in between.
    async fn settle(&self, plan: &Plan, existing: Existing, progress: &mut Progress) -> Result<Existing, Error> {
        if progress.attempts > MAX_ATTEMPTS {
            return Err(self.contended(plan, progress));
        }
        let now = self.settled(plan, progress).await?;
        progress.is_settled = now.digest() == existing.digest() && !std::mem::take(&mut progress.has_late_attempt);
        Ok(now)
    }

    /// Replaces the target's content, and returns its content after a settling time.
    async fn write_target(&self, plan: &Plan, existing: Existing, progress: &mut Progress) -> Result<Existing, Error> {
        self.check_may_write(plan, &existing, progress)?;
        let retries = self.environment.retries();
        let published = self.publish(plan, vec![self.replacing(&existing)], false).await;
        progress.has_late_attempt |= self.environment.retries() != retries;
        match published {
            Ok(report) => progress.add(self.target, &report),
            Err(error) if error.errors.iter().all(StoreError::is_conflict) && self.if_match.is_none() => {
                progress.add_lost(&error);
                progress.is_settled = false;
                return self.restart(plan, progress).await;
            }
            Err(error) => return Err(progress.complete(error).into()),
        }
        let now = self.settled(plan, progress).await?;
        let is_applied = self.edit.still_applied(&now, &existing);
        let has_late_attempt = std::mem::take(&mut progress.has_late_attempt);
        progress.is_settled = is_applied && now.digest() == Some(&plan.descriptor.digest) && !has_late_attempt;
        progress.before = Some(existing);
        if is_applied { Ok(now) } else { self.restart(plan, progress).await }
    }

    /// Checks the limit of attempts and the precondition before the target is written.
    fn check_may_write(&self, plan: &Plan, existing: &Existing, progress: &Progress) -> Result<(), Error> {
        // With `if_match`, the target is written only once, and a failed precondition means that no tag was written.
        if progress.attempts > MAX_ATTEMPTS || (self.if_match.is_some() && progress.may_have_written()) {
            return Err(self.contended(plan, progress));
        }
        let Some(if_match) = self.if_match else { return Ok(()) };
        let checked = if_match.check(&self.target.to_string(), existing.digest());
        checked.map_err(|error| self.failed(plan, progress, error))
    }

    /// Writes the extra tags that do not point at the index yet.
    async fn write_tags(
        &self,
        plan: &Plan,
        existing: &Existing,
        progress: &mut Progress,
    ) -> Result<PublishReport, Error> {
        let current = self.environment.current_digests(self.tags).await;
        let further = self.tags.iter().cloned().zip(current).map(|(tag, current)| TagTarget::new(tag, current));
        let tags = std::iter::once(self.replacing(existing)).chain(further).collect();
        let published = self.publish(plan, tags, self.wait && !self.tags.is_empty()).await;
        let report = published.map_err(|error| progress.complete(error))?;
        progress.add(self.target, &report);
        Ok(report)
    }

    /// Returns the target, with the precondition that it still points at `existing`.
    fn replacing(&self, existing: &Existing) -> TagTarget {
        let before = existing.digest().cloned();
        let if_match = before.clone().map_or(IfMatch::Missing, IfMatch::Digest);
        TagTarget { if_match: Some(if_match), ..TagTarget::new(self.target.clone(), Ok(before)) }
    }

    async fn publish(&self, plan: &Plan, tags: Vec<TagTarget>, wait: bool) -> Result<PublishReport, PublishError> {
        let publication = Publication { tags, wait, ..self.publication(plan) };
        self.environment.publish(&publication).await
    }

    fn publication<'p>(&'p self, plan: &'p Plan) -> Publication<'p> {
        let children = std::slice::from_ref(&plan.children);
        Publication::new(self.target, &plan.descriptor, &plan.bytes, children)
    }

    /// Whether the target still points at the index that was written to the extra tags.
    async fn is_current(&self, existing: &Existing, report: &PublishReport) -> bool {
        let further = report.tags.iter().filter(|tag| tag.location != *self.target);
        let has_written = further.into_iter().any(|tag| tag.outcome.is_written());
        !has_written || self.environment.current_digest(self.target).await.ok().flatten().as_ref() == existing.digest()
    }

    /// Reads the target after a settling time, in which other writers complete the writes that they had started.
    async fn settled(&self, plan: &Plan, progress: &Progress) -> Result<Existing, Error> {
        self.environment.phase(Phase::Settling { time: self.settle });
        self.sleep(self.settle, plan, progress).await?;
        self.read(plan, progress).await
    }

    /// Reads the target after a random delay, so that writers that collided do not collide again.
    async fn restart(&self, plan: &Plan, progress: &Progress) -> Result<Existing, Error> {
        self.environment.restarted();
        let longest = self.settle.max(MAX_JITTER) * progress.attempts.min(4);
        self.sleep(longest.mul_f64(self.environment.random()), plan, progress).await?;
        self.read(plan, progress).await
    }

    async fn sleep(&self, time: Duration, plan: &Plan, progress: &Progress) -> Result<(), Error> {
        let slept = self.environment.sleep(time).await;
        let stopped = |reason| StoreError::Stopped { subject: self.target.to_string(), reason };
        slept.map_err(|reason| self.failed(plan, progress, stopped(reason)))
    }

    async fn read(&self, plan: &Plan, progress: &Progress) -> Result<Existing, Error> {
        let read = self.environment.read(self.target).await;
        read.map_err(|error| self.failed(plan, progress, error))
    }

    /// Returns the publication of all tags, for error reports.
    fn all_tags<'p>(&'p self, descriptor: &'p Descriptor, bytes: &'p Bytes) -> Publication<'p> {
        let tags = std::iter::once(self.target).chain(self.tags).cloned().map(TagTarget::unread).collect();
        Publication { tags, ..Publication::new(self.target, descriptor, bytes, &[]) }
    }

    fn failed(&self, plan: &Plan, progress: &Progress, error: StoreError) -> Error {
        progress.complete(self.all_tags(&plan.descriptor, &plan.bytes).failed_before(vec![error])).into()
    }

    fn contended(&self, plan: &Plan, progress: &Progress) -> Error {
        let unwritten = self.all_tags(&plan.descriptor, &plan.bytes).failed_before(Vec::new());
        Error::Contended { times: progress.writes, written: Box::new(progress.complete(unwritten)) }
    }

    /// Returns the error if the change cannot be planned for the target's current content.
    fn plan_error(&self, error: PlanError, progress: &Progress) -> Error {
        let Some(descriptor) = &progress.descriptor else { return error.into() };
        let unwritten = self.all_tags(descriptor, &Bytes::new()).failed_before(Vec::new());
        Error::Unplanned { error: Box::new(error), written: Box::new(progress.complete(unwritten)) }
    }
}
