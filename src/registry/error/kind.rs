use std::fmt;
use std::sync::Arc;

use super::denied::{Denial, Denied};
use super::error_response::ErrorResponse;
use super::hint::Hint;
use super::stop_reason::StopReason;
use crate::image::{Digest, ManifestError, UntrustedText};
use crate::memory::OverLimit;

/// The kinds of [`Error`](super::Error).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The registry sent an error response.
    Rejected(Box<ErrorResponse>),
    /// The host to which the registry redirected sent an error response.
    RedirectTarget {
        /// The host that sent the error response.
        host: String,
        /// The error response.
        response: Box<ErrorResponse>,
    },
    /// No complete response was received: name resolution, the connection or TLS failed, or the body was cut off.
    Transport {
        /// Method and path of the request; may be empty.
        request: String,
        /// What failed.
        reason: UntrustedText,
        /// Whether the request certainly did not reach the server.
        unsent: bool,
    },
    /// The body exceeds the size limit.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Reading the body would exceed the memory limit of the run.
    OverMemory {
        /// The limit in bytes.
        limit: usize,
    },
    /// The received bytes do not match the expected digest.
    Digest {
        /// The expected digest.
        expected: Digest,
        /// The digest of the received bytes.
        actual: Digest,
        /// The source of the expected digest, such as `descriptor`.
        named_by: &'static str,
    },
    /// The received bytes do not have the size in the descriptor.
    Size {
        /// Bytes declared by the descriptor.
        expected: u64,
        /// Bytes received.
        actual: u64,
    },
    /// The bytes are not a manifest, or are a manifest of an unsupported kind.
    Manifest(ManifestError),
    /// The response violates the protocol.
    Protocol(UntrustedText),
    /// The caller failed: its content cannot be read, or its precondition is not met.
    Caller(Arc<dyn std::error::Error + Send + Sync>),
    /// The run was stopped before the request completed.
    Stopped(StopReason),
    /// The request was not sent because another part of the job had failed.
    NotNeeded,
    /// Sign-in failed before the registry or its token service could check the credentials.
    SignIn(UntrustedText),
    /// The registry or its token service denied the request, with credentials or without.
    Denied(Box<Denied>),
    /// The tag points at another digest, and the registry refuses to move it.
    Immutable {
        /// The digest that the tag points at.
        current: Digest,
        /// The digest that was pushed to the tag.
        requested: Digest,
        /// The error response.
        response: Box<ErrorResponse>,
    },
    /// A conditional write was not sent, because too much time had passed since its precondition was checked.
    PreconditionStale,
    /// Writing a tag failed with this error, and the tag may have been written, or may be written later.
    OutcomeUnknown(Box<ErrorKind>),
}

impl From<OverLimit> for ErrorKind {
    fn from(OverLimit { limit }: OverLimit) -> Self {
        Self::OverMemory { limit }
    }
}

impl ErrorKind {
    /// Suggests what the user can do.
    pub(super) fn hint(&self) -> Option<Hint> {
        match self {
            Self::Denied(denied) => denied.hint(),
            Self::Rejected(response) => response.hint(),
            Self::OutcomeUnknown(kind) => kind.hint(),
            Self::Immutable { .. } => Some(Hint::UseOtherTag),
            _ => None,
        }
    }

    /// Returns the kind without the path of the request, so that errors of several references with one cause have the same text.
    pub(super) fn without_path(&self) -> Self {
        match self {
            Self::Rejected(response) => Self::Rejected(response.without_path().into()),
            Self::RedirectTarget { host, response } => {
                Self::RedirectTarget { host: host.clone(), response: response.without_path().into() }
            }
            Self::Denied(denied) => {
                Self::Denied(Denied { response: denied.response.without_path(), ..(**denied).clone() }.into())
            }
            Self::Transport { reason, unsent, .. } => {
                Self::Transport { request: String::new(), reason: reason.clone(), unsent: *unsent }
            }
            Self::OutcomeUnknown(kind) => Self::OutcomeUnknown(kind.without_path().into()),
            kind => kind.clone(),
        }
    }

    /// Whether the failure is one of the registry, its host or the credentials for it, and not of a single reference.
    pub(super) fn is_of_registry(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::SignIn(_) => true,
            Self::Denied(denied) => matches!(denied.denial, Denial::NoCredentials | Denial::Refused { .. }),
            Self::Rejected(response) => response.status == 429 || response.status >= 500,
            _ => false,
        }
    }

    /// Writes the part of the message after the subject.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(_) | Self::Rejected(_) | Self::RedirectTarget { .. } | Self::Immutable { .. } => {
                self.write_refusal(f)
            }
            Self::Digest { .. } | Self::Size { .. } => self.write_mismatch(f),
            Self::Transport { request, reason, .. } if request.is_empty() => write!(f, ": no response: {reason}"),
            Self::Transport { request, reason, .. } => write!(f, ": no response to {request}: {reason}"),
            Self::TooLarge { limit } => write!(f, ": larger than the limit of {limit} bytes"),
            Self::OverMemory { limit } => write!(f, ": not read: {}", OverLimit { limit: *limit }),
            Self::Manifest(error) => write!(f, ": {error}"),
            Self::Protocol(reason) => write!(f, ": {reason}"),
            Self::Caller(cause) => fmt::Display::fmt(cause, f),
            Self::Stopped(StopReason::Signal(_)) => f.write_str(": not completed: interrupted"),
            Self::Stopped(StopReason::Deadline) => f.write_str(": not completed: the deadline has passed"),
            Self::NotNeeded => Ok(()),
            Self::SignIn(reason) => write!(f, ": sign-in failed: {reason}"),
            Self::PreconditionStale => f.write_str(
                ": the write could not be sent soon enough after reading the tag: too many requests in flight",
            ),
            Self::OutcomeUnknown(kind) => {
                match &**kind {
                    Self::Stopped(_) => f.write_str(": interrupted while reading the tag back")?,
                    kind => kind.write(f)?,
                }
                f.write_str("; it is unknown whether the tag was written")
            }
        }
    }

    /// Writes an error response.
    fn write_refusal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => write!(f, ": {denied}"),
            Self::Rejected(response) if response.is_missing() => write!(f, " not found {response}"),
            Self::Rejected(response) => write!(f, ": refused by the registry {response}"),
            Self::RedirectTarget { host, response } => {
                write!(f, ": refused at {host}, to which the registry redirects {response}")
            }
            Self::Immutable { current, requested, response } => {
                write!(f, " points at {current} and the registry refuses to move it to {requested} {response}")
            }
            _ => Ok(()),
        }
    }

    /// Writes the actual and the expected digest or size.
    fn write_mismatch(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest { expected, actual, named_by } => {
                write!(f, ": digest mismatch: received {actual}, expected {expected} according to the {named_by}")
            }
            Self::Size { expected, actual } => {
                write!(f, ": size mismatch: received {actual} bytes, expected {expected} according to the descriptor")
            }
            _ => Ok(()),
        }
    }
}

/// Shows the message of an [`Error`](super::Error) of this kind, without its subject.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct WithSeparator<'a>(&'a ErrorKind);
        impl fmt::Display for WithSeparator<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write(f)
            }
        }
        f.write_str(WithSeparator(self).to_string().trim_start_matches([':', ' ']))
    }
}

impl std::error::Error for ErrorKind {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Manifest(error) => Some(error),
            Self::OutcomeUnknown(kind) => Some(&**kind),
            Self::Caller(cause) => Some(&**cause),
            _ => None,
        }
    }
}
