use std::fmt;

use super::exit_status::ExitStatus;
use super::hints::hint_text;
use super::render::{
    Body, CopyResult, Document, ErrorJson, FailedJson, IndexResult, NotDeletedJson, PublishedJson, RunErrorJson,
    TAKES_MORE_HINT, TakesMoreJson, assemble_error_text, problem_text,
};
use crate::image::Location;
use crate::registry::StopReason;
use crate::store::PublishError;
use crate::{assemble, copy, delete, registry, spec, store};

/// The failure of a command or of one of its items: a message, hints, an exit status and data for the JSON document.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    hints: Vec<String>,
    status: ExitStatus,
    details: Option<Box<Details>>,
    /// The results to print in the JSON document despite the failure.
    body: Option<Box<Body>>,
    is_stdout_closed: bool,
}

/// Details about an item that failed.
#[derive(Debug)]
enum Details {
    /// The tags and manifest written before the failure.
    Published(PublishedJson),
    /// The tags and manifest that would have been deleted with the reference.
    TakesMore(TakesMoreJson),
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
            hints: Vec::new(),
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
        let lines: Vec<String> = error.problems.iter().map(problem_text).collect();
        let message = match lines.as_slice() {
            [only] => only.clone(),
            lines => format!("{} problems found\n{}", lines.len(), lines.join("\n")),
        };
        let is_usage = error.problems.iter().any(|problem| problem.file.is_empty());
        if is_usage { Self::usage(message) } else { Self::new(message) }
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
        self.hints.iter_mut().for_each(|hint| *hint = change(hint));
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
        let mut lines: Vec<String> = errors.iter().map(|error| format!("\n  {error}")).collect();
        lines.dedup();
        let message = format!("{name}: cannot be checked completely{}", lines.concat());
        (!errors.is_empty()).then(|| Self::with_hints_of(message, errors.iter()))
    }

    /// Adds the outcomes for several targets. No outcomes change nothing.
    pub(super) fn with_targets(self, targets: Vec<TargetOutcome>) -> Self {
        if targets.is_empty() { self } else { self.with_details(Details::Targets(targets)) }
    }

    fn of_publishing(message: String, error: &PublishError) -> Self {
        Self::with_hints_of(message, error.errors.iter()).with_details(Details::Published(error.into()))
    }
}

/// Parts of the JSON document.
impl Failure {
    pub(super) fn error(&self) -> ErrorJson {
        ErrorJson { message: self.message.clone(), hints: self.hints.clone() }
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
        write!(f, "error: {}", self.message)?;
        self.hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::with_hints_of(error.to_string(), std::iter::once(&error))
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        store::Error::from(error).into()
    }
}

impl From<spec::SpecError> for Failure {
    fn from(error: spec::SpecError) -> Self {
        let lines: Vec<String> = error.problems.iter().map(problem_text).collect();
        match lines.as_slice() {
            [only] => Self::new(only),
            lines => Self::new(format!("the spec is invalid\n{}", lines.join("\n"))),
        }
    }
}

impl From<copy::Error> for Failure {
    fn from(error: copy::Error) -> Self {
        let message = error.to_string();
        match &error {
            copy::Error::Source { reason, .. } => Self::with_hints_of(message, std::iter::once(&**reason)),
            copy::Error::Publish(error) => Self::of_publishing(message, error),
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
        }
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
            assemble::Error::Resolve(error) => Self::with_hints_of(message, error.store_errors()),
            assemble::Error::Target(error) => Self::with_hints_of(message, std::iter::once(error)),
            assemble::Error::Publish(error) | assemble::Error::Withheld(error) => Self::of_publishing(message, error),
            assemble::Error::Targets(error) => Self::of_targets(message, error),
            assemble::Error::Contended { written, .. } | assemble::Error::Unplanned { written, .. } => {
                Self::of_publishing(message, written)
            }
            assemble::Error::Plan(_) => Self::new(message),
        }
    }

    /// Creates the failure of some of several targets, with the hints of all.
    fn of_targets(message: String, error: &assemble::TargetsError) -> Self {
        let failures: Vec<Self> = error.errors().map(Self::of_assembling).collect();
        let status = failures.first().map_or(ExitStatus::Failed, Self::status);
        // Callers may rely on a specific status only if no tag was written.
        let is_same = failures.iter().all(|failure| failure.status() == status) && !error.has_written();
        let mut hints: Vec<String> = failures.into_iter().flat_map(|failure| failure.hints).collect();
        hints.sort_unstable();
        hints.dedup();
        Self { hints, status: if is_same { status } else { ExitStatus::Failed }, ..Self::new(message) }
    }
}
