//! A registry whose replicas lag, and a client that loses answers. Looking at a tag and writing it are separate steps.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::bugs::Bug;
use super::edits::{EditCache, shown};
use super::scheduler::{Scheduler, Time};
use crate::image::{Descriptor, Digest, Location};
use crate::registry::{self, ErrorKind};
use crate::store::{Error, IfMatch};

/// How often the client sends a write again after its answer was lost.
const RETRIES: u32 = 2;
const REPLICAS: usize = 3;
pub const MAX_WRITERS: usize = 5;

/// What the registry and the network may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The settling time of every writer.
    pub settle: Time,
    /// The longest time by which a read may lag.
    pub lag: Time,
    /// The longest time from serving a look to carrying out the write that follows it.
    pub write: Time,
    /// The limit of one write in four, if slow writes are allowed.
    pub slow_write: Option<Time>,
    pub loses_answers: bool,
}

/// What a tag pointed at from a time on.
#[derive(Debug, Clone)]
pub struct Version {
    pub at: Time,
    pub digest: Option<Digest>,
    /// The writer, or `None` for the initial content.
    pub writer: Option<usize>,
}

/// A write of a tag, as the registry carries it out.
#[derive(Clone)]
struct Write {
    writer: usize,
    tag: usize,
    digest: Digest,
}

#[derive(Clone)]
pub struct Registry(Rc<State>);

struct State {
    scheduler: Scheduler,
    edits: Arc<EditCache>,
    limits: Limits,
    bug: Option<Bug>,
    tags: Vec<Location>,
    histories: RefCell<Vec<Vec<Version>>>,
    /// By how much each replica lags now.
    lags: Cell<[Time; REPLICAS]>,
    /// How often each writer sent a write again.
    retries: RefCell<[usize; MAX_WRITERS]>,
}

impl Registry {
    /// Creates a registry in which the first tag has an initial content.
    pub fn new(
        scheduler: &Scheduler,
        edits: &Arc<EditCache>,
        limits: Limits,
        bug: Option<Bug>,
        tags: Vec<Location>,
        initial: Option<Digest>,
    ) -> Self {
        let first = |digest| vec![Version { at: 0, digest, writer: None }];
        let mut histories: Vec<_> = tags.iter().map(|_| first(None)).collect();
        histories[0] = first(initial);
        let (scheduler, edits, histories) = (scheduler.clone(), Arc::clone(edits), RefCell::new(histories));
        let (lags, retries) = <_>::default();
        Self(Rc::new(State { scheduler, edits, limits, bug, tags, histories, lags, retries }))
    }

    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    pub fn retries(&self, writer: usize) -> usize {
        self.0.retries.borrow()[writer]
    }

    pub fn tag(&self, location: &Location) -> usize {
        self.0.tags.iter().position(|tag| tag == location).unwrap()
    }

    pub fn history(&self, tag: usize) -> Vec<Version> {
        self.0.histories.borrow()[tag].clone()
    }

    /// Reads a tag. The request and its response take any time.
    pub async fn read(&self, writer: usize, tag: usize, what: &str) -> Result<Option<Digest>, Error> {
        let State { scheduler, limits, .. } = &*self.0;
        scheduler.wait_within(limits.settle / 2).await;
        let digest = self.serve(writer, tag, what);
        scheduler.wait_within(limits.settle / 2).await;
        match limits.loses_answers && scheduler.once_in(400) {
            true => Err(Error::unsuitable(&self.0.tags[tag], "no response to any attempt")),
            false => Ok(digest),
        }
    }

    /// Lets a replica answer a read.
    fn serve(&self, writer: usize, tag: usize, what: &str) -> Option<Digest> {
        let State { scheduler, limits, edits, .. } = &*self.0;
        let replica = scheduler.below(REPLICAS as u64) as usize;
        let mut lags = self.0.lags.get();
        if scheduler.once_in(2) {
            lags[replica] = scheduler.time_within(limits.lag);
            self.0.lags.set(lags);
        }
        let lag = lags[replica].min(scheduler.now());
        let at = scheduler.now() - lag;
        let histories = self.0.histories.borrow();
        let digest = histories[tag].iter().rfind(|version| version.at <= at).unwrap().digest.clone();
        scheduler.note(|| {
            let versions = shown(&edits.versions(digest.as_ref()));
            let by = if lag == 0 { String::new() } else { format!(", {lag} ms behind") };
            format!("writer {writer} {what} {}: {versions}{by}", self.0.tags[tag])
        });
        digest
    }

    /// Writes a tag as `Client::push_manifest_if` does: looks at a tag with a precondition before each attempt, and
    /// sends the write again if its answer was lost.
    pub async fn push(
        &self,
        writer: usize,
        tag: usize,
        descriptor: &Descriptor,
        if_match: Option<&IfMatch>,
    ) -> Result<(), Error> {
        let State { scheduler, limits, bug, .. } = &*self.0;
        let (write, subject) = (Write { writer, tag, digest: descriptor.digest.clone() }, &self.0.tags[tag]);
        for attempt in 0..=RETRIES {
            scheduler.wait_within(limits.settle / 4).await;
            self.0.retries.borrow_mut()[writer] += usize::from(attempt > 0);
            // The time by which the registry has carried out the write.
            let until = scheduler.now() + self.write_time();
            if let Some(if_match) = if_match.filter(|_| *bug != Some(Bug::NoLook)) {
                let seen = self.serve(writer, tag, "looks at");
                scheduler.wait_within(until - scheduler.now()).await;
                match seen == Some(descriptor.digest.clone()) {
                    true if attempt > 0 => return Ok(()),
                    true => {}
                    false => if_match.check(&subject.to_string(), seen.as_ref()).map_err(|error| {
                        let is_known = attempt == 0 || *bug == Some(Bug::LostAnswerIsForgotten);
                        if is_known { error } else { error.after_lost_response() }
                    })?,
                }
            }
            if self.send(&write, until).await {
                return Ok(());
            }
            scheduler.wait_within(limits.settle / 2).await;
        }
        // The client reads the tag once.
        match self.read(writer, tag, "checks").await {
            Ok(digest) if digest == Some(write.digest) => Ok(()),
            _ => {
                let lost = Box::new(ErrorKind::Protocol("no response".into()));
                Err(registry::Error::new(subject.to_string(), ErrorKind::OutcomeUnknown(lost)).into())
            }
        }
    }

    fn write_time(&self) -> Time {
        let State { scheduler, limits, .. } = &*self.0;
        let limit = limits.slow_write.filter(|_| scheduler.once_in(4)).unwrap_or(limits.write);
        scheduler.time_within(limit)
    }

    /// Sends a write that the registry carries out at a time. Returns `false` if the answer was lost: then the registry
    /// has carried it out, or will, or never got it.
    async fn send(&self, write: &Write, at: Time) -> bool {
        let State { scheduler, limits, .. } = &*self.0;
        let remaining = at - scheduler.now();
        if !limits.loses_answers || !scheduler.once_in(6) {
            scheduler.wait(remaining).await;
            self.carry_out(write);
            scheduler.wait_within(limits.settle / 2).await;
            return true;
        }
        scheduler.note(|| format!("writer {} sends a write, and the answer will be lost", write.writer));
        if !scheduler.once_in(3) {
            let (registry, write) = (self.clone(), write.clone());
            scheduler.spawn(async move {
                registry.0.scheduler.wait(remaining).await;
                registry.carry_out(&write);
            });
        }
        scheduler.wait_within(limits.settle).await;
        false
    }

    fn carry_out(&self, Write { writer, tag, digest }: &Write) {
        let State { scheduler, edits, .. } = &*self.0;
        scheduler.note(|| {
            let versions = shown(&edits.versions(Some(digest)));
            format!("writer {writer} WRITES {}: {versions}", self.0.tags[*tag])
        });
        let version = Version { at: scheduler.now(), digest: Some(digest.clone()), writer: Some(*writer) };
        self.0.histories.borrow_mut()[*tag].push(version);
    }
}
