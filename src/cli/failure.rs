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
            copy::Error::Source { reason, .. } => match &**reason {
                copy::CopyProblem::Store(error) => Self::with_hints_of(message, std::iter::once(error)),
                copy::CopyProblem::Unusable(_) => Self::new(message),
            },
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
        let message = assemble_error_text(&error);
        match &error {
            assemble::Error::Resolve(error) => Self::with_hints_of(message, error.store_errors()),
            assemble::Error::Target(error) => Self::with_hints_of(message, std::iter::once(error)),
            assemble::Error::Publish(error) => Self::of_publishing(message, error),
            assemble::Error::Contended { written, .. } | assemble::Error::Unplanned { written, .. } => {
                Self::of_publishing(message, written)
            }
            assemble::Error::Plan(_) => Self::new(message),
        }
    }
}
