//! Pushes an index to one of its targets.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join;

use super::addition::Addition;
use super::converge::{Convergence, Edit, RunEnvironment};
use super::error::{Error, TargetsError};
use super::existing::Existing;
use super::log::Log;
use super::options::PushOptions;
use super::plan::Plan;
use super::plan_error::PlanError;
use super::report::TargetReport;
use super::resolve::{self, Fetching, Resolved};
use crate::event::Warning;
use crate::image::{Descriptor, Digest, Location};
use crate::registry::RetryGroup;
use crate::spec::{Spec, Target};
use crate::store::{
    Error as StoreError, IfMatch, Publication, PublishError, Run, SourceManifest, Store, TagReport, TagTarget,
};

/// The push of an index to one target.
pub(super) struct TargetPush<'a> {
    pub(super) run: &'a Run,
    pub(super) spec: &'a Spec,
    pub(super) options: &'a PushOptions,
    pub(super) target: &'a Target,
    /// Whether to count the referrers that are not copied, which reads manifests in layouts.
    pub(super) counts_referrers: bool,
    pub(super) log: Log,
}

/// The manifests that a target needs from other repositories, and the errors of placing their blobs.
pub(super) type Placed = (Vec<SourceManifest>, Vec<StoreError>);

/// The target's existing content, and its tags.
pub(super) type Before = (Existing, Vec<TagTarget>);

/// A planned push to a target.
pub(super) struct PlannedTarget<'a> {
    push: &'a TargetPush<'a>,
    addition: Addition<'a>,
    plan: Plan,
    existing: Existing,
    tags: Vec<TagTarget>,
    /// The manifests to push before the tags, in levels.
    levels: Vec<Vec<SourceManifest>>,
}

impl<'a> TargetPush<'a> {
    /// Copies the blobs that the target's repository lacks. No manifest refers to them yet.
    pub(super) async fn place(&self, fetching: &[Fetching<'_>]) -> Placed {
        let (location, ignore_missing) = (&self.target.location, self.options.ignore_missing);
        let children = resolve::source_manifests(fetching, self.spec, location, ignore_missing).await;
        let errors = self.run.place_blobs(location, &children, &|step| self.log.step(step)).await;
        (children, errors)
    }

    /// Reads the target's manifest if the plan is compared with it or changes it, and the digests of the tags if
    /// needed.
    pub(super) async fn read(&self) -> Result<Before, Error> {
        let (store, is_dry, append) = (self.run.store(), self.run.is_dry(), self.spec.append);
        let (target, if_match) = (&self.target.location, self.options.if_match.clone());
        if !is_dry && !append {
            let tags = match self.options.force {
                true => self.target.locations().map(TagTarget::unread).collect(),
                false => read_tags(store, self.target.locations().collect()).await,
            };
            return Ok((Existing::Unread, with_precondition(tags, if_match)));
        }
        let further: Vec<Location> = self.target.locations().skip(1).collect();
        let reading = async {
            match is_dry {
                true => read_tags(store, further).await,
                false => further.into_iter().map(TagTarget::unread).collect(),
            }
        };
        let (existing, mut tags) = join(Existing::read(store, target), reading).await;
        let (existing, current) = match existing {
            Ok(existing) => {
                let current = Ok(existing.digest().cloned());
                (existing, current)
            }
            // The target is not a readable manifest. Only an append needs it; a push replaces it.
            Err(_) if !append => (Existing::Unread, store.current_digest(target).await),
            Err(error) => {
                RetryGroup::fail_current();
                return Err(Error::Target(error));
            }
        };
        tags.insert(0, TagTarget::new(target.clone(), current));
        Ok((existing, with_precondition(tags, if_match)))
    }

    /// Returns the report of the target if an earlier run has finished it with the digest that the index has now.
    pub(super) fn finished(
        &self,
        resolved: &Resolved,
        finished: &HashMap<Location, Digest>,
    ) -> Result<Option<TargetReport>, Error> {
        let (spec, strict) = (self.spec, self.options.strict);
        let addition = Addition { spec, target: &self.target.location, resolved, children: Vec::new(), strict };
        let plan = addition.plan(&Existing::Unread)?;
        let mut tags = self.target.locations();
        if !tags.all(|tag| finished.get(&tag) == Some(&plan.descriptor.digest)) {
            return Ok(None);
        }
        Ok(Some(TargetReport::finished(plan, self.target.locations(), &self.log, self.run.is_dry())))
    }

    /// Plans the index for the target.
    pub(super) fn plan(
        &'a self,
        resolved: &'a Resolved,
        (children, errors): Placed,
        before: Result<Before, Error>,
    ) -> Result<PlannedTarget<'a>, Error> {
        let (existing, tags) = before?;
        let (spec, strict) = (self.spec, self.options.strict);
        let addition = Addition { spec, target: &self.target.location, resolved, children, strict };
        let plan = addition.plan(&existing)?;
        let mut levels = vec![plan.children.clone()];
        // With `force`, the tags are not read and the index is pushed with the first tag.
        let were_read = tags.iter().any(|tag| tag.current.is_some());
        if self.target.by_digest
            && !spec.append
            && were_read
            && !tags.iter().all(|tag| tag.points_at(&plan.descriptor.digest, &plan.bytes))
        {
            levels.push(vec![plan.as_child()]);
        }
        let planned = PlannedTarget { push: self, addition, plan, existing, tags, levels };
        match errors.is_empty() {
            true => Ok(planned),
            false => Err(planned.publication().failed_before(errors).into()),
        }
    }
}

impl PlannedTarget<'_> {
    pub(super) fn location(&self) -> &Location {
        &self.push.target.location
    }

    /// Returns the warnings about the index.
    pub(super) fn warnings(&self) -> &[Warning] {
        &self.plan.warnings
    }

    /// Emits the warnings that were not emitted for another target.
    pub(super) fn warn(&self, emitted: &[Warning]) {
        // The warnings of the spec itself were reported first.
        let is_new = |warning: &&Warning| !matches!(warning, Warning::Spec(_)) && !emitted.contains(warning);
        self.push.log.warn(self.plan.warnings.iter().filter(is_new));
    }

    fn publication(&self) -> Publication<'_> {
        let Self { plan, tags, levels, .. } = self;
        let publication = Publication::new(&plan.target, &plan.descriptor, &plan.bytes, levels);
        Publication { tags: tags.clone(), wait: self.push.options.wait, ..publication }
    }

    /// Returns the error of a target whose tags were not written because another target failed.
    pub(super) fn withheld(&self) -> Error {
        let errors = vec![StoreError::unsuitable(self.location(), "another target failed before any tag was written")];
        Error::Withheld(Box::new(self.publication().failed_before(errors)))
    }

    /// Pushes the manifests of the images and, with `copies_referrers`, their referrers. Checks the preconditions of the
    /// tags.
    pub(super) async fn prepare(&self, copies_referrers: bool) -> Result<(), Error> {
        let push = self.push;
        let publication = self.publication();
        let checked = push.run.check_target(self.location());
        checked.map_err(|error| publication.failed_before(vec![error]))?;
        push.run.prepare(&publication, &|step| push.log.step(step)).await?;
        if copies_referrers {
            let copied = self.copy_referrers().await;
            copied.map_err(|error| publication.failed_before(vec![error]))?;
        }
        Ok(())
    }

    /// Copies the referrers of the images that come from other repositories.
    async fn copy_referrers(&self) -> Result<(), StoreError> {
        let push = self.push;
        for (from, subjects) in self.subjects() {
            push.run.copy_referrers(&from, self.location(), &subjects, &|step| push.log.step(step)).await?;
        }
        Ok(())
    }

    /// Returns the digests of the images from other repositories, by repository.
    fn subjects(&self) -> Vec<(Location, Vec<Digest>)> {
        let mut subjects: BTreeMap<String, (Location, Vec<Digest>)> = BTreeMap::new();
        for child in self.plan.children.iter().filter(|child| !child.descriptor.is_attestation()) {
            let from = child.location.without_name();
            let (_, digests) = subjects.entry(from.to_string()).or_insert_with(|| (from, Vec::new()));
            digests.push(child.descriptor.digest.clone());
        }
        subjects.into_values().collect()
    }

    /// Counts the referrers that are not copied, of images in layouts and archives. Those of registries would need
    /// requests.
    async fn referrers_left(&self) -> usize {
        let mut count = 0;
        if self.push.counts_referrers && !self.push.options.referrers {
            for (from, digests) in self.subjects() {
                let digests = digests.into_iter().collect();
                count += self.push.run.store().count_referrers(&from, &digests).await.unwrap_or_default();
            }
        }
        count
    }

    /// Adds a warning if referrers are not copied.
    pub(super) async fn check_referrers_left(&mut self) -> Result<(), PlanError> {
        let count = self.referrers_left().await;
        if count > 0 {
            self.plan.warnings.push(Warning::ReferrersLeft { count });
        }
        match count > 0 && self.push.options.strict {
            true => Err(PlanError::Strict { target: self.location().clone(), warnings: self.plan.warnings.clone() }),
            false => Ok(()),
        }
    }

    /// Writes the index and its tags; in a dry run, predicts that.
    pub(super) async fn write(self) -> Result<TargetReport, Error> {
        let push = self.push;
        if push.spec.append && !push.run.is_dry() {
            return self.append().await;
        }
        let published = push.run.publish(&self.publication(), &|step| push.log.step(step)).await?;
        refer(push.run, &self.plan, &published.tags).await?;
        Ok(TargetReport::new(self.plan, published.tags, &push.log, push.run.is_dry()))
    }

    /// Adds the images to the target's index, even if other writers change it concurrently.
    async fn append(self) -> Result<TargetReport, Error> {
        let TargetPush { run, options, target, log, .. } = self.push;
        let tags: Vec<Location> = target.locations().skip(1).collect();
        let convergence = Convergence {
            environment: &RunEnvironment { run, log },
            target: &target.location,
            tags: &tags,
            edit: &self.addition,
            if_match: options.if_match.as_ref(),
            wait: options.wait,
            settle: options.settle,
        };
        let (mut last, published) = convergence.run(self.existing.clone()).await?;
        // Combined with the changes of other writers, the index may have new mistakes.
        last.warnings.retain(|warning| !self.plan.warnings.contains(warning));
        log.warn(&last.warnings);
        last.warnings.splice(0..0, self.plan.warnings);
        refer(run, &last, &published.tags).await?;
        Ok(TargetReport::new(last.compared_with(&self.existing), published.tags, log, false))
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

/// Adds an index to the referrers of its subject.
pub(super) async fn refer(run: &Run, plan: &Plan, tags: &[TagReport]) -> Result<(), Error> {
    let Some(subject) = &plan.subject else { return Ok(()) };
    let referrer = Descriptor {
        artifact_type: plan.artifact_type.clone(),
        annotations: plan.annotations.clone(),
        ..plan.descriptor.clone()
    };
    let listed = run.list_referrers(&plan.target, &subject.digest, &[referrer]).await;
    listed.map(|_| ()).map_err(|error| {
        let (target, descriptor) = (plan.target.clone(), plan.descriptor.clone());
        PublishError { target, descriptor, errors: vec![error], tags: tags.to_vec() }.into()
    })
}

/// Returns the outcomes of targets of which some failed, as one error: that of the only target, or of all.
pub(super) fn failed(mut outcomes: Vec<Result<TargetReport, Error>>) -> Error {
    match outcomes.pop() {
        Some(Err(error)) if outcomes.is_empty() => error,
        last => {
            outcomes.extend(last);
            TargetsError { outcomes }.into()
        }
    }
}

/// Returns the outcome for a target after another one has failed. An archive is not written then, and in a dry run,
/// failures are those that prevent every tag from being written.
pub(super) fn after_failure(outcome: Result<TargetReport, Error>) -> Result<TargetReport, Error> {
    let report = outcome?;
    let is_archive = report.plan.target.is_written_whole();
    if !is_archive && !report.dry_run {
        return Ok(report);
    }
    let error = StoreError::unsuitable(&report.plan.target, "it is not written, because another target failed");
    Err(Error::Withheld(Box::new(uncommitted_error(report, error))))
}

/// Returns the error of a target whose archive did not replace its target file.
pub(super) fn uncommitted(report: TargetReport, error: &StoreError) -> Error {
    uncommitted_error(report, error.clone()).into()
}

fn uncommitted_error(report: TargetReport, error: StoreError) -> PublishError {
    let TargetReport { plan, tags, .. } = report;
    PublishError::uncommitted(&plan.target, plan.descriptor, tags, Some(error))
}
