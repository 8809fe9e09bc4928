use std::fmt;
use std::sync::Arc;

use super::{Denial, Denied, Refusal, StopReason};
use crate::image::{Digest, ManifestError, UntrustedText};
use crate::memory::OverLimit;

/// Why something at a registry did not work: for which reference, and what happened.
#[derive(Debug, Clone)]
pub struct Error {
    /// The reference, blob or host that it is about.
    pub subject: String,
    /// What happened.
    pub kind: ErrorKind,
    transience: Transience,
    /// What the user can do, where the kind does not tell.
    pub(super) hint: Option<String>,
    /// How often it was tried before it was given up, because another part of the job had failed.
    gave_up: Option<u32>,
}

/// Whether another try may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transience {
    Lasting,
    Transient,
    /// It might have, but all tries were made.
    Exhausted,
}

/// The kinds of [`Error`]. New kinds may be added.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The registry answered with an error.
    Answer(Box<Refusal>),
    /// The host to which the registry redirects answered with an error.
    Elsewhere {
        /// That host.
        host: String,
        /// Its answer.
        refusal: Box<Refusal>,
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
    /// What the run keeps of what it reads would take more memory than it may use.
    OverMemory {
        /// Bytes that it may use.
        limit: usize,
    },
    /// The bytes are not those that were named.
    Digest {
        /// What they should hash to.
        expected: Digest,
        /// What they hash to.
        actual: Digest,
        /// Who said what they should be.
        named_by: &'static str,
    },
    /// The length is not the one that was named.
    Size {
        /// Bytes named by the descriptor.
        expected: u64,
        /// Bytes received.
        actual: u64,
    },
    /// The bytes are no manifest that can be handled.
    Manifest(ManifestError),
    /// An answer that breaks the protocol.
    Protocol(UntrustedText),
    /// The caller's own: what it sends cannot be read, or its precondition is not met.
    Caller(Arc<dyn std::error::Error + Send + Sync>),
    /// It was not sent, because the run was to end.
    Stopped(StopReason),
    /// It was not sent, because another part of the job had failed.
    NotNeeded,
    /// Signing in failed before the registry or its token service could judge.
    SignIn(UntrustedText),
    /// The registry or its token service does not let these credentials, or none, do this.
    Denied(Box<Denied>),
    /// The tag points at something else, and the registry does not let it move.
    Immutable {
        /// What the tag points at.
        current: Digest,
        /// What it was to point at.
        wanted: Digest,
        /// The registry's answer.
        refusal: Box<Refusal>,
    },
    /// A write that was to follow a look at once could not be sent so soon. Nothing was sent.
    Late,
    /// Writing a tag failed, and the registry does not say either what it points at now.
    Unsettled(Box<ErrorKind>),
}

/// What the reason of [`ErrorKind::Transport`] starts with where a server said nothing.
pub(crate) const SILENT: &str = "nothing came for ";

impl Error {
    pub(crate) fn new(subject: impl Into<String>, kind: ErrorKind) -> Self {
        Self { subject: subject.into(), kind, transience: Transience::Lasting, hint: None, gave_up: None }
    }

    /// One after which another try may help.
    pub(crate) fn transient(subject: impl Into<String>, kind: ErrorKind) -> Self {
        Self { transience: Transience::Transient, ..Self::new(subject, kind) }
    }

    /// Adds what the user can do.
    pub(crate) fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// Notes that no further try is made after this many, because another part of the job has failed.
    pub(crate) fn given_up(self, tries: u32) -> Self {
        Self { transience: Transience::Lasting, gave_up: Some(tries), ..self }
    }

    /// Copies from the error that caused this one what its kind does not tell.
    pub(crate) fn caused_by(self, cause: &Self) -> Self {
        Self { hint: cause.hint(), gave_up: cause.gave_up, ..self }
    }

    /// Whether it was given up because another part of the job had failed.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.gave_up.is_some()
    }

    /// For work that a [`Stop`](super::Stop) ended.
    #[must_use]
    pub fn stopped(subject: impl Into<String>, reason: StopReason) -> Self {
        Self::new(subject, ErrorKind::Stopped(reason))
    }

    /// Whether there was no connection.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(&self.kind, ErrorKind::Transport { unsent: true, .. })
    }

    /// Whether a request may have been carried out, as nothing is known of its answer.
    pub(crate) fn is_lost_answer(&self) -> bool {
        matches!(&self.kind, ErrorKind::Transport { unsent: false, .. })
    }

    /// Whether the server said nothing for as long as one is waited for.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(&self.kind, ErrorKind::Transport { reason, .. } if reason.starts_with(SILENT))
    }

    pub(crate) fn protocol(subject: &str, reason: impl Into<UntrustedText>) -> Self {
        Self::new(subject, ErrorKind::Protocol(reason.into()))
    }

    /// The HTTP status of an answer that is an error.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.kind {
            ErrorKind::Answer(refusal) => Some(refusal.status),
            ErrorKind::Denied(denied) => Some(denied.refusal.status),
            _ => None,
        }
    }

    /// Wraps an error of the caller, to pass through this client. `transient` says whether another try may help.
    #[must_use]
    pub(crate) fn of_caller(cause: impl std::error::Error + Send + Sync + 'static, transient: bool) -> Self {
        let kind = ErrorKind::Caller(Arc::new(cause));
        if transient { Self::transient("", kind) } else { Self::new("", kind) }
    }

    /// The error that [`Self::of_caller`] wrapped, if this is one.
    pub(crate) fn caller<E: std::error::Error + Clone + 'static>(&self) -> Option<E> {
        match &self.kind {
            ErrorKind::Caller(cause) => cause.downcast_ref().cloned(),
            _ => None,
        }
    }

    /// Whether another try may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.transience == Transience::Transient
    }

    /// Whether another try may have helped, before all tries were made.
    pub(crate) fn was_transient(&self) -> bool {
        self.transience != Transience::Lasting
    }

    /// Notes that all tries were made.
    pub(crate) fn final_one(self) -> Self {
        let transience = if self.was_transient() { Transience::Exhausted } else { Transience::Lasting };
        Self { transience, ..self }
    }

    /// Whether the registry says that the content does not exist: a 404 with a code that says so, or with no code at
    /// all. A 401, a 403, a 5xx and a 404 that speaks of rights do not count.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(&self.kind, ErrorKind::Answer(refusal) if refusal.is_missing())
    }

    /// As [`Self::is_missing`], of what a manifest names: a blob, or a manifest.
    #[must_use]
    pub fn is_missing_content(&self) -> bool {
        match &self.kind {
            ErrorKind::Answer(refusal) => refusal.is_missing_content(),
            ErrorKind::Elsewhere { refusal, .. } => refusal.is_missing_in_storage(),
            _ => false,
        }
    }

    /// Whether the registry answered that it does not do that: not for anybody. An answer of 400 or 404 without a code may
    /// be that of a proxy.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match &self.kind {
            ErrorKind::Answer(refusal) => match refusal.status {
                400 | 404 => refusal.messages.iter().any(|message| !message.code.is_empty()),
                status => matches!(status, 405 | 501),
            },
            _ => false,
        }
    }

    /// Whether nobody knows if a tag was written.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        matches!(self.kind, ErrorKind::Unsettled(_))
    }

    pub(crate) fn is_want_of_credentials(&self) -> bool {
        matches!(&self.kind, ErrorKind::Denied(denied) if denied.denial == Denial::NoCredentials)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            // What is so for the whole registry names it already.
            ErrorKind::Denied(denied) if self.subject == denied.registry => return write!(f, "{denied}"),
            _ => f.write_str(&self.subject)?,
        }
        self.kind.write(f)?;
        match self.gave_up {
            None => Ok(()),
            Some(0) => f.write_str(": not sent, as another part failed"),
            Some(1) => f.write_str("; gave up after 1 try, as another part failed"),
            Some(tries) => write!(f, "; gave up after {tries} tries, as another part failed"),
        }
    }
}

impl From<OverLimit> for ErrorKind {
    fn from(OverLimit { limit }: OverLimit) -> Self {
        Self::OverMemory { limit }
    }
}

impl ErrorKind {
    /// What follows the subject.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => write!(f, ": {denied}"),
            Self::Answer(refusal) if refusal.is_missing() => write!(f, " not found {refusal}"),
            Self::Answer(refusal) => write!(f, ": refused by the registry {refusal}"),
            Self::Elsewhere { host, refusal } => {
                write!(f, ": refused at {host}, to which the registry redirects {refusal}")
            }
            Self::Transport { request, reason, .. } if request.is_empty() => write!(f, ": no answer: {reason}"),
            Self::Transport { request, reason, .. } => write!(f, ": no answer to {request}: {reason}"),
            Self::TooLarge { limit } => write!(f, ": longer than the {limit} bytes that are read"),
            Self::OverMemory { limit } => write!(f, ": not read: {}", OverLimit { limit: *limit }),
            Self::Digest { expected, actual, named_by } => {
                write!(f, ": the bytes received have digest {actual}, the {named_by} says {expected}")
            }
            Self::Size { expected, actual } => {
                write!(f, ": {actual} bytes received, the descriptor says {expected}")
            }
            Self::Manifest(error) => write!(f, ": {error}"),
            Self::Protocol(reason) => write!(f, ": {reason}"),
            Self::Caller(cause) => fmt::Display::fmt(cause, f),
            Self::Stopped(StopReason::Signal(_)) => f.write_str(": not done, interrupted"),
            Self::Stopped(StopReason::Deadline) => f.write_str(": not done, the deadline has passed"),
            Self::NotNeeded => Ok(()),
            Self::SignIn(reason) => write!(f, ": sign-in failed: {reason}"),
            Self::Immutable { current, wanted, refusal } => {
                write!(f, " points at {current} and the registry does not let it move to {wanted} {refusal}")
            }
            Self::Late => {
                f.write_str(": the write could not be sent at once after the look; too much else is under way")
            }
            Self::Unsettled(kind) => {
                match &**kind {
                    Self::Stopped(_) => f.write_str(": interrupted while it was read back")?,
                    kind => kind.write(f)?,
                }
                f.write_str("; whether it was written is not known")
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::super::refusal::RegistryMessage;
    use super::*;

    #[test]
    fn answers_and_what_counts_as_missing() {
        for (status, body, missing, text) in [
            (
                404,
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
                true,
                "r/a:1 not found (HTTP 404; registry says: MANIFEST_UNKNOWN: manifest unknown)",
            ),
            (
                404,
                r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#,
                true,
                "r/a:1 not found (HTTP 404; registry says: NAME_UNKNOWN)",
            ),
            (404, "<html>\nnope", true, "r/a:1 not found (HTTP 404; registry says: <html>)"),
            (404, "", true, "r/a:1 not found (HTTP 404)"),
            (404, "{}", true, "r/a:1 not found (HTTP 404)"),
            (404, r#"{"errors":[]}"#, true, "r/a:1 not found (HTTP 404)"),
            (404, r#"{"errors":[{"message":"gone"}]}"#, true, "r/a:1 not found (HTTP 404; registry says: gone)"),
            (404, r#"{"message":"Not Found"}"#, true, "r/a:1 not found (HTTP 404; registry says: Not Found)"),
            (403, "", false, "r/a:1: refused by the registry (GET /v2/a/manifests/1: HTTP 403)"),
            (
                404,
                r#"{"errors":[{"code":"DENIED"}]}"#,
                false,
                "r/a:1: refused by the registry (GET /v2/a/manifests/1: HTTP 404; registry says: DENIED)",
            ),
            (
                500,
                r#"{"errors":[{"code":"UNKNOWN"}]}"#,
                false,
                "r/a:1: refused by the registry (GET /v2/a/manifests/1: HTTP 500; registry says: UNKNOWN)",
            ),
            (
                429,
                r#"{"message":"too\u001b[2J many"}"#,
                false,
                "r/a:1: refused by the registry (GET /v2/a/manifests/1: HTTP 429; registry says: too [2J many)",
            ),
            (
                400,
                r#"{"errors":"x"}"#,
                false,
                "r/a:1: refused by the registry (GET /v2/a/manifests/1: HTTP 400; registry says: {\"errors\":\"x\"})",
            ),
        ] {
            let error = Error::new(
                "r/a:1",
                ErrorKind::Answer(Refusal::new("GET /v2/a/manifests/1", status, body.as_bytes()).into()),
            );
            assert_eq!((error.is_missing(), error.to_string().as_str()), (missing, text));
        }
    }

    #[test]
    fn a_late_write_is_named() {
        let text = Error::new("r/a:1", ErrorKind::Late).to_string();
        assert!(text.starts_with("r/a:1: the write could not be sent"), "{text}");
    }

    #[test]
    fn denials() {
        let messages = vec![RegistryMessage { code: "DENIED".into(), message: "no".into() }];
        let source = || "/home/x/.docker/config.json".to_owned();
        let not_granted = |granted: &[&str]| Denial::NotGranted {
            repository: "team/app".into(),
            granted: granted.iter().map(ToString::to_string).collect(),
            lacking: vec!["push".into()],
            source: source(),
        };
        for (subject, denial, text, hint) in [
            (
                "r.io",
                Denial::NoCredentials,
                "no credentials for r.io (HTTP 401; registry says: DENIED: no)",
                "manifest-tool login r.io",
            ),
            (
                "r.io/a:1",
                Denial::NoCredentials,
                "r.io/a:1: no credentials for r.io (HTTP 401; registry says: DENIED: no)",
                "manifest-tool login r.io",
            ),
            (
                "r.io",
                Denial::Refused { by: "r.io".into(), source: source() },
                "r.io refused the credentials from /home/x/.docker/config.json (HTTP 401; registry says: DENIED: no)",
                "manifest-tool login r.io checks other ones and stores them",
            ),
            (
                "r.io/a:1",
                not_granted(&["pull"]),
                "r.io/a:1: token service granted pull but not push on team/app to the credentials from /home/x/.docker/config.json (HTTP 401; registry says: DENIED: no)",
                "the user who is signed in may not do this",
            ),
            (
                "r.io/a:1",
                not_granted(&[]),
                "r.io/a:1: token service did not grant push on team/app to the credentials from /home/x/.docker/config.json (HTTP 401; registry says: DENIED: no)",
                "the user who is signed in may not do this",
            ),
            (
                "r.io/a:1",
                Denial::Forbidden { source: source() },
                "r.io/a:1: refused by the registry, signed in with the credentials from /home/x/.docker/config.json (PUT /v2/a: HTTP 403; registry says: DENIED: no)",
                "check the repository's name, that it exists, and what the user may do: registries answer alike",
            ),
        ] {
            let refusal = Refusal {
                request: "PUT /v2/a".into(),
                status: if matches!(denial, Denial::Forbidden { .. }) { 403 } else { 401 },
                messages: messages.clone(),
                ..Refusal::default()
            };
            let denied = Denied { registry: "r.io".into(), denial, refusal, unused: None };
            let error = Error::new(subject, ErrorKind::Denied(Box::new(denied)));
            assert_eq!((error.to_string().as_str(), error.hint().unwrap_or_default().as_str()), (text, hint));
        }
    }
}
