use super::amend::{self, Chosen, Selector};
use super::held::Held;
use super::outcome::{Log, Outcome};
use super::plan::Plan;
use super::problem::PlanError;
use super::push::refer;
use super::settle::{Amendment, Change};
use super::{Error, PushOptions};
use crate::image::{Index, Location};
use crate::store::{Error as StoreError, Placed, Publication, Store};

/// Takes entries out of the index that a tag points at, with the attestations of them.
///
/// Of the options `strict`, `force` and `ignore_missing` say nothing here.
///
/// Errors: there is no index; a selector stands for nothing, or for several images; no image would be left.
pub async fn remove(
    store: &Store,
    target: &Location,
    selectors: &[Selector],
    options: &PushOptions,
) -> Result<Outcome, Error> {
    let log = Log::new(store, target, options.dry_run);
    store.will_push(target);
    let held = Held::read(store, target).await.map_err(Error::Target)?;
    let unamendable = |reasons| PlanError::Unamendable { target: target.clone(), reasons };
    let chosen = match held.manifest() {
        Some(found) if found.is_index => {
            let named = named(store, target, &found.index, selectors).await.map_err(Error::Target)?;
            let named = named.as_ref().unwrap_or(&found.index);
            amend::choose(&found.index, named, selectors).map_err(unamendable)?
        }
        Some(_) => return Err(unamendable(vec!["it is one image, not an index".into()]).into()),
        None => return Err(unamendable(vec!["it does not exist".into()]).into()),
    };
    let removal = Removal { target, chosen: &chosen };
    if options.dry_run {
        let plan = removal.plan(&held)?;
        let current = [Ok(held.digest().cloned())];
        let publication = Publication::new(target, &[], &plan.descriptor, &plan.bytes);
        let publication = Publication { current: &current, if_match: options.if_match.as_ref(), ..publication };
        publication.check().map_err(|error| publication.failed_before(vec![error]))?;
        let report = publication.foreseen();
        return Ok(log.outcome(plan, report, true));
    }
    let placed = &Placed::default();
    let amendment = Amendment { store, placed, options, target, tags: &[], change: &removal, log: &log };
    let (plan, report) = amendment.carry_out(held.clone()).await?;
    refer(store, &plan, &report.tags).await?;
    Ok(log.outcome(plan.compared_with(&held), report, false))
}

/// The index with the platforms of configs where its entries have none, if a selector needs them.
async fn named(
    store: &Store,
    target: &Location,
    index: &Index,
    selectors: &[Selector],
) -> Result<Option<Index>, StoreError> {
    for selector in selectors {
        if let Selector::Platform(wanted) = selector
            && let Some(named) = store.with_platform(target, index, wanted).await?
        {
            return Ok(Some(named));
        }
    }
    Ok(None)
}

/// Images that go.
struct Removal<'a> {
    target: &'a Location,
    chosen: &'a [Chosen],
}

impl Change for Removal<'_> {
    fn plan(&self, held: &Held) -> Result<Plan, PlanError> {
        let target = self.target;
        let unamendable =
            |reason: &str| PlanError::Unamendable { target: target.clone(), reasons: vec![reason.into()] };
        let found = held.manifest().ok_or_else(|| unamendable("it does not exist any more"))?;
        let index = amend::without(&found.index, self.chosen);
        let index = index.ok_or_else(|| unamendable("no image would be left in it; delete the tag instead"))?;
        Plan::of_index(target, found.kind, index, held, true)
    }

    fn stands(&self, held: &Held, _: &Held) -> bool {
        held.manifest().is_some_and(|held| amend::lacks(&held.index, self.chosen))
    }

    fn plan_as_it_is(&self, held: &Held) -> Result<Plan, PlanError> {
        Plan::as_it_is(self.target, held)
    }
}
