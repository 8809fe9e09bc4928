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
}

impl Problem {
    /// A problem of arguments, which are in no file.
    pub(crate) fn of_arguments(message: String) -> Self {
        Self { file: UntrustedText::default(), at: None, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, message } = self;
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
