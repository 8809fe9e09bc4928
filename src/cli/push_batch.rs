use super::batch::{BatchItem, BatchRunner, Mode, Reporter};
use super::console::Console;
use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::{Failure, TargetOutcome};
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::progress::Activity;
use super::render::{Body, IndexResult, PlanText, pushed_line};
use super::result_files::OutputFiles;
use super::run_report::{Finished, FinishedTarget, RunReport};
use super::session::Session;
use super::side_flags::{SideFlags, Sides};
use crate::assemble::{self, Assembler, Plan, PushOptions, PushReport, TargetReport, TargetsError};
use crate::spec::{Spec, Target};
use crate::store::Store;

/// The maximum number of indexes pushed concurrently: enough to keep every connection busy, and few enough to bound
/// memory.
const CONCURRENCY: usize = 32;

/// Indexes to push, with the options of the push.
pub(super) struct PushBatch {
    pub(super) specs: Vec<Spec>,
    /// The number of indexes on the command line, of which `specs` may be a part.
    pub(super) total: usize,
    pub(super) options: PushOptions,
    pub(super) files: OutputFiles,
    pub(super) sides: SideFlags,
    /// The file that lists finished indexes.
    pub(super) report: Option<RunReport>,
    /// The tags that earlier runs have finished.
    pub(super) finished: Finished,
    pub(super) fail_fast: bool,
    /// Whether a dry run ends with [`ExitStatus::WouldChange`] if anything would change.
    pub(super) exit_code: bool,
    pub(super) shows_progress: bool,
}

impl PushBatch {
    /// Pushes all indexes.
    pub(super) fn run(mut self, session: &Session) -> Result<CommandOutput, Failure> {
        let (console, dry_run) = (&*session.console, self.options.dry_run);
        if !dry_run {
            console.reserve_stdout(self.specs.iter().flat_map(Spec::targets).map(|target| &target.location))?;
        }
        let files = self.files.open(dry_run)?;
        let Some(first) = self.specs.first() else {
            let body = Body::Push { dry_run, indexes: Vec::new() };
            let written = files.write(console, &body, None);
            return CommandOutput::document(console, body, written.map(|()| ExitStatus::Done));
        };
        let sources = first.sources.iter().map(|source| &source.location);
        let targets = self.specs.iter().flat_map(Spec::targets).map(|target| &target.location);
        let registries = Registries::written([&first.target.location]).and_read(sources).and_written(targets);
        let sources = self.specs.iter().flat_map(|spec| &spec.sources).map(|source| &source.location);
        let targets = self.specs.iter().flat_map(Spec::targets).map(|target| &target.location);
        let client = session.client_of_sides(&registries, &self.sides, &Sides::new(sources, targets))?;
        let store = Store::new(client.clone());
        let activity = Activity::new("pushing", &first.target.location, "indexes").dry(dry_run);
        let activity = Some(activity).filter(|_| self.shows_progress);
        let (report, finished) = (self.report.take(), std::mem::take(&mut self.finished));
        let mut reporter = PushReporter::new(console, &self, report);
        let pushed = session.block_on(&client, activity, self.push(&store, finished, &mut reporter));
        if pushed.is_err() && !dry_run {
            reporter.parts.iter_mut().for_each(IndexResult::mark_unwritten_archive);
        }
        reporter.end_plan()?;
        let PushReporter { parts, has_changed, digest, .. } = reporter;
        let body = Body::Push { dry_run, indexes: parts.into_vec() };
        let written = pushed.and_then(|()| files.write(console, &body, digest.as_deref()));
        let would_change = self.exit_code && has_changed;
        let status = if would_change { ExitStatus::WouldChange } else { ExitStatus::Done };
        CommandOutput::document(console, body, written.map(|()| status))
    }

    async fn push(&self, store: &Store, finished: Finished, reporter: &mut PushReporter<'_>) -> Result<(), Failure> {
        let run = assemble::new_run(store, &self.specs, &self.options);
        let assembler = Assembler::new(&run, &self.specs, &self.options).resume(finished);
        if !reporter.is_only {
            reporter.console.name_targets();
        }
        let changed = if self.options.dry_run { "would change" } else { "done" };
        let mode = Mode::Write { run: &run, kind: "indexes", changed, fail_fast: self.fail_fast };
        let runner = BatchRunner { store, console: reporter.console, concurrency: CONCURRENCY, mode };
        let is_only = self.specs.len() == 1;
        let push = async |spec: &Spec| {
            let pushed = match is_only {
                true => assembler.push_only(spec).await,
                false => assembler.push(spec).await,
            };
            pushed.map_err(|error| failure(error, spec))
        };
        runner.run(&self.specs, push, reporter).await
    }
}

/// Converts the error of a push, and adds a hint if a source is missing and the template has a lowercase placeholder.
fn failure(error: assemble::Error, spec: &Spec) -> Failure {
    let is_missing = match &error {
        assemble::Error::Resolve(error) => error.is_missing(),
        _ => false,
    };
    let hint = if is_missing { spec.template_hint() } else { None };
    let targets = match &error {
        assemble::Error::Targets(error) => target_outcomes(error, spec),
        _ => Vec::new(),
    };
    hint.into_iter().fold(Failure::from(error), Failure::with_hint).with_targets(targets)
}

/// Returns the outcome for each of several targets, of which some failed: its part of the document, and the line of a
/// target that was pushed.
fn target_outcomes(error: &TargetsError, spec: &Spec) -> Vec<TargetOutcome> {
    let outcome = |(target, outcome): (&Target, &Result<TargetReport, assemble::Error>)| match outcome {
        Ok(report) => (IndexResult::from(report), target_text(report, true)),
        Err(error) => (Failure::of_assembling(error).part_of_index(&target.location), String::new()),
    };
    spec.targets().zip(&error.outcomes).map(outcome).map(|(part, text)| TargetOutcome { part, text }).collect()
}

/// Returns the line about a target that was pushed. `is_named` is whether it names the target.
fn target_text(report: &TargetReport, is_named: bool) -> String {
    let Plan { descriptor, target, .. } = &report.plan;
    let target = if is_named { format!(" {target}") } else { String::new() };
    format!("Digest: {} {}{target}\n", descriptor.digest, descriptor.size)
}

/// Reports indexes, pushed or predicted.
struct PushReporter<'a> {
    console: &'a Console,
    /// The plan, if this is a dry run.
    plan: Option<PlanText>,
    /// Whether the run has several indexes.
    is_batch: bool,
    /// Whether the run has a single index with a single target, so that its line need not name the target.
    is_only: bool,
    parts: DocumentParts<IndexResult>,
    /// The file that lists finished indexes.
    run_report: Option<RunReport>,
    has_changed: bool,
    /// The digest of the last index.
    digest: Option<String>,
}

impl<'a> PushReporter<'a> {
    fn new(console: &'a Console, batch: &PushBatch, run_report: Option<RunReport>) -> Self {
        Self {
            console,
            plan: batch.options.dry_run.then(|| PlanText::new(console.colour())),
            is_batch: batch.specs.len() > 1,
            is_only: batch.total == 1 && batch.specs.iter().flat_map(Spec::targets).count() == 1,
            parts: DocumentParts::collect_if(console.is_json() || batch.files.wants_metadata()),
            run_report,
            has_changed: false,
            digest: None,
        }
    }

    /// Prints a line for a person about each target.
    fn announce(&self, report: &PushReport) {
        for target in &report.targets {
            match self.is_batch {
                true => self.console.item(|| pushed_line(target)),
                false => self.console.done(|| pushed_line(target)),
            }
        }
    }

    /// Prints the last line of a plan.
    fn end_plan(&self) -> Result<(), Failure> {
        self.plan.as_ref().map_or(Ok(()), |plan| self.print(plan.end()))
    }

    fn print(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.console.is_json() { Ok(()) } else { self.console.data(text) }
    }
}

impl BatchItem for Spec {
    fn name(&self) -> String {
        self.target.to_string()
    }
}

impl Reporter for PushReporter<'_> {
    type Item = Spec;
    type Report = PushReport;

    fn report(&mut self, spec: &Spec, result: Result<PushReport, &Failure>) -> Result<(), Failure> {
        let report = match result {
            Ok(report) => report,
            Err(failure) => {
                for part in failure.parts_of_index(spec.targets().map(|target| &target.location)) {
                    self.parts.push(|| part)?;
                }
                return self.print(failure.text_of_targets());
            }
        };
        for target in &report.targets {
            self.parts.push(|| IndexResult::from(target))?;
            self.digest = Some(target.plan.descriptor.digest.to_string());
        }
        self.has_changed |= report.has_written_tags();
        if let Some(run_report) = &mut self.run_report {
            run_report.append(report.targets.iter().map(FinishedTarget::from))?;
        }
        if self.plan.is_none() {
            self.announce(&report);
        }
        let text: String = match &mut self.plan {
            Some(plan) => report.targets.iter().map(|target| plan.index(target)).collect(),
            None => report.targets.iter().map(|target| target_text(target, !self.is_only)).collect(),
        };
        self.print(text)
    }

    fn has_changed(&self, report: &PushReport) -> bool {
        report.has_written_tags()
    }
}
