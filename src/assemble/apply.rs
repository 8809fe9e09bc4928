//! Pushes indexes: resolves their sources, then plans and writes them.

use futures_util::future::{join, join3};

use super::converge::{Convergence, Edit};
use super::error::{Error, PlanError};
use super::existing::Existing;
use super::log::Log;
use super::merge;
use super::options::PushOptions;
use super::plan::Plan;
use super::report::PushReport;
use super::resolve::{self, Resolved};
use super::source::Sources;
use crate::event::Warning;
use crate::image::{Descriptor, Index, Location};
use crate::registry::RetryGroup;
use crate::spec::Spec;
use crate::store::{
    IfMatch, Publication, PublishError, PublishReport, Run, SourceManifest, Store, TagReport, TagTarget,
};

/// Assembles and pushes one index: its children, then the target tag, then the extra tags.
///
/// Writes manifests only after every source is fetched and checked. Blobs of sources in other repositories are copied
/// earlier, while configs are fetched; no manifest refers to them yet. An archive replaces its target file before
/// this function returns.
///
/// # Errors
/// Sources cannot be used (the error lists all of them), the index cannot be planned, or a write failed (the error
/// lists what was written before).
pub async fn push(store: &Store, spec: &Spec, options: &PushOptions) -> Result<PushReport, Error> {
    let run = Run::new(store, options.dry_run);
    let report = Assembler::new(&run, std::slice::from_ref(spec), options).push(spec).await?;
    match run.commit().await {
        Ok(()) => Ok(report),
        Err(error) => {
            let published = PublishReport { descriptor: report.plan.descriptor, tags: report.tags };
            Err(PublishError::uncommitted(&report.plan.target, published, Some(error)).into())
        }
    }
}

/// Assembles the indexes of a run, each of which is pushed once. They share fetched manifests and configs. Archives
/// replace their target files at the end of the run.
pub(crate) struct Assembler<'a> {
    run: &'a Run,
    options: &'a PushOptions,
    sources: Sources,
    configs: resolve::Configs,
}

impl<'a> Assembler<'a> {
    pub(crate) fn new(run: &'a Run, specs: &[Spec], options: &'a PushOptions) -> Self {
        Self { run, options, sources: Sources::new(specs), configs: resolve::Configs::default() }
    }

    /// Assembles one of the indexes; see [`push`].
    pub(crate) async fn push(&self, spec: &Spec) -> Result<PushReport, Error> {
        let store = self.run.store();
        let _intent = store.will_push(&spec.target);
        let log = Log::new(store, &spec.target, self.run.is_dry());
        let report = RetryGroup::run(self.assemble(spec, &log)).await;
        self.sources.release(spec, store.client().budget());
        report
    }

    async fn assemble(&self, spec: &Spec, log: &Log) -> Result<PushReport, Error> {
        let (run, store, options) = (self.run, self.run.store(), self.options);
        log.warn(&spec.warnings.iter().cloned().map(Warning::Spec).collect::<Vec<_>>());
        let fetching = resolve::fetch_sources(store, &self.sources, spec, options.ignore_missing);
        let resolving = resolve::resolve(store, &self.configs, &fetching, spec, options, log);
        let placing = async {
            let children = resolve::source_manifests(&fetching, spec, options.ignore_missing).await;
            let errors = run.place_blobs(&spec.target, &children, &|step| log.step(step)).await;
            (children, errors)
        };
        let (resolved, (children, errors), existing) = join3(resolving, placing, self.read_target(spec)).await;
        let (resolved, (existing, tags)) = (resolved?, existing?);
        let addition = Addition { spec, resolved: &resolved, children: &children, strict: options.strict };
        let plan = addition.plan(&existing)?;
        // The warnings of the spec itself were reported first.
        log.warn(plan.warnings.iter().filter(|warning| !matches!(warning, Warning::Spec(_))));
        let mut levels = vec![plan.children.clone()];
        // With `force`, the tags are not read and the index is pushed with the first tag.
        let were_read = tags.iter().any(|tag| tag.current.is_some());
        if spec.by_digest && were_read && !tags.iter().all(|tag| tag.points_at(&plan.descriptor.digest)) {
            levels.push(vec![plan.as_child()]);
        }
        let publication = Publication::new(&plan.target, &plan.descriptor, &plan.bytes, &levels);
        let publication = Publication { tags, wait: options.wait, ..publication };
        if !errors.is_empty() {
            return Err(publication.failed_before(errors).into());
        }
        if spec.append && !run.is_dry() {
            return self.append(&addition, &plan, existing, log).await;
        }
        let published = run.publish(&publication, &|step| log.step(step)).await?;
        refer(run, &plan, &published.tags).await?;
        Ok(PushReport::new(plan, published.tags, log, run.is_dry()))
    }

    /// Adds the images to the target's index, even if other writers change it concurrently.
    async fn append(
        &self,
        addition: &Addition<'_>,
        first: &Plan,
        existing: Existing,
        log: &Log,
    ) -> Result<PushReport, Error> {
        let (spec, PushOptions { if_match, wait, settle, .. }) = (addition.spec, self.options);
        let tags: Vec<Location> = spec.locations().skip(1).collect();
        let convergence = Convergence {
            run: self.run,
            target: &spec.target,
            tags: &tags,
            edit: addition,
            if_match: if_match.as_ref(),
            wait: *wait,
            settle: *settle,
            log,
        };
        let (last, published) = convergence.run(existing.clone()).await?;
        // Combined with the changes of other writers, the index may have new mistakes.
        log.warn(last.warnings.iter().filter(|warning| !first.warnings.contains(warning)));
        refer(self.run, &last, &published.tags).await?;
        Ok(PushReport::new(last.compared_with(&existing), published.tags, log, false))
    }

    /// Reads the target's manifest if the plan is compared with it or changes it, and the digests of the tags if
    /// needed.
    async fn read_target(&self, spec: &Spec) -> Result<(Existing, Vec<TagTarget>), Error> {
        let (store, is_dry) = (self.run.store(), self.run.is_dry());
        let further: Vec<Location> = spec.locations().skip(1).collect();
        let if_match = self.options.if_match.clone();
        if !is_dry && !spec.append {
            let tags = match self.options.force {
                true => spec.locations().map(TagTarget::unread).collect(),
                false => read_tags(store, spec.locations().collect()).await,
            };
            return Ok((Existing::Unread, with_precondition(tags, if_match)));
        }
        let reading = async {
            match is_dry {
                true => read_tags(store, further).await,
                false => further.into_iter().map(TagTarget::unread).collect(),
            }
        };
        let (existing, mut tags) = join(Existing::read(store, &spec.target), reading).await;
        let (existing, current) = match existing {
            Ok(existing) => {
                let current = Ok(existing.digest().cloned());
                (existing, current)
            }
            // The target is not a readable manifest. Only an append needs it; a push replaces it.
            Err(_) if !spec.append => (Existing::Unread, store.current_digest(&spec.target).await),
            Err(error) => {
                RetryGroup::fail_current();
                return Err(Error::Target(error));
            }
        };
        tags.insert(0, TagTarget::new(spec.target.clone(), current));
        Ok((existing, with_precondition(tags, if_match)))
    }
}

async fn read_tags(store: &Store, tags: Vec<Location>) -> Vec<TagTarget> {
    let current = store.current_digests(&tags).await;
    tags.into_iter().zip(current).map(|(tag, current)| TagTarget::new(tag, current)).collect()
}

/// Sets the precondition of the target, which is the first tag that is written.
fn with_precondition(mut tags: Vec<TagTarget>, if_match: Option<IfMatch>) -> Vec<TagTarget> {
    if let Some(target) = tags.first_mut() {
        target.if_match = if_match;
    }
    tags
}

/// Adds images to the index of a target, replacing the images for the same platforms.
struct Addition<'a> {
    spec: &'a Spec,
    resolved: &'a Resolved,
    children: &'a [SourceManifest],
    /// Whether warnings are errors.
    strict: bool,
}

impl Edit for Addition<'_> {
    fn plan(&self, existing: &Existing) -> Result<Plan, PlanError> {
        let plan = Plan::new(self.spec, self.resolved, self.children, existing)?;
        if self.strict && !plan.warnings.is_empty() {
            return Err(PlanError::Strict { target: plan.target, warnings: plan.warnings });
        }
        Ok(plan)
    }

    fn still_applied(&self, existing: &Existing, before: &Existing) -> bool {
        let (new, empty) = (Plan::index_of_sources(self.spec, self.resolved), Index::default());
        let before = before.manifest().map_or(&empty, |before| &before.index);
        existing.manifest().is_some_and(|now| now.is_index && merge::still_contains(&now.index, &new, before))
    }

    fn plan_unchanged(&self, existing: &Existing) -> Result<Plan, PlanError> {
        Plan::unchanged(&self.spec.target, existing, Some(self.resolved))
    }
}

/// Adds an index to the referrers of its subject.
pub(super) async fn refer(run: &Run, plan: &Plan, tags: &[TagReport]) -> Result<(), Error> {
    let Some(subject) = &plan.subject else { return Ok(()) };
    let referrer = Descriptor {
        artifact_type: plan.artifact_type.clone(),
        annotations: plan.annotations.clone(),
        ..plan.descriptor.clone()
    };
    let listed = run.list_referrers(&plan.target, &subject.digest, &[referrer]).await;
    listed.map_err(|error| {
        let (target, descriptor) = (plan.target.clone(), plan.descriptor.clone());
        PublishError { target, descriptor, errors: vec![error], tags: tags.to_vec() }.into()
    })
}
