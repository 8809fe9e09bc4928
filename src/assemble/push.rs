use futures_util::future::join4;

use super::event::{Event, Reporter};
use super::held::Held;
use super::outcome::{Log, Moves, Outcome};
use super::plan::Plan;
use super::problem::PlanError;
use super::settle::Amendment;
use super::{Error, PushOptions, gather, resolve};
use crate::image::{Descriptor, Digest, Location};
use crate::spec::Spec;
use crate::store::{Error as StoreError, Placed, Publication, PublishError, Report, Store};

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
            children: std::slice::from_ref(&plan.children),
            current: &current,
            if_match: options.if_match.as_ref(),
            wait: options.wait,
            ..Publication::new(&plan.target, &tags, &plan.descriptor, &plan.bytes)
        };
        if !errors.is_empty() {
            return Err(publication.failed_before(errors).into());
        }
        let (plan, report) = if spec.append {
            let plan_of = |held: &Held| Plan::new(spec, &resolved, held);
            let (placed, target, plan_of) = (&self.placed, &spec.target, &plan_of);
            let amendment = Amendment { store, placed, options, target, tags: &tags, plan_of, log };
            let (plan, report) = amendment.carry_out(held.clone()).await?;
            (plan.compared_with(&held), report)
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
        current: &[Result<Option<Digest>, StoreError>],
        log: &Log<'_>,
    ) -> Result<Outcome, Error> {
        let publication = Publication::new(&plan.target, tags, &plan.descriptor, &plan.bytes);
        let publication = Publication { current, if_match: self.options.if_match.as_ref(), ..publication };
        let mut errors: Vec<StoreError> = current.iter().filter_map(|current| current.clone().err()).collect();
        errors.extend(publication.check().err());
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
