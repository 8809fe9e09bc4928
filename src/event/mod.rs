//! Progress, warnings and the debug log of the library: one enum of events, and the sink that receives them.
//!
//! The library never prints. A program that wants to show progress, warnings or a debug log passes an [`Events`] in the
//! client's configuration and gets every [`Event`] of that client and of the jobs that use it.

mod check;
mod display;
mod phase;
mod step;
mod warning;

pub use check::{Check, Need, Verdict};
pub use phase::Phase;
pub use step::{BlobOutcome, Step};
pub use warning::{Skipped, Warning};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::image::{Digest, Location, Platform};

/// Receives events. Cheap to clone; the default drops them.
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
    /// Calls `sink` for each event, on the thread that emits it. The job waits until `sink` returns.
    #[must_use]
    pub fn new(sink: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self { sink: Some(Arc::new(sink)), without_debug: false }
    }

    /// Drops events of [`Level::Debug`]. Every request emits one, and masking the secrets in its text takes time.
    #[must_use]
    pub fn without_debug(self) -> Self {
        Self { without_debug: true, ..self }
    }

    /// Whether events of this level are reported.
    pub(crate) fn wants(&self, level: Level) -> bool {
        self.is_listening() && !(self.without_debug && level == Level::Debug)
    }

    /// Whether a sink is set. If not, callers skip work that only events need.
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
    /// The user should know about it.
    Warning,
    /// For a log of every request and decision.
    Debug,
    /// Progress: the phase of a job, how much of a blob was transferred, or that a check of a registry or manifest is
    /// complete.
    Progress,
}

/// An event of a client or job. `to_string()` returns one line for a user, with secrets masked.
///
/// The first group comes from the registry client, the second from jobs, which name their target.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A request was answered, or failed.
    Request {
        /// HTTP method.
        method: String,
        /// The URL, without user information and without the values of unknown query keys.
        url: String,
        /// Size of the request's body in bytes, if it has one.
        sent: Option<u64>,
        /// Status, HTTP version and length of the response, or why the request failed.
        outcome: String,
        /// Time until the response began; `None` if it did not begin within the idle timeout.
        elapsed: Option<Duration>,
        /// The number of this attempt to send the request, from 1.
        attempt: u32,
    },
    /// Credentials were looked up for a registry.
    Credentials {
        /// The registry.
        registry: String,
        /// Where they come from, such as a file or a helper, or why they were not found.
        source: String,
    },
    /// A Docker archive stores layers without compression, so its images have other digests than in a registry.
    PlainLayers {
        /// The first such archive of the run.
        source: Location,
    },
    /// Signatures beside an image were not copied, because the target cannot hold them.
    SignaturesLeft {
        /// The folder of the image.
        source: Location,
        /// The number of signatures.
        count: usize,
    },
    /// The image for one platform was chosen from an index, because the target cannot hold an index.
    PlatformChosen {
        /// The index.
        source: Location,
        /// Where the image is written to.
        target: Location,
        /// The platform, which the user did not choose.
        platform: Platform,
    },
    /// A token is requested from a token service.
    TokenRequest {
        /// The registry that the token is for.
        registry: String,
        /// The scopes of the token, such as `repository:app:pull`.
        scopes: String,
    },
    /// The token service failed, so user name and password are sent to the registry, which also offers Basic
    /// authentication.
    BasicInsteadOfToken {
        /// The registry.
        registry: String,
        /// Why the token service failed.
        reason: String,
    },
    /// A mirror is not used for the rest of the run.
    MirrorFailed {
        /// The mirror's registry, or one of its repositories.
        mirror: String,
        /// Why it is not used.
        reason: String,
    },
    /// A request failed and is sent again after a wait.
    Retry {
        /// Why the request failed.
        reason: String,
        /// The wait.
        wait: Duration,
        /// Whether the registry asked for the wait.
        is_requested: bool,
        /// How often the request has failed so far.
        failed: u32,
        /// The maximum number of retries.
        retries: u32,
        /// The registry, if all requests to it wait.
        pauses: Option<String>,
    },
    /// A registry fails to mount blobs, so they are uploaded instead.
    MountsFail {
        /// The registry.
        registry: String,
        /// The registry's response.
        reason: String,
    },
    /// The list of tags contains names that are not valid tags; they are left out.
    InvalidTags {
        /// The repository or layout that was listed.
        subject: String,
        /// The number of invalid names.
        count: usize,
    },
    /// The registry reported a wrong digest for a pushed manifest, but stores the right content.
    WrongDigestHeader {
        /// The manifest's reference.
        reference: String,
        /// The digest that the registry reported.
        named: Digest,
        /// The digest of the stored content.
        actual: Digest,
    },
    /// A tag does not resolve to the pushed digest yet and is read again after a wait.
    NotReadBack {
        /// The tag.
        reference: String,
        /// The digest that was pushed.
        digest: Digest,
        /// The wait.
        wait: Duration,
    },
    /// Credentials are about to be sent over plain HTTP, where others on the network can read them.
    CleartextCredentials {
        /// The host that they are sent to.
        host: String,
    },
    /// A warning in a registry's response (distribution-spec, "Warnings").
    RegistryWarning {
        /// The host that sent the response.
        host: String,
        /// The text of the warning.
        text: String,
    },
    /// `probe` completed a check of a registry.
    Checked(Check),
    /// Progress of reading or uploading a blob: reported at most every 200 ms, and at the end.
    Transfer {
        /// Identifies the transfer, because one blob may be uploaded to several repositories concurrently.
        id: u64,
        /// The blob's digest.
        digest: Digest,
        /// The blob's size in bytes.
        size: u64,
        /// Bytes transferred so far; 0 again when the blob is retried.
        done: u64,
        /// Whether this is the last event of the transfer.
        is_over: bool,
    },

    /// A source does not exist and is left out.
    Skipped {
        /// The index that is being assembled.
        target: Location,
        /// The source.
        skipped: Skipped,
    },
    /// A likely mistake.
    Warning {
        /// The index that is being assembled.
        target: Location,
        /// The mistake.
        warning: Warning,
    },
    /// A source's manifest was fetched and verified.
    Resolved {
        /// The index that is being assembled.
        target: Location,
        /// The source.
        source: Location,
        /// The manifest's digest.
        digest: Digest,
    },
    /// A push or copy begins a phase, or advances in it.
    Phase {
        /// The repository, tag or layout that is written.
        target: Location,
        /// The phase.
        phase: Phase,
    },
    /// A part of the target, or the target itself, is complete.
    Step {
        /// The repository, tag or layout that is written.
        target: Location,
        /// The completed part.
        step: Step,
    },
    /// `verify` checked an image, an attestation or another manifest, with its config and layers.
    Verified {
        /// The reference that is verified.
        target: Location,
        /// The manifest's digest.
        digest: Digest,
        /// The platform of the image, if known.
        platform: Option<Platform>,
        /// Whether the manifest is an attestation, not an image.
        is_attestation: bool,
        /// Number of distinct configs and layers that were checked; 0 if the manifest cannot be read.
        blobs: usize,
        /// Total size of these blobs in bytes, from their descriptors.
        bytes: u64,
        /// Number of problems found, without those that a comparison with the other entries of the index finds later.
        findings: usize,
        /// Number of parts that could not be checked because of an error of the registry or network.
        unchecked: usize,
    },
    /// Another writer changed the target's tag, so the change is applied again to the index that the tag points at now.
    Restarted {
        /// The tag.
        target: Location,
    },
}

impl Event {
    /// Returns how much the event matters to a user.
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
            | Self::PlainLayers { .. }
            | Self::SignaturesLeft { .. }
            | Self::PlatformChosen { .. }
            | Self::Skipped { .. }
            | Self::Warning { .. }
            | Self::Step { step: Step::TagKept(_), .. }
            | Self::Restarted { .. } => Level::Warning,
            Self::Transfer { .. } | Self::Checked(_) | Self::Verified { .. } | Self::Phase { .. } => Level::Progress,
            Self::Request { .. }
            | Self::Credentials { .. }
            | Self::TokenRequest { .. }
            | Self::BasicInsteadOfToken { .. }
            | Self::MirrorFailed { .. }
            | Self::Resolved { .. }
            | Self::Step { .. } => Level::Debug,
        }
    }

    /// Returns the target of the job that reports the event; `None` for events of the registry client.
    #[must_use]
    pub fn target(&self) -> Option<&Location> {
        match self {
            Self::Skipped { target, .. }
            | Self::Warning { target, .. }
            | Self::Resolved { target, .. }
            | Self::Phase { target, .. }
            | Self::Step { target, .. }
            | Self::Verified { target, .. }
            | Self::PlatformChosen { target, .. }
            | Self::Restarted { target } => Some(target),
            _ => None,
        }
    }

    /// Passes each text of a client event through `clean`. Locations, digests and the contents of job events are safe
    /// by type.
    pub(crate) fn map_texts(mut self, clean: impl Fn(&str) -> String) -> Self {
        let texts: Vec<&mut String> = match &mut self {
            Self::Request { method, url, outcome, .. } => vec![method, url, outcome],
            Self::Credentials { registry, source } => vec![registry, source],
            Self::TokenRequest { registry, scopes } => vec![registry, scopes],
            Self::BasicInsteadOfToken { registry, reason } | Self::MountsFail { registry, reason } => {
                vec![registry, reason]
            }
            Self::MirrorFailed { mirror, reason } => vec![mirror, reason],
            Self::Retry { reason, pauses, .. } => std::iter::once(reason).chain(pauses).collect(),
            Self::InvalidTags { subject, .. } => vec![subject],
            Self::WrongDigestHeader { reference, .. } | Self::NotReadBack { reference, .. } => vec![reference],
            Self::CleartextCredentials { host } => vec![host],
            Self::RegistryWarning { host, text } => vec![host, text],
            Self::Checked(_)
            | Self::PlainLayers { .. }
            | Self::SignaturesLeft { .. }
            | Self::PlatformChosen { .. }
            | Self::Transfer { .. }
            | Self::Skipped { .. }
            | Self::Warning { .. }
            | Self::Resolved { .. }
            | Self::Phase { .. }
            | Self::Step { .. }
            | Self::Verified { .. }
            | Self::Restarted { .. } => Vec::new(),
        };
        texts.into_iter().for_each(|text| *text = clean(text));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_texts_cleans_every_text_of_a_client_event() {
        let s = || "secret".to_owned();
        let (digest, wait) = (Digest::sha256(b"x"), Duration::from_millis(1500));
        let events = [
            Event::Request { method: s(), url: s(), sent: Some(7), outcome: s(), elapsed: Some(wait), attempt: 1 },
            Event::Credentials { registry: s(), source: s() },
            Event::TokenRequest { registry: s(), scopes: s() },
            Event::BasicInsteadOfToken { registry: s(), reason: s() },
            Event::Retry { reason: s(), wait, is_requested: false, failed: 1, retries: 5, pauses: Some(s()) },
            Event::MountsFail { registry: s(), reason: s() },
            Event::MirrorFailed { mirror: s(), reason: s() },
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
