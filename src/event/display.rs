use std::fmt;

use super::{Check, Event};

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
                write!(f, "sending user and password to {registry} instead of a token: {reason}")
            }
            Self::MirrorFailed { mirror, reason } => write!(f, "the mirror {mirror} is not used: {reason}"),
            Self::Retry { reason, wait, failed, retries, pauses, .. } => {
                if let Some(registry) = pauses {
                    write!(f, "all requests to {registry} are paused: ")?;
                }
                write!(f, "{reason}; trying again in {:.1} s ({failed} of {retries})", wait.as_secs_f64())
            }
            Self::MountsFail { registry, reason } => {
                write!(f, "{registry} cannot mount blobs ({reason}); uploading them instead")
            }
            Self::InvalidTags { subject, count } => {
                write!(f, "{subject}: left out {count} listed names that are not valid tags")
            }
            Self::WrongDigestHeader { reference, named, actual } => {
                write!(f, "{reference}: the registry reported digest {named}, but it stores {actual}")
            }
            Self::NotReadBack { reference, digest, wait } => {
                let seconds = wait.as_secs_f64();
                write!(f, "{reference} does not resolve to {digest} yet; checking again in {seconds:.1} s")
            }
            Self::CleartextCredentials { host } => {
                write!(f, "sending credentials to {host} over plain HTTP: others on the network can read them")
            }
            Self::PlainLayers { source } => write!(
                f,
                "{source}: its layers are not compressed, so it has another digest than the image in a registry"
            ),
            Self::SignaturesLeft { source, count } => {
                let signatures = if *count == 1 { "signature was" } else { "signatures were" };
                write!(f, "{source}: {count} {signatures} not copied; only dir: holds them")
            }
            Self::PlatformChosen { source, platform, .. } => {
                write!(f, "{source} is an index: copying its image for {platform}; --platform chooses another")
            }
            Self::RegistryWarning { host, text } => write!(f, "{host} says: {text}"),
            Self::Checked(Check { name, verdict, reason, .. }) => write!(f, "{name}: {}: {reason}", verdict.word()),
            Self::Transfer { digest, size, done, .. } => write!(f, "blob {digest}: {done} of {size} bytes"),
            Self::Skipped { skipped, .. } => skipped.fmt(f),
            Self::Warning { warning, .. } => warning.fmt(f),
            Self::Resolved { source, digest, .. } => write!(f, "{source} is {digest}"),
            Self::Phase { phase, .. } => phase.fmt(f),
            Self::Step { step, .. } => step.fmt(f),
            Self::Verified { digest, platform, is_attestation, blobs, bytes, findings, .. } => {
                f.write_str("checked ")?;
                match platform {
                    _ if *is_attestation => f.write_str("attestation ")?,
                    Some(platform) if !platform.is_empty() => write!(f, "{platform} ")?,
                    _ => {}
                }
                write!(f, "{digest}: {blobs} blobs, {bytes} bytes, {findings} findings")
            }
            Self::Restarted { target } => {
                write!(f, "{target} was changed by another writer; applying the change to its current index")
            }
        }
    }
}
