use std::{fmt, io};

use super::cancel_check::is_stopped;
use crate::image::UntrustedText;
use crate::memory::OverLimit;

/// The error of an operation on a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// The layout, or the image in it, as the user wrote it.
    pub subject: String,
    /// Why the operation failed.
    pub reason: UntrustedText,
    /// The kind of failure.
    pub kind: ErrorKind,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The layout exists but does not contain the requested image or blob.
    Missing,
    /// `index.json` lists a manifest that the layout does not contain.
    Lost,
    /// The content does not match its digest, its descriptor or its media type.
    Wrong,
    /// The content does not have the size that its descriptor declares.
    Size {
        /// Size in the descriptor, in bytes.
        expected: u64,
        /// Size of the content, in bytes.
        actual: u64,
    },
    /// The run was stopped before the operation finished.
    Stopped,
    /// The content exceeds the run's memory budget.
    OverMemory,
    /// Any other failure, such as an unreadable folder.
    Other,
}

impl Error {
    /// Creates an error of kind [`ErrorKind::Other`].
    pub fn new(subject: impl fmt::Display, reason: impl Into<UntrustedText>) -> Self {
        Self { subject: subject.to_string(), reason: reason.into(), kind: ErrorKind::Other }
    }

    /// Creates the error of a failed read, with the system's message.
    pub(super) fn unread(subject: impl fmt::Display, error: &io::Error) -> Self {
        let kind = if is_stopped(error) { ErrorKind::Stopped } else { ErrorKind::Other };
        Self { kind, ..Self::new(subject, error.to_string()) }
    }

    /// Creates the error of a failed write, with the system's message.
    pub(super) fn unwritten(subject: impl fmt::Display, error: &io::Error) -> Self {
        let kind = if is_stopped(error) { ErrorKind::Stopped } else { ErrorKind::Other };
        Self { kind, ..Self::new(subject, format!("cannot write it: {error}")) }
    }

    pub(crate) fn missing(subject: impl fmt::Display, reason: impl Into<UntrustedText>) -> Self {
        Self { kind: ErrorKind::Missing, ..Self::new(subject, reason) }
    }

    pub(super) fn over_memory(subject: impl fmt::Display, error: OverLimit) -> Self {
        Self { kind: ErrorKind::OverMemory, ..Self::new(subject, format!("not read: {error}")) }
    }

    /// Turns `Missing` into `Lost`, for content that `index.json` lists.
    pub(super) fn into_lost(self) -> Self {
        let kind = if self.kind == ErrorKind::Missing { ErrorKind::Lost } else { self.kind };
        Self { kind, ..self }
    }

    pub(super) fn size(subject: impl fmt::Display, expected: u64, actual: u64) -> Self {
        let reason = format!("it has {actual} bytes, but its descriptor declares {expected}");
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
