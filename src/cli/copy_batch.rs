use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::batch::{BatchItem, BatchRunner, Mode, Reporter};
use super::console::Console;
use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::parts::DocumentParts;
use super::progress::Activity;
use super::render::{Body, CopyResult, PlanText, copied_line};
use super::result_files::OutputFiles;
use super::session::Session;
use super::side_flags::{SideFlags, Sides};
use crate::copy::{self, CopyOptions, CopyRequest};
use crate::image::Location;
use crate::store::{PublishReport, Run, Store};

/// The maximum number of tags copied concurrently: enough to hide the round trips of each.
const CONCURRENCY: usize = 8;

/// A copy of one image or index, or of several tags of a repository.
pub(super) struct CopyBatch {
    pub(super) from: Location,
    pub(super) to: Location,
    /// Whether the source is a repository, from which the tags that match `tags` are copied.
    pub(super) is_repository: bool,
    /// Patterns of tags to copy from a repository; for a single source, further tags of the copy.
    pub(super) tags: Vec<String>,
    pub(super) options: CopyOptions,
    pub(super) files: OutputFiles,
    pub(super) sides: SideFlags,
    pub(super) shows_progress: bool,
}

impl CopyBatch {
    /// Copies everything, or with `--dry-run` reports what would be copied.
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let (console, dry_run) = (&*session.console, self.options.dry_run);
        if !dry_run {
            console.reserve_stdout([&self.to])?;
        }
        let files = self.files.open(dry_run)?;
        let registries = Registries::written([&self.to]).and_read([&self.from]);
        let client = session.client_of_sides(&registries, &self.sides, &Sides::new([&self.from], [&self.to]))?;
        let store = Store::new(client.clone());
        let mut reporter = CopyReporter::new(console, &self);
        let activity = Activity::new("copying", &self.from, "tags").dry(dry_run);
        let activity = Some(activity).filter(|_| self.shows_progress);
        let copied = session.block_on(&client, activity, self.copy(&store, &mut reporter));
        if copied.is_err() && !dry_run {
            reporter.parts.iter_mut().for_each(CopyResult::mark_unwritten_archive);
        }
        reporter.end_plan()?;
        let CopyReporter { parts, digest, .. } = reporter;
        let body = Body::Copy { dry_run, copies: parts.into_vec() };
        let written = copied.and_then(|()| files.write(console, &body, digest.as_deref()));
        CommandOutput::document(console, body, written.map(|()| ExitStatus::Done))
    }

    async fn copy(&self, store: &Store, reporter: &mut CopyReporter<'_>) -> Result<(), Failure> {
        let requests = self.requests(store).await?;
        if requests.len() > 1 && self.files.wants_digest() {
            return Err(Failure::usage("--digest-file needs a single image or index, but several tags match"));
        }
        if self.options.dry_run {
            return predict_all(store, &requests, &self.options, reporter).await;
        }
        reporter.is_only = requests.len() == 1;
        copy_all(store, &requests, &self.options, reporter).await
    }

    async fn requests(&self, store: &Store) -> Result<Vec<CopyRequest>, Failure> {
        let (from, to) = (&self.from, &self.to);
        if !self.is_repository {
            let tags = self.tags.iter().map(|tag| to.with_tag(tag)).collect();
            return Ok(vec![CopyRequest { from: from.clone(), to: to.clone(), tags }]);
        }
        let tags = copy::select_tags(store, from, &self.tags).await?;
        let is_docker = to.layout().is_some_and(|layout| layout.transport.is_docker());
        let request = |tag: &String| {
            let from = from.with_tag(tag);
            // A Docker archive names images by repository and tag, which a copy takes from its source.
            let to = if is_docker { to.named_like(&from) } else { to.with_tag(tag) };
            CopyRequest { from, to, tags: Vec::new() }
        };
        Ok(tags.iter().map(request).collect())
    }
}

async fn copy_all(
    store: &Store,
    requests: &[CopyRequest],
    options: &CopyOptions,
    reporter: &mut CopyReporter<'_>,
) -> Result<(), Failure> {
    let run = Run::new(store, false);
    let is_only = reporter.is_only;
    let copy = async |request: &CopyRequest| match is_only {
        true => copy::copy(store, request, options).await,
        false => copy::copy_in(&run, request, options).await,
    };
    let mode = Mode::Write { run: &run, kind: "tags", changed: "done", fail_fast: false };
    let runner = BatchRunner { store, console: reporter.console, concurrency: CONCURRENCY, mode };
    runner.run(requests, copy, reporter).await
}

/// Reports what would be copied, without copying.
async fn predict_all(
    store: &Store,
    requests: &[CopyRequest],
    options: &CopyOptions,
    reporter: &mut CopyReporter<'_>,
) -> Result<(), Failure> {
    let run = Run::new(store, true);
    // Iterate over positions: futures that borrow requests would not be `Send`.
    let predict = async |position: usize| match requests.get(position) {
        Some(request) => copy::copy_in(&run, request, options).await.map(Some),
        None => Ok(None),
    };
    let reports: Vec<_> = stream::iter(0..requests.len()).map(predict).buffered(CONCURRENCY).try_collect().await?;
    requests
        .iter()
        .zip(reports.into_iter().flatten())
        .try_for_each(|(request, report)| reporter.report(request, Ok(report)))
}

/// Reports copies, actual or predicted.
struct CopyReporter<'a> {
    console: &'a Console,
    /// The plan, if this is a dry run.
    plan: Option<PlanText>,
    /// Whether the run has a single copy, so that its line need not name the target.
    is_only: bool,
    parts: DocumentParts<CopyResult>,
    /// The digest of the last copy.
    digest: Option<String>,
}

impl<'a> CopyReporter<'a> {
    fn new(console: &'a Console, batch: &CopyBatch) -> Self {
        let parts = DocumentParts::collect_if(console.is_json() || batch.files.wants_metadata());
        let plan = batch.options.dry_run.then(|| PlanText::new(console.colour()));
        Self { console, plan, is_only: false, parts, digest: None }
    }

    fn text(&mut self, request: &CopyRequest, report: &PublishReport) -> String {
        let CopyRequest { from, to, .. } = request;
        let (digest, size) = (&report.descriptor.digest, report.descriptor.size);
        match &mut self.plan {
            Some(plan) => plan.copy(from, to, report),
            None if self.is_only => format!("Digest: {digest} {size}\n"),
            None => format!("Digest: {digest} {size} {to}\n"),
        }
    }

    /// Prints the last line of a plan.
    fn end_plan(&self) -> Result<(), Failure> {
        self.plan.as_ref().map_or(Ok(()), |plan| self.print(plan.end()))
    }

    fn print(&self, text: String) -> Result<(), Failure> {
        if self.console.is_json() { Ok(()) } else { self.console.data(text) }
    }
}

impl BatchItem for CopyRequest {
    fn name(&self) -> String {
        self.to.to_string()
    }
}

impl Reporter for CopyReporter<'_> {
    type Item = CopyRequest;
    type Report = PublishReport;

    fn report(&mut self, request: &CopyRequest, result: Result<PublishReport, &Failure>) -> Result<(), Failure> {
        let report = match result {
            Ok(report) => report,
            Err(failure) => return self.parts.push(|| failure.part_of_copy(&request.from, &request.to)),
        };
        self.parts.push(|| CopyResult::copied(&request.from, &report))?;
        self.digest = Some(report.descriptor.digest.to_string());
        let line = || copied_line(&request.from, &request.to, &report);
        match (&self.plan, self.is_only) {
            (Some(_), _) => {}
            (None, true) => self.console.done(line),
            (None, false) => self.console.item(line),
        }
        let text = self.text(request, &report);
        self.print(text)
    }

    fn has_changed(&self, report: &PublishReport) -> bool {
        report.has_written_tags()
    }
}
