//! Changing what a tag holds while others may do the same: registries have no write that depends on what is there.

use std::time::Duration;

use bytes::Bytes;

use super::held::Held;
use super::outcome::Log;
use super::plan::Plan;
use super::problem::PlanError;
use super::{Error, PushOptions};
use crate::image::{Descriptor, Location};
use crate::registry::{self, IfMatch};
use crate::store::{Error as StoreError, Placed, Publication, PublishError, Report, Store, TagOutcome, TagReport};

/// Times that a change is written when others undo it.
const TRIES: u32 = 50;
/// Writers that collided wait for a moment of their own, of about this length where there is no settling time.
const JITTER: Duration = Duration::from_millis(100);

/// What is to become of what a tag holds.
pub(super) trait Change {
    /// The plan to make the change; of what it is already, where there is nothing to change.
    fn plan(&self, held: &Held) -> Result<Plan, PlanError>;

    /// Whether the change stands, once it was written over `before`: others may have put something of theirs in its place,
    /// but not what was there before, which is what one writes who looked too early.
    fn stands(&self, held: &Held, before: &Held) -> bool;

    /// The plan of what the tag holds as it is.
    fn plan_as_it_is(&self, held: &Held) -> Result<Plan, PlanError>;
}

/// A change of a tag, and of others that follow it.
pub(super) struct Amendment<'a> {
    pub(super) store: &'a Store,
    pub(super) placed: &'a Placed,
    pub(super) options: &'a PushOptions,
    pub(super) target: &'a Location,
    /// Further tags, which follow the target.
    pub(super) tags: &'a [Location],
    pub(super) change: &'a (dyn Change + Sync),
    pub(super) log: &'a Log,
}

impl Amendment<'_> {
    /// Writes the change, until it stands a settling time later; then the further tags, until the target is still what
    /// they point at. Where there is nothing to change that is seen a settling time later as well: another writer may
    /// be about to undo what is there.
    pub(super) async fn carry_out(&self, mut held: Held) -> Result<(Plan, Report), Error> {
        let mut history = History::default();
        // What the last write was made over.
        let mut before: Option<Held> = None;
        let (mut attempts, mut is_settled) = (0, false);
        loop {
            attempts += 1;
            let stands = before.as_ref().is_some_and(|before| self.change.stands(&held, before));
            let planned = if stands { self.change.plan_as_it_is(&held) } else { self.change.plan(&held) };
            let plan = planned.map_err(|error| self.unplanned(error, &history))?;
            if held.digest() != Some(&plan.descriptor.digest) {
                self.may_write(&plan, &held, attempts, &history)?;
                match self.write(&plan, &held, &[]).await {
                    Ok(report) => history.add(&report),
                    Err(error) if error.is_changed() && self.options.if_match.is_none() => {
                        held = self.start_over(attempts, &plan, &history).await?;
                        is_settled = false;
                        continue;
                    }
                    Err(error) => return Err(history.of(error).into()),
                }
                let now = self.settled(&plan, &history).await?;
                is_settled = self.change.stands(&now, &held);
                before = Some(held);
                held = if is_settled { now } else { self.start_over(attempts, &plan, &history).await? };
                continue;
            }
            if !is_settled {
                held = self.settled(&plan, &history).await?;
                is_settled = true;
                continue;
            }
            let report = self.write(&plan, &held, self.tags).await.map_err(|error| history.of(error))?;
            let has_moved = report.tags.iter().skip(1).any(|tag| tag.outcome.is_written());
            history.add(&report);
            if !has_moved || self.store.current_digest(self.target).await.ok().flatten().as_ref() == held.digest() {
                return Ok((plan, history.report(report)));
            }
            if attempts > TRIES {
                return Err(self.contended(&plan, &history));
            }
            held = self.read(&plan, &history).await?;
        }
    }

    /// Whether the target may be written: not for ever, and only over what it must be.
    fn may_write(&self, plan: &Plan, held: &Held, attempts: u32, history: &History) -> Result<(), Error> {
        if attempts > TRIES || (self.options.if_match.is_some() && history.writes > 0) {
            return Err(self.contended(plan, history));
        }
        let Some(if_match) = &self.options.if_match else { return Ok(()) };
        let checked = if_match.check(&self.target.to_string(), held.digest());
        checked.map_err(|error| self.failed(plan, history, error.into()))
    }

    /// Writes the target, where it is not the index yet, and then these tags.
    async fn write(&self, plan: &Plan, held: &Held, tags: &[Location]) -> Result<Report, PublishError> {
        let mut current = vec![Ok(held.digest().cloned())];
        current.extend(self.store.current_digests(tags.iter()).await);
        let before = held.digest().map_or(IfMatch::Nothing, |digest| IfMatch::Digest(digest.clone()));
        let publication = Publication {
            children: std::slice::from_ref(&plan.children),
            current: &current,
            if_match: Some(&before),
            wait: self.options.wait && !tags.is_empty(),
            ..Publication::new(self.target, tags, &plan.descriptor, &plan.bytes)
        };
        self.store.publish(&publication, self.placed, &|step| self.log.step(step)).await
    }

    /// What the target holds when others have had the time to end what they had begun.
    async fn settled(&self, plan: &Plan, history: &History) -> Result<Held, Error> {
        self.sleep(self.options.settle, plan, history).await?;
        self.read(plan, history).await
    }

    /// What the target holds after a moment that is another one for each writer.
    async fn start_over(&self, attempts: u32, plan: &Plan, history: &History) -> Result<Held, Error> {
        self.log.started_over();
        let longest = self.options.settle.max(JITTER) * attempts.min(4);
        self.sleep(longest.mul_f64(fastrand::f64()), plan, history).await?;
        self.read(plan, history).await
    }

    async fn sleep(&self, time: Duration, plan: &Plan, history: &History) -> Result<(), Error> {
        let slept = self.store.client().stop().or(tokio::time::sleep(time)).await;
        let stopped = |reason| registry::Error::stopped(self.target.to_string(), reason);
        slept.map_err(|reason| self.failed(plan, history, stopped(reason).into()))
    }

    async fn read(&self, plan: &Plan, history: &History) -> Result<Held, Error> {
        Held::read(self.store, self.target).await.map_err(|error| self.failed(plan, history, error))
    }

    fn failed(&self, plan: &Plan, history: &History, error: StoreError) -> Error {
        let none = Publication::new(self.target, self.tags, &plan.descriptor, &plan.bytes);
        history.of(none.failed_before(vec![error])).into()
    }

    fn contended(&self, plan: &Plan, history: &History) -> Error {
        let none = Publication::new(self.target, self.tags, &plan.descriptor, &plan.bytes).failed_before(Vec::new());
        Error::Contended { times: history.writes, written: Box::new(history.of(none)) }
    }

    /// There is no plan for what the target holds now.
    fn unplanned(&self, error: PlanError, history: &History) -> Error {
        let Some(descriptor) = history.descriptor.clone() else { return error.into() };
        let none = Publication::new(self.target, self.tags, &descriptor, &Bytes::new()).failed_before(Vec::new());
        Error::Unplanned { error: Box::new(error), written: Box::new(history.of(none)) }
    }
}

/// What became of tags in the writes so far.
#[derive(Default)]
struct History {
    tags: Vec<TagReport>,
    /// Times that the target was written.
    writes: u32,
    /// What was written last.
    descriptor: Option<Descriptor>,
}

impl History {
    fn add(&mut self, report: &Report) {
        if report.tags.first().is_some_and(|target| target.outcome.is_written()) {
            self.writes += 1;
            self.descriptor = Some(report.descriptor.clone());
        }
        for tag in &report.tags {
            match self.tags.iter_mut().find(|known| known.location == tag.location) {
                Some(known) if known.outcome.is_written() => {}
                // What it was at first is what it was before this run.
                Some(known) => known.outcome = tag.outcome,
                None => self.tags.push(tag.clone()),
            }
        }
    }

    /// With what became of each tag in all.
    fn report(&self, mut report: Report) -> Report {
        for tag in &mut report.tags {
            if let Some(known) = self.tags.iter().find(|known| known.location == tag.location) {
                tag.clone_from(known);
            }
        }
        report
    }

    /// A tag that was written, and not read back since, may be lost to another writer.
    fn of(&self, mut error: PublishError) -> PublishError {
        for tag in &mut error.tags {
            let Some(known) = self.tags.iter().find(|known| known.location == tag.location) else { continue };
            tag.was.clone_from(&known.was);
            match (known.outcome.is_written(), tag.outcome) {
                (true, TagOutcome::Failed) => tag.outcome = TagOutcome::Unknown,
                (true, TagOutcome::Unchanged) => tag.outcome = known.outcome,
                _ => {}
            }
        }
        error
    }
}
