use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::exit_status::ExitStatus;
use super::secrets::Secrets;
use super::talk::say;
use crate::image::Location;
use crate::registry::StopReason;
use crate::store::{PublishError, TagOutcome, TagReport};
use crate::{assemble, copy, output, registry, spec, store};

/// What is printed when a command fails: the message, and what to do next.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    hints: Vec<String>,
    status: ExitStatus,
    /// What became of tags before it failed, for programs.
    parts: Option<Box<Value>>,
    /// What the command has for programs to read.
    document: Option<Box<Value>>,
    /// It is none: whoever reads stdout has seen enough.
    is_enough: bool,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hints: Vec::new(),
            status: ExitStatus::Failed,
            parts: None,
            document: None,
            is_enough: false,
        }
    }

    /// What was asked for makes no sense, whatever the registry says.
    pub(super) fn usage(message: impl ToString) -> Self {
        Self { status: ExitStatus::Usage, ..Self::new(message.to_string()) }
    }

    /// Whoever reads stdout has seen enough, and nothing more needs to be found out.
    pub(super) fn enough() -> Self {
        Self { status: ExitStatus::Done, is_enough: true, ..Self::new("nobody reads stdout any more") }
    }

    pub(super) fn is_enough(&self) -> bool {
        self.is_enough
    }

    /// The failure of a command that Ctrl-C ended.
    pub(super) fn interrupted() -> Self {
        Self { status: ExitStatus::INTERRUPTED, ..Self::new("interrupted") }
    }

    pub(super) fn status(&self) -> ExitStatus {
        self.status
    }

    pub(super) fn with_status(self, status: ExitStatus) -> Self {
        Self { status, ..self }
    }

    /// Takes the exit status of what ended the run early, if anything did.
    pub(super) fn stopped(self, reason: Option<StopReason>) -> Self {
        match reason {
            Some(reason) => self.with_status(reason.into()),
            None => self,
        }
    }

    /// With every secret of the command line and the environment masked.
    pub(super) fn without(mut self, secrets: &Secrets) -> Self {
        self.message = secrets.mask(&self.message);
        self.hints.iter_mut().for_each(|hint| *hint = secrets.mask(hint));
        self
    }

    pub(super) fn with_hint(mut self, hint: String) -> Self {
        self.hints.push(hint);
        self
    }

    fn with_hints<'a>(message: String, errors: impl Iterator<Item = &'a store::Error>) -> Self {
        let errors: Vec<&store::Error> = errors.collect();
        let changed = errors.iter().any(|error| error.is_changed());
        let mut hints: Vec<String> = errors.into_iter().filter_map(store::Error::hint).collect();
        hints.sort_unstable();
        hints.dedup();
        let status = if changed { ExitStatus::NotMatched } else { ExitStatus::Failed };
        Self { hints, status, ..Self::new(message) }
    }

    /// What could not be checked of a reference, if there is anything.
    pub(super) fn unchecked(name: &str, errors: &[store::Error]) -> Option<Self> {
        let mut lines: Vec<String> = errors.iter().map(|error| format!("\n  {error}")).collect();
        lines.dedup();
        let message = format!("{name}: not all of it can be checked{}", lines.concat());
        (!errors.is_empty()).then(|| Self::with_hints(message, errors.iter()))
    }

    /// Of so many references; the only one of one reference is told of as any command's failure.
    pub(super) fn all(mut failed: Vec<Self>, what: &str, of: usize) -> Result<(), Self> {
        match failed.len() {
            0 => Ok(()),
            1 if of == 1 => Err(failed.remove(0)),
            count => {
                failed.iter().for_each(say);
                Err(Self::new(format!("{count} of {of} references {what}")))
            }
        }
    }

    fn of_publishing(message: String, error: &PublishError) -> Self {
        let mut parts = output::descriptor_json(&error.descriptor);
        // Of what nobody knows it may be so.
        let moved = |tag: &TagReport| tag.outcome.is_written() || tag.outcome == TagOutcome::Unknown;
        let changed = error.tags.iter().any(moved);
        output::merge(&mut parts, json!({"changed": changed, "tags": output::tags_json(&error.tags)}));
        Self { parts: Some(Box::new(parts)), ..Self::with_hints(message, error.errors.iter()) }
    }

    /// With what the command has for programs to read, in spite of it.
    pub(super) fn with_document(self, document: Value) -> Self {
        Self { document: Some(Box::new(document)), ..self }
    }

    /// For programs: that one of several references could not be looked at.
    pub(super) fn part(&self, name: impl Serialize) -> Value {
        json!({"reference": name, "error": {"message": self.message, "hints": self.hints}})
    }

    /// For programs: what became of an index that was to be pushed or changed.
    pub(super) fn part_of_index(&self, target: &Location) -> Value {
        self.with_outcome(json!({
            "reference": target,
            "changed": false,
            "tags": [],
            "entries": [],
            "skipped": [],
            "warnings": [],
        }))
    }

    /// For programs: what became of a copy.
    pub(super) fn part_of_copy(&self, target: &Location) -> Value {
        self.with_outcome(json!({"reference": target.to_string(), "changed": false, "tags": []}))
    }

    /// Adds what is known of the tags, and the error.
    fn with_outcome(&self, mut part: Value) -> Value {
        if let Some(parts) = &self.parts {
            output::merge(&mut part, (**parts).clone());
        }
        output::merge(&mut part, json!({"error": {"message": self.message, "hints": self.hints}}));
        part
    }

    /// For programs: the whole document of a command that failed.
    pub(super) fn document(&self, command: &str) -> Value {
        let known = self.document.as_ref().map(|document| (**document).clone());
        let mut document = known.unwrap_or_else(|| output::document(command, json!({})));
        let error = json!({"message": self.message, "hints": self.hints, "exitCode": self.status.code()});
        output::merge(&mut document, json!({"error": error}));
        document
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
        Self::with_hints(error.to_string(), std::iter::once(&error))
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        store::Error::from(error).into()
    }
}

impl From<spec::SpecError> for Failure {
    fn from(error: spec::SpecError) -> Self {
        Self::new(if error.problems.len() == 1 {
            error.to_string()
        } else {
            format!("the spec is not usable\n{error}")
        })
    }
}

impl From<copy::Error> for Failure {
    fn from(error: copy::Error) -> Self {
        let message = error.to_string();
        match &error {
            copy::Error::Source { reason, .. } => match &**reason {
                copy::Reason::Store(error) => Self::with_hints(message, std::iter::once(error)),
                copy::Reason::Unusable(_) => Self::new(message),
            },
            copy::Error::Publish(error) => Self::of_publishing(message, error),
        }
    }
}

impl From<assemble::Error> for Failure {
    fn from(error: assemble::Error) -> Self {
        let message = output::assemble_error_text(&error);
        match &error {
            assemble::Error::Resolve(error) => Self::with_hints(message, error.store_errors()),
            assemble::Error::Target(error) => Self::with_hints(message, std::iter::once(error)),
            assemble::Error::Publish(error) => Self::of_publishing(message, error),
            assemble::Error::Contended { written, .. } | assemble::Error::Unplanned { written, .. } => {
                Self::of_publishing(message, written)
            }
            assemble::Error::Plan(_) => Self::new(message),
        }
    }
}
