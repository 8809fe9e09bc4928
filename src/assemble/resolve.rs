use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _, Shared, join, join_all, try_join_all};

use super::PushOptions;
use super::gather::{Part, Sources, nested_index};
use super::outcome::Log;
use super::plan;
use super::problem::{ResolveError, SourceProblem, SourceReason};
use crate::event::Skipped;
use crate::image::{
    Descriptor, Digest, ImageConfig, Location, Platform, is_known_platform, media_type, parse_config, unsupported,
};
use crate::registry::RetryGroup;
use crate::single_flight::SingleFlight;
use crate::spec::{Attestations, Source, Spec, is_possible};
use crate::store::{Child, Store};

/// One image or attestation that goes into the index, fetched and verified.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// As it goes into the index: type, digest, size, platform, annotations.
    pub descriptor: Descriptor,
    /// Where its manifest is, by digest.
    pub reference: Location,
    /// The source that it came from, as given.
    pub source: Location,
    /// The manifest's exact bytes.
    pub bytes: Bytes,
    /// Config and layers, each digest once, except those that are not to be moved.
    pub blobs: Arc<[Descriptor]>,
    /// What its config says that it runs on, where that was read.
    pub config: Option<Platform>,
    /// Whether it came in an index, which decides on its platform.
    pub in_index: bool,
}

/// All sources, in the order of the index: images first, then the attestations that came with them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolved {
    /// The images.
    pub images: Vec<Entry>,
    /// The attestation manifests.
    pub attestations: Vec<Entry>,
    /// The manifest that the index refers to.
    pub subject: Option<Descriptor>,
}

/// What configs say of platforms, by repository and digest, for all indexes of a run.
pub(super) type Configs = SingleFlight<(Location, Digest), Platform, SourceReason>;

/// A source whose manifests are on their way, for all who wait for them.
pub(super) type Gathering<'a> = Shared<BoxFuture<'a, Result<Arc<Vec<Part>>, SourceReason>>>;

/// Begins with every source of an index. Once one cannot be used, the others are not tried again.
pub(super) fn gather<'a>(
    store: &'a Store,
    sources: &'a Sources,
    spec: &'a Spec,
    ignore_missing: bool,
) -> Vec<Gathering<'a>> {
    let gather = |source: &'a Source| async move {
        let outcome = sources.get(store, source).await;
        outcome.inspect_err(|reason| {
            if skipped(source, reason, ignore_missing).is_none() {
                RetryGroup::fail_current();
            }
        })
    };
    spec.sources.iter().map(|source| gather(source).boxed().shared()).collect()
}

/// What will have to be put into the target's repository, once all manifests are here; nothing, if one is not.
pub(super) async fn children(gathering: &[Gathering<'_>], spec: &Spec, ignore_missing: bool) -> Vec<Child> {
    let mut all: Vec<Arc<Vec<Part>>> = Vec::new();
    for (source, outcome) in spec.sources.iter().zip(join_all(gathering.iter().cloned()).await) {
        match outcome {
            Ok(parts) => all.push(parts),
            Err(reason) if skipped(source, &reason, ignore_missing).is_some() => {}
            Err(_) => return Vec::new(),
        }
    }
    let parts = all.iter().flat_map(|parts| parts.iter()).filter(|part| !is_dropped(spec, part));
    plan::children(&spec.target, parts.map(|part| (&part.reference, &part.descriptor, &part.bytes, &part.blobs)))
}

/// Whether it does not go into the index.
fn is_dropped(spec: &Spec, part: &Part) -> bool {
    spec.attestations == Attestations::Drop && part.descriptor.is_attestation()
}

/// Gives every image its platform, which may take its config, and reports all sources that fail together.
pub(super) async fn resolve(
    store: &Store,
    configs: &Configs,
    gathering: &[Gathering<'_>],
    spec: &Spec,
    options: &PushOptions,
    log: &Log,
) -> Result<Resolved, ResolveError> {
    // A source's configs are fetched as soon as its own manifests are here.
    let outcomes = join_all(spec.sources.iter().zip(gathering).map(async |(source, gathering)| {
        let parts = gathering.clone().await?;
        let parts = parts.iter().filter(|part| !is_dropped(spec, part));
        let entries = try_join_all(parts.map(|part| entry(store, configs, spec, source, part, options.strict))).await;
        entries.inspect_err(|_| RetryGroup::fail_current())
    }));
    let subject = async {
        let Some(subject) = &spec.subject else { return Ok(None) };
        let fetched = store.fetch_manifest(subject).await;
        fetched.inspect_err(|_| RetryGroup::fail_current()).map(|fetched| Some(fetched.descriptor))
    };
    let (outcomes, subject) = join(outcomes, subject).await;
    let mut problems = Vec::new();
    let mut resolved = Resolved::default();
    match subject {
        Ok(subject) => resolved.subject = subject,
        Err(error) => {
            problems.push(SourceProblem { platform: Platform::default(), reason: SourceReason::Registry(error) });
        }
    }
    for (source, outcome) in spec.sources.iter().zip(outcomes) {
        match outcome {
            Ok(entries) => {
                for entry in entries {
                    let (reference, digest) = (entry.source.clone(), entry.descriptor.digest.clone());
                    log.resolved(reference, digest);
                    let attestation = entry.descriptor.is_attestation();
                    if attestation { &mut resolved.attestations } else { &mut resolved.images }.push(entry);
                }
            }
            Err(reason) => match skipped(source, &reason, options.ignore_missing) {
                Some(skipped) if is_possible(&source.platform) => log.skipped(skipped),
                // There is none because of how its name was made.
                Some(_) => {
                    let reason = unsupported_source(&source.location, &source.platform);
                    problems.push(SourceProblem { platform: source.platform.clone(), reason });
                }
                None => problems.push(SourceProblem { platform: source.platform.clone(), reason }),
            },
        }
    }
    if problems.is_empty() { Ok(resolved) } else { Err(ResolveError { target: spec.target.clone(), problems }) }
}

/// Whether a source is left out for this reason. One whose own manifest is there, but whose config or child is
/// missing, is broken and not absent.
fn skipped(source: &Source, reason: &SourceReason, ignore_missing: bool) -> Option<Skipped> {
    let SourceReason::Registry(error) = reason else { return None };
    if !ignore_missing || !error.is_missing() || error.subject() != source.location.to_string() {
        return None;
    }
    let platform = (source.platform != Platform::default()).then(|| source.platform.to_string());
    Some(Skipped { platform, reference: source.location.clone(), reason: error.to_string() })
}

async fn entry(
    store: &Store,
    configs: &Configs,
    spec: &Spec,
    source: &Source,
    part: &Part,
    strict: bool,
) -> Result<Entry, SourceReason> {
    let mut descriptor = part.descriptor.clone();
    if media_type::is_index(&descriptor.media_type) && !part.reference.same_repository(&spec.target) {
        return Err(SourceReason::Unusable(nested_index(&source.location, &descriptor).into()));
    }
    let mut config = None;
    if !descriptor.is_attestation() {
        let given = match (part.in_index, &descriptor.platform) {
            (false, _) => Some(source.platform.clone()),
            (true, None) => Some(Platform::default()),
            // The index has the say.
            (true, Some(_)) => None,
        };
        if given.is_some() || strict {
            let needed = strict || given.as_ref().is_some_and(is_open);
            config = config_of(store, configs, source, part, needed).await?;
        }
        if let Some(given) = given {
            descriptor.platform = Some(platform(source, given, config.clone())?);
        }
        descriptor.annotations.extend(source.annotations.clone());
    }
    Ok(Entry {
        descriptor,
        reference: part.reference.clone(),
        source: source.location.clone(),
        bytes: part.bytes.clone(),
        blobs: Arc::clone(&part.blobs),
        config,
        in_index: part.in_index,
    })
}

/// What an image's config says of its platform. One that cannot be read matters where it is needed.
async fn config_of(
    store: &Store,
    configs: &Configs,
    source: &Source,
    part: &Part,
    needed: bool,
) -> Result<Option<Platform>, SourceReason> {
    let config = &part.config;
    if !media_type::is_config(&config.media_type) {
        return Ok(None);
    }
    let fetch = config_platform(store, &source.location, config);
    let key = (source.location.without_name(), config.digest.clone());
    match configs.get_or_share(&key, fetch, SourceReason::counts).await {
        Ok(platform) => Ok(Some(platform)),
        Err(reason) if needed => Err(reason),
        Err(_) => Ok(None),
    }
}

/// Reads what a config says of its platform.
pub(super) async fn config_platform(
    store: &Store,
    source: &Location,
    config: &Descriptor,
) -> Result<Platform, SourceReason> {
    let bytes = store.fetch_config(source, config).await?;
    let config: ImageConfig = parse_config(&bytes).map_err(|error| {
        SourceReason::Unusable(format!("{source}: its config {} is not valid: {error}", config.digest).into())
    })?;
    let Platform { architecture, os, os_version, os_features, variant } = &config.platform;
    let fields = [architecture, os, os_version, variant].into_iter().chain(os_features);
    if os_features.len() > MAX_FEATURES || fields.into_iter().any(|field| field.len() > MAX_FIELD) {
        return Err(SourceReason::Unusable(format!("{source}: the platform in its config is longer than any").into()));
    }
    Ok(config.platform)
}

/// What configs say of platforms is kept for a whole run; bytes of a field, and entries of `os.features`.
const MAX_FIELD: usize = 256;
const MAX_FEATURES: usize = 64;

/// What the spec left open comes from the image's config: os and architecture when both are blank, variant,
/// os.version and os.features each when absent. The result must be a platform that Go knows, as in 2.2.1.
fn platform(source: &Source, mut platform: Platform, config: Option<Platform>) -> Result<Platform, SourceReason> {
    let source = &source.location;
    if let Some(config) = config {
        fill(&mut platform, config);
    }
    if is_known_platform(&platform) {
        return Ok(platform);
    }
    Err(if platform.os.is_empty() && platform.architecture.is_empty() {
        SourceReason::Unusable(format!("{source} does not say what platform it is for; give its platform").into())
    } else {
        unsupported_source(source, &platform)
    })
}

fn unsupported_source(source: &Location, platform: &Platform) -> SourceReason {
    SourceReason::Unusable(format!("{source}: {}", unsupported(platform)).into())
}

/// Whether a config could add anything.
fn is_open(platform: &Platform) -> bool {
    let Platform { os, architecture, variant, os_version, os_features } = platform;
    (os.is_empty() && architecture.is_empty()) || variant.is_empty() || os_version.is_empty() || os_features.is_empty()
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
