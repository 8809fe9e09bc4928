use std::fmt;

use super::causes::Hit;
use crate::image::{Digest, ManifestError, UntrustedText};
use crate::registry::{Hint, RetryGroup, StopReason};
use crate::{layout, registry};

/// Why an operation on a registry or a layout failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry failed.
    #[error(transparent)]
    Registry(Box<registry::Error>),
    /// The layout failed.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// The reference was read but does not contain the requested content.
    #[error("{subject}: {reason}")]
    Unsuitable {
        /// The reference, as the user spells it.
        subject: String,
        /// Why its content is unsuitable.
        reason: UntrustedText,
    },
    /// The bytes of a blob do not match its descriptor.
    #[error("{subject}: {reason}")]
    Content {
        /// The blob.
        subject: String,
        /// How the bytes differ.
        reason: UntrustedText,
        /// Whether the bytes may be right when they are read again.
        is_transient: bool,
    },
    /// A tag does not meet its precondition and was not written.
    #[error("{subject} {}, but must {}: not written", current_state(.current), required_state(.expected))]
    Changed {
        /// The tag.
        subject: String,
        /// The digest that the tag must point at; `None` if the tag must not exist.
        expected: Option<Digest>,
        /// The digest that the tag points at; `None` if the tag does not exist.
        current: Option<Digest>,
    },
    /// A tag does not meet its precondition, but an earlier attempt whose response was lost may have written it.
    #[error("{subject} {}, but must {}; an earlier attempt to write it may have succeeded", current_state(.current), required_state(.expected))]
    Overtaken {
        /// The tag.
        subject: String,
        /// The digest that the tag must point at; `None` if the tag must not exist.
        expected: Option<Digest>,
        /// The digest that the tag points at; `None` if the tag does not exist.
        current: Option<Digest>,
    },
    /// The run was stopped before the operation completed.
    #[error("{}", registry::Error::stopped(.subject.as_str(), *.reason))]
    Stopped {
        /// The reference or blob of the operation.
        subject: String,
        /// Why the run was stopped.
        reason: StopReason,
    },
}

fn current_state(digest: &Option<Digest>) -> String {
    digest.as_ref().map_or("does not exist".into(), |digest| format!("points at {digest}"))
}

fn required_state(digest: &Option<Digest>) -> String {
    digest.as_ref().map_or("not exist".into(), |digest| format!("point at {digest}"))
}

impl From<registry::Error> for Error {
    /// Unwraps an error of the store that passed through the client, unless the client gave up on the request.
    fn from(error: registry::Error) -> Self {
        match error.caller::<Self>().filter(|_| !error.is_given_up()) {
            Some(store_error) if error.is_outcome_unknown() => store_error.after_lost_response(),
            Some(store_error) => store_error,
            None => Self::Registry(Box::new(error)),
        }
    }
}

impl Error {
    /// Wraps an error of the store to pass it through the client.
    pub(super) fn into_registry(self) -> registry::Error {
        let is_transient = self.is_transient();
        match self {
            Self::Registry(error) => *error,
            error => registry::Error::from_caller(error, is_transient),
        }
    }

    /// Whether a retry may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_transient(),
            Self::Content { is_transient, .. } => *is_transient,
            Self::Layout(_)
            | Self::Unsuitable { .. }
            | Self::Changed { .. }
            | Self::Overtaken { .. }
            | Self::Stopped { .. } => false,
        }
    }

    /// Returns the error after an earlier attempt of the same write whose response was lost.
    pub(crate) fn after_lost_response(self) -> Self {
        match self {
            Self::Changed { subject, expected, current } => Self::Overtaken { subject, expected, current },
            error => error,
        }
    }

    /// Returns an [`Error::Unsuitable`].
    pub(crate) fn unsuitable(subject: impl fmt::Display, reason: impl Into<UntrustedText>) -> Self {
        Self::Unsuitable { subject: subject.to_string(), reason: reason.into() }
    }

    /// Returns the reference or blob that the error is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Registry(error) => &error.subject,
            Self::Layout(error) => &error.subject,
            Self::Unsuitable { subject, .. }
            | Self::Content { subject, .. }
            | Self::Changed { subject, .. }
            | Self::Overtaken { subject, .. }
            | Self::Stopped { subject, .. } => subject,
        }
    }

    /// Returns the message without its subject.
    #[must_use]
    pub fn reason(&self) -> String {
        let text = self.to_string();
        text.strip_prefix(self.subject()).unwrap_or(&text).trim_start_matches([':', ' ']).to_owned()
    }

    /// Returns the message without the reference and the path of the request that failed, so that errors with the same
    /// cause have the same text.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Registry(error) => error.cause(),
            error => error.reason(),
        }
    }

    /// Returns the reference or blob that the error is about; `None` if it is about a registry as a whole.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        match self {
            Self::Registry(error) => error.reference(),
            error => Some(error.subject()),
        }
    }

    /// Whether the failure is one of a registry, its host or the credentials for it, so that other references of the
    /// registry fail in the same way.
    #[must_use]
    pub fn is_of_registry(&self) -> bool {
        matches!(self, Self::Registry(error) if error.is_of_registry())
    }

    /// Returns the error for a list of failures. `name` is what it hit, if the error names no reference.
    pub(crate) fn hit(&self, name: impl fmt::Display) -> Hit {
        let cause = self.cause();
        match self.reference() {
            Some(reference) => Hit { cause, name: reference.to_owned(), message: self.to_string() },
            None => Hit { message: format!("{name}: {cause}"), cause, name: name.to_string() },
        }
    }

    /// Whether the registry or layout reports that the reference does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_missing(),
            Self::Layout(error) => matches!(error.kind, layout::ErrorKind::Missing | layout::ErrorKind::Lost),
            _ => false,
        }
    }

    /// Whether a blob or manifest that a manifest refers to is missing; see [`Self::is_missing`].
    #[must_use]
    pub fn is_missing_content(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_missing_content(),
            _ => self.is_missing(),
        }
    }

    /// Whether a layout lists the manifest but does not have it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Layout(error) if error.kind == layout::ErrorKind::Lost)
    }

    /// Whether the content does not match its digest or cannot be parsed.
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

    /// Whether the content itself is at fault: it is missing or does not match its descriptor. False for an error of the
    /// registry or network, after which the content may be read later.
    pub(crate) fn is_defect(&self) -> bool {
        self.is_missing_content() || self.sizes().is_some() || self.is_wrong_content()
    }

    /// Whether the manifest is neither an image nor an index, and so cannot refer to other manifests.
    #[must_use]
    pub fn is_of_other_type(&self) -> bool {
        matches!(self, Self::Registry(error) if matches!(
            error.kind,
            registry::ErrorKind::Manifest(ManifestError::Schema1 | ManifestError::MediaType(_))
        ))
    }

    /// Returns the size in the descriptor and the actual size, if the error is that they differ.
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

    /// Whether this error also applies to the current job, which shares the work of the job that got it. If that job
    /// stopped retrying because it had already failed, the error applies only if the current job has failed as well.
    pub(crate) fn is_shareable(&self) -> bool {
        !matches!(self, Self::Registry(error) if error.is_given_up()) || RetryGroup::has_failed()
    }

    /// Whether the manifest is one of Docker's schema 1, which only `inspect` reads.
    pub(crate) fn is_schema_1(&self) -> bool {
        matches!(self, Self::Registry(error) if matches!(error.kind, registry::ErrorKind::Manifest(ManifestError::Schema1)))
    }

    /// Whether the operation did not complete because the run was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        match self {
            Self::Registry(error) => matches!(error.kind, registry::ErrorKind::Stopped(_)),
            error => matches!(error, Self::Stopped { .. }),
        }
    }

    /// Whether the content exceeds the memory that the run may use.
    #[must_use]
    pub fn is_over_memory(&self) -> bool {
        match self {
            Self::Registry(error) => matches!(error.kind, registry::ErrorKind::OverMemory { .. }),
            Self::Layout(error) => error.kind == layout::ErrorKind::OverMemory,
            _ => false,
        }
    }

    /// Whether the registry does not support the request for any client.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Registry(error) if error.is_unsupported())
    }

    /// Whether it is unknown if the registry wrote the tag.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_outcome_unknown(),
            error => matches!(error, Self::Overtaken { .. }),
        }
    }

    /// Whether a tag did not meet its precondition, and was not written.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Changed { .. })
    }

    /// Whether another writer changed a tag before it was written, so that the write can be repeated on the tag's current
    /// content.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Overtaken { .. })
    }

    /// Returns a hint on what the user can do about the error.
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
    fn an_error_that_the_client_gave_up_on_is_not_shared_with_another_job() {
        let content =
            || Error::Content { subject: "app@sha256:a".into(), reason: "cut off".into(), is_transient: true };
        let passed = Error::from(content().into_registry());
        assert!(matches!(passed, Error::Content { .. }) && passed.is_shareable());
        let given_up = Error::from(content().into_registry().given_up(2));
        assert!(!given_up.is_shareable(), "{given_up}");
        assert!(given_up.to_string().contains("cut off"), "{given_up}");
    }
}
