use std::fmt;

use crate::image::{Digest, ManifestError, UntrustedText};
use crate::registry::{Hint, RetryGroup, StopReason};
use crate::{layout, registry};

/// Why something in a registry or a layout did not work.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// In a registry.
    #[error(transparent)]
    Registry(Box<registry::Error>),
    /// In a layout.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// It can be read, and does not hold what was asked for.
    #[error("{subject}: {reason}")]
    Unsuitable {
        /// What was read, as the user spells it.
        subject: String,
        /// What it holds instead.
        reason: UntrustedText,
    },
    /// The bytes of a blob are not those that its descriptor names.
    #[error("{subject}: {reason}")]
    Content {
        /// The blob.
        subject: String,
        /// What is wrong with its bytes.
        reason: UntrustedText,
        /// Whether they may be right when they are read again.
        is_transient: bool,
    },
    /// A tag does not point at what its precondition says; it was not written.
    #[error("{subject} points at {}, and was to point at {}: not written", name(.current), name(.expected))]
    Changed {
        /// The tag.
        subject: String,
        /// What it must point at; `None` for a tag that must not exist.
        expected: Option<Digest>,
        /// What it points at; `None` for a tag that does not exist.
        current: Option<Digest>,
    },
    /// It was not done, because the run was stopped.
    #[error("{}", registry::Error::stopped(.subject.as_str(), *.reason))]
    Stopped {
        /// What was not done.
        subject: String,
        /// Why the run was stopped.
        reason: StopReason,
    },
}

fn name(digest: &Option<Digest>) -> String {
    digest.as_ref().map_or("nothing".into(), ToString::to_string)
}

impl From<registry::Error> for Error {
    /// An error of the store that passed through the client comes out unchanged, unless the client gave up on it.
    fn from(error: registry::Error) -> Self {
        let own = error.caller::<Self>().filter(|_| !error.is_given_up());
        own.unwrap_or_else(|| Self::Registry(Box::new(error)))
    }
}

impl Error {
    /// An error for the client to pass on.
    pub(super) fn into_registry(self) -> registry::Error {
        let is_transient = self.is_transient();
        match self {
            Self::Registry(error) => *error,
            error => registry::Error::of_caller(error, is_transient),
        }
    }

    /// Whether another try may help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_transient(),
            Self::Content { is_transient, .. } => *is_transient,
            Self::Layout(_) | Self::Unsuitable { .. } | Self::Changed { .. } | Self::Stopped { .. } => false,
        }
    }

    /// What can be read and does not hold what was asked for.
    pub(crate) fn unsuitable(subject: impl fmt::Display, reason: impl Into<UntrustedText>) -> Self {
        Self::Unsuitable { subject: subject.to_string(), reason: reason.into() }
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Registry(error) => &error.subject,
            Self::Layout(error) => &error.subject,
            Self::Unsuitable { subject, .. }
            | Self::Content { subject, .. }
            | Self::Changed { subject, .. }
            | Self::Stopped { subject, .. } => subject,
        }
    }

    /// The message without what it is about.
    #[must_use]
    pub fn reason(&self) -> String {
        let text = self.to_string();
        text.strip_prefix(self.subject()).unwrap_or(&text).trim_start_matches([':', ' ']).to_owned()
    }

    /// Whether the thing does not exist, on the word of the registry or layout.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_missing(),
            Self::Layout(error) => matches!(error.kind, layout::ErrorKind::Missing | layout::ErrorKind::Lost),
            _ => false,
        }
    }

    /// Whether a blob or a manifest that a manifest names is missing; see [`Self::is_missing`].
    #[must_use]
    pub fn is_missing_content(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_missing_content(),
            _ => self.is_missing(),
        }
    }

    /// Whether a layout lists it, and does not have it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Layout(error) if error.kind == layout::ErrorKind::Lost)
    }

    /// Whether what is there is not what it is said to be: other bytes, or none that make sense.
    #[must_use]
    pub fn is_wrong_content(&self) -> bool {
        match self {
            Self::Registry(error) => {
                matches!(error.kind, registry::ErrorKind::Digest { .. } | registry::ErrorKind::Manifest(_))
            }
            Self::Layout(error) => error.kind == layout::ErrorKind::Wrong,
            _ => false,
        }
    }

    /// Whether it is a manifest of a type that cannot refer to other manifests: neither an image nor an index.
    #[must_use]
    pub fn is_of_other_type(&self) -> bool {
        matches!(self, Self::Registry(error) if matches!(
            error.kind,
            registry::ErrorKind::Manifest(ManifestError::Schema1 | ManifestError::MediaType(_))
        ))
    }

    /// The bytes that were named and those that there are, where these differ.
    #[must_use]
    pub fn sizes(&self) -> Option<(u64, u64)> {
        match self {
            Self::Registry(error) => match error.kind {
                registry::ErrorKind::Size { expected, actual } => Some((expected, actual)),
                _ => None,
            },
            Self::Layout(error) => match error.kind {
                layout::ErrorKind::Size { expected, actual } => Some((expected, actual)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the failure of another caller, with which this job shares work, is this job's as well: not where it was
    /// given up for the other's sake.
    pub(crate) fn counts(&self) -> bool {
        !matches!(self, Self::Registry(error) if error.is_given_up()) || RetryGroup::has_failed()
    }

    /// Whether it was not done because the run was to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        match self {
            Self::Registry(error) => matches!(error.kind, registry::ErrorKind::Stopped(_)),
            error => matches!(error, Self::Stopped { .. }),
        }
    }

    /// Whether it does not fit into the memory that the run may use for what it reads.
    #[must_use]
    pub fn is_over_memory(&self) -> bool {
        match self {
            Self::Registry(error) => matches!(error.kind, registry::ErrorKind::OverMemory { .. }),
            Self::Layout(error) => error.kind == layout::ErrorKind::OverMemory,
            _ => false,
        }
    }

    /// Whether the registry answered that it does not support the request, whoever sends it.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Registry(error) if error.is_unsupported())
    }

    /// Whether it is unknown if a tag was written.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Registry(error) if error.is_outcome_unknown())
    }

    /// Whether a tag did not point at what it was said to point at.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Registry(error) => error.hint(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_was_given_up_does_not_count_for_another_job() {
        let content =
            || Error::Content { subject: "app@sha256:a".into(), reason: "cut off".into(), is_transient: true };
        let passed = Error::from(content().into_registry());
        assert!(matches!(passed, Error::Content { .. }) && passed.counts());
        let given_up = Error::from(content().into_registry().given_up(2));
        assert!(!given_up.counts(), "{given_up}");
        assert!(given_up.to_string().contains("cut off"), "{given_up}");
    }
}
