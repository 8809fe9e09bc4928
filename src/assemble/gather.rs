use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::problem::SourceReason;
use crate::image::{Descriptor, Fetched, Index, Location, Manifest, Platform, media_type};
use crate::memory::Budget;
use crate::single_flight::SingleFlight;
use crate::spec::{Source, Spec};
use crate::store::{Error, Store};

/// An image or attestation of a source: its manifest, fetched and verified.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its own, or what the index that it came in says of it.
    pub(super) descriptor: Descriptor,
    pub(super) reference: Location,
    pub(super) bytes: Bytes,
    /// Where its config is.
    pub(super) config: Descriptor,
    /// Config and layers, each digest once, except those that are not to be moved.
    pub(super) blobs: Arc<[Descriptor]>,
    /// It came in an index, which has the say over its platform.
    pub(super) in_index: bool,
}

type Gathered = Result<Arc<Vec<Part>>, Error>;

/// The sources of all indexes of a run. Each is fetched once, and kept as long as an index will want it.
#[derive(Default)]
pub(super) struct Sources {
    once: SingleFlight<Location, Gathered, SourceReason>,
    uses: Mutex<HashMap<Location, usize>>,
}

impl Sources {
    pub(super) fn of(specs: &[Spec]) -> Self {
        let mut uses = HashMap::new();
        for source in specs.iter().flat_map(|spec| &spec.sources) {
            *uses.entry(source.location.clone()).or_default() += 1;
        }
        Self { uses: Mutex::new(uses), ..Self::default() }
    }

    /// The parts of a source. A registry's word that it does not exist is kept like an answer.
    pub(super) async fn get(&self, store: &Store, source: &Source) -> Result<Arc<Vec<Part>>, SourceReason> {
        let reference = &source.location;
        let fetch = async {
            match store.fetch_manifest(reference).await {
                Err(error) if error.is_missing() => Ok(Err(error)),
                Err(error) => Err(SourceReason::Registry(error)),
                Ok(fetched) => Ok(Ok(Arc::new(parts(store, reference, fetched).await?))),
            }
        };
        self.once.get_or_share(reference, fetch, SourceReason::counts).await?.map_err(SourceReason::Registry)
    }

    /// An index is done with its sources. Those that another index wants as well are kept, as long as there is memory for
    /// them; after that they are fetched again.
    pub(super) fn release(&self, spec: &Spec, budget: &Budget) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        for source in &spec.sources {
            let Some(left) = uses.get_mut(&source.location) else { continue };
            *left -= 1;
            if *left == 0 {
                uses.remove(&source.location);
                self.once.forget(&source.location);
            } else if budget.is_half_used() {
                self.once.forget(&source.location);
            }
        }
    }
}

/// An image is one part; an index counts as the images and attestations in it, and what it says of each is kept.
async fn parts(store: &Store, source: &Location, fetched: Fetched) -> Result<Vec<Part>, SourceReason> {
    match fetched.manifest {
        Manifest::Image(manifest) => {
            let reference = source.with_digest(fetched.descriptor.digest.clone());
            // OCI image-spec, "Content Descriptors": the type of an artifact is in its descriptor as well.
            let descriptor = Descriptor { artifact_type: manifest.artifact_type.clone(), ..fetched.descriptor };
            let bytes = fetched.bytes;
            let blobs = manifest.blobs().into();
            Ok(vec![Part { descriptor, reference, bytes, config: manifest.config, blobs, in_index: false }])
        }
        Manifest::Index(index) => children(store, source, &index).await,
    }
}

/// An index in an index. It is passed on if it has a platform, and may only stay in its repository.
fn nested(source: &Location, child: &Descriptor) -> Result<Part, SourceReason> {
    if child.platform.as_ref().is_none_or(Platform::is_empty) {
        return Err(SourceReason::Unusable(nested_index(source, child).into()));
    }
    Ok(Part {
        descriptor: child.clone(),
        reference: source.with_digest(child.digest.clone()),
        bytes: Bytes::new(),
        config: child.clone(),
        blobs: Arc::default(),
        in_index: true,
    })
}

/// Why an index in an index cannot be used.
pub(super) fn nested_index(source: &Location, child: &Descriptor) -> String {
    let digest = &child.digest;
    format!("{source} holds another index, {digest}; name the images of that one as sources instead")
}

async fn children(store: &Store, source: &Location, index: &Index) -> Result<Vec<Part>, SourceReason> {
    if index.manifests.is_empty() {
        return Err(SourceReason::Unusable(format!("{source} is an index without entries").into()));
    }
    try_join_all(index.manifests.iter().map(async |child| {
        if media_type::is_index(&child.media_type) {
            return nested(source, child);
        }
        if !media_type::is_image(&child.media_type) {
            let Descriptor { digest, media_type, .. } = child;
            let what = if media_type::is_blob(media_type) { "a blob, as build caches do" } else { "no image" };
            let reason = format!("{source} cannot be a source: it lists {digest} of type {media_type}, {what}");
            return Err(SourceReason::Unusable(reason.into()));
        }
        let reference = source.with_digest(child.digest.clone());
        let fetched = store.fetch_child(source, child).await?;
        match fetched.manifest {
            Manifest::Image(manifest) => Ok(Part {
                descriptor: child.clone(),
                reference,
                bytes: fetched.bytes,
                blobs: manifest.blobs().into(),
                config: manifest.config,
                in_index: true,
            }),
            Manifest::Index(_) => {
                Err(SourceReason::Unusable(format!("{reference} is an index where an image is expected").into()))
            }
        }
    }))
    .await
}
