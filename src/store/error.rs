use std::fmt;

use crate::image::LayoutReference;
use crate::{layout, registry};

/// Why something in a registry or a layout did not work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// In a registry.
    #[error(transparent)]
    Registry(#[from] Box<registry::Error>),
    /// In a layout.
    #[error(transparent)]
    Layout(#[from] layout::Error),
}

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Self {
        Self::Registry(Box::new(error))
    }
}

impl Error {
    pub(super) fn layout(at: &LayoutReference, reason: impl fmt::Display) -> Self {
        Self::Layout(layout::Error { subject: at.to_string(), reason: reason.to_string(), missing: false })
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Registry(error) => &error.subject,
            Self::Layout(error) => &error.subject,
        }
    }

    /// Whether the thing does not exist, on the word of the registry or layout.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_missing(),
            Self::Layout(error) => error.missing,
        }
    }

    /// Whether nobody knows if a tag was written.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        matches!(self, Self::Registry(error) if error.is_unsettled())
    }

    /// Whether a tag did not point at what it was said to point at.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Registry(error) if matches!(error.kind, registry::ErrorKind::Changed { .. }))
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Layout(_) => None,
        }
    }
}
