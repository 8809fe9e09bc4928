use serde::Serialize;

use super::words::{problem_text, selector_text, warning_text};
use crate::assemble::{PlanError, SelectorProblem, SourceProblem};
use crate::event::Warning;
use crate::image::{Location, UntrustedText};
use crate::spec::{PlatformProblem, Problem, ProblemKind};
use crate::store;

/// One of the problems of a failure, or a warning: what is wrong and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ProblemReport {
    /// The problem, without its position and its suggestion.
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<UntrustedText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<UntrustedText>,
    /// The problem with its suggestion, without its position.
    #[serde(skip)]
    description: String,
    /// Whether the description names the file, so that a line for a person does not start with its position.
    #[serde(skip)]
    names_file: bool,
    /// Length of the text at the position that the suggestion replaces, in characters.
    #[serde(skip)]
    length: Option<u64>,
    #[serde(skip)]
    rule: Rule,
}

/// What kind of mistake a problem is. Other programs may store the names of these, so they do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::cli) enum Rule {
    Syntax,
    UnknownKey,
    Platform,
    Variable,
    Content,
    DuplicateTarget,
    UnreadableFile,
}

impl Rule {
    pub(super) const ALL: [Self; 7] = [
        Self::Syntax,
        Self::UnknownKey,
        Self::Platform,
        Self::Variable,
        Self::Content,
        Self::DuplicateTarget,
        Self::UnreadableFile,
    ];

    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownKey => "unknown-key",
            Self::Platform => "platform",
            Self::Variable => "variable",
            Self::Content => "content",
            Self::DuplicateTarget => "duplicate-target",
            Self::UnreadableFile => "unreadable-file",
        }
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Syntax => "The file is not valid YAML.",
            Self::UnknownKey => "A key is unknown or misspelled.",
            Self::Platform => "A platform is unknown or given twice.",
            Self::Variable => "A variable has no value.",
            Self::Content => "A value is missing, invalid or probably wrong.",
            Self::DuplicateTarget => "Two indexes write the same tag.",
            Self::UnreadableFile => "A file cannot be read.",
        }
    }
}

impl ProblemReport {
    pub(in crate::cli) fn new(rule: Rule, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            description: message.clone(),
            names_file: true,
            message,
            file: None,
            line: None,
            column: None,
            reference: None,
            suggestion: None,
            length: None,
            rule,
        }
    }

    /// Adds the file that the message already names.
    pub(in crate::cli) fn of_file(self, file: &UntrustedText) -> Self {
        Self { file: Some(file.clone()), ..self }
    }

    /// Adds the file, which the message does not name.
    pub(in crate::cli) fn in_file(self, file: &UntrustedText) -> Self {
        Self { names_file: false, ..self.of_file(file) }
    }

    pub(in crate::cli) fn with_reference(self, reference: impl ToString) -> Self {
        Self { reference: Some(reference.to_string()), ..self }
    }

    /// Returns the report of an error about `reference`, or about the registry, host or blob that it names.
    pub(in crate::cli) fn of_error(error: &store::Error, reference: impl ToString) -> Self {
        let reference = error.reference().map_or_else(|| reference.to_string(), str::to_owned);
        Self::new(Rule::Content, error.to_string()).with_reference(reference)
    }

    /// Returns the report of a selector that does not match exactly one image.
    pub(super) fn of_selector(problem: &SelectorProblem) -> Self {
        let suggestion = problem.suggestion().map(UntrustedText::from);
        let description = selector_text(problem);
        let message = match &suggestion {
            Some(_) => problem.message(),
            None => description.clone(),
        };
        Self { description, suggestion, ..Self::new(Rule::Content, message) }
    }

    /// Returns the report of a problem of a platform in a spec.
    pub(in crate::cli) fn of_platform(problem: &PlatformProblem, target: &Location, file: &UntrustedText) -> Self {
        let report = Self::from(&problem.problem);
        let message = format!("{target}: {}", report.message);
        let description = format!("{target}: {}", report.description);
        Self { message, description, ..report }.in_file(file).with_reference(&problem.location)
    }

    /// Returns the line for a person: position, message and suggestion.
    pub(in crate::cli) fn text(&self) -> String {
        let description = &self.description;
        match (&self.file, self.position()) {
            (Some(file), Some((line, column))) => format!("{file}:{line}:{column}: {description}"),
            (Some(file), None) if !self.names_file => format!("{file}: {description}"),
            _ => description.clone(),
        }
    }

    /// Returns the text for a message that is shown at the problem's position in the file.
    pub(super) fn text_at_position(&self) -> String {
        if self.path().is_some() { self.description.clone() } else { self.text() }
    }

    /// Changes the texts, for example to mask secrets.
    pub(in crate::cli) fn map_text(self, change: impl Fn(&str) -> String) -> Self {
        let untrusted = |text: UntrustedText| UntrustedText::from(change(text.as_str()));
        Self {
            message: change(&self.message),
            description: change(&self.description),
            file: self.file.map(untrusted),
            reference: self.reference.as_deref().map(&change),
            suggestion: self.suggestion.map(untrusted),
            ..self
        }
    }

    /// Returns the path of the file; `None` without a file, and for standard input.
    pub(super) fn path(&self) -> Option<&str> {
        self.file.as_deref().filter(|file| *file != STDIN)
    }

    /// Whether the problem is in a file with a path.
    pub(in crate::cli) fn has_path(&self) -> bool {
        self.path().is_some()
    }

    /// Returns line and column, both from 1.
    pub(super) fn position(&self) -> Option<(u64, u64)> {
        self.line.zip(self.column)
    }

    /// Returns the replacement for the text at the position, with the length of that text in characters.
    pub(super) fn replacement(&self) -> Option<(&str, u64)> {
        self.suggestion.as_deref().zip(self.length)
    }

    pub(super) fn rule(&self) -> Rule {
        self.rule
    }
}

/// The name of standard input in messages.
pub(in crate::cli) const STDIN: &str = "<stdin>";

impl From<&Problem> for ProblemReport {
    fn from(problem: &Problem) -> Self {
        let rule = match problem.kind {
            ProblemKind::Syntax => Rule::Syntax,
            ProblemKind::UnknownKey => Rule::UnknownKey,
            ProblemKind::Platform => Rule::Platform,
            ProblemKind::Variable => Rule::Variable,
            _ => Rule::Content,
        };
        let described = Problem { file: UntrustedText::default(), ..problem.clone() };
        let bare = Problem { suggestion: None, ..described.clone() };
        Self {
            description: problem_text(&described),
            names_file: problem.file.is_empty(),
            file: Some(problem.file.clone()).filter(|file| !file.is_empty()),
            line: problem.at.map(|(line, _)| line),
            column: problem.at.map(|(_, column)| column),
            suggestion: problem.suggestion.clone(),
            length: problem.length,
            ..Self::new(rule, problem_text(&bare))
        }
    }
}

impl From<&Warning> for ProblemReport {
    fn from(warning: &Warning) -> Self {
        match warning {
            Warning::Spec(problem) => problem.into(),
            warning => Self::new(Rule::Content, warning_text(warning)),
        }
    }
}

impl From<&SourceProblem> for ProblemReport {
    fn from(problem: &SourceProblem) -> Self {
        Self {
            description: problem.hit().message,
            reference: problem.source.as_ref().map(ToString::to_string),
            suggestion: problem.suggestion().cloned(),
            ..Self::new(Rule::Content, problem.message())
        }
    }
}

/// Returns the problems of an error that may have several.
pub(in crate::cli) fn plan_problems(error: &PlanError) -> Vec<ProblemReport> {
    match error {
        PlanError::Strict { warnings, .. } => warnings.iter().map(ProblemReport::from).collect(),
        PlanError::Selectors { target, problems } => {
            let report = |problem| ProblemReport::of_selector(problem).with_reference(target);
            problems.iter().map(report).collect()
        }
        PlanError::SamePlatform { target, .. } | PlanError::Unamendable { target, .. } => {
            let report = |reason| ProblemReport::new(Rule::Content, reason).with_reference(target);
            error.reasons().into_iter().map(report).collect()
        }
        _ => Vec::new(),
    }
}
