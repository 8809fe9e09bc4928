use std::fmt;

use crate::image::UntrustedText;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Line and column in the file, both from 1; absent for arguments.
    pub at: Option<(u64, u64)>,
    /// What is wrong, with the offending text.
    pub message: UntrustedText,
}

/// All that is wrong with a spec, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecError {
    /// The file's name, `<stdin>`, or empty for arguments.
    pub file: UntrustedText,
    /// Never empty.
    pub problems: Vec<Problem>,
}

impl SpecError {
    /// The problems, each as one line with its place: `FILE:LINE:COLUMN: MESSAGE`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let file = &self.file;
        self.problems.iter().map(move |Problem { at, message }| match at {
            _ if file.is_empty() => message.to_string(),
            Some((line, column)) => format!("{file}:{line}:{column}: {message}"),
            None => format!("{file}: {message}"),
        })
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for SpecError {}
