//! Everything that a convergence does outside its own state: requests, waits, random delays and events.

use std::time::Duration;

use super::super::existing::Existing;
use super::super::log::Log;
use crate::event::Phase;
use crate::image::{Digest, Location};
use crate::registry::StopReason;
use crate::store::{Error, Publication, PublishError, PublishReport, Run};

/// The registry, the clock and the random numbers of a convergence. The tests implement it with a simulated registry
/// and a simulated clock.
pub(in crate::assemble) trait Environment {
    /// Reads the manifest that a tag points at.
    async fn read(&self, tag: &Location) -> Result<Existing, Error>;

    /// Returns the digest that a tag points at; `None` if the tag does not exist.
    async fn current_digest(&self, tag: &Location) -> Result<Option<Digest>, Error>;

    /// Returns the current digests of several tags, in the given order.
    async fn current_digests(&self, tags: &[Location]) -> Vec<Result<Option<Digest>, Error>>;

    /// Writes a manifest and its tags. Reads a tag with a precondition just before it is written.
    async fn publish(&self, publication: &Publication<'_>) -> Result<PublishReport, PublishError>;

    /// Returns the number of requests so far that were sent again. The registry may carry out an earlier attempt late.
    fn retries(&self) -> usize;

    /// Waits, unless the run is stopped.
    async fn sleep(&self, time: Duration) -> Result<(), StopReason>;

    /// Returns a random number from 0 to 1.
    fn random(&self) -> f64;

    /// Reports what the convergence is doing.
    fn phase(&self, phase: Phase);

    /// Reports that another writer changed the tag, so that the change is applied again.
    fn restarted(&self);
}

/// The environment of a run: the registries and layouts of its store, and real time.
pub(in crate::assemble) struct RunEnvironment<'a> {
    pub(in crate::assemble) run: &'a Run,
    pub(in crate::assemble) log: &'a Log,
}

impl Environment for RunEnvironment<'_> {
    async fn read(&self, tag: &Location) -> Result<Existing, Error> {
        Existing::read(self.run.store(), tag).await
    }

    async fn current_digest(&self, tag: &Location) -> Result<Option<Digest>, Error> {
        self.run.store().current_digest(tag).await
    }

    async fn current_digests(&self, tags: &[Location]) -> Vec<Result<Option<Digest>, Error>> {
        self.run.store().current_digests(tags).await
    }

    async fn publish(&self, publication: &Publication<'_>) -> Result<PublishReport, PublishError> {
        self.run.publish(publication, &|step| self.log.step(step)).await
    }

    fn retries(&self) -> usize {
        self.run.store().client().traffic().retries
    }

    async fn sleep(&self, time: Duration) -> Result<(), StopReason> {
        self.run.store().client().cancel_token().run_until_cancelled(tokio::time::sleep(time)).await
    }

    fn random(&self) -> f64 {
        fastrand::f64()
    }

    fn phase(&self, phase: Phase) {
        self.log.phase(phase);
    }

    fn restarted(&self) {
        self.log.restarted();
    }
}
