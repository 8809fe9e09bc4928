use std::fmt;
use std::sync::Arc;

use super::denied::Denied;
use super::error_response::ErrorResponse;
use super::hint::Hint;
use super::stop_reason::StopReason;
use crate::image::{Digest, ManifestError, UntrustedText};
use crate::memory::OverLimit;

/// The kinds of [`Error`](super::Error). New kinds may be added.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The registry answered with an error.
    Rejected(Box<ErrorResponse>),
    /// The host to which the registry redirects answered with an error.
    RedirectTarget {
        /// That host.
        host: String,
        /// Its answer.
        response: Box<ErrorResponse>,
    },
    /// No answer: name, connection, certificate, or a body that broke off.
    Transport {
        /// Method and path of the request; may be empty.
        request: String,
        /// What failed.
        reason: UntrustedText,
        /// The request did not get there.
        unsent: bool,
    },
    /// The body is longer than is read.
    TooLarge {
        /// Bytes that are read at most.
        limit: u64,
    },
    /// The run would keep more in memory than it may use.
    OverMemory {
        /// Bytes that it may use.
        limit: usize,
    },
    /// The bytes have another digest than the one that was named.
    Digest {
        /// What they should hash to.
        expected: Digest,
        /// What they hash to.
        actual: Digest,
        /// What named that digest, such as `descriptor`.
        named_by: &'static str,
    },
    /// The length is not the one that was named.
    Size {
        /// Bytes named by the descriptor.
        expected: u64,
        /// Bytes received.
        actual: u64,
    },
    /// The bytes are not a manifest, or one that is not supported.
    Manifest(ManifestError),
    /// An answer that breaks the protocol.
    Protocol(UntrustedText),
    /// The caller's own: what it sends cannot be read, or its precondition is not met.
    Caller(Arc<dyn std::error::Error + Send + Sync>),
    /// It was not done, because the run was stopped.
    Stopped(StopReason),
    /// It was not sent, because another part of the job had failed.
    NotNeeded,
    /// Signing in failed before the registry or its token service could judge.
    SignIn(UntrustedText),
    /// The registry or its token service does not allow this with these credentials, or without any.
    Denied(Box<Denied>),
    /// The tag points at something else, and the registry does not let it move.
    Immutable {
        /// What the tag points at.
        current: Digest,
        /// What it should have pointed at.
        wanted: Digest,
        /// The registry's answer.
        response: Box<ErrorResponse>,
    },
    /// A write that had to follow a read at once could not be sent in time, and was not sent.
    PreconditionStale,
    /// Writing a tag failed with this, and it is not known whether the tag was written, or will be.
    OutcomeUnknown(Box<ErrorKind>),
}

impl From<OverLimit> for ErrorKind {
    fn from(OverLimit { limit }: OverLimit) -> Self {
        Self::OverMemory { limit }
    }
}

impl ErrorKind {
    /// What the user can do about it.
    pub(super) fn hint(&self) -> Option<Hint> {
        match self {
            Self::Denied(denied) => denied.hint(),
            Self::Rejected(response) => response.hint(),
            Self::OutcomeUnknown(kind) => kind.hint(),
            Self::Immutable { .. } => Some(Hint::UseOtherTag),
            _ => None,
        }
    }

    /// Writes what follows the subject.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(_) | Self::Rejected(_) | Self::RedirectTarget { .. } | Self::Immutable { .. } => {
                self.write_refusal(f)
            }
            Self::Digest { .. } | Self::Size { .. } => self.write_difference(f),
            Self::Transport { request, reason, .. } if request.is_empty() => write!(f, ": no answer: {reason}"),
            Self::Transport { request, reason, .. } => write!(f, ": no answer to {request}: {reason}"),
            Self::TooLarge { limit } => write!(f, ": longer than the {limit} bytes that are read"),
            Self::OverMemory { limit } => write!(f, ": not read: {}", OverLimit { limit: *limit }),
            Self::Manifest(error) => write!(f, ": {error}"),
            Self::Protocol(reason) => write!(f, ": {reason}"),
            Self::Caller(cause) => fmt::Display::fmt(cause, f),
            Self::Stopped(StopReason::Signal(_)) => f.write_str(": not done, interrupted"),
            Self::Stopped(StopReason::Deadline) => f.write_str(": not done, the deadline has passed"),
            Self::NotNeeded => Ok(()),
            Self::SignIn(reason) => write!(f, ": sign-in failed: {reason}"),
            Self::PreconditionStale => {
                f.write_str(": the write could not be sent at once after the look; too much else is under way")
            }
            Self::OutcomeUnknown(kind) => {
                match &**kind {
                    Self::Stopped(_) => f.write_str(": interrupted while it was read back")?,
                    kind => kind.write(f)?,
                }
                f.write_str("; whether it was written is not known")
            }
        }
    }

    /// Writes an answer that is an error.
    fn write_refusal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => write!(f, ": {denied}"),
            Self::Rejected(response) if response.is_missing() => write!(f, " not found {response}"),
            Self::Rejected(response) => write!(f, ": refused by the registry {response}"),
            Self::RedirectTarget { host, response } => {
                write!(f, ": refused at {host}, to which the registry redirects {response}")
            }
            Self::Immutable { current, wanted, response } => {
                write!(f, " points at {current} and the registry does not let it move to {wanted} {response}")
            }
            _ => Ok(()),
        }
    }

    /// Writes the digest or size that was found, and the one that was expected.
    fn write_difference(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest { expected, actual, named_by } => {
                write!(f, ": the bytes received have digest {actual}, the {named_by} says {expected}")
            }
            Self::Size { expected, actual } => {
                write!(f, ": {actual} bytes received, the descriptor says {expected}")
            }
            _ => Ok(()),
        }
    }
}

/// The message of an [`Error`](super::Error) of this kind, without its subject.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Written<'a>(&'a ErrorKind);
        impl fmt::Display for Written<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write(f)
            }
        }
        f.write_str(Written(self).to_string().trim_start_matches([':', ' ']))
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
