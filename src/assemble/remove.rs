use super::amend::{self, Chosen, Selector};
use super::event::Reporter;
use super::held::Held;
use super::outcome::{Log, Moves, Outcome};
use super::plan::Plan;
use super::problem::PlanError;
use super::settle::Amendment;
use super::{Error, PushOptions};
use crate::image::Location;
use crate::store::{Placed, Publication, Store};

/// Takes entries out of the index that a tag points at, with the attestations of them.
///
/// Of the options `strict`, `force` and `ignore_missing` say nothing here.
///
/// Errors: there is no index; a selector stands for nothing, or for several images; no image would be left.
pub async fn remove(
    store: &Store<'_>,
    target: &Location,
    selectors: &[Selector],
    options: &PushOptions,
    reporter: Reporter<'_>,
) -> Result<Outcome, Error> {
    let log = Log::new(reporter);
    let held = Held::read(store, target).await.map_err(Error::Target)?;
    let unamendable = |reasons| PlanError::Unamendable { target: target.clone(), reasons };
    let chosen = match held.manifest() {
        Some(found) if found.is_index => amend::choose(&found.index, selectors).map_err(unamendable)?,
        Some(_) => return Err(unamendable(vec!["it is one image, not an index".into()]).into()),
        None => return Err(unamendable(vec!["it does not exist".into()]).into()),
    };
    let plan_of = |held: &Held| plan(target, held, &chosen);
    let (plan, tags) = if options.dry_run {
        let plan = plan_of(&held)?;
        let current = [Ok(held.digest().cloned())];
        let publication = Publication::new(target, &[], &plan.descriptor, &plan.bytes);
        let publication = Publication { current: &current, if_match: options.if_match.as_ref(), ..publication };
        publication.check().map_err(|error| publication.failed_before(vec![error]))?;
        let tags = publication.foreseen().tags;
        (plan, tags)
    } else {
        let placed = &Placed::default();
        let amendment = Amendment { store, placed, options, target, tags: &[], plan_of: &plan_of, log: &log };
        let (plan, report) = amendment.carry_out(held.clone()).await?;
        (plan.compared_with(&held), report.tags)
    };
    Ok(Outcome { plan, tags, skipped: Vec::new(), moves: Moves::default(), dry_run: options.dry_run })
}

fn plan(target: &Location, held: &Held, chosen: &[Chosen]) -> Result<Plan, PlanError> {
    let unamendable = |reason: &str| PlanError::Unamendable { target: target.clone(), reasons: vec![reason.into()] };
    let found = held.manifest().ok_or_else(|| unamendable("it does not exist any more"))?;
    let index = amend::without(&found.index, chosen);
    let index = index.ok_or_else(|| unamendable("no image would be left in it; delete the tag instead"))?;
    Plan::of_index(target, found.kind, index, held, true)
}
