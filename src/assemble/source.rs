//! Fetches the manifests of sources, each once for all indexes of a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::resolve_error::SourceReason;
use crate::image::{Annotations, Descriptor, Fetched, ImageManifest, Index, Location, Manifest, Platform, media_type};
use crate::memory::Budget;
use crate::single_flight::SingleFlight;
use crate::spec::{Source, Spec};
use crate::store::{Error, SourceManifest, Store};

/// A fetched image or attestation of a source.
#[derive(Debug, Clone)]
pub(super) struct SourceImage {
    /// The source, as the spec names it.
    pub(super) source: Location,
    /// The manifest, with the blobs that the target needs.
    pub(super) manifest: SourceManifest,
    /// The image's entry in the index. Until the image is resolved, its platform and annotations are those in the
    /// source index.
    pub(super) entry: Descriptor,
    /// The descriptor of the config.
    pub(super) config: Descriptor,
    /// The platform in the config, if the config was read.
    pub(super) config_platform: Option<Platform>,
    /// The labels in the config, if they were read.
    pub(super) labels: Option<Arc<Annotations>>,
    /// Whether the source is an index, which then determines the image's platform.
    pub(super) from_index: bool,
}

/// The images of a source.
#[derive(Debug)]
pub(super) struct SourceImages {
    /// The selected images and attestations.
    pub(super) images: Vec<SourceImage>,
    /// If platforms are selected from an index: the platforms of all its images.
    pub(super) offered: Vec<Platform>,
}

impl SourceImage {
    /// Whether this is the same entry from another source.
    pub(super) fn is_duplicate_of(&self, other: &Self) -> bool {
        self.source != other.source && self.entry == other.entry
    }
}

type FetchedSource = Result<Arc<SourceImages>, Error>;

/// A source and the platforms to select from it.
type SourceKey = (Location, Vec<Platform>);

/// The sources of all indexes of a run. Each is fetched once, and cached while an index needs it.
#[derive(Default)]
pub(super) struct Sources {
    fetched: SingleFlight<SourceKey, FetchedSource, SourceReason>,
    uses: Mutex<HashMap<SourceKey, usize>>,
}

/// Returns the platforms to select from a source. Empty for all.
fn selection<'s>(spec: &'s Spec, source: &'s Source) -> &'s [Platform] {
    if source.select.is_empty() { &spec.select } else { &source.select }
}

fn source_key(spec: &Spec, source: &Source) -> SourceKey {
    (source.location.clone(), selection(spec, source).to_vec())
}

impl Sources {
    pub(super) fn new(specs: &[Spec]) -> Self {
        let mut uses = HashMap::new();
        for spec in specs {
            for source in &spec.sources {
                *uses.entry(source_key(spec, source)).or_default() += 1;
            }
        }
        Self { uses: Mutex::new(uses), ..Self::default() }
    }

    /// Returns the images of a source. Caches the result even if the source does not exist.
    pub(super) async fn get(
        &self,
        store: &Store,
        spec: &Spec,
        source: &Source,
    ) -> Result<Arc<SourceImages>, SourceReason> {
        let key = source_key(spec, source);
        let fetch = async {
            let (location, select) = (&source.location, selection(spec, source));
            match store.fetch_manifest(location).await {
                Err(error) if error.is_missing() => Ok(Err(error)),
                Err(error) => Err(SourceReason::Store(error)),
                Ok(fetched) => Ok(Ok(Arc::new(images(store, location, fetched, select).await?))),
            }
        };
        let fetched = self.fetched.get_with(&key, |_| true, SourceReason::is_shareable, fetch).await?;
        fetched.map_err(SourceReason::Missing)
    }

    /// Releases the sources of an index. A source that another index needs stays cached if less than half of the memory
    /// budget is in use; otherwise it is fetched again.
    pub(super) fn release(&self, spec: &Spec, budget: &Budget) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for source in &spec.sources {
            let key = source_key(spec, source);
            let Some(remaining) = uses.get_mut(&key) else { continue };
            *remaining -= 1;
            if *remaining == 0 {
                uses.remove(&key);
                self.fetched.forget(&key);
            } else if budget.is_half_used() {
                self.fetched.forget(&key);
            }
        }
    }
}

/// Returns the images of a source: the image itself, or the images and attestations of an index with their entries, for
/// the platforms of `select` if it is not empty.
async fn images(
    store: &Store,
    source: &Location,
    fetched: Fetched,
    select: &[Platform],
) -> Result<SourceImages, SourceReason> {
    match fetched.manifest {
        Manifest::Image(image) => {
            // OCI image-spec, "Content Descriptors": the descriptor of an artifact also has its type.
            let entry = Descriptor { artifact_type: image.artifact_type.clone(), ..fetched.descriptor };
            let images = vec![source_image(source, entry, fetched.bytes, *image, false)];
            Ok(SourceImages { images, offered: Vec::new() })
        }
        Manifest::Index(index) if select.is_empty() => {
            Ok(SourceImages { images: images_of_index(store, source, &index).await?, offered: Vec::new() })
        }
        Manifest::Index(index) => {
            let (index, offered) = selected(store, source, index, select).await?;
            let entries = index.manifests.iter().map(|entry| image_of_entry(store, source, entry));
            Ok(SourceImages { images: try_join_all(entries).await?, offered })
        }
    }
}

/// Returns an index with only the entries for the selected platforms, and the platforms of all its images.
async fn selected(
    store: &Store,
    source: &Location,
    mut index: Index,
    select: &[Platform],
) -> Result<(Index, Vec<Platform>), Error> {
    let named = store.with_platforms(source, &index, select).await?;
    let positions = index.select(named.as_ref(), select).positions;
    let images = named.as_ref().unwrap_or(&index).manifests.iter().filter(|entry| !entry.is_attestation());
    let offered = images.filter_map(|entry| entry.platform.clone().filter(|platform| !platform.is_empty())).collect();
    let mut position = 0..;
    index.manifests.retain(|_| position.next().is_some_and(|position| positions.contains(&position)));
    Ok((index, offered))
}

fn source_image(
    source: &Location,
    entry: Descriptor,
    bytes: Bytes,
    image: ImageManifest,
    from_index: bool,
) -> SourceImage {
    let location = source.with_digest(entry.digest.clone());
    let manifest = SourceManifest { location, descriptor: entry.clone(), bytes, blobs: image.blobs().into() };
    SourceImage {
        source: source.clone(),
        manifest,
        entry,
        config: image.config,
        config_platform: None,
        labels: None,
        from_index,
    }
}

/// Returns a nested index as an entry. Only allowed if it has a platform, and only within its repository.
fn nested(source: &Location, entry: &Descriptor) -> Result<SourceImage, SourceReason> {
    if entry.platform.as_ref().is_none_or(Platform::is_empty) {
        return Err(nested_index(source, entry));
    }
    let location = source.with_digest(entry.digest.clone());
    let (descriptor, blobs) = (entry.clone(), Arc::default());
    Ok(SourceImage {
        source: source.clone(),
        manifest: SourceManifest { location, descriptor, bytes: Bytes::new(), blobs },
        entry: entry.clone(),
        config: entry.clone(),
        config_platform: None,
        labels: None,
        from_index: true,
    })
}

/// Returns the reason why a nested index cannot be used.
pub(super) fn nested_index(source: &Location, entry: &Descriptor) -> SourceReason {
    let digest = &entry.digest;
    unusable(format!("{source} contains a nested index, {digest}; use the images of that index as sources instead"))
}

pub(super) fn unusable(reason: String) -> SourceReason {
    SourceReason::Unusable { text: reason.into(), suggestion: None }
}

async fn images_of_index(store: &Store, source: &Location, index: &Index) -> Result<Vec<SourceImage>, SourceReason> {
    if index.manifests.is_empty() {
        return Err(unusable(format!("{source} is an index without entries")));
    }
    try_join_all(index.manifests.iter().map(|entry| image_of_entry(store, source, entry))).await
}

async fn image_of_entry(store: &Store, source: &Location, entry: &Descriptor) -> Result<SourceImage, SourceReason> {
    if media_type::is_index(&entry.media_type) {
        return nested(source, entry);
    }
    if !media_type::is_image(&entry.media_type) {
        let Descriptor { digest, media_type, .. } = entry;
        let kind = if media_type::is_blob(media_type) { "a blob, like a build cache" } else { "not an image" };
        return Err(unusable(format!("{source} cannot be a source: it lists {digest} of type {media_type}, {kind}")));
    }
    let fetched = store.fetch_child(source, entry).await?;
    match fetched.manifest {
        Manifest::Image(image) => Ok(source_image(source, entry.clone(), fetched.bytes, *image, true)),
        Manifest::Index(_) => {
            let location = source.with_digest(entry.digest.clone());
            Err(unusable(format!("{location} is an index, but its entry declares an image")))
        }
    }
}
