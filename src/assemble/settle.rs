//! Changing what a tag holds while others may do the same: registries have no write that depends on what is there.

use std::time::Duration;

use super::event::Event;
use super::held::Held;
use super::outcome::Log;
use super::plan::Plan;
use super::problem::PlanError;
use super::{Error, PushOptions};
use crate::image::Location;
use crate::registry::{self, IfMatch};
use crate::store::{Error as StoreError, Placed, Publication, PublishError, Report, Store, TagOutcome, TagReport};

/// Times that a change is made anew when others undo it.
const TRIES: u32 = 50;
/// Writers that collided wait for a moment of their own, of about this length where there is no settling time.
const JITTER: Duration = Duration::from_millis(100);

/// A change of what the target holds.
pub(super) struct Amendment<'a> {
    pub(super) store: &'a Store<'a>,
    pub(super) placed: &'a Placed,
    pub(super) options: &'a PushOptions,
    pub(super) target: &'a Location,
    /// Further tags, which follow the target.
    pub(super) tags: &'a [Location],
    /// The plan for what the target holds.
    pub(super) plan_of: &'a (dyn Fn(&Held) -> Result<Plan, PlanError> + Sync),
    pub(super) log: &'a Log<'a>,
}

impl Amendment<'_> {
    /// Writes the change, until the target holds it a settling time later; then the further tags, until the target is
    /// still what they point at.
    pub(super) async fn carry_out(&self, mut held: Held) -> Result<(Plan, Report), Error> {
        let mut report: Option<Report> = None;
        for attempt in 0..TRIES {
            let plan = (self.plan_of)(&held)?;
            if held.digest() != Some(&plan.descriptor.digest) {
                self.check_condition(&plan, &held, report.as_ref())?;
                match self.write(&plan, &held).await {
                    Ok(written) => report = Some(merged(report, written)),
                    Err(error) if error.is_changed() && self.options.if_match.is_none() => {
                        held = self.start_over(attempt, &plan, report.as_ref()).await?;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
                held = self.settled(&plan, report.as_ref()).await?;
                let again = (self.plan_of)(&held)?;
                if held.digest() != Some(&again.descriptor.digest) {
                    held = self.start_over(attempt, &plan, report.as_ref()).await?;
                }
                continue;
            }
            let written = self.write(&plan, &held).await.map_err(|error| with_history(error, report.as_ref()))?;
            let moved = written.tags.iter().skip(1).any(|tag| tag.outcome.is_written());
            let done = merged(report, written);
            if !moved || self.store.current_digest(self.target).await.ok().flatten().as_ref() == held.digest() {
                return Ok((plan, done));
            }
            held = self.read(&plan, Some(&done)).await?;
            report = Some(done);
        }
        Err(Error::Contended { target: self.target.clone(), times: TRIES })
    }

    /// What the target must point at, unless this run has written it.
    fn check_condition(&self, plan: &Plan, held: &Held, report: Option<&Report>) -> Result<(), Error> {
        let Some(if_match) = &self.options.if_match else { return Ok(()) };
        let checked = if_match.check(&self.target.to_string(), held.digest());
        checked.map_err(|error| self.failed(plan, report, error.into()))
    }

    /// Writes the target, where it is not the index yet; else the further tags.
    async fn write(&self, plan: &Plan, held: &Held) -> Result<Report, PublishError> {
        let is_written = held.digest() == Some(&plan.descriptor.digest);
        let tags = if is_written { self.tags } else { &[] };
        let mut current = vec![Ok(held.digest().cloned())];
        current.extend(self.store.current_digests(tags.iter()).await);
        let before = held.digest().map_or(IfMatch::Nothing, |digest| IfMatch::Digest(digest.clone()));
        let publication = Publication {
            children: std::slice::from_ref(&plan.children),
            current: &current,
            if_match: Some(&before),
            wait: self.options.wait && is_written,
            ..Publication::new(self.target, tags, &plan.descriptor, &plan.bytes)
        };
        self.store.publish(&publication, self.placed, &|step| self.log.step(step)).await
    }

    /// What the target holds when others have had the time to end what they had begun.
    async fn settled(&self, plan: &Plan, report: Option<&Report>) -> Result<Held, Error> {
        self.sleep(self.options.settle, plan, report).await?;
        self.read(plan, report).await
    }

    /// What the target holds after a moment that is another one for each writer.
    async fn start_over(&self, attempt: u32, plan: &Plan, report: Option<&Report>) -> Result<Held, Error> {
        self.log.event(Event::StartedOver(self.target.clone()));
        let longest = self.options.settle.max(JITTER) * (attempt + 1).min(4);
        self.sleep(longest.mul_f64(fastrand::f64()), plan, report).await?;
        self.read(plan, report).await
    }

    async fn sleep(&self, time: Duration, plan: &Plan, report: Option<&Report>) -> Result<(), Error> {
        let slept = self.store.client().stop().or(tokio::time::sleep(time)).await;
        let stopped = |reason| registry::Error::stopped(self.target.to_string(), reason);
        slept.map_err(|reason| self.failed(plan, report, stopped(reason).into()))
    }

    async fn read(&self, plan: &Plan, report: Option<&Report>) -> Result<Held, Error> {
        Held::read(self.store, self.target).await.map_err(|error| self.failed(plan, report, error))
    }

    /// With what is known of the tags: one that was written and not read back since may be lost to another writer.
    fn failed(&self, plan: &Plan, report: Option<&Report>, error: StoreError) -> Error {
        let none = Publication::new(self.target, self.tags, &plan.descriptor, &plan.bytes);
        let mut failed = none.failed_before(vec![error]);
        let written = report.is_some_and(Report::has_moved);
        if let (true, Some(target)) = (written, failed.tags.first_mut()) {
            target.outcome = TagOutcome::Unknown;
        }
        failed.into()
    }
}

/// What became of each tag in all: it was written if it was at any time, over what it was at first.
fn merged(before: Option<Report>, now: Report) -> Report {
    let Some(before) = before else { return now };
    let mut tags = now.tags;
    with_first(&mut tags, &before);
    Report { descriptor: now.descriptor, tags }
}

fn with_history(mut error: PublishError, before: Option<&Report>) -> PublishError {
    if let Some(before) = before {
        with_first(&mut error.tags, before);
    }
    error
}

fn with_first(tags: &mut [TagReport], before: &Report) {
    for tag in tags {
        let Some(first) = before.tags.iter().find(|first| first.location == tag.location) else { continue };
        tag.was.clone_from(&first.was);
        if first.outcome.is_written() && tag.outcome != TagOutcome::Failed {
            tag.outcome = first.outcome;
        }
    }
}
