use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::batch::{BatchItem, BatchRunner, Mode, Reporter, fail_all};
use super::console::Console;
use super::credentials::Registries;
use super::delete_tags::{DeleteTagsReporter, delete_all};
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::progress::Activity;
use super::render::{Body, PlanText, ProblemReport, Rule, SyncResult, TagDeletionsJson, synced_line};
use super::result_files::OutputFiles;
use super::run_report::{Finished, FinishedTarget, RunReport};
use super::session::Session;
use super::shard::Shard;
use super::side_flags::{SideFlags, Sides};
use super::sync_sources::{TagListing, is_layout, list};
use crate::copy::{self, CopyOptions, CopyRequest, UpdateReport, update_in};
use crate::delete::plan_tags_except;
use crate::image::{Location, UntrustedText};
use crate::store::{self, Run, Store};
use crate::sync::{PlanProblem, PlannedCopy, RepositoryRules, SyncRules, SyncTarget, plan};

/// The maximum number of tags in progress: enough to hide the round trips of unchanged tags, which send one request at a
/// time.
const CONCURRENCY: usize = 16;

/// Images to copy, each if its target does not have it yet.
pub(super) struct SyncBatch {
    pub(super) rules: SyncRules,
    pub(super) target: SyncTarget,
    pub(super) is_scoped: bool,
    /// Whether to delete the tags at the target that no source has.
    pub(super) deletes: bool,
    pub(super) dry_run: bool,
    pub(super) fail_fast: bool,
    pub(super) shard: Option<Shard>,
    /// The file that lists finished tags.
    pub(super) report: Option<RunReport>,
    /// The tags that earlier runs have finished.
    pub(super) finished: Finished,
    pub(super) files: OutputFiles,
    pub(super) shows_progress: bool,
    pub(super) sides: SideFlags,
}

/// An image to copy, or a source whose tags cannot be listed.
struct SyncItem {
    request: CopyRequest,
    /// Why the tags cannot be listed. The request then has the repositories.
    unlisted: Option<store::Error>,
}

impl BatchItem for SyncItem {
    fn name(&self) -> String {
        let CopyRequest { from, to, .. } = &self.request;
        if self.unlisted.is_some() { from.to_string() } else { to.to_string() }
    }
}

impl SyncBatch {
    /// Copies everything that changed, or with `--dry-run` reports what would be copied.
    pub(super) fn run(mut self, session: &Session) -> Result<CommandOutput, Failure> {
        let (console, dry_run) = (&*session.console, self.dry_run);
        let collects = console.is_json() || self.files.wants_metadata();
        let files = self.files.open(dry_run)?;
        let target = self.target.example();
        let sources: Vec<&Location> = self.rules.repositories.iter().map(|rules| &rules.repository).collect();
        let written = |rules: &RepositoryRules| self.target.repository(&rules.path, self.is_scoped).ok();
        let targets: Vec<Location> = self.rules.repositories.iter().filter_map(written).collect();
        let registries = Registries::written(&target).and_read(sources.iter().copied()).and_written(&targets);
        let registries = registries.and_unverified(&self.rules.unverified);
        let client = session.client_of_sides(&registries, &self.sides, &Sides::new(sources, &targets))?;
        let store = Store::new(client.clone());
        let activity = Activity::new("syncing to", &self.target, "tags").dry(dry_run);
        let activity = Some(activity).filter(|_| self.shows_progress);
        let mut reporter = SyncReporter {
            console,
            plan: dry_run.then(|| PlanText::new(console.colour())),
            parts: DocumentParts::collect_if(collects),
            run_report: self.report.take(),
            collects,
            deletions: Vec::new(),
        };
        let synced = session.block_on(&client, activity, self.sync(&store, &mut reporter));
        reporter.end_plan()?;
        let SyncReporter { parts, deletions, .. } = reporter;
        let body = Body::Sync { dry_run, copies: parts.into_vec(), deletions };
        let written = synced.and_then(|()| files.write(console, &body, None));
        CommandOutput::document(console, body, written.map(|()| ExitStatus::Done))
    }

    async fn sync(&self, store: &Store, reporter: &mut SyncReporter<'_>) -> Result<(), Failure> {
        let listings = list(store, &self.rules.repositories, self.deletes).await;
        let items = self.items(&listings, reporter.console)?;
        let copied = self.copy(store, &items, reporter).await;
        if !self.deletes {
            return copied;
        }
        if copied.is_err() {
            reporter.console.note("no tag is deleted, because not every tag could be listed and copied");
            return copied;
        }
        self.delete(store, &listings, &items, reporter).await
    }

    /// Returns the images to copy, those of the part of `--shard`, and the sources that cannot be listed.
    fn items(&self, listings: &[TagListing<'_>], console: &Console) -> Result<Vec<SyncItem>, Failure> {
        let (mut selected, mut unlisted) = (Vec::new(), Vec::new());
        for TagListing { rules, tags } in listings {
            let selection = rules.select(tags.as_deref().unwrap_or_default());
            match tags {
                Err(error) => unlisted.push((*rules, error)),
                Ok(_) => {
                    let warn = |why: &String| console.warn(format_args!("{}: {why}", rules.repository));
                    selection.unmatched.iter().for_each(warn);
                }
            }
            selected.push((*rules, selection.images));
        }
        let copies = plan(selected, &self.target, self.is_scoped).map_err(|problems| self.refusal(&problems))?;
        let total = copies.len();
        if total == 0 && unlisted.is_empty() {
            return Err(Failure::new("no tag to copy: the sources have none that is selected"));
        }
        if let Some(copy) = copies.iter().find(|copy| self.deletes && copy.to.digest().is_some()) {
            // No tag would show that the image stays.
            return Err(Failure::usage(format!("--delete cannot be combined with an image by digest: {}", copy.from)));
        }
        let is_in_part = |copy: &PlannedCopy| self.shard.is_none_or(|shard| shard.has_target(&copy.to));
        let request =
            |from: &Location, to: &Location| CopyRequest { from: from.clone(), to: to.clone(), tags: Vec::new() };
        let copies = copies.iter().filter(|copy| is_in_part(copy));
        let copies: Vec<SyncItem> =
            copies.map(|PlannedCopy { from, to }| SyncItem { request: request(from, to), unlisted: None }).collect();
        if let Some(shard) = self.shard {
            console.info(format_args!("{shard}: {} of {total} tags", copies.len()));
        }
        // Their failures are known already, so --fail-fast stops at them.
        let mut items = Vec::new();
        for (rules, error) in unlisted {
            let (from, unlisted) = (&rules.repository, Some(error.clone()));
            // The path was checked by the plan.
            let to = self.target.repository(&rules.path, self.is_scoped).unwrap_or_else(|_| from.clone());
            items.push(SyncItem { request: request(from, &to), unlisted });
        }
        items.extend(copies);
        Ok(items)
    }

    /// Returns the failure of a plan that has problems.
    fn refusal(&self, problems: &[PlanProblem]) -> Failure {
        let report = |problem: &PlanProblem| match problem {
            PlanProblem::SameTarget { to, .. } => {
                ProblemReport::new(Rule::DuplicateTarget, problem.to_string()).with_reference(to)
            }
            PlanProblem::Itself(image) | PlanProblem::InvalidName { from: image, .. } => {
                ProblemReport::new(Rule::Content, problem.to_string()).with_reference(image)
            }
        };
        let failure = Failure::of_problems(problems.iter().map(report).collect());
        let is_clash = problems.iter().any(|problem| matches!(problem, PlanProblem::SameTarget { .. }));
        match is_clash && !self.is_scoped {
            true => failure.with_hint("use --scoped to keep the registry and the path of each source".into()),
            false => failure,
        }
    }

    async fn copy(&self, store: &Store, items: &[SyncItem], reporter: &mut SyncReporter<'_>) -> Result<(), Failure> {
        let written = items.iter().filter_map(|item| item.request.to.reference());
        let read = items.iter().filter_map(|item| item.request.from.reference());
        store.client().announce(written, read);
        let (run, options) =
            (Run::new(store, self.dry_run), CopyOptions { dry_run: self.dry_run, ..CopyOptions::default() });
        let copy = async |SyncItem { request, unlisted }: &SyncItem| match unlisted {
            Some(error) => Err(copy::Error::source(&request.from, error.clone())),
            None => update_in(&run, request, &options, self.finished.get(&request.to)).await,
        };
        let changed = if self.dry_run { "would change" } else { "done" };
        let mode = Mode::Write { run: &run, kind: "tags", changed, fail_fast: self.fail_fast };
        let runner = BatchRunner { store, console: reporter.console, concurrency: CONCURRENCY, mode };
        runner.run(items, copy, reporter).await
    }

    /// Deletes the tags of each written repository that none of its sources has.
    async fn delete(
        &self,
        store: &Store,
        listings: &[TagListing<'_>],
        items: &[SyncItem],
        reporter: &mut SyncReporter<'_>,
    ) -> Result<(), Failure> {
        let mut source_tags: HashMap<Location, HashSet<&str>> = HashMap::new();
        // An empty list may be a fault of the registry, so it deletes no tag that came from its repository.
        let mut empty_sources: HashMap<Location, &Location> = HashMap::new();
        for TagListing { rules, tags } in listings {
            if let (Ok(repository), Ok(tags)) = (self.target.repository(&rules.path, self.is_scoped), tags) {
                if tags.is_empty() {
                    empty_sources.insert(repository.clone(), &rules.repository);
                }
                source_tags.entry(repository).or_default().extend(tags.iter().map(UntrustedText::as_str));
            }
        }
        let mut written: Vec<Location> = Vec::new();
        for SyncItem { request: CopyRequest { to, .. }, .. } in items {
            let repository = to.without_name();
            // A tag that the run copied stays, although the list of the source may lack it, as that of a cache does.
            if let Some(tag) = to.tag() {
                source_tags.entry(repository.clone()).or_default().insert(tag);
            }
            if to.tag().is_some() && written.last() != Some(&repository) && !written.contains(&repository) {
                written.push(repository);
            }
        }
        let mut failures = Vec::new();
        for repository in &written {
            if store.client().cancel_token().reason().is_some() {
                failures.push((repository.to_string(), Failure::new("stopped before tags were deleted")));
                continue;
            }
            if let Some(source) = empty_sources.get(repository) {
                let why = format_args!("no tag is deleted, because {source} has no tags");
                reporter.console.note(format_args!("{repository}: {why}"));
                continue;
            }
            let known = source_tags.remove(repository).unwrap_or_default();
            if let Err(failure) = self.delete_in(store, repository, &known, reporter).await {
                failures.push((repository.to_string(), failure));
            }
        }
        fail_all(reporter.console, failures, "still have tags that no source has", written.len())
    }

    /// Deletes the tags of a repository that are not among those of its sources.
    async fn delete_in(
        &self,
        store: &Store,
        repository: &Location,
        source_tags: &HashSet<&str>,
        reporter: &mut SyncReporter<'_>,
    ) -> Result<(), Failure> {
        // In a dry run, the target may not exist yet.
        let is_new = |at: &Location| matches!(at, Location::Layout(layout) if !is_layout(Path::new(&layout.path)));
        if self.dry_run && is_new(repository) {
            return Ok(());
        }
        // Reads the list before the tags, because most repositories have nothing to delete.
        let tags = match store.every_tag(repository).await {
            Err(error) if self.dry_run && error.is_missing() => return Ok(()),
            tags => tags?,
        };
        if tags.iter().all(|tag| source_tags.contains(tag.as_str())) {
            return Ok(());
        }
        let plan = plan_tags_except(store, repository, |tag| source_tags.contains(tag)).await?;
        let mut deleting = DeleteTagsReporter::new(reporter.console, true, reporter.collects);
        let deleted = match &mut reporter.plan {
            _ if plan.deletions.is_empty() => Ok(()),
            Some(text) => deleting.show_plan(&plan, text),
            None => delete_all(store, &plan, &mut deleting).await,
        };
        deleting.show_orphans(&plan);
        reporter.deletions.push(deleting.into_json(repository.to_string()));
        deleted
    }
}

/// Reports the images of a sync, copied or predicted.
struct SyncReporter<'a> {
    console: &'a Console,
    /// The plan, if this is a dry run.
    plan: Option<PlanText>,
    parts: DocumentParts<SyncResult>,
    /// The file that lists finished tags.
    run_report: Option<RunReport>,
    /// Whether the run produces a document.
    collects: bool,
    deletions: Vec<TagDeletionsJson>,
}

impl SyncReporter<'_> {
    /// Prints the last line of a plan.
    fn end_plan(&self) -> Result<(), Failure> {
        self.plan.as_ref().map_or(Ok(()), |plan| self.print(plan.end()))
    }

    fn print(&self, text: String) -> Result<(), Failure> {
        if self.console.is_json() { Ok(()) } else { self.console.data(text) }
    }
}

impl Reporter for SyncReporter<'_> {
    type Item = SyncItem;
    type Report = UpdateReport;

    fn report(&mut self, item: &SyncItem, result: Result<UpdateReport, &Failure>) -> Result<(), Failure> {
        let CopyRequest { from, to, .. } = &item.request;
        let report = match result {
            Ok(report) => report,
            Err(failure) => return self.parts.push(|| SyncResult::Copy(failure.part_of_copy(from, to))),
        };
        self.parts.push(|| SyncResult::new(from, to, &report))?;
        if let Some(run_report) = &mut self.run_report {
            run_report.append([finished(to, &report)])?;
        }
        let text = match &mut self.plan {
            Some(plan) => match &report.copied {
                Some(copied) => plan.copy(from, to, copied),
                None => plan.unchanged_tag(),
            },
            None => {
                self.console.item(|| synced_line(from, to, &report));
                format!("Digest: {} {to}\n", report.digest)
            }
        };
        self.print(text)
    }

    fn has_changed(&self, report: &UpdateReport) -> bool {
        report.has_changed()
    }
}

/// Returns the line of a report about a finished image.
fn finished(to: &Location, report: &UpdateReport) -> FinishedTarget {
    let descriptor = report.copied.as_ref().map(|copied| &copied.descriptor);
    FinishedTarget {
        references: vec![to.clone()],
        digest: report.digest.clone(),
        manifest: descriptor.map(|descriptor| (descriptor.size, descriptor.media_type.to_string())),
        changed: report.has_changed(),
        was_finished: report.was_finished,
    }
}
