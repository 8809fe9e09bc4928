use std::{fmt, io};

use super::cancel_check::is_stopped;
use crate::image::UntrustedText;
use crate::memory::OverLimit;

/// Why something in a layout did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// The layout, or the image in it, as the user spells it.
    pub subject: String,
    /// What is wrong.
    pub reason: UntrustedText,
    /// What it comes from.
    pub kind: ErrorKind,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The layout is there, and what was asked for is not in it.
    Missing,
    /// Its index.json lists it, and it is not in it.
    Lost,
    /// What is there is not what it is said to be.
    Wrong,
    /// Nor has it as many bytes.
    Size {
        /// Bytes named by the descriptor.
        expected: u64,
        /// Bytes that are there.
        actual: u64,
    },
    /// The run was stopped before it was done.
    Stopped,
    /// It does not fit into the memory that the run may use for what it reads.
    OverMemory,
    /// Anything else, such as a folder that cannot be read.
    Other,
}

impl Error {
    /// One of no kind of its own.
    pub fn new(subject: impl fmt::Display, reason: impl Into<UntrustedText>) -> Self {
        Self { subject: subject.to_string(), reason: reason.into(), kind: ErrorKind::Other }
    }

    /// An error of writing, in the system's words.
    pub(super) fn unwritten(subject: impl fmt::Display, error: &io::Error) -> Self {
        let kind = if is_stopped(error) { ErrorKind::Stopped } else { ErrorKind::Other };
        Self { kind, ..Self::new(subject, format!("it cannot be written: {error}")) }
    }

    pub(super) fn missing(subject: impl fmt::Display, reason: impl Into<UntrustedText>) -> Self {
        Self { kind: ErrorKind::Missing, ..Self::new(subject, reason) }
    }

    pub(super) fn over_memory(subject: impl fmt::Display, error: OverLimit) -> Self {
        Self { kind: ErrorKind::OverMemory, ..Self::new(subject, format!("not read: {error}")) }
    }

    /// The same of what index.json lists.
    pub(super) fn of_listed(self) -> Self {
        let kind = if self.kind == ErrorKind::Missing { ErrorKind::Lost } else { self.kind };
        Self { kind, ..self }
    }

    pub(super) fn size(subject: impl fmt::Display, expected: u64, actual: u64) -> Self {
        let reason = format!("it has {actual} bytes, its descriptor says {expected}");
        Self { kind: ErrorKind::Size { expected, actual }, ..Self::new(subject, reason) }
    }

    pub(super) fn wrong(subject: impl fmt::Display, reason: impl Into<UntrustedText>) -> Self {
        Self { kind: ErrorKind::Wrong, ..Self::new(subject, reason) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason)
    }
}

impl std::error::Error for Error {}
