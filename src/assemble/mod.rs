//! The main job: resolve every source, make the plan, carry it out.

mod event;
mod gather;
mod plan;
mod problem;
mod resolve;

pub use event::{Event, Reporter};
pub use plan::{Plan, PlanError};
pub use problem::{ResolveError, SourceProblem, SourceReason};
pub use resolve::{Entry, Resolved};

use futures_util::future::join3;

use crate::image::Location;
use crate::registry::IfMatch;
use crate::spec::Spec;
use crate::store::{Placed, Publication, PublishError, Report, Step, Store};

/// Why an index was not assembled, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Sources that cannot be used. No manifest was written.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Sources that do not make an index together. No manifest was written.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Writing failed; the error says what was done before.
    #[error(transparent)]
    Publish(#[from] PublishError),
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
    pub async fn push(&self, spec: &Spec, reporter: Reporter<'_>) -> Result<Report, Error> {
        let outcome = self.assemble(spec, reporter).await;
        self.sources.release(spec);
        outcome
    }

    async fn assemble(&self, spec: &Spec, reporter: Reporter<'_>) -> Result<Report, Error> {
        let (store, ignore_missing) = (self.store, self.options.ignore_missing);
        let steps = |step: Step| reporter(step.into());
        let gathering = resolve::gather(store, &self.sources, spec);
        let resolving = resolve::resolve(store, &self.configs, &gathering, spec, ignore_missing, reporter);
        let placing = async {
            let children = resolve::children(&gathering, spec, ignore_missing).await;
            self.placed.place_blobs(store, &spec.target, &children, &steps).await
        };
        let tags: Vec<Location> = spec.tags.iter().map(|tag| spec.target.with_tag(tag)).collect();
        let current = async {
            if self.options.force {
                return Vec::new();
            }
            store.current_digests(std::iter::once(&spec.target).chain(&tags)).await
        };
        let (resolved, errors, current) = join3(resolving, placing, current).await;
        let plan = Plan::new(spec, resolved?)?;
        let publication = Publication {
            target: &plan.target,
            tags: &tags,
            descriptor: &plan.descriptor,
            bytes: &plan.bytes,
            children: std::slice::from_ref(&plan.children),
            current: &current,
            if_match: self.options.if_match.as_ref(),
            wait: self.options.wait,
        };
        if !errors.is_empty() {
            return Err(publication.failed_before(errors).into());
        }
        Ok(store.publish(&publication, &self.placed, &steps).await?)
    }
}

/// Assembles and pushes one index; see [`Assembler::push`].
pub async fn push(
    store: &Store<'_>,
    spec: &Spec,
    options: PushOptions,
    reporter: Reporter<'_>,
) -> Result<Report, Error> {
    let report = Assembler::new(store, std::slice::from_ref(spec), options).push(spec, reporter).await?;
    match store.finish().await {
        Ok(()) => Ok(report),
        Err(error) => Err(PublishError::of_archive(report, error).into()),
    }
}
