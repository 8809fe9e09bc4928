use std::fmt;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::event::{Event, Reporter};
use crate::image::{
    Descriptor, ImageConfig, ImageManifest, Index, Manifest, Platform, Reference, is_known_platform, media_type,
};
use crate::registry::{Client, Error, Fetched};
use crate::spec::{Source, Spec};

/// Requests under way at once.
pub(super) const CONCURRENCY: usize = 16;

/// One image or attestation that goes into the index, fetched and verified.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As it goes into the index: type, digest, size, platform, annotations.
    pub descriptor: Descriptor,
    /// Where its manifest is, by digest.
    pub reference: Reference,
    /// The source that it came from, as given.
    pub source: Reference,
    /// The manifest's exact bytes.
    pub bytes: Bytes,
    /// The manifest, read.
    pub manifest: ImageManifest,
}

/// All sources, in the order of the index: images first, then the attestations that came with them.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The images.
    pub images: Vec<Entry>,
    /// The attestation manifests.
    pub attestations: Vec<Entry>,
}

/// All sources that cannot be used.
#[derive(Debug)]
pub struct ResolveError {
    /// The index that was to be made.
    pub target: Reference,
    /// Each source with its reason; never empty.
    pub problems: Vec<SourceProblem>,
}

/// One source that cannot be used.
#[derive(Debug)]
pub struct SourceProblem {
    /// The platform that was asked for; empty where none was.
    pub platform: Platform,
    /// Why it cannot be used.
    pub reason: SourceReason,
}

/// Why a source cannot be used.
#[derive(Debug)]
pub enum SourceReason {
    /// The registry's doing.
    Registry(Error),
    /// The source's own, with its reference.
    Unusable(String),
}

impl From<Error> for SourceReason {
    fn from(error: Error) -> Self {
        Self::Registry(error)
    }
}

impl fmt::Display for SourceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(error) => error.fmt(f),
            Self::Unusable(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot assemble {}: ", self.target)?;
        // What is so for several sources, such as a refused password, is said once.
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        for problem in &self.problems {
            let named = problem.platform != Platform::default();
            let platform = if named { problem.platform.to_string() } else { String::new() };
            let reason = problem.reason.to_string();
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, platforms)) => platforms.push(platform),
                None => reasons.push((reason, vec![platform])),
            }
        }
        let write = |f: &mut fmt::Formatter<'_>, reason: &str, platforms: &[String]| {
            let named: Vec<&str> =
                platforms.iter().map(String::as_str).filter(|platform| !platform.is_empty()).collect();
            if named.is_empty() { f.write_str(reason) } else { write!(f, "{}: {reason}", named.join(", ")) }
        };
        match (reasons.as_slice(), self.problems.len()) {
            ([(reason, platforms)], 1) => write(f, reason, platforms),
            ([(reason, _)], _) => f.write_str(reason),
            (reasons, count) => {
                write!(f, "{count} sources cannot be used")?;
                reasons.iter().try_for_each(|(reason, platforms)| {
                    f.write_str("\n  ")?;
                    write(f, reason, platforms)
                })
            }
        }
    }
}

impl std::error::Error for ResolveError {}

impl ResolveError {
    /// What registries said, for hints.
    pub fn registry_errors(&self) -> impl Iterator<Item = &Error> {
        self.problems.iter().filter_map(|problem| match &problem.reason {
            SourceReason::Registry(error) => Some(error),
            SourceReason::Unusable(_) => None,
        })
    }
}

/// Fetches and checks every source, all at once, and reports all that fail together.
pub(super) async fn resolve(
    client: &Client,
    spec: &Spec,
    ignore_missing: bool,
    reporter: Reporter<'_>,
) -> Result<Resolved, ResolveError> {
    let outcomes: Vec<Result<Vec<Entry>, SourceReason>> = stream::iter(&spec.sources)
        .map(|source| resolve_source(client, spec, source))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let mut resolved = Resolved::default();
    let mut problems = Vec::new();
    for (source, outcome) in spec.sources.iter().zip(outcomes) {
        match outcome {
            Ok(entries) => {
                for entry in entries {
                    reporter(Event::Resolved {
                        reference: entry.source.clone(),
                        digest: entry.descriptor.digest.clone(),
                    });
                    let attestation = entry.descriptor.is_attestation();
                    if attestation { &mut resolved.attestations } else { &mut resolved.images }.push(entry);
                }
            }
            Err(SourceReason::Registry(error)) if ignore_missing && error.is_missing() && is_about(&error, source) => {
                let platform = (source.platform != Platform::default()).then(|| source.platform.to_string());
                reporter(Event::SkippedMissing { platform, reason: error.to_string() });
            }
            Err(reason) => problems.push(SourceProblem { platform: source.platform.clone(), reason }),
        }
    }
    if problems.is_empty() { Ok(resolved) } else { Err(ResolveError { target: spec.target.clone(), problems }) }
}

/// A source whose own manifest is there, but whose config or child is missing, is broken and not absent.
fn is_about(error: &Error, source: &Source) -> bool {
    error.subject == source.reference.to_string()
}

async fn resolve_source(client: &Client, spec: &Spec, source: &Source) -> Result<Vec<Entry>, SourceReason> {
    let fetched = client.fetch_manifest(&source.reference, Some(&spec.target)).await?;
    match fetched.manifest {
        Manifest::Index(ref index) => resolve_index(client, spec, source, index).await,
        Manifest::Image(_) => {
            let mut entry = entry(source, fetched)?;
            let platform = fill_platform(client, spec, &entry, source.platform.clone()).await?;
            entry.descriptor.platform = Some(platform);
            Ok(vec![entry])
        }
    }
}

/// An index among the sources counts as the images in it; what the index says of each is kept.
async fn resolve_index(
    client: &Client,
    spec: &Spec,
    source: &Source,
    index: &Index,
) -> Result<Vec<Entry>, SourceReason> {
    if index.manifests.is_empty() {
        return Err(SourceReason::Unusable(format!("{} is an index without entries", source.reference)));
    }
    stream::iter(&index.manifests)
        .map(|child| async move {
            if media_type::is_index(&child.media_type) {
                let (reference, digest) = (&source.reference, &child.digest);
                return Err(SourceReason::Unusable(format!(
                    "{reference} holds another index, {digest}; name the images of that one as sources instead"
                )));
            }
            let fetched = client.fetch_child(&source.reference, child, Some(&spec.target)).await?;
            let mut entry = entry(source, fetched)?;
            entry.descriptor = child.clone();
            if entry.descriptor.platform.is_none() && !entry.descriptor.is_attestation() {
                entry.descriptor.platform = Some(fill_platform(client, spec, &entry, Platform::default()).await?);
            }
            Ok(entry)
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await
}

fn entry(source: &Source, fetched: Fetched) -> Result<Entry, SourceReason> {
    let reference = source.reference.with_digest(fetched.descriptor.digest.clone());
    match fetched.manifest {
        Manifest::Image(manifest) => Ok(Entry {
            descriptor: fetched.descriptor,
            source: source.reference.clone(),
            reference,
            bytes: fetched.bytes,
            manifest: *manifest,
        }),
        Manifest::Index(_) => {
            Err(SourceReason::Unusable(format!("{reference} is an index where an image is expected")))
        }
    }
}

/// What the spec left open comes from the image's config: os and architecture when both are blank, variant,
/// os.version and os.features each when absent. The result must be a platform that Go knows, as in 2.2.1.
async fn fill_platform(
    client: &Client,
    spec: &Spec,
    entry: &Entry,
    mut platform: Platform,
) -> Result<Platform, SourceReason> {
    if media_type::is_config(&entry.manifest.config.media_type) {
        let bytes = client.fetch_config(&entry.source, &entry.manifest.config, Some(&spec.target)).await?;
        let config: ImageConfig = serde_json::from_slice(&bytes).map_err(|error| {
            let (source, digest) = (&entry.source, &entry.manifest.config.digest);
            SourceReason::Unusable(format!("{source}: its config {digest} is not valid: {error}"))
        })?;
        fill(&mut platform, config.platform);
    }
    if is_known_platform(&platform) {
        return Ok(platform);
    }
    Err(SourceReason::Unusable(if platform.os.is_empty() && platform.architecture.is_empty() {
        format!("{} does not say what platform it is for; give its platform", entry.source)
    } else {
        format!("{}: unsupported platform {platform}", entry.source)
    }))
}

fn fill(platform: &mut Platform, config: Platform) {
    if platform.os.is_empty() && platform.architecture.is_empty() {
        platform.os = config.os;
        platform.architecture = config.architecture;
    }
    if platform.variant.is_empty() {
        platform.variant = config.variant;
    }
    if platform.os_version.is_empty() {
        platform.os_version = config.os_version;
    }
    if platform.os_features.is_empty() {
        platform.os_features = config.os_features;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_takes_only_what_is_open() {
        let make = |os: &str, architecture: &str, variant: &str| Platform {
            os: os.into(),
            architecture: architecture.into(),
            variant: variant.into(),
            ..Platform::default()
        };
        for (given, config, expected) in [
            (make("", "", ""), make("linux", "arm", "v7"), "linux/arm/v7"),
            (make("linux", "arm", ""), make("linux", "arm", "v7"), "linux/arm/v7"),
            (make("linux", "arm", "v6"), make("linux", "arm", "v7"), "linux/arm/v6"),
            (make("linux", "", ""), make("linux", "arm", ""), "linux/"),
            (make("", "", "v8"), make("linux", "arm64", ""), "linux/arm64/v8"),
        ] {
            let mut platform = given;
            fill(&mut platform, config);
            assert_eq!(platform.to_string(), expected);
        }
    }
}
