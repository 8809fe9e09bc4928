use std::fmt;

use serde::Deserialize;

use super::redact::clean;
use super::stop::StopReason;
use crate::image::{Digest, ManifestError};

/// Why something at a registry did not work: for which reference, and what happened.
#[derive(Debug, Clone)]
pub struct Error {
    /// The reference, blob or host that it is about.
    pub subject: String,
    /// What happened.
    pub kind: ErrorKind,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The registry answered with an error.
    Answer {
        /// HTTP status.
        status: u16,
        /// The registry's own codes and words.
        messages: Vec<RegistryMessage>,
    },
    /// No answer: name, connection, certificate, or a body that broke off.
    Transport(String),
    /// The body is longer than is read.
    TooLarge {
        /// Bytes that are read at most.
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
    Protocol(String),
    /// It was not sent, because the run was to end.
    Stopped(StopReason),
    /// Signing in failed before the registry or its token service could judge.
    SignIn(String),
    /// The registry or its token service does not let these credentials, or none, do this.
    Denied(Box<Denied>),
}

/// Who was not let do something, and by whom.
#[derive(Debug, Clone)]
pub struct Denied {
    /// The registry's host.
    pub registry: String,
    /// In the words of credentials.
    pub denial: Denial,
    /// HTTP status.
    pub status: u16,
    /// The registry's own codes and words.
    pub messages: Vec<RegistryMessage>,
}

/// What is wrong with the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// There are none, and without them it is not allowed.
    NoCredentials,
    /// They are wrong.
    Refused {
        /// Who refused them.
        by: String,
        /// Where they came from.
        source: String,
    },
    /// They are good, and the token service granted less than was asked for.
    NotGranted {
        /// For which repository.
        repository: String,
        /// Actions granted.
        granted: Vec<String>,
        /// Actions not granted.
        lacking: Vec<String>,
        /// Where the credentials came from.
        source: String,
    },
    /// They are good, and not for this.
    Forbidden {
        /// Where the credentials came from.
        source: String,
    },
}

/// One entry of the registry's error body (distribution-spec, "Error Codes").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryMessage {
    /// Such as `MANIFEST_UNKNOWN`; may be empty.
    pub code: String,
    /// The registry's words; may be empty.
    pub message: String,
}

impl Error {
    pub(super) fn new(subject: impl Into<String>, kind: ErrorKind) -> Self {
        Self { subject: subject.into(), kind }
    }

    /// An error answer, with what can be read from its body.
    pub(super) fn answer(subject: impl Into<String>, status: u16, body: &[u8]) -> Self {
        Self::new(subject, ErrorKind::Answer { status, messages: registry_messages(body) })
    }

    /// Whether the registry says that the thing does not exist. Nothing else counts: not a 401, not a 500, and not
    /// a 404 that is not the registry's own, such as a proxy's error page.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match &self.kind {
            ErrorKind::Answer { status: 404, messages } => messages
                .iter()
                .any(|m| matches!(m.code.as_str(), "NAME_UNKNOWN" | "MANIFEST_UNKNOWN" | "NOT_FOUND" | "UNKNOWN")),
            _ => false,
        }
    }

    pub(super) fn is_want_of_credentials(&self) -> bool {
        matches!(&self.kind, ErrorKind::Denied(denied) if denied.denial == Denial::NoCredentials)
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match &self.kind {
            ErrorKind::Denied(denied) => match &denied.denial {
                Denial::NoCredentials => return Some(format!("manifest-tool login {}", denied.registry)),
                Denial::Refused { .. } => {
                    return Some(format!("manifest-tool login {} checks other ones and stores them", denied.registry));
                }
                Denial::NotGranted { .. } => "the user who is signed in may not do this",
                // It may be the user's rights, a tag that must not change, a quota: the registry's words say it.
                Denial::Forbidden { .. } => return None,
            },
            ErrorKind::Answer { status: 401, .. } => "the registry names no way to sign in (WWW-Authenticate)",
            ErrorKind::Answer { status: 415, .. } => "this registry does not take the media type; try --type oci",
            ErrorKind::SignIn(reason) if reason.contains("certificate") => {
                "--ca-cert FILE believes the authority in a PEM file"
            }
            ErrorKind::Transport(reason) if reason.contains("certificate") && reason.contains("redirects") => {
                "--ca-cert FILE believes the authority in a PEM file"
            }
            ErrorKind::Transport(reason) if reason.contains("certificate") => {
                "--ca-cert FILE believes the authority in a PEM file; --insecure skips the check"
            }
            ErrorKind::Transport(reason)
                if reason.contains("InvalidContentType") || reason.contains("corrupt message") =>
            {
                "the registry does not speak TLS on this port; --plain-http goes without"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            // What is so for the whole registry names it already.
            ErrorKind::Denied(denied) if self.subject == denied.registry => {}
            _ => f.write_str(&self.subject)?,
        }
        match &self.kind {
            ErrorKind::Denied(denied) => {
                f.write_str(if self.subject == denied.registry { "" } else { ": " })?;
                denied.denial.write(f, &denied.registry)?;
                write_answer(f, denied.status, &denied.messages)
            }
            ErrorKind::Answer { status, messages } => {
                f.write_str(if self.is_missing() { " not found" } else { ": refused by the registry" })?;
                write_answer(f, *status, messages)
            }
            ErrorKind::Transport(reason) => write!(f, ": no answer: {reason}"),
            ErrorKind::TooLarge { limit } => write!(f, ": longer than the {limit} bytes that are read"),
            ErrorKind::Digest { expected, actual, named_by } => {
                write!(f, ": the bytes received have digest {actual}, the {named_by} says {expected}")
            }
            ErrorKind::Size { expected, actual } => {
                write!(f, ": {actual} bytes received, the descriptor says {expected}")
            }
            ErrorKind::Manifest(error) => write!(f, ": {error}"),
            ErrorKind::Protocol(reason) => write!(f, ": {reason}"),
            ErrorKind::Stopped(StopReason::Signal(_)) => f.write_str(": not done, interrupted"),
            ErrorKind::Stopped(StopReason::Deadline) => f.write_str(": not done, the deadline has passed"),
            ErrorKind::SignIn(reason) => write!(f, ": sign-in failed: {reason}"),
        }
    }
}

impl Denial {
    fn write(&self, f: &mut fmt::Formatter<'_>, registry: &str) -> fmt::Result {
        match self {
            Self::NoCredentials => write!(f, "no credentials for {registry}"),
            Self::Refused { by, source } => write!(f, "{by} refused the credentials from {source}"),
            Self::NotGranted { repository, granted, lacking, source } => {
                let granted =
                    if granted.is_empty() { String::new() } else { format!("granted {} but ", granted.join(" and ")) };
                let not = if granted.is_empty() { "did not grant" } else { "not" };
                write!(f, "token service {granted}{not} {} on {repository}", lacking.join(" and "))?;
                write!(f, " to the credentials from {source}")
            }
            Self::Forbidden { source } => {
                write!(f, "refused by the registry, signed in with the credentials from {source}")
            }
        }
    }
}

/// The status and, labelled as such, the registry's own words.
fn write_answer(f: &mut fmt::Formatter<'_>, status: u16, messages: &[RegistryMessage]) -> fmt::Result {
    write!(f, " (HTTP {status}")?;
    for RegistryMessage { code, message } in messages {
        match (code.as_str(), message.as_str()) {
            ("", message) => write!(f, "; registry says: {message}")?,
            (code, "") => write!(f, "; registry says: {code}")?,
            (code, message) => write!(f, "; registry says: {code}: {message}")?,
        }
    }
    f.write_str(")")
}

impl std::error::Error for Error {}

/// Reads an error body in any form that is seen: `{"errors":[{"code","message"}]}`, `{"message"}`, plain text.
pub(super) fn registry_messages(body: &[u8]) -> Vec<RegistryMessage> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Entry {
        code: serde_json::Value,
        message: serde_json::Value,
    }
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        errors: Vec<Entry>,
        #[serde(default)]
        message: serde_json::Value,
        #[serde(default)]
        details: serde_json::Value,
    }
    let text = |value: &serde_json::Value| value.as_str().map(clean).unwrap_or_default();
    let mut messages: Vec<RegistryMessage> = match serde_json::from_slice::<Body>(body) {
        Ok(body) if body.errors.is_empty() => {
            let message = [text(&body.message), text(&body.details)].into_iter().find(|m| !m.is_empty());
            vec![RegistryMessage { code: String::new(), message: message.unwrap_or_default() }]
        }
        Ok(body) => body
            .errors
            .iter()
            .take(20)
            .map(|entry| RegistryMessage { code: text(&entry.code), message: text(&entry.message) })
            .collect(),
        Err(_) => {
            let line = String::from_utf8_lossy(body.get(..200).unwrap_or(body)).into_owned();
            vec![RegistryMessage { code: String::new(), message: clean(line.lines().next().unwrap_or_default()) }]
        }
    };
    messages.retain(|message| *message != RegistryMessage::default());
    messages
}

#[cfg(test)]
mod tests {
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
            (404, "<html>\nnope", false, "r/a:1: refused by the registry (HTTP 404; registry says: <html>)"),
            (404, "", false, "r/a:1: refused by the registry (HTTP 404)"),
            (
                404,
                r#"{"errors":[{"code":"DENIED"}]}"#,
                false,
                "r/a:1: refused by the registry (HTTP 404; registry says: DENIED)",
            ),
            (
                500,
                r#"{"errors":[{"code":"UNKNOWN"}]}"#,
                false,
                "r/a:1: refused by the registry (HTTP 500; registry says: UNKNOWN)",
            ),
            (
                429,
                r#"{"message":"too\u001b[2J many"}"#,
                false,
                "r/a:1: refused by the registry (HTTP 429; registry says: too [2J many)",
            ),
            (
                400,
                r#"{"errors":"x"}"#,
                false,
                "r/a:1: refused by the registry (HTTP 400; registry says: {\"errors\":\"x\"})",
            ),
        ] {
            let error = Error::answer("r/a:1", status, body.as_bytes());
            assert_eq!((error.is_missing(), error.to_string().as_str()), (missing, text));
        }
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
                "r.io/a:1: refused by the registry, signed in with the credentials from /home/x/.docker/config.json (HTTP 401; registry says: DENIED: no)",
                "",
            ),
        ] {
            let denied = Denied { registry: "r.io".into(), denial, status: 401, messages: messages.clone() };
            let error = Error::new(subject, ErrorKind::Denied(Box::new(denied)));
            assert_eq!((error.to_string().as_str(), error.hint().unwrap_or_default().as_str()), (text, hint));
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(body: Vec<u8>) {
            let _ = Error::answer("x", 500, &body).to_string();
        }
    }
}
