use std::fmt;

use crate::image::UntrustedText;

/// Maximum number of problems, and of warnings, reported for a file or a command line.
pub(super) const MAX_PROBLEMS: usize = 1_000;

/// An error or warning about a spec, with its position. Displayed as `FILE:LINE:COLUMN: MESSAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Name of the file, `<stdin>`, or empty for arguments.
    pub file: UntrustedText,
    /// Line and column in the file, both counted from 1. `None` for arguments.
    pub at: Option<(u64, u64)>,
    /// Description of the problem, with the offending text.
    pub message: UntrustedText,
    /// How to fix the problem, if the message does not say so.
    pub hint: Option<Hint>,
}

/// How to fix a problem. Each program phrases it in terms of its own options.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Give this variable a value.
    SetVariable(String),
    /// Enable the expansion of variables.
    FillVariables,
    /// Create an OCI index, or remove this key.
    UseOciForm(String),
    /// Name a target.
    NameTarget,
    /// Name images, or the files of a build.
    NameImages,
}

/// A problem without a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) message: UntrustedText,
    pub(super) hint: Option<Hint>,
}

impl<T: Into<UntrustedText>> From<T> for Mistake {
    fn from(message: T) -> Self {
        Self { message: message.into(), hint: None }
    }
}

impl Mistake {
    pub(super) fn with_hint(message: impl Into<UntrustedText>, hint: Hint) -> Self {
        Self { message: message.into(), hint: Some(hint) }
    }

    pub(super) fn at(self, file: impl Into<UntrustedText>, at: Option<(u64, u64)>) -> Problem {
        Problem { file: file.into(), at, message: self.message, hint: self.hint }
    }
}

impl Problem {
    /// Creates a problem of arguments, which have no position in a file.
    pub(crate) fn of_arguments(message: String) -> Self {
        Mistake::from(message).at("", None)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, message, .. } = self;
        match at {
            _ if file.is_empty() => message.fmt(f),
            Some((line, column)) => write!(f, "{file}:{line}:{column}: {message}"),
            None => write!(f, "{file}: {message}"),
        }
    }
}

/// All problems of a spec, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecError {
    /// Problems that make the spec unusable. Never empty.
    pub problems: Vec<Problem>,
    /// Warnings about probable mistakes.
    pub warnings: Vec<Problem>,
}

impl SpecError {
    /// Creates an error without warnings.
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems, warnings: Vec::new() }
    }

    /// Returns each problem as one line with its position: `FILE:LINE:COLUMN: MESSAGE`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(Problem::to_string)
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for SpecError {}
