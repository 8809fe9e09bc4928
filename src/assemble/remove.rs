use super::amend::{self, Selector};
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
    let plan_of = |held: &Held, first| plan(target, held, selectors, first);
    let (plan, tags) = if options.dry_run {
        let plan = plan_of(&held, true)?;
        let current = [Ok(held.digest().cloned())];
        let publication = Publication {
            target,
            tags: &[],
            descriptor: &plan.descriptor,
            bytes: &plan.bytes,
            children: &[],
            current: &current,
            if_match: None,
            wait: false,
        };
        let tags = publication.foreseen().tags;
        (plan, tags)
    } else {
        let placed = Placed::default();
        let amendment = Amendment { store, placed: &placed, options, target, tags: &[], plan_of: &plan_of, log: &log };
        let (plan, report) = amendment.carry_out(held.clone()).await?;
        (compared(plan, &held), report.tags)
    };
    Ok(Outcome { plan, tags, skipped: Vec::new(), moves: Moves::default(), dry_run: options.dry_run })
}

fn plan(target: &Location, held: &Held, selectors: &[Selector], first: bool) -> Result<Plan, PlanError> {
    let unamendable = |reasons| PlanError::Unamendable { target: target.clone(), reasons };
    let held_manifest = match held.manifest() {
        Some(found) if found.is_index => found,
        Some(_) => return Err(unamendable(vec!["it is one image, not an index".into()])),
        None => return Err(unamendable(vec!["it does not exist".into()])),
    };
    let index = amend::without(&held_manifest.index, selectors, !first).map_err(unamendable)?;
    Plan::of_index(target, held_manifest.kind, index, held, true)
}

/// The plan, compared with what the target held at the first look.
pub(super) fn compared(mut plan: Plan, first: &Held) -> Plan {
    plan.compare_with(first);
    plan
}
