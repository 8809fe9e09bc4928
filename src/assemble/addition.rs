use super::converge::Edit;
use super::existing::Existing;
use super::merge;
use super::plan::Plan;
use super::plan_error::PlanError;
use super::resolve::Resolved;
use crate::image::{Index, Location};
use crate::spec::Spec;
use crate::store::SourceManifest;

/// Adds images to the index of a target, replacing the images for the same platforms.
pub(super) struct Addition<'a> {
    pub(super) spec: &'a Spec,
    pub(super) target: &'a Location,
    pub(super) resolved: &'a Resolved,
    pub(super) children: Vec<SourceManifest>,
    /// Whether warnings are errors.
    pub(super) strict: bool,
}

impl Edit for Addition<'_> {
    fn plan(&self, existing: &Existing) -> Result<Plan, PlanError> {
        let plan = Plan::new(self.spec, self.target, self.resolved, &self.children, existing)?;
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
        Plan::unchanged(self.target, existing, Some(self.resolved))
    }
}
