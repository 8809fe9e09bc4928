use futures_util::future::{join, join3};

use super::held::Held;
use super::outcome::{Log, Outcome};
use super::plan::Plan;
use super::problem::PlanError;
use super::resolve::Resolved;
use super::settle::{Amendment, Change};
use super::{Error, PushOptions, amend, gather, resolve};
use crate::event::Warning;
use crate::image::{Descriptor, Digest, Index, Location};
use crate::registry::RetryGroup;
use crate::spec::Spec;
use crate::store::{Error as StoreError, Placed, Publication, PublishError, Report, Store, TagReport};

/// Assembles the indexes of a run. What one of them found out, the others do not ask again.
pub struct Assembler<'a> {
    store: &'a Store,
    options: PushOptions,
    sources: gather::Sources,
    configs: resolve::Configs,
    placed: Placed,
}

impl<'a> Assembler<'a> {
    /// For all of these specs, each of which is to be pushed once.
    #[must_use]
    pub fn new(store: &'a Store, specs: &[Spec], options: PushOptions) -> Self {
        let (sources, configs) = (gather::Sources::of(specs), resolve::Configs::default());
        let placed = if options.dry_run { Placed::foreseen() } else { Placed::default() };
        Self { store, options, sources, configs, placed }
    }

    /// Assembles the index that `spec` describes and pushes it: children, then the target tag, then the extra tags.
    ///
    /// Archives are in their places after [`Store::finish`] alone.
    ///
    /// No manifest is written before every source is fetched and checked. Blobs of sources in other repositories are
    /// placed while configs are fetched; nothing refers to them until then.
    pub async fn push(&self, spec: &Spec) -> Result<Outcome, Error> {
        let log = Log::new(self.store, &spec.target, self.options.dry_run);
        self.store.will_push(&spec.target);
        let outcome = RetryGroup::run(self.assemble(spec, &log)).await;
        self.sources.release(spec, self.store.client().budget());
        outcome
    }

    async fn assemble(&self, spec: &Spec, log: &Log) -> Result<Outcome, Error> {
        let (store, options) = (self.store, &self.options);
        log.warn(&spec.warnings.iter().cloned().map(Warning::Spec).collect::<Vec<_>>());
        let gathering = resolve::gather(store, &self.sources, spec, options.ignore_missing);
        let resolving = resolve::resolve(store, &self.configs, &gathering, spec, options, log);
        let placing = async {
            let children = resolve::children(&gathering, spec, options.ignore_missing).await;
            self.placed.place_blobs(store, &spec.target, &children, &|step| log.step(step)).await
        };
        let (resolved, errors, (held, current)) = join3(resolving, placing, self.look(spec)).await;
        let (resolved, held) = (resolved?, held?);
        let addition = Addition { spec, resolved: &resolved, strict: options.strict };
        let plan = addition.plan(&held)?;
        // Those of the spec itself were reported first.
        log.warn(plan.warnings.iter().filter(|warning| !matches!(warning, Warning::Spec(_))));
        let tags: Vec<Location> = spec.locations().skip(1).collect();
        let mut children = vec![plan.children.clone()];
        if spec.by_digest && !current.iter().all(|tag| tag.as_ref().is_ok_and(|tag| is_index(tag, &plan))) {
            children.push(vec![plan.as_child()]);
        }
        let publication = Publication {
            children: &children,
            current: &current,
            if_match: options.if_match.as_ref(),
            wait: options.wait,
            ..Publication::new(&plan.target, &tags, &plan.descriptor, &plan.bytes)
        };
        if !errors.is_empty() {
            return Err(publication.failed_before(errors).into());
        }
        if options.dry_run {
            let report = self.foresee(&publication, log).await?;
            return Ok(log.outcome(plan, report, true));
        }
        if !spec.append {
            let report = store.publish(&publication, &self.placed, &|step| log.step(step)).await?;
            refer(store, &plan, &report.tags).await?;
            return Ok(log.outcome(plan, report, false));
        }
        let (placed, target) = (&self.placed, &spec.target);
        let amendment = Amendment { store, placed, options, target, tags: &tags, change: &addition, log };
        let (last, report) = amendment.carry_out(held.clone()).await?;
        // What others wrote meanwhile may go ill with it.
        log.warn(last.warnings.iter().filter(|warning| !plan.warnings.contains(warning)));
        refer(store, &last, &report.tags).await?;
        Ok(log.outcome(last.compared_with(&held), report, false))
    }

    /// What the target holds, where that is to be compared or changed, and what the tags point at, as far as it is known
    /// and wanted.
    async fn look(&self, spec: &Spec) -> (Result<Held, Error>, Vec<Result<Option<Digest>, StoreError>>) {
        let PushOptions { dry_run, force, .. } = self.options;
        let (store, target) = (self.store, &spec.target);
        let tags: Vec<Location> = spec.locations().skip(1).collect();
        if !dry_run && !spec.append {
            let current = if force { Vec::new() } else { store.current_digests(spec.locations()).await };
            return (Ok(Held::Unread), current);
        }
        let looking = async { if dry_run { store.current_digests(tags).await } else { Vec::new() } };
        let (held, mut current) = join(Held::read(store, target), looking).await;
        let (held, first) = match held {
            // A plan can do without what is there, as a push does, where that is no manifest; a change cannot.
            Err(_) if !spec.append => (Ok(Held::Unread), store.current_digest(target).await),
            Err(error) => {
                RetryGroup::fail_current();
                return (Err(Error::Target(error)), current);
            }
            Ok(held) => (Ok(held.clone()), Ok(held.digest().cloned())),
        };
        current.insert(0, first);
        (held, current)
    }

    /// What would become of the tags.
    async fn foresee(&self, publication: &Publication<'_>, log: &Log) -> Result<Report, Error> {
        let mut errors: Vec<StoreError> =
            publication.current.iter().filter_map(|current| current.clone().err()).collect();
        errors.extend(publication.check().err());
        errors.extend(self.store.check_target(publication.target).err());
        for level in publication.children {
            let pushed = self.placed.push_children(self.store, publication.target, level, &|step| log.step(step)).await;
            errors.extend(pushed);
        }
        if errors.is_empty() { Ok(publication.foreseen()) } else { Err(publication.failed_before(errors).into()) }
    }
}

/// Whether a tag points at the index of a plan.
fn is_index(tag: &Option<Digest>, plan: &Plan) -> bool {
    tag.as_ref() == Some(&plan.descriptor.digest)
}

/// Images that come to those that a target holds, or take their places.
struct Addition<'a> {
    spec: &'a Spec,
    resolved: &'a Resolved,
    /// Warnings are errors.
    strict: bool,
}

impl Change for Addition<'_> {
    fn plan(&self, held: &Held) -> Result<Plan, PlanError> {
        let plan = Plan::new(self.spec, self.resolved, held)?;
        if self.strict && !plan.warnings.is_empty() {
            return Err(PlanError::Strict { target: plan.target, warnings: plan.warnings });
        }
        Ok(plan)
    }

    fn stands(&self, held: &Held, before: &Held) -> bool {
        let (given, nothing) = (Plan::given(self.spec, self.resolved), Index::default());
        let before = before.manifest().map_or(&nothing, |before| &before.index);
        held.manifest().is_some_and(|held| held.is_index && amend::holds(&held.index, &given, before))
    }

    fn plan_as_it_is(&self, held: &Held) -> Result<Plan, PlanError> {
        Ok(Plan::as_it_is(&self.spec.target, held)?.with_sources(self.resolved))
    }
}

/// Makes an index known as something that refers to its subject.
pub(super) async fn refer(store: &Store, plan: &Plan, tags: &[TagReport]) -> Result<(), Error> {
    let Some(subject) = &plan.index.subject else { return Ok(()) };
    let referrer = Descriptor {
        artifact_type: plan.index.artifact_type.clone(),
        annotations: plan.index.annotations.clone(),
        ..plan.descriptor.clone()
    };
    let listed = store.list_referrers(&plan.target, &subject.digest, &[referrer]).await;
    listed.map_err(|error| {
        let (target, descriptor) = (plan.target.clone(), plan.descriptor.clone());
        PublishError { target, descriptor, errors: vec![error], tags: tags.to_vec() }.into()
    })
}

/// Assembles and pushes one index; see [`Assembler::push`].
pub async fn push(store: &Store, spec: &Spec, options: &PushOptions) -> Result<Outcome, Error> {
    let outcome = Assembler::new(store, std::slice::from_ref(spec), options.clone()).push(spec).await?;
    match store.finish().await {
        Ok(()) => Ok(outcome),
        Err(error) => {
            let report = Report { descriptor: outcome.plan.descriptor, tags: outcome.tags };
            Err(PublishError::of_archive(&outcome.plan.target, report, Some(error)).into())
        }
    }
}
