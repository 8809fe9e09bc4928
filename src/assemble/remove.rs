//! Removes entries from an index.

use super::converge::{Convergence, Edit, RunEnvironment};
use super::error::Error;
use super::existing::Existing;
use super::log::Log;
use super::merge::{self, Chosen, Selector};
use super::options::{RemoveOptions, RemoveRequest};
use super::plan::Plan;
use super::plan_error::PlanError;
use super::report::TargetReport;
use super::target::refer;
use crate::image::{Location, Platform};
use crate::store::{Publication, Run, Store, TagTarget};

/// Removes entries and their attestations from the index that a tag points at. The images stay in the repository.
///
/// # Errors
/// The tag does not point at an index, a selector matches no entry or several images, no image would be left, or a
/// write failed.
pub async fn remove(store: &Store, request: &RemoveRequest, options: &RemoveOptions) -> Result<TargetReport, Error> {
    let RemoveRequest { target, selectors } = request;
    let (run, log) = (Run::new(store, options.dry_run), Log::new(store, target, options.dry_run));
    let _intent = store.will_push(target);
    let existing = Existing::read(store, target).await.map_err(Error::Target)?;
    let chosen = match existing.manifest() {
        Some(manifest) if manifest.is_index => {
            let platforms = selectors.iter().filter_map(|selector| match selector {
                Selector::Platform(platform) => Some(platform.clone()),
                Selector::Digest(_) => None,
            });
            let platforms: Vec<Platform> = platforms.collect();
            let named = store.with_platforms(target, &manifest.index, &platforms).await.map_err(Error::Target)?;
            let named = named.as_ref().unwrap_or(&manifest.index);
            let chosen = merge::choose(&manifest.index, named, selectors);
            chosen.map_err(|problems| PlanError::Selectors { target: target.clone(), problems })?
        }
        Some(_) => return Err(unamendable(target, "it is a single image, not an index").into()),
        None => return Err(unamendable(target, "it does not exist").into()),
    };
    let removal = Removal { target, chosen: &chosen };
    if options.dry_run {
        let plan = removal.plan(&existing)?;
        let tag = TagTarget::new(target.clone(), Ok(existing.digest().cloned()));
        let tag = TagTarget { if_match: options.if_match.clone(), ..tag };
        let publication = Publication::new(target, &plan.descriptor, &plan.bytes, &[]);
        let publication = Publication { tags: vec![tag], ..publication };
        let published = run.publish(&publication, &|step| log.step(step)).await?;
        return Ok(TargetReport::new(plan, published.tags, &log, true));
    }
    let (edit, if_match) = (&removal, options.if_match.as_ref());
    let environment = &RunEnvironment { run: &run, log: &log };
    let convergence =
        Convergence { environment, target, tags: &[], edit, if_match, wait: false, settle: options.settle };
    let (plan, published) = convergence.run(existing.clone()).await?;
    refer(&run, &plan, &published.tags).await?;
    run.commit().await.map_err(Error::Target)?;
    Ok(TargetReport::new(plan.compared_with(&existing), published.tags, &log, false))
}

fn unamendable(target: &Location, reason: &str) -> PlanError {
    PlanError::Unamendable { target: target.clone(), reasons: vec![reason.into()] }
}

/// The removal of entries from an index.
pub(super) struct Removal<'a> {
    pub(super) target: &'a Location,
    pub(super) chosen: &'a [Chosen],
}

impl Edit for Removal<'_> {
    fn plan(&self, existing: &Existing) -> Result<Plan, PlanError> {
        let target = self.target;
        let manifest = existing.manifest().ok_or_else(|| unamendable(target, "it no longer exists"))?;
        let index = merge::without(&manifest.index, self.chosen);
        let index = index.ok_or_else(|| unamendable(target, "no image would be left; delete the tag instead"))?;
        Plan::amended(target, manifest.kind, index, existing)
    }

    fn still_applied(&self, existing: &Existing, _: &Existing) -> bool {
        existing.manifest().is_some_and(|existing| merge::is_removed(&existing.index, self.chosen))
    }

    fn plan_unchanged(&self, existing: &Existing) -> Result<Plan, PlanError> {
        Plan::unchanged(self.target, existing, None)
    }
}
