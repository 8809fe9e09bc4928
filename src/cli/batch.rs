use serde_json::json;

use super::credentials::Registries;
use super::documents::Documents;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::global::Global;
use super::many::{Came, Many, Moved, not_begun};
use super::print;
use super::results::{Files, Results, pretty, take_back_archives};
use super::talk;
use crate::assemble::{self, Assembler, PushOptions, Report};
use crate::output;
use crate::spec::Spec;
use crate::store::{Run, Store};

/// Indexes under way at once: enough to keep every connection busy, few enough that memory does not grow with a run.
const INDEXES: usize = 32;

/// How the indexes of a run are pushed and told of.
pub(super) struct Batch<'a> {
    pub(super) options: PushOptions,
    pub(super) global: &'a Global,
    pub(super) files: &'a Files,
    pub(super) fail_fast: bool,
    /// A dry run ends with a code of its own where something would change.
    pub(super) exit_code: bool,
    pub(super) progress: bool,
}

impl Moved for Report {
    fn has_moved(&self) -> bool {
        Self::has_moved(self)
    }
}

/// What is told of indexes as they are done, and kept for the document of all.
struct Told<'a> {
    keeps: bool,
    prints: bool,
    is_one: bool,
    documents: Documents,
    changed: bool,
    digest: Option<String>,
    batch: &'a Batch<'a>,
}

impl Batch<'_> {
    /// Pushes all indexes.
    pub(super) fn run(&self, specs: &[Spec]) -> Result<Results, Failure> {
        let Some(first) = specs.first() else { return Ok(String::new().into()) };
        if specs.len() > 1 && self.files.wants_digest() {
            return Err(Failure::usage("--digest-file is for one index, and the specs hold several"));
        }
        let files = self.files.begin(self.options.dry_run)?;
        let sources = first.sources.iter().map(|source| &source.location);
        let targets = specs.iter().map(|spec| &spec.target);
        let registries = Registries::written([&first.target]).and_read(sources).and_written(targets);
        let client = self.global.client(&registries)?;
        let store = Store::new(client.clone());
        let shown = self.progress.then_some((specs.len(), "indexes"));
        let json = self.global.is_json();
        let mut told = Told {
            keeps: json || self.files.wants_metadata(),
            prints: !json,
            is_one: specs.len() == 1,
            documents: Documents::default(),
            changed: false,
            digest: None,
            batch: self,
        };
        let pushing = talk::with_progress(shown, self.push(&store, specs, &mut told));
        let outcome = self.global.block_on(&client, pushing);
        if outcome.is_err() && !self.options.dry_run {
            take_back_archives(told.documents.parts_mut());
        }
        let document = told.documents.into_document("push", json!({"dryRun": self.options.dry_run}), "indexes");
        outcome.map_err(|failure| failure.with_document(document.clone()))?;
        files.end(&document, told.digest.as_deref())?;
        let status = if self.exit_code && told.changed { ExitStatus::WouldChange } else { ExitStatus::Done };
        Ok(Results { text: if json { pretty(&document) } else { String::new() }, status })
    }

    async fn push(&self, store: &Store, specs: &[Spec], told: &mut Told<'_>) -> Result<(), Failure> {
        let run = Run::new(store, self.options.dry_run);
        let assembler = Assembler::new(&run, specs, &self.options);
        if let [only] = specs {
            let outcome = match assembler.push(only).await {
                Ok(outcome) => run.finish().await.map(|()| outcome).map_err(Failure::from),
                Err(error) => Err(failure(error, only)),
            };
            return match outcome {
                Ok(outcome) => told.tell(only, Came::Done(&outcome)),
                Err(failure) => told.tell(only, Came::Failed(&failure)).and(Err(failure)),
            };
        }
        let (fail_fast, quiet) = (self.fail_fast, self.global.quiet);
        let done = if self.options.dry_run { "would change" } else { "done" };
        let many = Many { run: &run, kind: "indexes", done, at_once: INDEXES, fail_fast, quiet };
        talk::name_targets();
        let push = async |spec: &Spec| assembler.push(spec).await.map_err(|error| failure(error, spec));
        many.run(specs, push, |spec, came| told.tell(spec, came)).await
    }
}

/// A failed push, with a hint if a source is missing and the template has a placeholder in lower case.
fn failure(error: assemble::Error, spec: &Spec) -> Failure {
    let is_missing = match &error {
        assemble::Error::Resolve(error) => error.is_missing(),
        _ => false,
    };
    let hint = if is_missing { spec.template_hint() } else { None };
    hint.into_iter().fold(error.into(), Failure::with_hint)
}

impl Told<'_> {
    fn tell(&mut self, spec: &Spec, came: Came<'_, Report>) -> Result<(), Failure> {
        if self.keeps {
            self.documents.push(match &came {
                Came::Done(outcome) => output::index_json(outcome),
                Came::Failed(failure) => failure.part_of_index(&spec.target),
                Came::NotBegun => not_begun().part_of_index(&spec.target),
            })?;
        }
        let Came::Done(outcome) = came else { return Ok(()) };
        let descriptor = &outcome.plan.descriptor;
        self.changed |= outcome.has_moved();
        self.digest = Some(descriptor.digest.to_string());
        match (self.prints, self.batch.options.dry_run, self.is_one) {
            (false, _, _) => Ok(()),
            (true, true, _) => print(output::plan_text(outcome)),
            (true, false, true) => print(format!("Digest: {} {}\n", descriptor.digest, descriptor.size)),
            (true, false, false) => {
                print(format!("Digest: {} {} {}\n", descriptor.digest, descriptor.size, spec.target))
            }
        }
    }
}
