//! What the library reports while it works: one enum for everything that happens, and where it goes.
//!
//! The library never prints. A program that wants to show progress, warnings or a debug log passes an [`Events`] in the
//! client's configuration and gets every [`Event`] of that client and of the jobs that use it.

mod check;
mod step;
mod warning;

pub use check::{Check, Need, Verdict};
pub use step::{BlobOutcome, Step};
pub use warning::{Skipped, Warning};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::image::{Digest, Location};

/// Where events go. Cheap to clone; the default drops them.
///
/// ```
/// use manifest_tool::event::{Events, Level};
///
/// let events = Events::new(|event| {
///     if event.level() == Level::Warning {
///         eprintln!("warning: {event}");
///     }
/// });
/// ```
#[derive(Clone, Default)]
pub struct Events {
    sink: Option<Arc<Sink>>,
    without_debug: bool,
}

type Sink = dyn Fn(&Event) + Send + Sync;

impl Events {
    /// Calls `sink` for each event, on the thread on which it happens. The work waits until `sink` returns.
    #[must_use]
    pub fn new(sink: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { sink: Some(Arc::new(sink)), without_debug: false }
    }

    /// Leaves out events of [`Level::Debug`]. Each request is one, and all secrets are looked for in its text.
    #[must_use]
    pub fn without_debug(self) -> Self {
        Self { without_debug: true, ..self }
    }

    /// Whether events of this level are reported.
    pub(crate) fn wants(&self, level: Level) -> bool {
        self.is_listening() && !(self.without_debug && level == Level::Debug)
    }

    /// Whether anything listens; what only an event needs is not computed otherwise.
    pub(crate) fn is_listening(&self) -> bool {
        self.sink.is_some()
    }

    pub(crate) fn emit(&self, event: &Event) {
        if let Some(sink) = self.sink.as_ref().filter(|_| self.wants(event.level())) {
            sink(event);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_listening() { "Events(listening)" } else { "Events(none)" })
    }
}

/// How much an event matters to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// The user should know it.
    Warning,
    /// For a log of everything that is done.
    Debug,
    /// How far the work is: how much of a blob is read, or that a check is done.
    Progress,
}

/// Something that happened. `to_string()` is one line for a user; secrets are masked in it.
///
/// The first group comes from the registry client, the second from jobs, which name the target that they write.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A request was answered, or failed.
    Request {
        /// HTTP method.
        method: String,
        /// The URL, without user information and without the values of unknown query keys.
        url: String,
        /// Bytes of the request's body, if it has one.
        sent: Option<u64>,
        /// Status, HTTP version and length of the answer, or why there is none.
        outcome: String,
        /// Time until the answer began; `None` if nothing came within the idle timeout.
        elapsed: Option<Duration>,
        /// Counts from 1 for each request.
        attempt: u32,
    },
    /// Credentials were looked up for a registry.
    Credentials {
        /// The registry.
        registry: String,
        /// Where they come from, such as a file or a helper; or why there are none.
        source: String,
    },
    /// A token service is asked for a token.
    TokenRequest {
        /// The registry that the token is for.
        registry: String,
        /// What it is for, such as `repository:app:pull`.
        scopes: String,
    },
    /// The token service does not work; user and password are sent to the registry itself, which offers that as well.
    BasicInsteadOfToken {
        /// The registry.
        registry: String,
        /// What is wrong with the token service.
        reason: String,
    },
    /// A request failed and is sent again after a wait.
    Retry {
        /// What went wrong.
        reason: String,
        /// The wait.
        wait: Duration,
        /// How often it failed so far.
        failed: u32,
        /// How often it is sent again at most.
        retries: u32,
        /// The registry, if all requests to it wait.
        pauses: Option<String>,
    },
    /// A registry fails when asked to mount blobs; they are sent instead.
    MountsFail {
        /// The registry.
        registry: String,
        /// What it answered.
        reason: String,
    },
    /// The list of tags holds names that are not valid tags; they are left out.
    InvalidTags {
        /// What was listed.
        subject: String,
        /// How many names.
        count: usize,
    },
    /// The registry named a wrong digest when a manifest was pushed, and holds the right content.
    WrongDigestHeader {
        /// The manifest's reference.
        reference: String,
        /// The digest that the registry named.
        named: Digest,
        /// The digest of what it holds.
        actual: Digest,
    },
    /// A tag does not read back with the digest that was pushed; it is read again after a wait.
    NotReadBack {
        /// The tag.
        reference: String,
        /// The digest that was pushed.
        digest: Digest,
        /// The wait.
        wait: Duration,
    },
    /// Credentials are about to be sent where others on the network can read them.
    CleartextCredentials {
        /// The host that they are sent to.
        host: String,
    },
    /// A warning in a registry's answer (distribution-spec, "Warnings").
    RegistryWarning {
        /// The host that answered.
        host: String,
        /// Its words.
        text: String,
    },
    /// A registry was checked for something, by `probe`.
    Checked(Check),
    /// A blob is being read or sent: reported at most every 200 ms, and when it ends.
    Transfer {
        /// Identifies the transfer: one blob may be sent to several repositories at once.
        id: u64,
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Bytes so far; starts again at 0 when the blob is sent again.
        done: u64,
        /// Whether this is its last event.
        is_over: bool,
    },

    /// A source does not exist and is left out.
    Skipped {
        /// The index that is being assembled.
        target: Location,
        /// The source.
        skipped: Skipped,
    },
    /// Something is likely to be a mistake.
    Warning {
        /// The index that is being assembled.
        target: Location,
        /// What it is.
        warning: Warning,
    },
    /// A source's manifest is fetched and verified.
    Resolved {
        /// The index that is being assembled.
        target: Location,
        /// The source.
        source: Location,
        /// The manifest's digest.
        digest: Digest,
    },
    /// Something that the target needs is in place, or the target itself.
    Step {
        /// The repository, tag or layout that is written.
        target: Location,
        /// What happened.
        step: Step,
    },
    /// Another writer changed the target's tag; the change is made again to what the tag holds now.
    Restarted {
        /// The tag.
        target: Location,
    },
}

impl Event {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Retry { .. }
            | Self::MountsFail { .. }
            | Self::InvalidTags { .. }
            | Self::WrongDigestHeader { .. }
            | Self::NotReadBack { .. }
            | Self::CleartextCredentials { .. }
            | Self::RegistryWarning { .. }
            | Self::Skipped { .. }
            | Self::Warning { .. }
            | Self::Step { step: Step::TagKept(_), .. }
            | Self::Restarted { .. } => Level::Warning,
            Self::Transfer { .. } | Self::Checked(_) => Level::Progress,
            Self::Request { .. }
            | Self::Credentials { .. }
            | Self::TokenRequest { .. }
            | Self::BasicInsteadOfToken { .. }
            | Self::Resolved { .. }
            | Self::Step { .. } => Level::Debug,
        }
    }

    /// The target of the job that reports it; `None` for events of the registry client.
    #[must_use]
    pub fn target(&self) -> Option<&Location> {
        match self {
            Self::Skipped { target, .. }
            | Self::Warning { target, .. }
            | Self::Resolved { target, .. }
            | Self::Step { target, .. }
            | Self::Restarted { target } => Some(target),
            _ => None,
        }
    }

    /// Passes each text of a client's event through `clean`. Locations, digests and what jobs report are clean by type.
    pub(crate) fn map_texts(mut self, clean: impl Fn(&str) -> String) -> Self {
        let texts: Vec<&mut String> = match &mut self {
            Self::Request { method, url, outcome, .. } => vec![method, url, outcome],
            Self::Credentials { registry, source } => vec![registry, source],
            Self::TokenRequest { registry, scopes } => vec![registry, scopes],
            Self::BasicInsteadOfToken { registry, reason } | Self::MountsFail { registry, reason } => {
                vec![registry, reason]
            }
            Self::Retry { reason, pauses, .. } => std::iter::once(reason).chain(pauses).collect(),
            Self::InvalidTags { subject, .. } => vec![subject],
            Self::WrongDigestHeader { reference, .. } | Self::NotReadBack { reference, .. } => vec![reference],
            Self::CleartextCredentials { host } => vec![host],
            Self::RegistryWarning { host, text } => vec![host, text],
            Self::Checked(_)
            | Self::Transfer { .. }
            | Self::Skipped { .. }
            | Self::Warning { .. }
            | Self::Resolved { .. }
            | Self::Step { .. }
            | Self::Restarted { .. } => Vec::new(),
        };
        texts.into_iter().for_each(|text| *text = clean(text));
        self
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { method, url, sent, outcome, elapsed, attempt } => {
                write!(f, "{method} {url}")?;
                if let Some(bytes) = sent {
                    write!(f, " ({bytes} bytes)")?;
                }
                write!(f, " -> {outcome}")?;
                if let Some(elapsed) = elapsed {
                    write!(f, ", {} ms", elapsed.as_millis())?;
                }
                write!(f, ", attempt {attempt}")
            }
            Self::Credentials { registry, source } => write!(f, "credentials for {registry}: {source}"),
            Self::TokenRequest { registry, scopes } => write!(f, "token for {registry}: {scopes}"),
            Self::BasicInsteadOfToken { registry, reason } => {
                write!(f, "user and password for {registry} in place of a token: {reason}")
            }
            Self::Retry { reason, wait, failed, retries, pauses } => {
                if let Some(registry) = pauses {
                    write!(f, "all requests to {registry} wait: ")?;
                }
                write!(f, "{reason}; trying again in {:.1} s ({failed} of {retries})", wait.as_secs_f64())
            }
            Self::MountsFail { registry, reason } => {
                write!(f, "{registry} fails at mounting blobs ({reason}), which are sent instead")
            }
            Self::InvalidTags { subject, count } => {
                write!(f, "{subject}: {count} of the names listed are not valid tags and are left out")
            }
            Self::WrongDigestHeader { reference, named, actual } => {
                write!(f, "{reference}: the registry answered with digest {named}, and what it holds is {actual}")
            }
            Self::NotReadBack { reference, digest, wait } => {
                let seconds = wait.as_secs_f64();
                write!(f, "{reference} does not read back with {digest} yet; looking again in {seconds:.1} s")
            }
            Self::CleartextCredentials { host } => {
                write!(f, "credentials go to {host} over plain HTTP: others on the network can read them")
            }
            Self::RegistryWarning { host, text } => write!(f, "{host} says: {text}"),
            Self::Checked(Check { name, verdict, reason, .. }) => write!(f, "{name}: {}: {reason}", verdict.word()),
            Self::Transfer { digest, size, done, .. } => write!(f, "blob {digest}: {done} of {size} bytes"),
            Self::Skipped { skipped, .. } => skipped.fmt(f),
            Self::Warning { warning, .. } => warning.fmt(f),
            Self::Resolved { source, digest, .. } => write!(f, "{source} is {digest}"),
            Self::Step { step, .. } => step.fmt(f),
            Self::Restarted { target } => {
                write!(f, "{target} changed meanwhile; starting over from what it holds now")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_a_client_event_is_cleaned() {
        let s = || "secret".to_owned();
        let (digest, wait) = (Digest::sha256(b"x"), Duration::from_millis(1500));
        let events = [
            Event::Request { method: s(), url: s(), sent: Some(7), outcome: s(), elapsed: Some(wait), attempt: 1 },
            Event::Credentials { registry: s(), source: s() },
            Event::TokenRequest { registry: s(), scopes: s() },
            Event::BasicInsteadOfToken { registry: s(), reason: s() },
            Event::Retry { reason: s(), wait, failed: 1, retries: 5, pauses: Some(s()) },
            Event::MountsFail { registry: s(), reason: s() },
            Event::InvalidTags { subject: s(), count: 2 },
            Event::WrongDigestHeader { reference: s(), named: digest.clone(), actual: digest.clone() },
            Event::NotReadBack { reference: s(), digest: digest.clone(), wait },
            Event::CleartextCredentials { host: s() },
            Event::RegistryWarning { host: s(), text: s() },
        ];
        for event in events {
            let cleaned = event.map_texts(|text| text.replace("secret", "****"));
            assert!(!format!("{cleaned:?} {cleaned}").contains("secret"), "{cleaned:?}");
            assert!(cleaned.to_string().contains("****") && cleaned.target().is_none(), "{cleaned:?}");
        }
    }
}
