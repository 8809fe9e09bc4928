use std::fmt;

use super::exit_status::ExitStatus;
use super::hints::hint_text;
use super::render::{
    Body, CopyResult, Document, ErrorJson, FailedJson, IndexResult, NOT_VERSIONS_HINT, NotDeletedJson, NotSignedJson,
    ProblemReport, PublishedJson, Rule, RunErrorJson, SignedManifestJson, SigningResult, TAKES_MORE_HINT,
    TakesMoreJson, assemble_error_text, plan_problems, plan_reasons,
};
use super::similar_tags::similar_tags_hint;
use crate::assemble::PlanError;
use crate::image::{Location, NoTagMatches};
use crate::registry::StopReason;
use crate::store::{Hit, PublishError, by_cause, lines};
use crate::{assemble, copy, delete, registry, sign, spec, store};

/// The failure of a command or of one of its items: a message, hints, an exit status and data for the JSON document.
#[derive(Debug)]
pub(super) struct Failure {
    /// The message, or its first line if `lines` has more.
    message: String,
    /// Further lines of the text, which the JSON document has as `problems`.
    lines: Box<[String]>,
    problems: Box<[ProblemReport]>,
    hints: Vec<String>,
    /// The cause, if the failure has a single one.
    cause: Option<Box<Cause>>,
    status: ExitStatus,
    details: Option<Box<Details>>,
    /// The results to print in the JSON document despite the failure.
    body: Option<Box<Body>>,
    is_stdout_closed: bool,
}

/// The cause of a failure, by which failures of several items are grouped.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// The cause, without the reference that it hit.
    text: String,
    /// The reference that it hit; `None` if the error names no reference.
    reference: Option<String>,
    /// Whether other references of the registry fail in the same way.
    is_of_registry: bool,
}

impl Cause {
    fn boxed(error: &store::Error) -> Box<Self> {
        Box::new(Self {
            text: error.cause(),
            reference: error.reference().map(str::to_owned),
            is_of_registry: error.is_of_registry(),
        })
    }

    /// Returns the key of the failures with this cause: the cause, and the registry that it hit.
    pub(super) fn key(&self) -> String {
        let registry = self.reference.as_deref().and_then(|reference| reference.split('/').next());
        format!("{} {}", registry.unwrap_or_default(), self.text)
    }
}

/// Details about an item that failed.
#[derive(Debug)]
enum Details {
    /// The tags and manifest written before the failure.
    Published(PublishedJson),
    /// The tags and manifest that would have been deleted with the reference.
    TakesMore(TakesMoreJson),
    /// The manifests that were signed before the failure.
    Signed(Vec<SignedManifestJson>),
    /// The outcome for each of several targets.
    Targets(Vec<TargetOutcome>),
}

/// The outcome for one of several targets, of which some failed.
#[derive(Debug)]
pub(super) struct TargetOutcome {
    /// The target's part of the JSON document.
    pub(super) part: IndexResult,
    /// The text of a target that was pushed; empty if it failed.
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            lines: Box::default(),
            problems: Box::default(),
            hints: Vec::new(),
            cause: None,
            status: ExitStatus::Failed,
            details: None,
            body: None,
            is_stdout_closed: false,
        }
    }

    /// Creates the failure of an invalid command line.
    pub(super) fn usage(message: impl ToString) -> Self {
        Self { status: ExitStatus::Usage, ..Self::new(message.to_string()) }
    }

    /// Creates the failure of invalid arguments, or of invalid files that they name.
    pub(super) fn of_arguments(error: &spec::SpecError) -> Self {
        let is_usage = error.problems.iter().any(|problem| problem.file.is_empty());
        let failure = Self::of_problems(error.problems.iter().map(ProblemReport::from).collect());
        if is_usage { failure.with_status(ExitStatus::Usage) } else { failure }
    }

    /// Creates the failure of problems: the only one, or their number and all of them.
    pub(super) fn of_problems(problems: Vec<ProblemReport>) -> Self {
        match problems.as_slice() {
            [only] => Self { message: only.text(), problems: problems.into(), ..Self::new("") },
            _ => Self::counting(problems),
        }
    }

    /// Creates the failure of problems with their number, even if there is only one.
    pub(super) fn counting(problems: Vec<ProblemReport>) -> Self {
        let message = match problems.len() {
            1 => "1 problem found".to_owned(),
            count => format!("{count} problems found"),
        };
        let lines = problems.iter().map(ProblemReport::text).collect();
        Self { lines, problems: problems.into(), ..Self::new(message) }
    }

    /// Creates the failure of several references, each with its failure, after `message`. The cause that all share is
    /// printed once.
    pub(super) fn of_references(message: String, failures: &[(String, Self)]) -> Self {
        let groups = by_cause(failures.iter().map(|(name, failure)| failure.hit(name)));
        let (message, lines) = match groups.as_slice() {
            [group] if failures.len() > 1 => {
                let cause = group.first().map(|hit| hit.cause.as_str()).unwrap_or_default();
                // Several references may fail for one child or blob.
                let mut names: Vec<String> = match group.len() == failures.len() {
                    true => group.iter().map(|hit| format!("  {}", hit.name)).collect(),
                    false => failures.iter().map(|(name, _)| format!("  {name}")).collect(),
                };
                names.dedup();
                (format!("{message}: {cause}"), names)
            }
            _ => (message, Vec::new()),
        };
        // The hints of failures with different causes are printed with these failures.
        let with_hints = failures.iter().filter(|_| !lines.is_empty());
        let mut hints: Vec<String> = with_hints.flat_map(|(_, failure)| failure.hints.iter().cloned()).collect();
        hints.sort_unstable();
        hints.dedup();
        let problems = failures.iter().map(|(name, failure)| failure.report(name)).collect();
        Self { lines: lines.into(), problems, hints, ..Self::new(message) }
    }

    /// Returns the failure for a list of failures. `name` is used if the error names no reference.
    pub(super) fn hit(&self, name: &str) -> Hit {
        let message = self.text_naming(name);
        match self.cause.as_deref() {
            Some(Cause { text, reference, .. }) => {
                Hit { cause: text.clone(), name: reference.as_deref().unwrap_or(name).to_owned(), message }
            }
            None => Hit { cause: message.clone(), name: name.to_owned(), message },
        }
    }

    /// Names the item of a list of failures, instead of the manifest or blob that the error is about.
    pub(super) fn naming(mut self, item: &Location) -> Self {
        if let Some(cause) = self.cause.as_deref_mut().filter(|cause| cause.reference.is_some()) {
            cause.reference = Some(item.to_string());
        }
        self
    }

    /// Returns the failure as one of the problems of a batch.
    fn report(&self, name: &str) -> ProblemReport {
        ProblemReport::new(Rule::Content, self.text()).with_reference(name)
    }

    /// Returns the cause if the registry as a whole fails in this way, and nothing was written before.
    pub(super) fn cause_of_registry(&self) -> Option<&Cause> {
        let has_written = self.published().is_some_and(|published| published.changed);
        self.cause.as_deref().filter(|cause| cause.is_of_registry && !has_written)
    }

    /// Returns the message with all its lines. Starts with `name` if the error is about the registry as a whole, and so
    /// names no reference.
    pub(super) fn text_naming(&self, name: &str) -> String {
        match self.cause.as_deref() {
            Some(Cause { text, reference: None, .. }) => format!("{name}: {text}"),
            _ => self.text(),
        }
    }

    pub(super) fn hints(&self) -> &[String] {
        &self.hints
    }

    pub(super) fn problems(&self) -> &[ProblemReport] {
        &self.problems
    }

    /// Returns the message with all its lines.
    pub(super) fn text(&self) -> String {
        std::iter::once(&self.message).chain(&self.lines).map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Creates the failure of a write to a closed stdout, which ends the program early and without a message.
    pub(super) fn stdout_closed() -> Self {
        Self { status: ExitStatus::Done, is_stdout_closed: true, ..Self::new("the reader has closed stdout") }
    }

    pub(super) fn is_stdout_closed(&self) -> bool {
        self.is_stdout_closed
    }

    /// Creates the failure of a command that Ctrl-C interrupted.
    pub(super) fn interrupted() -> Self {
        Self { status: ExitStatus::INTERRUPTED, ..Self::new("interrupted") }
    }

    pub(super) fn status(&self) -> ExitStatus {
        self.status
    }

    pub(super) fn with_status(self, status: ExitStatus) -> Self {
        Self { status, ..self }
    }

    /// Takes the exit status of the signal or deadline that stopped the run, if one did.
    pub(super) fn stopped(self, reason: Option<StopReason>) -> Self {
        match reason {
            Some(reason) => self.with_status(reason.into()),
            None => self,
        }
    }

    /// Maps the message and the hints, for example to mask secrets.
    pub(super) fn map_text(mut self, change: impl Fn(&str) -> String) -> Self {
        self.message = change(&self.message);
        self.lines.iter_mut().chain(&mut self.hints).for_each(|line| *line = change(line));
        self.problems = self.problems.into_iter().map(|problem| problem.map_text(&change)).collect();
        self
    }

    pub(super) fn with_hint(mut self, hint: String) -> Self {
        self.hints.push(hint);
        self
    }

    /// Adds the results to print in the JSON document despite the failure.
    pub(super) fn with_document(self, body: Body) -> Self {
        Self { body: Some(Box::new(body)), ..self }
    }

    fn with_details(self, details: Details) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }

    /// Creates a failure with the distinct hints of these errors.
    fn with_hints_of<'a>(message: String, errors: impl Iterator<Item = &'a store::Error>) -> Self {
        let errors: Vec<&store::Error> = errors.collect();
        let changed = errors.iter().any(|error| error.is_changed());
        let mut hints: Vec<String> =
            errors.into_iter().filter_map(store::Error::hint).map(|hint| hint_text(&hint)).collect();
        hints.sort_unstable();
        hints.dedup();
        let status = if changed { ExitStatus::NotMatched } else { ExitStatus::Failed };
        Self { hints, status, ..Self::new(message) }
    }

    /// Creates the failure of a reference with parts that could not be checked, or `None` if `errors` is empty.
    pub(super) fn unchecked(name: &str, errors: &[store::Error]) -> Option<Self> {
        let lines = lines(&by_cause(errors.iter().map(|error| error.hit(name))));
        let failure = || Self {
            lines: lines.iter().map(|line| format!("  {line}")).collect(),
            problems: errors.iter().map(|error| ProblemReport::of_error(error, name)).collect(),
            ..Self::with_hints_of(format!("{name}: cannot be checked completely"), errors.iter())
        };
        (!errors.is_empty()).then(failure)
    }

    /// Adds the outcomes for several targets. No outcomes change nothing.
    pub(super) fn with_targets(self, targets: Vec<TargetOutcome>) -> Self {
        if targets.is_empty() { self } else { self.with_details(Details::Targets(targets)) }
    }

    fn of_publishing(message: String, error: &PublishError) -> Self {
        let problems = match error.errors.as_slice() {
            [] | [_] => Vec::new(),
            errors => errors.iter().map(|each| ProblemReport::of_error(each, &error.target)).collect(),
        };
        let cause = match by_cause(error.errors.iter().map(|each| each.hit(&error.target))).as_slice() {
            [_] => error.errors.first().map(Cause::boxed),
            _ => None,
        };
        let failure = Self::with_hints_of(message, error.errors.iter());
        Self { problems: problems.into(), cause, ..failure }.with_details(Details::Published(error.into()))
    }
}

/// Parts of the JSON document.
impl Failure {
    pub(super) fn error(&self) -> ErrorJson {
        ErrorJson { message: self.message.clone(), hints: self.hints.clone(), problems: self.problems.to_vec() }
    }

    /// Returns the part of a document for a reference that failed.
    pub(super) fn part(&self, name: &str) -> FailedJson {
        FailedJson { reference: name.to_owned(), error: self.error() }
    }

    /// Returns the part of a document for an index that could not be pushed or changed.
    pub(super) fn part_of_index(&self, target: &Location) -> IndexResult {
        IndexResult::failed(target, self.published().cloned(), self.error())
    }

    /// Returns the parts of a document for an index that could not be pushed to some of its targets.
    pub(super) fn parts_of_index<'t>(&self, targets: impl Iterator<Item = &'t Location>) -> Vec<IndexResult> {
        match self.details.as_deref() {
            Some(Details::Targets(outcomes)) => outcomes.iter().map(|outcome| outcome.part.clone()).collect(),
            _ => targets.map(|target| self.part_of_index(target)).collect(),
        }
    }

    /// Returns the text of the targets that were pushed, if others failed.
    pub(super) fn text_of_targets(&self) -> String {
        match self.details.as_deref() {
            Some(Details::Targets(outcomes)) => outcomes.iter().map(|outcome| outcome.text.as_str()).collect(),
            _ => String::new(),
        }
    }

    /// Returns the part of a document for a copy that failed.
    pub(super) fn part_of_copy(&self, source: &Location, target: &Location) -> CopyResult {
        CopyResult::failed(source, target, self.published().cloned(), self.error())
    }

    /// Returns the part of a document for a reference that could not be deleted.
    pub(super) fn part_of_delete(&self, name: &str) -> NotDeletedJson {
        let takes_more = match self.details.as_deref() {
            Some(Details::TakesMore(more)) => Some(more.clone()),
            _ => None,
        };
        NotDeletedJson { failed: self.part(name), takes_more }
    }

    /// Returns the part of a document for a reference that was not signed, or only in part.
    pub(super) fn part_of_sign(&self, name: &str) -> SigningResult {
        let signed = match self.details.as_deref() {
            Some(Details::Signed(signed)) => signed.clone(),
            _ => Vec::new(),
        };
        SigningResult::Failed(NotSignedJson::new(name, signed, self.error()))
    }

    fn published(&self) -> Option<&PublishedJson> {
        match self.details.as_deref() {
            Some(Details::Published(published)) => Some(published),
            _ => None,
        }
    }

    /// Returns the document of a command that failed.
    pub(super) fn document(&self, command: &'static str) -> Document<'_> {
        let error = RunErrorJson { error: self.error(), exit_code: self.status.code() };
        Document::failed(command, self.body.as_deref(), error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.text())?;
        self.hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self { cause: Some(Cause::boxed(&error)), ..Self::with_hints_of(error.to_string(), std::iter::once(&error)) }
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        store::Error::from(error).into()
    }
}

impl From<copy::Error> for Failure {
    fn from(error: copy::Error) -> Self {
        let message = error.to_string();
        match &error {
            copy::Error::Source { reason, .. } => {
                Self { cause: Some(Cause::boxed(reason)), ..Self::with_hints_of(message, std::iter::once(&**reason)) }
            }
            copy::Error::Conversion(error) => {
                Self { hints: error.hints().into_iter().map(Into::into).collect(), ..Self::new(message) }
            }
            copy::Error::Publish(error) => Self::of_publishing(message, error),
        }
    }
}

impl From<sign::Error> for Failure {
    fn from(error: sign::Error) -> Self {
        match error {
            sign::Error::Store(error) => error.into(),
            sign::Error::Incomplete(incomplete) => {
                let unconfirmed = incomplete.unconfirmed.iter();
                let signed = incomplete.signed.iter().map(SignedManifestJson::from);
                let signed = signed.chain(unconfirmed.clone().map(|(it, _)| SignedManifestJson::unconfirmed(it)));
                let signed = signed.collect();
                let errors =
                    incomplete.failed.iter().map(|(_, error)| error).chain(unconfirmed.map(|(_, error)| error));
                // The user gave no precondition for the tag of signatures.
                let failure = Self::with_hints_of(incomplete.to_string(), errors).with_status(ExitStatus::Failed);
                failure.with_details(Details::Signed(signed))
            }
        }
    }
}

impl From<delete::Error> for Failure {
    fn from(error: delete::Error) -> Self {
        let message = error.to_string();
        match error {
            delete::Error::Store(error) => error.into(),
            delete::Error::TakesMore(more) => {
                Self::new(message).with_hint(TAKES_MORE_HINT.into()).with_details(Details::TakesMore((&*more).into()))
            }
            delete::Error::NoTagMatches(error) => error.into(),
            delete::Error::NotVersions(_) => Self::new(message).with_hint(NOT_VERSIONS_HINT.into()),
        }
    }
}

impl From<Box<NoTagMatches>> for Failure {
    fn from(error: Box<NoTagMatches>) -> Self {
        Self { hints: similar_tags_hint(&error).into_iter().collect(), ..Self::new(error.to_string()) }
    }
}

impl From<assemble::Error> for Failure {
    fn from(error: assemble::Error) -> Self {
        Self::of_assembling(&error)
    }
}

impl Failure {
    /// Creates the failure of assembling an index.
    pub(super) fn of_assembling(error: &assemble::Error) -> Self {
        let message = assemble_error_text(error);
        match error {
            assemble::Error::Resolve(error) => Self::of_resolving(error),
            assemble::Error::Target(error) => {
                Self { cause: Some(Cause::boxed(error)), ..Self::with_hints_of(message, std::iter::once(error)) }
            }
            assemble::Error::Publish(error) | assemble::Error::Withheld(error) => Self::of_publishing(message, error),
            assemble::Error::Targets(error) => Self::of_targets(message, error),
            assemble::Error::Contended { written, .. } | assemble::Error::Unplanned { written, .. } => {
                Self::of_publishing(message, written)
            }
            assemble::Error::Plan(error) => Self::of_planning(error),
        }
    }

    /// Creates the failure of a plan that cannot be made.
    fn of_planning(error: &PlanError) -> Self {
        let mut reasons = plan_reasons(error).into_iter();
        let message = format!("{}{}", error.prefix(), reasons.next().unwrap_or_default());
        let lines = reasons.map(|reason| format!("  {reason}")).collect();
        Self { lines, problems: plan_problems(error).into(), ..Self::new(message) }
    }

    /// Creates the failure of sources that cannot be used.
    fn of_resolving(error: &assemble::ResolveError) -> Self {
        let cause = match error.by_cause().as_slice() {
            [_] => error.store_errors().next().map(Cause::boxed),
            _ => None,
        };
        Self {
            lines: error.details().iter().map(|line| format!("  {line}")).collect(),
            problems: error.problems.iter().map(ProblemReport::from).collect(),
            cause,
            ..Self::with_hints_of(error.headline(), error.store_errors())
        }
    }

    /// Creates the failure of some of several targets, with the hints of all.
    fn of_targets(message: String, error: &assemble::TargetsError) -> Self {
        let failures: Vec<Self> = error.errors().map(Self::of_assembling).collect();
        let status = failures.first().map_or(ExitStatus::Failed, Self::status);
        // Callers may rely on a specific status only if no tag was written.
        let is_same = failures.iter().all(|failure| failure.status() == status) && !error.has_written();
        let problems = failures.iter().map(|failure| ProblemReport::new(Rule::Content, failure.text())).collect();
        let mut hints: Vec<String> = failures.into_iter().flat_map(|failure| failure.hints).collect();
        hints.sort_unstable();
        hints.dedup();
        Self { hints, problems, status: if is_same { status } else { ExitStatus::Failed }, ..Self::new(message) }
    }
}
