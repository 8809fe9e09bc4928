use std::collections::HashSet;

use super::batch::fail_all;
use super::console::Console;
use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::progress::Activity;
use super::render::{
    Body, DeletedTagJson, FailedJson, KeptTagJson, OrphanedTagJson, PlanText, TagDeletionsJson, deleted_tag_text,
    kept_lines, orphans_text, plural, reason_text,
};
use super::session::Session;
use crate::delete::{
    DeletionOutcome, KeepReason, OrphanedTag, PlannedDeletion, TagDeletion, TagPlan, TagRules, plan_tags,
};
use crate::image::{Digest, Location, UntrustedText};
use crate::store::Store;

/// What no client can find in a registry.
const UNTAGGED: &str = "registries do not list untagged manifests, so these are neither found nor deleted; \
                        the images of a deleted index stay until the registry's garbage collection";

/// A deletion of the tags of a repository that match patterns.
pub(super) struct DeleteTags {
    /// The repository as the user wrote it.
    pub(super) name: String,
    pub(super) location: Location,
    pub(super) rules: TagRules,
    pub(super) dry_run: bool,
}

impl DeleteTags {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let client = session.client(&Registries::written([&self.location]))?;
        let store = Store::new(client.clone());
        let activity = Activity::new("deleting tags of", &self.location, "tags").dry(self.dry_run);
        let mut reporter = DeleteTagsReporter::new(&session.console, false, session.console.is_json());
        let deleted = session.block_on(&client, Some(activity), async {
            let plan = plan_tags(&store, &self.location, &self.rules).await?;
            let deleted = match self.dry_run {
                true => {
                    let mut text = PlanText::new(session.console.colour());
                    reporter.show_plan(&plan, &mut text).and_then(|()| reporter.print(&text.end()))
                }
                false => delete_all(&store, &plan, &mut reporter).await,
            };
            reporter.show_orphans(&plan);
            if plan.repository.reference().is_some() {
                session.console.note(UNTAGGED);
            }
            Ok::<_, Failure>(deleted)
        })?;
        let deleted = deleted.map_err(|failure| failure.stopped(client.cancel_token().reason()));
        let body = Body::DeleteTags { dry_run: self.dry_run, deletions: reporter.into_json(self.name) };
        CommandOutput::document(&session.console, body, deleted.map(|()| ExitStatus::Done))
    }
}

/// Carries out a plan, one tag after another, until the run is stopped.
pub(super) async fn delete_all(
    store: &Store,
    plan: &TagPlan,
    reporter: &mut DeleteTagsReporter<'_>,
) -> Result<(), Failure> {
    let (deletion, total) = (TagDeletion::new(store, plan), plan.deletions.len());
    reporter.show_kept(plan)?;
    reporter.console.begin_items(total);
    let mut failures = Vec::new();
    let mut skipped = 0;
    for planned in &plan.deletions {
        if store.client().cancel_token().reason().is_some() {
            skipped += 1;
            continue;
        }
        let at = plan.repository.with_tag(&planned.tag);
        match deletion.delete(planned).await {
            Ok(outcome) => reporter.show_outcome(&at, planned, outcome)?,
            Err(error) => {
                let failure = Failure::from(error).naming(&at);
                reporter.failed.push(|| failure.part(&at.to_string()))?;
                failures.push((at.to_string(), failure));
            }
        }
        reporter.console.item_done(store.client());
    }
    reporter.console.finish_progress();
    reporter.show_summary(plan, failures.len(), skipped);
    fail_all(reporter.console, failures, "were not deleted", total)?;
    match skipped {
        0 => Ok(()),
        skipped => Err(Failure::new(format!("stopped before {skipped} of {total} tags were deleted"))),
    }
}

/// Prints what is deleted and what stays, and collects it for the JSON document.
pub(super) struct DeleteTagsReporter<'a> {
    console: &'a Console,
    /// Whether the summary names the repository, because the run has others.
    names_repository: bool,
    /// The tags that were deleted, or would be.
    deleted_tags: HashSet<UntrustedText>,
    kept_count: usize,
    deleted: DocumentParts<DeletedTagJson>,
    kept: DocumentParts<KeptTagJson>,
    failed: DocumentParts<FailedJson>,
    orphaned: Vec<OrphanedTag>,
}

impl<'a> DeleteTagsReporter<'a> {
    /// `collects` is whether the run produces a document.
    pub(super) fn new(console: &'a Console, names_repository: bool, collects: bool) -> Self {
        Self {
            console,
            names_repository,
            deleted_tags: HashSet::new(),
            kept_count: 0,
            deleted: DocumentParts::collect_if(collects),
            kept: DocumentParts::collect_if(collects),
            failed: DocumentParts::collect_if(collects),
            orphaned: Vec::new(),
        }
    }

    /// Prints the deletions of a dry run as part of its plan.
    pub(super) fn show_plan(&mut self, plan: &TagPlan, text: &mut PlanText) -> Result<(), Failure> {
        let lines = text.tag_deletions(plan);
        for planned in &plan.deletions {
            self.add_deleted(planned, &DeletionOutcome::Tag)?;
        }
        for kept in &plan.kept {
            self.add_kept(&kept.tag, &kept.digest, &kept.reason)?;
        }
        self.print(&lines)
    }

    /// Prints the tags that the rules keep.
    fn show_kept(&mut self, plan: &TagPlan) -> Result<(), Failure> {
        kept_lines(&plan.kept).iter().for_each(|line| self.console.info(line));
        plan.kept.iter().try_for_each(|kept| self.add_kept(&kept.tag, &kept.digest, &kept.reason))
    }

    fn show_outcome(
        &mut self,
        at: &Location,
        planned: &PlannedDeletion,
        outcome: DeletionOutcome,
    ) -> Result<(), Failure> {
        match outcome {
            DeletionOutcome::Kept(reason) => {
                self.console.info(format_args!("kept {}: {}", planned.tag, reason_text(&planned.tag, &reason)));
                self.add_kept(&planned.tag, &planned.digest, &reason)
            }
            outcome => {
                self.add_deleted(planned, &outcome)?;
                self.print(&deleted_tag_text(at, &planned.digest, &outcome))
            }
        }
    }

    fn show_summary(&self, plan: &TagPlan, failed: usize, skipped: usize) {
        let (deleted, kept) = (self.deleted_tags.len(), self.kept_count);
        let total = deleted + kept + failed + skipped;
        let counts = format!("{deleted} deleted, {kept} kept, {failed} failed, {skipped} skipped");
        let name = if self.names_repository { format!("{}: ", plan.repository) } else { String::new() };
        self.console.info(format_args!("{name}{total} tag{}: {counts}", plural(total)));
    }

    /// Prints the tags with referrers and signatures of deleted images, which stay.
    pub(super) fn show_orphans(&mut self, plan: &TagPlan) {
        self.orphaned = plan.orphaned_tags(|tag| self.deleted_tags.contains(tag));
        if let Some(text) = orphans_text(&self.orphaned) {
            self.console.note(text);
        }
    }

    fn add_deleted(&mut self, planned: &PlannedDeletion, outcome: &DeletionOutcome) -> Result<(), Failure> {
        self.deleted_tags.insert(planned.tag.clone());
        self.deleted.push(|| DeletedTagJson::new(planned, outcome))
    }

    fn add_kept(&mut self, tag: &UntrustedText, digest: &Digest, reason: &KeepReason) -> Result<(), Failure> {
        self.kept_count += 1;
        self.kept.push(|| KeptTagJson::new(tag, digest, reason))
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        if self.console.is_json() { Ok(()) } else { self.console.data(text) }
    }

    pub(super) fn into_json(self, repository: String) -> TagDeletionsJson {
        TagDeletionsJson {
            repository,
            deleted: self.deleted.into_vec(),
            kept: self.kept.into_vec(),
            failed: self.failed.into_vec(),
            orphaned: self.orphaned.into_iter().map(OrphanedTagJson::from).collect(),
        }
    }
}
