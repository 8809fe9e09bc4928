use std::fmt;

/// Why something in a layout did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The layout, or the image in it, as the user spells it.
    pub subject: String,
    /// What is wrong.
    pub reason: String,
    /// The layout is there, and what was asked for is not in it.
    pub missing: bool,
}

impl Error {
    pub(super) fn new(subject: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self { subject: subject.to_string(), reason: reason.into(), missing: false }
    }

    pub(super) fn missing(subject: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self { missing: true, ..Self::new(subject, reason) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason)
    }
}

impl std::error::Error for Error {}
