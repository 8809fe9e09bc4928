use std::fmt;

use crate::image::UntrustedText;

/// Something that is wrong in a spec, or probably is, and where. Displayed as `FILE:LINE:COLUMN: MESSAGE`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file's name, `<stdin>`, or empty for arguments.
    pub file: UntrustedText,
    /// Line and column in the file, both from 1; absent for arguments.
    pub at: Option<(u64, u64)>,
    /// What is wrong, with the offending text.
    pub message: UntrustedText,
    /// What the user can do, if the message does not say it.
    pub hint: Option<Hint>,
}

/// What a user can do about a problem; a program says it in its own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// Give this variable a value.
    SetVariable(String),
    /// Let variables be filled.
    FillVariables,
    /// Make an OCI index, or leave this key out.
    UseOciForm(String),
}

/// What is wrong, before its place is known.
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
    /// A problem of arguments, which are in no file.
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

/// All that is wrong with a spec, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecError {
    /// What makes the spec unusable. Never empty.
    pub problems: Vec<Problem>,
    /// What is probably a mistake besides.
    pub warnings: Vec<Problem>,
}

impl SpecError {
    /// An error without warnings.
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems, warnings: Vec::new() }
    }

    /// The problems, each as one line with its place: `FILE:LINE:COLUMN: MESSAGE`.
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
