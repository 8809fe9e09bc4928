use std::fmt;
use std::sync::Arc;

use super::denied::Denial;
use super::hint::Hint;
use super::kind::ErrorKind;
use super::stop_reason::StopReason;
use super::transport_fault::TransportFault;
use crate::image::UntrustedText;

/// A failed request to a registry: the subject it concerns and what happened.
#[derive(Debug, Clone)]
pub struct Error {
    /// The reference, blob or host that the error concerns.
    pub subject: String,
    /// What happened.
    pub kind: ErrorKind,
    transience: Transience,
    /// The cause of a failed connection.
    fault: Option<TransportFault>,
    /// A hint that overrides the hint of `kind`.
    hint: Option<Box<Hint>>,
    /// The error that led to this one.
    cause: Option<Arc<Error>>,
    /// The number of attempts made before giving up because another part of the job had failed.
    gave_up: Option<u32>,
}

/// Whether a retry may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transience {
    Lasting,
    Transient,
    /// The error was transient, but no retries are left.
    Exhausted,
}

impl Error {
    pub(crate) fn new(subject: impl Into<String>, kind: ErrorKind) -> Self {
        let transience = Transience::Lasting;
        Self { subject: subject.into(), kind, transience, fault: None, hint: None, cause: None, gave_up: None }
    }

    /// Creates an error after which a retry may succeed.
    pub(crate) fn transient(subject: impl Into<String>, kind: ErrorKind) -> Self {
        Self { transience: Transience::Transient, ..Self::new(subject, kind) }
    }

    /// Adds the cause of a failed connection.
    pub(crate) fn with_fault(self, fault: Option<TransportFault>) -> Self {
        Self { fault, ..self }
    }

    /// Adds a hint that overrides the hint of the kind.
    pub(crate) fn with_hint(self, hint: Option<Hint>) -> Self {
        Self { hint: hint.map(Box::new), ..self }
    }

    /// Records that retrying ended after this many attempts because another part of the job had failed.
    pub(crate) fn given_up(self, tries: u32) -> Self {
        Self { transience: Transience::Lasting, gave_up: Some(tries), ..self }
    }

    /// Adds the error that led to this one. If its request was given up, this error counts as given up too.
    pub(crate) fn caused_by(self, cause: Self) -> Self {
        Self { gave_up: cause.gave_up, cause: Some(Arc::new(cause)), ..self }
    }

    /// Suggests what the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        let hint = self.hint.as_deref().cloned().or_else(|| self.kind.hint());
        hint.or_else(|| self.cause.as_ref().and_then(|cause| cause.hint()))
    }

    /// Returns the cause of a failed connection, if known.
    #[must_use]
    pub fn fault(&self) -> Option<TransportFault> {
        self.fault
    }

    /// Whether the request was given up because another part of the job had failed.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.gave_up.is_some()
    }

    /// Whether the error applies to every caller that awaited the same request. An error does not if the caller that
    /// sent the request gave up or was stopped.
    pub(crate) fn is_shared(&self) -> bool {
        !self.is_given_up() && !matches!(self.kind, ErrorKind::Stopped(_))
    }

    /// Creates the error of work that a [`CancelToken`](crate::registry::CancelToken) stopped.
    #[must_use]
    pub fn stopped(subject: impl Into<String>, reason: StopReason) -> Self {
        Self::new(subject, ErrorKind::Stopped(reason))
    }

    /// Whether the connection failed before the request was sent.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(&self.kind, ErrorKind::Transport { unsent: true, .. })
    }

    /// Whether the response was lost, so that the registry may have carried out the request.
    pub(crate) fn is_response_lost(&self) -> bool {
        matches!(&self.kind, ErrorKind::Transport { unsent: false, .. })
    }

    /// Whether the server sent nothing within the idle timeout.
    pub(crate) fn is_idle_timeout(&self) -> bool {
        self.fault == Some(TransportFault::IdleTimeout)
    }

    pub(crate) fn protocol(subject: &str, reason: impl Into<UntrustedText>) -> Self {
        Self::new(subject, ErrorKind::Protocol(reason.into()))
    }

    /// Returns the HTTP status of the registry's error response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.kind {
            ErrorKind::Rejected(response) => Some(response.status),
            ErrorKind::Denied(denied) => Some(denied.response.status),
            _ => None,
        }
    }

    /// Wraps an error of the caller, to pass it through this client. `transient` is whether a retry may succeed.
    #[must_use]
    pub(crate) fn from_caller(cause: impl std::error::Error + Send + Sync + 'static, transient: bool) -> Self {
        let kind = ErrorKind::Caller(Arc::new(cause));
        if transient { Self::transient("", kind) } else { Self::new("", kind) }
    }

    /// Returns the error that [`Self::from_caller`] wrapped, if it has this type. It may have ended a write whose outcome
    /// is unknown.
    pub(crate) fn caller<E: std::error::Error + Clone + 'static>(&self) -> Option<E> {
        let kind = match &self.kind {
            ErrorKind::OutcomeUnknown(kind) => &**kind,
            kind => kind,
        };
        match kind {
            ErrorKind::Caller(cause) => cause.downcast_ref().cloned(),
            _ => None,
        }
    }

    /// Whether a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.transience == Transience::Transient
    }

    /// Whether the error is or was transient, even if no retries are left.
    pub(crate) fn was_transient(&self) -> bool {
        self.transience != Transience::Lasting
    }

    /// Records that no retries are left.
    pub(crate) fn into_permanent(self) -> Self {
        let transience = if self.was_transient() { Transience::Exhausted } else { Transience::Lasting };
        Self { transience, ..self }
    }

    /// Whether the registry reports that the content does not exist: a 404 with a code that means so, or without a
    /// code. A 401, a 403, a 5xx and a 404 about permissions do not count.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(&self.kind, ErrorKind::Rejected(response) if response.is_missing())
    }

    /// Whether a blob or manifest that a manifest references does not exist; see [`Self::is_missing`].
    #[must_use]
    pub fn is_missing_content(&self) -> bool {
        match &self.kind {
            ErrorKind::Rejected(response) => response.is_missing_content(),
            ErrorKind::RedirectTarget { response, .. } => response.is_missing_in_storage(),
            _ => false,
        }
    }

    /// Whether the registry reports that it does not support the request, with any credentials. A 400 or 404 without a
    /// code does not count, because it may come from a proxy.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match &self.kind {
            ErrorKind::Rejected(response) => match response.status {
                400 | 404 => response.messages.iter().any(|message| !message.code.is_empty()),
                status => matches!(status, 405 | 501),
            },
            _ => false,
        }
    }

    /// Whether the outcome of writing a tag is unknown.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self.kind, ErrorKind::OutcomeUnknown(_))
    }

    /// Returns the message without the reference and the path of the request that failed, so that errors with the same cause have
    /// the same text. Names the registry where the error concerns it as a whole.
    #[must_use]
    pub fn cause(&self) -> String {
        match (&self.kind, self.reference()) {
            (ErrorKind::Transport { reason, .. }, _) => {
                // A blob's subject is `blob HOST/REPOSITORY@DIGEST`.
                let host = match self.subject.split_once('/') {
                    Some((start, _)) => start.rsplit(' ').next().unwrap_or_default(),
                    None => self.subject.as_str(),
                };
                format!("no response from {host}: {reason}")
            }
            (ErrorKind::NotNeeded, _) => "not sent because another part failed".to_owned(),
            (ErrorKind::Denied(_), _) | (_, Some(_)) => self.kind.without_path().to_string(),
            (kind, None) => Self::new(self.subject.as_str(), kind.without_path()).to_string(),
        }
    }

    /// Returns the reference or blob that the error concerns; `None` if it concerns the registry as a whole.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        Some(self.subject.as_str()).filter(|subject| subject.contains('/'))
    }

    /// Whether the failure is one of the registry, its host or the credentials for it, so that other references of the
    /// registry fail in the same way.
    #[must_use]
    pub fn is_of_registry(&self) -> bool {
        self.kind.is_of_registry()
    }

    /// Whether the request requires credentials, and none are configured.
    pub(crate) fn lacks_credentials(&self) -> bool {
        matches!(&self.kind, ErrorKind::Denied(denied) if denied.denial == Denial::NoCredentials)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            // A denial that applies to the whole registry already names it.
            ErrorKind::Denied(denied) if self.subject == denied.registry => return write!(f, "{denied}"),
            _ => f.write_str(&self.subject)?,
        }
        self.kind.write(f)?;
        match self.gave_up {
            None => Ok(()),
            Some(0) => f.write_str(": not sent because another part failed"),
            Some(1) => f.write_str("; gave up after 1 try because another part failed"),
            Some(tries) => write!(f, "; gave up after {tries} tries because another part failed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(&**cause),
            None => self.kind.source(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CredentialOrigin, Denied, ErrorResponse, RegistryMessage};
    use super::*;
    use crate::image::{Digest, ManifestError};

    #[test]
    fn error_responses_are_displayed_and_classified_as_missing_or_not() {
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
                ErrorKind::Rejected(ErrorResponse::new("GET /v2/a/manifests/1", status, body.as_bytes()).into()),
            );
            assert_eq!((error.is_missing(), error.to_string().as_str()), (missing, text));
        }
    }

    #[test]
    fn a_stale_precondition_is_displayed_with_its_reference() {
        let text = Error::new("r/a:1", ErrorKind::PreconditionStale).to_string();
        assert!(text.starts_with("r/a:1: the write could not be sent"), "{text}");
    }

    #[test]
    fn denials_are_displayed_with_registry_repository_and_hint() {
        let messages = vec![RegistryMessage { code: "DENIED".into(), message: "no".into() }];
        let source = || CredentialOrigin::file("/home/x/.docker/config.json");
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
                Hint::SignIn { registry: "r.io".into(), unused: None },
            ),
            (
                "r.io/a:1",
                Denial::NoCredentials,
                "r.io/a:1: no credentials for r.io (HTTP 401; registry says: DENIED: no)",
                Hint::SignIn { registry: "r.io".into(), unused: None },
            ),
            (
                "r.io",
                Denial::Refused { by: "r.io".into(), source: source() },
                "r.io refused the credentials from /home/x/.docker/config.json (HTTP 401; registry says: DENIED: no)",
                Hint::StoreCredentials { registry: "r.io".into() },
            ),
            (
                "r.io/a:1",
                not_granted(&["pull"]),
                "r.io/a:1: token service granted pull but not push on team/app to the credentials from /home/x/.docker/config.json (HTTP 401; registry says: DENIED: no)",
                Hint::NotAllowed,
            ),
            (
                "r.io/a:1",
                not_granted(&[]),
                "r.io/a:1: token service did not grant push on team/app to the credentials from /home/x/.docker/config.json (HTTP 401; registry says: DENIED: no)",
                Hint::NotAllowed,
            ),
            (
                "r.io/a:1",
                Denial::Forbidden { source: source() },
                "r.io/a:1: refused by the registry, signed in with the credentials from /home/x/.docker/config.json (PUT /v2/a: HTTP 403; registry says: DENIED: no)",
                Hint::CheckRepository,
            ),
        ] {
            let response = ErrorResponse {
                request: "PUT /v2/a".into(),
                status: if matches!(denial, Denial::Forbidden { .. }) { 403 } else { 401 },
                messages: messages.clone(),
                ..ErrorResponse::default()
            };
            let denied = Denied { registry: "r.io".into(), denial, response, unused: None };
            let error = Error::new(subject, ErrorKind::Denied(Box::new(denied)));
            assert_eq!((error.to_string().as_str(), error.hint()), (text, Some(hint)));
        }
    }

    #[test]
    fn a_cause_has_no_reference_and_no_path() {
        let transport = |request: &str| ErrorKind::Transport {
            request: request.into(),
            reason: "connection refused".into(),
            unsent: true,
        };
        let rejected = |request: &str, status, body: &str| {
            ErrorKind::Rejected(ErrorResponse::new(request, status, body.as_bytes()).into())
        };
        let missing = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        let denied = |denial| {
            let response = ErrorResponse::new("GET /v2/a/manifests/1", 401, b"");
            ErrorKind::Denied(Denied { registry: "r.io".into(), denial, response, unused: None }.into())
        };
        let forbidden = || Denial::Forbidden { source: CredentialOrigin::file("/c") };
        for (subject, kind, cause, is_of_registry) in [
            ("r.io:1/a:1", transport("GET /v2/a/manifests/1"), "no response from r.io:1: connection refused", true),
            ("blob r.io:1/a@sha256:0", transport("PUT /v2/a"), "no response from r.io:1: connection refused", true),
            ("r.io:1", transport(""), "no response from r.io:1: connection refused", true),
            (
                "r.io/a:1",
                rejected("GET /v2/a/manifests/1", 404, missing),
                "not found (HTTP 404; registry says: MANIFEST_UNKNOWN: manifest unknown)",
                false,
            ),
            ("r.io/a:1", rejected("GET /v2/a/manifests/1", 503, ""), "refused by the registry (GET: HTTP 503)", true),
            ("r.io", ErrorKind::SignIn("no".into()), "r.io: sign-in failed: no", true),
            ("r.io", denied(Denial::NoCredentials), "no credentials for r.io (HTTP 401)", true),
            ("r.io/a:1", denied(Denial::NoCredentials), "no credentials for r.io (HTTP 401)", true),
            (
                "r.io/a:1",
                denied(forbidden()),
                "refused by the registry, signed in with the credentials from /c (GET: HTTP 401)",
                false,
            ),
            (
                "r.io/a:1",
                ErrorKind::OutcomeUnknown(Box::new(rejected("PUT /v2/a/manifests/1", 500, ""))),
                "refused by the registry (PUT: HTTP 500); it is unknown whether the tag was written",
                false,
            ),
        ] {
            let error = Error::new(subject, kind).given_up(2);
            assert_eq!((error.cause().as_str(), error.is_of_registry()), (cause, is_of_registry), "{error}");
            assert_eq!(error.reference(), Some(subject).filter(|subject| subject.contains('/')));
        }
    }

    #[test]
    fn refused_credentials_that_outrank_files_have_a_hint_with_their_origin() {
        let source = CredentialOrigin::above_files("MANIFEST_TOOL_USERNAME");
        let denial = Denial::Refused { by: "r.io".into(), source: source.clone() };
        let denied = Denied { registry: "r.io".into(), denial, response: ErrorResponse::default(), unused: None };
        let error = Error::new("r.io", ErrorKind::Denied(Box::new(denied)));
        assert_eq!(error.hint(), Some(Hint::OtherCredentials { source }));
    }

    #[test]
    fn an_error_has_the_source_and_hint_of_its_cause() {
        let texts = |error: &Error| {
            let first: &dyn std::error::Error = error;
            let causes = std::iter::successors(first.source(), |&cause| cause.source());
            causes.map(ToString::to_string).collect::<Vec<_>>()
        };
        let transport = || ErrorKind::Transport { request: "GET /".into(), reason: "no".into(), unsent: true };
        let cause = Error::new("token service", transport()).with_hint(Some(Hint::CheckProxy)).given_up(2);
        let error = Error::new("r.io", ErrorKind::SignIn("no token".into())).caused_by(cause);
        assert_eq!((error.hint(), error.is_given_up()), (Some(Hint::CheckProxy), true));
        let text = "token service: no response to GET /: no; gave up after 2 tries because another part failed";
        assert_eq!(texts(&error), [text]);
        let digest = Digest::sha256(b"");
        let mismatch = ErrorKind::Digest { expected: digest.clone(), actual: digest, named_by: "descriptor" };
        assert_eq!(texts(&Error::new("r.io/a", mismatch)), [""; 0]);
        let manifest = ErrorKind::Manifest(ManifestError::Schema1);
        assert_eq!(texts(&Error::new("r.io/a", manifest)), [ManifestError::Schema1.to_string()]);
        let unknown = ErrorKind::OutcomeUnknown(Box::new(transport()));
        assert_eq!(texts(&Error::new("r.io/a", unknown)), ["no response to GET /: no"]);
    }
}
