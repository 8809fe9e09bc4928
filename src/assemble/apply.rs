//! Pushes indexes: resolves their sources, then plans and writes them at each target.

use std::collections::{HashMap, HashSet};

use futures_util::future::{BoxFuture, FutureExt as _, join, join_all, join3};

use super::config::Configs;
use super::error::Error;
use super::log::Log;
use super::options::PushOptions;
use super::report::{PushReport, TargetReport};
use super::resolve::{self, Resolved};
use super::source::Sources;
use super::target::{self, PlannedTarget, TargetPush};
use crate::event::{Step, Warning};
use crate::image::{Digest, Location, Reference};
use crate::registry::RetryGroup;
use crate::spec::Spec;
use crate::store::{MultiTag, Run, Store};

/// Assembles an index and pushes it to its targets: at each one its children, then the target tag, then the extra tags.
///
/// Writes manifests only after every source is fetched and checked. Blobs of sources in other repositories are copied
/// earlier, while configs are fetched; no manifest refers to them yet. No tag is written at any target before the
/// images are at every target. An archive replaces its target file before this function returns.
///
/// # Errors
/// Sources cannot be used (the error lists all of them), the index cannot be planned, or a write failed (the error
/// lists what was written before). If some of several targets fail, [`Error::Targets`] has the outcome for each.
pub async fn push(store: &Store, spec: &Spec, options: &PushOptions) -> Result<PushReport, Error> {
    let specs = std::slice::from_ref(spec);
    Assembler::new(&new_run(store, specs, options), specs, options).push_only(spec).await
}

/// The number of indexes with several tags at a registry from which several tags in one request are tried there: the
/// request that may be wasted is then small beside those that may be saved.
const MULTI_TAG_INDEXES: usize = 3;

/// Returns the run that pushes these specs.
pub(crate) fn new_run(store: &Store, specs: &[Spec], options: &PushOptions) -> Run {
    let multi_tag = match options.multi_tag {
        true => MultiTag::everywhere(),
        false => {
            let with_tags = specs.iter().flat_map(Spec::targets).filter(|target| !target.tags.is_empty());
            let references = with_tags.filter_map(|target| target.location.reference());
            MultiTag::at_repeated(references.map(Reference::registry), MULTI_TAG_INDEXES)
        }
    };
    Run::new(store, options.dry_run).with_multi_tag(multi_tag)
}

/// Assembles the indexes of a run, each of which is pushed once. They share fetched manifests and configs. Archives
/// replace their target files at the end of the run.
pub(crate) struct Assembler<'a> {
    run: &'a Run,
    options: &'a PushOptions,
    sources: Sources,
    configs: Configs,
    /// The digests of the tags that earlier runs have finished; see [`Self::resume`].
    finished: HashMap<Location, Digest>,
    /// Whether the run has a single index.
    is_only: bool,
}

impl<'a> Assembler<'a> {
    pub(crate) fn new(run: &'a Run, specs: &[Spec], options: &'a PushOptions) -> Self {
        let written = specs.iter().flat_map(Spec::targets).filter_map(|target| target.location.reference());
        let read = specs.iter().flat_map(|spec| &spec.sources).filter_map(|source| source.location.reference());
        run.store().client().announce(written, read);
        let (sources, configs, is_only) = (Sources::new(specs), Configs::default(), specs.len() == 1);
        Self { run, options, sources, configs, finished: HashMap::new(), is_only }
    }

    /// Skips an index if earlier runs have finished all its tags with the digest that it has now. Its sources are
    /// resolved, but its tags are neither read nor written. An index that is appended to is never skipped, because its
    /// digest depends on the target.
    #[must_use]
    pub(crate) fn resume(self, finished: HashMap<Location, Digest>) -> Self {
        Self { finished, ..self }
    }

    /// Assembles the only index of a run, and commits the run; see [`push`].
    pub(crate) async fn push_only(&self, spec: &Spec) -> Result<PushReport, Error> {
        let report = self.push(spec).await?;
        let Err(error) = self.run.commit().await else { return Ok(report) };
        let is_only = report.targets.len() == 1;
        let outcome = |report: TargetReport| match &report.plan.target {
            target if target.is_written_whole() || is_only => Err(target::uncommitted(report, &error)),
            _ => Ok(report),
        };
        Err(target::failed(report.targets.into_iter().map(outcome).collect()))
    }

    /// Assembles one of the indexes; see [`push`].
    pub(crate) async fn push(&self, spec: &Spec) -> Result<PushReport, Error> {
        let store = self.run.store();
        let _intents: Vec<_> = spec.targets().map(|target| store.will_push(&target.location)).collect();
        let report = RetryGroup::run(self.assemble(spec)).await;
        self.sources.release(spec, store.client().budget());
        report
    }

    async fn assemble(&self, spec: &Spec) -> Result<PushReport, Error> {
        let (run, store, options) = (self.run, self.run.store(), self.options);
        let pushes = spec.targets().map(|target| {
            let log = Log::new(store, &target.location, run.is_dry());
            TargetPush { run, spec, options, target, counts_referrers: self.is_only, log }
        });
        let pushes: Vec<TargetPush<'_>> = pushes.collect();
        let Some(first) = pushes.first() else { return Ok(PushReport { targets: Vec::new() }) };
        first.log.warn(&spec.warnings.iter().cloned().map(Warning::Spec).collect::<Vec<_>>());
        let fetching = resolve::fetch_sources(store, &self.sources, spec, options.ignore_missing);
        let resolving = resolve::resolve(store, &self.configs, &fetching, spec, options, &first.log);
        let placing = join_all(pushes.iter().map(|push| push.place(&fetching)));
        let reading = join_all(pushes.iter().map(TargetPush::read));
        if self.is_only {
            preconnect(run, spec).await;
        }
        let (resolved, placed, before) = match self.may_be_finished(spec) {
            true => {
                let resolved = resolving.await?;
                if let Some(report) = self.finished_report(&pushes, &resolved)? {
                    return Ok(report);
                }
                let (placed, before) = join(placing, reading).await;
                (resolved, placed, before)
            }
            false => {
                let (resolved, placed, before) = join3(resolving, placing, reading).await;
                (resolved?, placed, before)
            }
        };
        pushes.iter().skip(1).for_each(|push| push.log.copy_skipped(&first.log));
        let planned = pushes.iter().zip(placed).zip(before);
        let planned = planned.map(|((push, placed), before)| push.plan(&resolved, placed, before));
        let mut planned = all_or_none(one_plan_error(planned.collect(), spec)?)?;
        for planned in &mut planned {
            planned.check_referrers_left().await?;
        }
        let mut emitted: Vec<Warning> = Vec::new();
        for planned in &planned {
            planned.warn(&emitted);
            emitted.extend_from_slice(planned.warnings());
        }
        let planned = prepare(run, options, planned).await?;
        let outcomes = write_all(planned).await;
        if outcomes.iter().any(Result::is_err) {
            return Err(target::failed(outcomes.into_iter().map(target::after_failure).collect()));
        }
        Ok(PushReport { targets: outcomes.into_iter().filter_map(Result::ok).collect() })
    }

    fn may_be_finished(&self, spec: &Spec) -> bool {
        !spec.append && !self.finished.is_empty() && spec.locations().all(|tag| self.finished.contains_key(&tag))
    }

    /// Returns the report of an index if earlier runs have finished all its targets.
    fn finished_report(&self, pushes: &[TargetPush<'_>], resolved: &Resolved) -> Result<Option<PushReport>, Error> {
        let reports = pushes.iter().map(|push| push.finished(resolved, &self.finished));
        let targets: Option<Vec<TargetReport>> = reports.collect::<Result<_, _>>()?;
        let Some(targets) = targets else { return Ok(None) };
        for (push, report) in pushes.iter().zip(&targets) {
            report.tags.iter().for_each(|tag| push.log.step(Step::TagUnchanged(tag.location.clone())));
        }
        Ok(Some(PushReport { targets }))
    }
}

/// Opens the connections for the second round of requests while the first is under way. The first round reads the sources
/// and the tags. Images from other repositories then need two requests each: for the config, and for the manifest at the
/// target.
async fn preconnect(run: &Run, spec: &Spec) {
    let client = run.store().client();
    let Some(target) = spec.target.location.reference() else { return };
    let is_other = |source: &Location| {
        source.reference().is_some_and(|source| source.registry() == target.registry())
            && !source.same_repository(&spec.target.location)
    };
    let others = spec.sources.iter().filter(|source| is_other(&source.location)).count();
    let (first, second) = (spec.sources.len() + spec.locations().count(), (2 * others).min(client.concurrency()));
    if second > first {
        client.preconnect(target.registry(), second - first).await;
    }
}

/// Reports an error of the plan once: unless the spec appends, the plan does not depend on the target.
fn one_plan_error<'p>(
    mut outcomes: Vec<Result<PlannedTarget<'p>, Error>>,
    spec: &Spec,
) -> Result<Vec<Result<PlannedTarget<'p>, Error>>, Error> {
    let is_plan_error = |outcome: &Result<PlannedTarget<'_>, Error>| matches!(outcome, Err(Error::Plan(_)));
    match outcomes.iter().position(is_plan_error).filter(|_| !spec.append).map(|at| outcomes.swap_remove(at)) {
        Some(Err(error)) => Err(error),
        _ => Ok(outcomes),
    }
}

/// Returns the planned targets if no target has failed. Otherwise returns the error of the only target, or of all of
/// them: those that have not failed are not written.
fn all_or_none(outcomes: Vec<Result<PlannedTarget<'_>, Error>>) -> Result<Vec<PlannedTarget<'_>>, Error> {
    if outcomes.iter().all(Result::is_ok) {
        return Ok(outcomes.into_iter().filter_map(Result::ok).collect());
    }
    let withheld = |outcome: Result<PlannedTarget<'_>, Error>| match outcome {
        Ok(planned) => planned.withheld(),
        Err(error) => error,
    };
    Err(target::failed(outcomes.into_iter().map(withheld).map(Err).collect()))
}

/// Brings the images to every target before the first tag is written.
async fn prepare<'p>(
    run: &Run,
    options: &PushOptions,
    planned: Vec<PlannedTarget<'p>>,
) -> Result<Vec<PlannedTarget<'p>>, Error> {
    // A single target is prepared when it is written.
    if run.is_dry() || (planned.len() == 1 && !options.referrers) {
        return Ok(planned);
    }
    // Referrers are copied to each repository once.
    let mut repositories = HashSet::new();
    let preparing = planned.iter().map(|planned| {
        let copies_referrers = options.referrers && repositories.insert(planned.location().without_name());
        planned.prepare(copies_referrers)
    });
    let prepared: Vec<Result<(), Error>> = join_all(preparing).await;
    let outcomes = planned.into_iter().zip(prepared).map(|(planned, prepared)| prepared.map(|()| planned));
    all_or_none(outcomes.collect())
}

/// Writes all targets: those in different repositories concurrently, those in one repository one after another, because
/// some registries fail when two tags of one manifest are written concurrently. A failure does not stop the others.
async fn write_all(planned: Vec<PlannedTarget<'_>>) -> Vec<Result<TargetReport, Error>> {
    let mut repositories: HashMap<Location, Vec<(usize, PlannedTarget<'_>)>> = HashMap::new();
    let count = planned.len();
    for (position, planned) in planned.into_iter().enumerate() {
        repositories.entry(planned.location().without_name()).or_default().push((position, planned));
    }
    let written = join_all(repositories.into_values().map(|targets| write_repository(targets, count > 1))).await;
    let mut outcomes: Vec<_> = written.into_iter().flatten().collect();
    outcomes.sort_by_key(|(position, _)| *position);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Writes the targets in one repository.
fn write_repository(
    targets: Vec<(usize, PlannedTarget<'_>)>,
    has_others: bool,
) -> BoxFuture<'_, Vec<(usize, Result<TargetReport, Error>)>> {
    async move {
        let mut outcomes = Vec::new();
        for (position, planned) in targets {
            // With several targets, the failure of one must not end the retries of another.
            let outcome = match has_others {
                true => RetryGroup::run(planned.write()).await,
                false => planned.write().await,
            };
            outcomes.push((position, outcome));
        }
        outcomes
    }
    .boxed()
}
