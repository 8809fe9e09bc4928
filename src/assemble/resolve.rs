//! Determines the platform of every image of an index.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{BoxFuture, FutureExt as _, Shared, join, join_all, try_join_all};

use super::config::{ConfigFields, Configs};
use super::log::Log;
use super::options::PushOptions;
use super::resolve_error::{ResolveError, SourceProblem, SourceReason};
use super::source::{SourceImage, SourceImages, Sources, nested_index, unusable};
use crate::event::{Phase, Skipped, Warning};
use crate::image::{
    Descriptor, Digest, Location, Platform, UnsupportedPlatform, UntrustedText, is_known_platform, media_type,
    unsupported,
};
use crate::registry::RetryGroup;
use crate::spec::{Attestations, Source, Spec, Target, is_possible};
use crate::store::{SourceManifest, Store};

/// All resolved sources of an index, in the order of its entries: images, then attestations.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolved {
    pub(super) images: Vec<SourceImage>,
    pub(super) attestations: Vec<SourceImage>,
    /// The manifest that the index refers to.
    pub(super) subject: Option<Descriptor>,
    /// Sources that are left out, because another source is the same image.
    pub(super) duplicates: Vec<Warning>,
}

impl Resolved {
    /// Returns the images, then the attestations.
    pub(super) fn all(&self) -> impl Iterator<Item = &SourceImage> {
        self.images.iter().chain(&self.attestations)
    }

    /// Keeps an image of several sources once: they may name it by tag and by digest, or contain it.
    fn remove_duplicates(&mut self) {
        let mut seen: HashMap<Digest, Vec<SourceImage>> = HashMap::new();
        let duplicates = &mut self.duplicates;
        for images in [&mut self.images, &mut self.attestations] {
            images.retain(|image| {
                let same_digest = seen.entry(image.entry.digest.clone()).or_default();
                let Some(first) = same_digest.iter().find(|first| image.is_duplicate_of(first)) else {
                    same_digest.push(image.clone());
                    return true;
                };
                if !image.entry.is_attestation() {
                    let [source, first] = [&image.source, &first.source].map(|source| Box::new(source.clone()));
                    duplicates.push(Warning::Duplicate { source, first, digest: image.entry.digest.clone() });
                }
                false
            });
        }
    }
}

/// The fetch of a source's manifests, which several tasks can await.
pub(super) type Fetching<'a> = Shared<BoxFuture<'a, Result<Arc<SourceImages>, SourceReason>>>;

/// Returns the fetch of each source of an index. After one source fails, requests for the others are not retried.
pub(super) fn fetch_sources<'a>(
    store: &'a Store,
    sources: &'a Sources,
    spec: &'a Spec,
    ignore_missing: bool,
) -> Vec<Fetching<'a>> {
    let fetch = |source: &'a Source| async move {
        let outcome = sources.get(store, spec, source).await;
        outcome.inspect_err(|reason| {
            if skipped(source, reason, ignore_missing).is_none() {
                RetryGroup::fail_current();
            }
        })
    };
    spec.sources.iter().map(|source| fetch(source).boxed().shared()).collect()
}

/// Waits for all sources, and returns the manifests that are not in a target's repository, each once. Empty if a source
/// cannot be used.
pub(super) async fn source_manifests(
    fetching: &[Fetching<'_>],
    spec: &Spec,
    target: &Location,
    ignore_missing: bool,
) -> Vec<SourceManifest> {
    let mut children: Vec<SourceManifest> = Vec::new();
    let mut seen = HashSet::new();
    for (source, outcome) in spec.sources.iter().zip(join_all(fetching.iter().cloned()).await) {
        match outcome {
            Ok(fetched) => {
                let images = fetched.images.iter().filter(|image| !is_dropped(spec, image));
                let manifests = images.map(|image| &image.manifest);
                let external = manifests.filter(|manifest| !manifest.location.same_repository(target));
                let new = external.filter(|manifest| seen.insert(manifest.descriptor.digest.clone()));
                children.extend(new.cloned());
            }
            Err(reason) if skipped(source, &reason, ignore_missing).is_some() => {}
            Err(_) => return Vec::new(),
        }
    }
    children
}

/// Whether the spec leaves an image out of the index.
fn is_dropped(spec: &Spec, image: &SourceImage) -> bool {
    spec.attestations == Attestations::Drop && image.entry.is_attestation()
}

/// Determines the platform of every image, from its config if needed. Reports all failed sources together.
pub(super) async fn resolve(
    store: &Store,
    configs: &Configs,
    fetching: &[Fetching<'_>],
    spec: &Spec,
    options: &PushOptions,
    log: &Log,
) -> Result<Resolved, ResolveError> {
    let resolver = Resolver { store, configs, spec, strict: options.strict };
    let (done, total) = (AtomicUsize::new(0), spec.sources.len());
    log.phase(Phase::Resolving { done: 0, total });
    // Fetch the configs of a source as soon as its manifests have arrived.
    let resolve_source = async |(source, fetching): (&Source, &Fetching<'_>)| {
        let fetched = fetching.clone().await?;
        let images = fetched.images.iter().filter(|image| !is_dropped(spec, image));
        let resolved = try_join_all(images.map(|image| resolver.resolve(source, image))).await;
        let resolved = resolved.and_then(|images| {
            let prefix = format!("{} has no image for", source.location);
            check_selected(&prefix, &source.select, &offered(&images, &fetched.offered))?;
            Ok((images, fetched.offered.clone()))
        });
        resolved.inspect_err(|_| RetryGroup::fail_current())
    };
    let outcomes = join_all(spec.sources.iter().zip(fetching).map(async |source| {
        let outcome = resolve_source(source).await;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        log.phase(Phase::Resolving { done, total });
        outcome
    }));
    let subject = async {
        let Some(subject) = &spec.subject else { return Ok(None) };
        let fetched = store.fetch_manifest(subject).await.inspect_err(|_| RetryGroup::fail_current());
        fetched.map(|fetched| Some(fetched.descriptor))
    };
    let (outcomes, subject) = join(outcomes, subject).await;
    let (mut resolved, mut problems) = (Resolved::default(), Vec::new());
    match subject {
        Ok(subject) => resolved.subject = subject,
        Err(error) => {
            let (source, platform) = (spec.subject.clone(), Platform::default());
            problems.push(SourceProblem { source, platform, reason: SourceReason::Store(error) });
        }
    }
    let mut all_offered = Vec::new();
    for (source, outcome) in spec.sources.iter().zip(outcomes) {
        match outcome {
            Ok((images, of_index)) => {
                all_offered.extend(offered(&images, &of_index));
                images.into_iter().for_each(|image| add(&mut resolved, image, log));
            }
            Err(reason) => problems.extend(problem(source, reason, options.ignore_missing, log)),
        }
    }
    if problems.is_empty() {
        let reason = check_selected("no source offers", &spec.select, &all_offered).err();
        problems.extend(reason.map(|reason| SourceProblem { source: None, platform: Platform::default(), reason }));
    }
    if problems.is_empty() {
        resolved.remove_duplicates();
        Ok(resolved)
    } else {
        Err(ResolveError { target: spec.target.location.clone(), problems })
    }
}

/// Returns the platforms that a source offers: those of the index, or those of its images.
fn offered(images: &[SourceImage], of_index: &[Platform]) -> Vec<Platform> {
    let of_images = images.iter().filter(|image| !image.entry.is_attestation());
    of_index.iter().cloned().chain(of_images.filter_map(|image| image.entry.platform.clone())).collect()
}

/// Checks that each selected platform is offered. The error lists those that are not after `prefix`, and the offered
/// ones.
fn check_selected(prefix: &str, select: &[Platform], offered: &[Platform]) -> Result<(), SourceReason> {
    let missing = select.iter().filter(|wanted| !offered.iter().any(|offered| offered.matches(wanted)));
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut seen = HashSet::new();
    let available: Vec<String> =
        offered.iter().filter(|platform| seen.insert(*platform)).take(MAX_NAMES).map(ToString::to_string).collect();
    let available = if available.is_empty() { "none".to_owned() } else { available.join(", ") };
    Err(unusable(format!("{prefix} {}; available: {available}", missing.join(", "))))
}

/// Maximum number of platforms in a message.
const MAX_NAMES: usize = 30;

fn add(resolved: &mut Resolved, image: SourceImage, log: &Log) {
    log.resolved(image.source.clone(), image.entry.digest.clone());
    let is_attestation = image.entry.is_attestation();
    if is_attestation { &mut resolved.attestations } else { &mut resolved.images }.push(image);
}

/// Returns the problem of a source that cannot be used, unless the source is skipped.
fn problem(source: &Source, reason: SourceReason, ignore_missing: bool, log: &Log) -> Option<SourceProblem> {
    let reason = match skipped(source, &reason, ignore_missing) {
        Some(skipped) if is_possible(&source.platform) => {
            log.skipped(skipped);
            return None;
        }
        // The source does not exist because its name was made from an impossible platform.
        Some(_) => unsupported_source(&source.location, &source.platform),
        None => reason,
    };
    Some(SourceProblem { source: Some(source.location.clone()), platform: source.platform.clone(), reason })
}

/// Returns the report of a source that is skipped for this reason. A source whose own manifest exists but whose config
/// or child is missing is broken and never skipped.
fn skipped(source: &Source, reason: &SourceReason, ignore_missing: bool) -> Option<Skipped> {
    let SourceReason::Missing(error) = reason else { return None };
    let platform = (source.platform != Platform::default()).then(|| source.platform.to_string());
    let (reference, reason) = (source.location.clone(), error.to_string());
    ignore_missing.then_some(Skipped { platform, reference, reason })
}

/// Resolves the images of one index.
struct Resolver<'a> {
    store: &'a Store,
    configs: &'a Configs,
    spec: &'a Spec,
    /// Whether to read every config and compare its platform, even if the platform is not needed.
    strict: bool,
}

impl Resolver<'_> {
    async fn resolve(&self, source: &Source, image: &SourceImage) -> Result<SourceImage, SourceReason> {
        let mut image = image.clone();
        let is_in_target = |target: &Target| image.manifest.location.same_repository(&target.location);
        if media_type::is_index(&image.entry.media_type) && !self.spec.targets().all(is_in_target) {
            return Err(nested_index(&source.location, &image.entry));
        }
        if image.entry.is_attestation() {
            return Ok(image);
        }
        let given = match (image.from_index, &image.entry.platform) {
            (false, _) => Some(source.platform.clone()),
            (true, None) => Some(Platform::default()),
            // The source index declares the platform.
            (true, Some(_)) => None,
        };
        let wants_labels = self.spec.annotations_from_labels;
        if given.is_some() || self.strict || wants_labels {
            let is_needed = self.strict || wants_labels || given.as_ref().is_some_and(is_incomplete);
            if let Some(config) = self.config(source, &image.config, is_needed).await? {
                image.config_platform = Some(config.platform).filter(|_| given.is_some() || self.strict);
                image.labels = config.labels;
            }
        }
        if let Some(given) = given {
            image.entry.platform = Some(platform(source, given, image.config_platform.clone())?);
        }
        image.entry.annotations.extend(source.annotations.clone());
        Ok(image)
    }

    /// Returns the fields of an image's config. An unreadable config is an error only if `is_needed`.
    async fn config(
        &self,
        source: &Source,
        config: &Descriptor,
        is_needed: bool,
    ) -> Result<Option<ConfigFields>, SourceReason> {
        if !media_type::is_config(&config.media_type) {
            return Ok(None);
        }
        let wants_labels = self.spec.annotations_from_labels;
        match self.configs.get(self.store, &source.location, config, wants_labels).await {
            Ok(fields) => Ok(Some(fields)),
            Err(reason) if is_needed => Err(reason),
            Err(_) => Ok(None),
        }
    }
}

/// Fills fields that the spec leaves empty from the image's config: os and architecture if both are empty, and each of
/// variant, os.version and os.features. The result must be a platform that Go knows, as in 2.2.1.
fn platform(source: &Source, mut platform: Platform, config: Option<Platform>) -> Result<Platform, SourceReason> {
    let source = &source.location;
    if let Some(config) = config {
        fill(&mut platform, config);
    }
    if is_known_platform(&platform) {
        return Ok(platform);
    }
    Err(if platform.os.is_empty() && platform.architecture.is_empty() {
        unusable(format!("{source}: it declares no platform; specify its platform in a spec"))
    } else {
        unsupported_source(source, &platform)
    })
}

fn unsupported_source(source: &Location, platform: &Platform) -> SourceReason {
    let UnsupportedPlatform { message, suggestion } = unsupported(platform);
    SourceReason::Unusable {
        text: format!("{source}: {message}").into(),
        suggestion: suggestion.map(UntrustedText::from),
    }
}

/// Whether a config could fill a field of the platform.
fn is_incomplete(platform: &Platform) -> bool {
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
    fn fill_sets_only_empty_fields() {
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
