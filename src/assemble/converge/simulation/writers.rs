//! The simulated writers: `push --append`, `remove`, and a push that does not look at the tag.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::super::error::Error;
use super::super::super::plan_error::PlanError;
use super::super::Convergence;
use super::bugs::Bug;
use super::edits::{CachedEdit, Change, EditCache, PLATFORMS, shown};
use super::environment::SimulatedEnvironment;
use super::registry::Registry;
use super::scheduler::{Scheduler, Time};
use crate::image::Location;
use crate::store::{IfMatch, PublishReport};

#[derive(Clone)]
pub struct Writer {
    pub number: usize,
    pub change: Change,
    /// The extra tags.
    pub tags: Vec<Location>,
    pub if_match: Option<IfMatch>,
    pub start: Time,
    pub stop: Option<Time>,
    pub bug: Option<Bug>,
}

/// What a writer reported.
pub struct Finished {
    pub number: usize,
    /// The change, with the version of a removed image.
    pub change: Change,
    pub tags: Vec<Location>,
    pub started: Time,
    pub ended: Time,
    /// How often the target was read.
    pub reads: u32,
    pub restarts: usize,
    pub outcome: Result<Option<PublishReport>, Error>,
}

impl Writer {
    pub async fn run(mut self, scheduler: Scheduler, registry: Registry, edits: Arc<EditCache>) -> Finished {
        let environment = SimulatedEnvironment {
            scheduler: scheduler.clone(),
            registry,
            edits,
            writer: self.number,
            bug: self.bug,
            stop: self.stop,
            reads: Cell::default(),
            restarts: Cell::default(),
            known: <_>::default(),
            last: Cell::default(),
            has_written: Cell::default(),
            is_settling: Cell::default(),
        };
        scheduler.wait(self.start).await;
        let outcome = self.write(&environment).await;
        scheduler.note(|| match &outcome {
            Ok(_) => format!("writer {} is DONE", self.number),
            Err(error) => format!("writer {} FAILED: {error}", self.number),
        });
        Finished {
            number: self.number,
            change: self.change,
            tags: self.tags,
            started: self.start,
            ended: scheduler.now(),
            reads: environment.reads.get(),
            restarts: environment.restarts.get(),
            outcome,
        }
    }

    async fn write(&mut self, environment: &SimulatedEnvironment) -> Result<Option<PublishReport>, Error> {
        use super::super::Environment as _;
        let SimulatedEnvironment { edits, registry, .. } = environment;
        let target = &edits.target;
        if let Change::Replace(versions) = &self.change {
            let (index, bytes) = edits.index_of(versions);
            edits.add_content(&index, &bytes);
            registry.push(self.number, 0, &index, None).await.map_err(Error::Target)?;
            return Ok(None);
        }
        let existing = environment.read(target).await.map_err(Error::Target)?;
        if let Change::Remove { platform, version, .. } = &mut self.change {
            let reasons = vec![format!("it has no entry for {}", PLATFORMS[*platform]).into()];
            let missing = PlanError::Unamendable { target: target.clone(), reasons };
            *version = edits.versions(existing.digest())[*platform].ok_or(missing)?;
        }
        let edit = &CachedEdit { edits: Arc::clone(edits), change: self.change, bug: self.bug };
        let (tags, if_match) = (&self.tags, self.if_match.as_ref());
        let settle = Duration::from_millis(registry.limits().settle);
        let convergence = Convergence { environment, target, tags, edit, if_match, wait: false, settle };
        let (_, report) = convergence.run(existing).await?;
        Ok(Some(report))
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Change::Append(versions) => write!(f, "appends {}", shown(versions))?,
            Change::Remove { platform, by_digest: false, .. } => write!(f, "removes {}", PLATFORMS[*platform])?,
            Change::Remove { platform, .. } => write!(f, "removes the image for {} by digest", PLATFORMS[*platform])?,
            Change::Replace(versions) => write!(f, "replaces the index by {} without a look", shown(versions))?,
        }
        self.tags.iter().try_for_each(|tag| write!(f, ", extra tag {tag}"))?;
        self.if_match.iter().try_for_each(|_| write!(f, ", if the tag still has its initial content"))?;
        self.stop.iter().try_for_each(|stop| write!(f, ", interrupted at {stop} ms"))
    }
}
