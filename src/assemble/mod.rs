//! The main job: resolve every source, make the plan, carry it out.

mod amend;
mod change;
mod check;
mod event;
mod gather;
mod held;
mod outcome;
mod plan;
mod problem;
mod remove;
mod resolve;
mod settle;

pub use amend::Selector;
pub use change::Change;
pub use check::Warning;
pub use event::{Event, Reporter};
pub use held::{Held, HeldManifest};
pub use outcome::{Moves, Outcome, Skipped, Volume};
pub use plan::{Difference, Plan};
pub use problem::{PlanError, ResolveError, SourceProblem, SourceReason};
pub use remove::remove;
pub use resolve::{Entry, Resolved};

use std::time::Duration;

use futures_util::future::join4;

use crate::image::{Descriptor, Location};
use crate::registry::IfMatch;
use crate::spec::Spec;
use crate::store::{Error as StoreError, Placed, Publication, PublishError, Report, Store};

use outcome::Log;
use settle::Amendment;

/// Why an index was not assembled, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Sources that cannot be used. No manifest was written.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Sources that do not make an index together. No manifest was written.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// What the target holds cannot be read. No manifest was written.
    #[error(transparent)]
    Target(StoreError),
    /// Writing failed; the error says what was done before.
    #[error(transparent)]
    Publish(Box<PublishError>),
    /// Others kept writing the tag, so that the change was lost each time.
    #[error("{target}: other writers undid the change {times} times; when they are done, run this again")]
    Contended {
        /// The tag.
        target: Location,
        /// Times that it was tried.
        times: u32,
    },
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

/// How to push.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// Leave out sources of which the registry says that they do not exist, unless that leaves none.
    pub ignore_missing: bool,
    /// Write tags that point at the index already.
    pub force: bool,
    /// Write only if the target's tag points at this, or at the new index already.
    pub if_match: Option<IfMatch>,
    /// Be done only when every tag that was written reads back with the index's digest.
    pub wait: bool,
    /// Take what is likely to be a mistake for an error; see [`Warning`].
    pub strict: bool,
    /// Write nothing, and tell what would be done.
    pub dry_run: bool,
    /// Where what the target holds is changed, and not replaced: how long others may take to write over it what they
    /// had begun. The tag is read back after that.
    pub settle: Duration,
}

/// Assembles the indexes of a run. What one of them found out, the others do not ask again.
pub struct Assembler<'a> {
    store: &'a Store<'a>,
    options: PushOptions,
    sources: gather::Sources,
    configs: resolve::Configs,
    placed: Placed,
}

impl<'a> Assembler<'a> {
    /// For all of these specs, each of which is to be pushed once.
    #[must_use]
    pub fn new(store: &'a Store<'a>, specs: &[Spec], options: PushOptions) -> Self {
        let sources = gather::Sources::of(specs);
        Self { store, options, sources, configs: resolve::Configs::default(), placed: Placed::default() }
    }

    /// Assembles the index that `spec` describes and pushes it: children, then the target tag, then the extra tags.
    ///
    /// Archives are in their places after [`Store::finish`] alone.
    ///
    /// No manifest is written before every source is fetched and checked. Blobs of sources in other repositories are
    /// placed while configs are fetched; nothing refers to them until then.
    pub async fn push(&self, spec: &Spec, reporter: Reporter<'_>) -> Result<Outcome, Error> {
        let outcome = self.assemble(spec, &Log::new(reporter)).await;
        self.sources.release(spec);
        outcome
    }

    async fn assemble(&self, spec: &Spec, log: &Log<'_>) -> Result<Outcome, Error> {
        let (store, options) = (self.store, &self.options);
        let gathering = resolve::gather(store, &self.sources, spec);
        let resolving = resolve::resolve(store, &self.configs, &gathering, spec, options, log);
        let placing = async {
            if options.dry_run {
                return Vec::new();
            }
            let children = resolve::children(&gathering, spec, options.ignore_missing).await;
            self.placed.place_blobs(store, &spec.target, &children, &|step| log.step(step)).await
        };
        let looks = options.dry_run || spec.append;
        let holding = async { if looks { Held::read(store, &spec.target).await } else { Ok(Held::Unread) } };
        let looking = async {
            if !options.dry_run && (options.force || spec.append) {
                return Vec::new();
            }
            // What the target holds is read whole.
            store.current_digests(spec.locations().collect::<Vec<_>>().iter().skip(usize::from(looks))).await
        };
        let (resolved, errors, held, mut current) = join4(resolving, placing, holding, looking).await;
        let (resolved, held) = (resolved?, held.map_err(Error::Target)?);
        let plan = Plan::new(spec, &resolved, &held)?;
        for warning in &plan.warnings {
            if !options.strict {
                log.event(Event::Warning(warning.clone()));
            }
        }
        if options.strict && !plan.warnings.is_empty() {
            return Err(PlanError::Strict { target: plan.target, warnings: plan.warnings }.into());
        }
        let tags: Vec<Location> = spec.locations().skip(1).collect();
        if options.dry_run {
            current.insert(0, Ok(held.digest().cloned()));
            return self.foresee(plan, &tags, &current, log).await;
        }
        let publication = Publication {
            target: &plan.target,
            tags: &tags,
            descriptor: &plan.descriptor,
            bytes: &plan.bytes,
            children: std::slice::from_ref(&plan.children),
            current: &current,
            if_match: options.if_match.as_ref(),
            wait: options.wait,
        };
        if !errors.is_empty() {
            return Err(publication.failed_before(errors).into());
        }
        let (plan, report) = if spec.append {
            let plan_of = |held: &Held, _| Plan::new(spec, &resolved, held);
            let (placed, target, plan_of) = (&self.placed, &spec.target, &plan_of);
            let amendment = Amendment { store, placed, options, target, tags: &tags, plan_of, log };
            let (plan, report) = amendment.carry_out(held.clone()).await?;
            (remove::compared(plan, &held), report)
        } else {
            let report = store.publish(&publication, &self.placed, &|step| log.step(step)).await?;
            (plan, report)
        };
        self.refer(&plan, &report).await?;
        Ok(Outcome { plan, tags: report.tags, skipped: log.skipped(), moves: log.moves(), dry_run: false })
    }

    /// What a push would do.
    async fn foresee(
        &self,
        plan: Plan,
        tags: &[Location],
        current: &[Result<Option<crate::image::Digest>, StoreError>],
        log: &Log<'_>,
    ) -> Result<Outcome, Error> {
        let publication = Publication {
            target: &plan.target,
            tags,
            descriptor: &plan.descriptor,
            bytes: &plan.bytes,
            children: &[],
            current,
            if_match: None,
            wait: false,
        };
        let mut errors: Vec<StoreError> = current.iter().filter_map(|current| current.clone().err()).collect();
        if let (Some(if_match), Some(Ok(held))) = (&self.options.if_match, current.first())
            && held.as_ref() != Some(&plan.descriptor.digest)
            && let Err(error) = if_match.check(&plan.target.to_string(), held.as_ref())
        {
            errors.push(error.into());
        }
        let steps = match self.store.survey(&plan.target, &plan.children).await {
            Ok(steps) if errors.is_empty() => steps,
            Ok(_) => return Err(publication.failed_before(errors).into()),
            Err(more) => return Err(publication.failed_before([errors, more].concat()).into()),
        };
        let tags = publication.foreseen().tags;
        Ok(Outcome { tags, skipped: log.skipped(), moves: Moves::of(&steps), dry_run: true, plan })
    }

    /// Makes the index known as something that refers to its subject.
    async fn refer(&self, plan: &Plan, report: &Report) -> Result<(), Error> {
        let Some(subject) = &plan.index.subject else { return Ok(()) };
        let referrer = Descriptor {
            artifact_type: plan.index.artifact_type.clone(),
            annotations: plan.index.annotations.clone(),
            ..plan.descriptor.clone()
        };
        let listed = self.store.list_referrers(&plan.target, &subject.digest, &[referrer]).await;
        listed.map_err(|error| {
            let (target, descriptor) = (plan.target.clone(), report.descriptor.clone());
            PublishError { target, descriptor, errors: vec![error], tags: report.tags.clone() }.into()
        })
    }
}

/// Assembles and pushes one index; see [`Assembler::push`].
pub async fn push(
    store: &Store<'_>,
    spec: &Spec,
    options: PushOptions,
    reporter: Reporter<'_>,
) -> Result<Outcome, Error> {
    let outcome = Assembler::new(store, std::slice::from_ref(spec), options).push(spec, reporter).await?;
    match store.finish().await {
        Ok(()) => Ok(outcome),
        Err(error) => {
            let report = Report { descriptor: outcome.plan.descriptor, tags: outcome.tags };
            Err(PublishError::of_archive(&outcome.plan.target, report, Some(error)).into())
        }
    }
}
