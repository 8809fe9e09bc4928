//! Reading all manifests below one.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::work::{AT_ONCE, Node, Work};
use super::{Fault, Part};
use crate::image::{Descriptor, Fetched, ImageManifest, MAX_MANIFESTS, MAX_NESTING, Manifest, media_type};
use crate::registry::FoundBlob;
use crate::store::Error;

/// Whether it is opened.
pub(super) fn is_known(entry: &Descriptor) -> bool {
    media_type::is_image(&entry.media_type) || media_type::is_index(&entry.media_type)
}

/// All manifests from the root on, level by level, compared with what names them; and what could not be read.
pub(super) async fn read(work: &Work<'_>, root: Fetched) -> (Vec<Node>, Vec<Error>) {
    let (mut nodes, mut unchecked) = (vec![Node::new(root.descriptor.clone(), None)], Vec::new());
    let mut front = vec![(0, Arc::new(root))];
    for depth in 0.. {
        let mut entries: Vec<(usize, Descriptor)> = Vec::new();
        for (place, fetched) in front.drain(..) {
            if let Manifest::Index(index) = &fetched.manifest {
                entries.extend(index.manifests.iter().map(|entry| (place, entry.clone())));
            }
            if let Some(node) = nodes.get_mut(place) {
                node.fetched = Some(fetched);
            }
        }
        if entries.is_empty() {
            break;
        }
        if depth >= MAX_NESTING || nodes.len() + entries.len() > MAX_MANIFESTS {
            let reason = format!("more than {MAX_MANIFESTS} manifests, or {MAX_NESTING} indexes in one another");
            unchecked.push(too_much(work, reason));
            break;
        }
        // Futures of places: those of entries could not be sent to another thread.
        let fetch = async |place: usize| match entries.get(place) {
            Some((_, entry)) => fetch(work, entry).await,
            None => Ok(Opened::RedirectTarget),
        };
        let mut found = std::pin::pin!(stream::iter(0..entries.len()).map(fetch).buffered(AT_ONCE));
        for (parent, entry) in &entries {
            let Some(found) = found.next().await else { break };
            let mut node = Node::new(entry.clone(), Some(*parent));
            let is_blob = media_type::is_blob(&entry.media_type);
            let part = if is_blob { Part::Blob(entry.digest.clone()) } else { Part::Manifest };
            match found {
                Ok(Opened::Manifest(fetched)) => {
                    node.faults.extend(differences(entry, &fetched).map(|fault| (Part::Manifest, fault)));
                    front.push((nodes.len(), fetched));
                }
                Ok(Opened::Blob(blob)) => {
                    let (said, found) = (entry.size, blob.size.unwrap_or(entry.size));
                    node.is_blob = said == found;
                    node.faults.extend((!node.is_blob).then_some((part, Fault::Size { said, found })));
                }
                Ok(Opened::OtherManifest(manifest)) => {
                    let (said, found) = (entry.size, manifest.size.unwrap_or(entry.size));
                    node.faults.extend((said != found).then_some((Part::Manifest, Fault::Size { said, found })));
                }
                Ok(Opened::RedirectTarget) => {}
                Err(error) => match Fault::of(&error) {
                    Some(fault) => node.faults.push((part, fault)),
                    // The next would not fit either.
                    None if error.is_over_memory() => {
                        unchecked.push(error);
                        return (nodes, unchecked);
                    }
                    None => unchecked.push(error),
                },
            }
            nodes.push(node);
        }
    }
    (nodes, unchecked)
}

fn too_much(work: &Work<'_>, reason: String) -> Error {
    Error::unsuitable(work.at, format!("it holds {reason}, which are not read"))
}

/// What was found of an entry.
enum Opened {
    /// An image or index.
    Manifest(Arc<Fetched>),
    /// A blob, which was looked for.
    Blob(FoundBlob),
    /// A manifest of another type, which was looked for.
    OtherManifest(FoundBlob),
    /// A foreign layer, which was not looked for.
    RedirectTarget,
}

/// Reads images and indexes. Anything else is looked for, as a blob or else as a manifest.
async fn fetch(work: &Work<'_>, entry: &Descriptor) -> Result<Opened, Error> {
    if is_known(entry) {
        let at = work.at.with_digest(entry.digest.clone());
        let fetch = async { work.store.fetch_manifest(&at).await.map(Arc::new) };
        return work.manifests.get(&entry.digest, fetch).await.map(Opened::Manifest);
    }
    if ImageManifest::is_elsewhere(entry) {
        return Ok(Opened::RedirectTarget);
    }
    // As a blob first, as in a cache of BuildKit's: registries fail at a blob that is asked for as a manifest.
    match work.blobs.get(&entry.digest, work.store.find_blob(work.at, entry)).await {
        Err(error) if error.is_missing_content() && !media_type::is_blob(&entry.media_type) => {
            work.store.find_manifest(work.at, entry).await.map(Opened::OtherManifest)
        }
        found => found.map(Opened::Blob),
    }
}

fn differences(entry: &Descriptor, fetched: &Fetched) -> impl Iterator<Item = Fault> {
    let Descriptor { media_type, size, .. } = &fetched.descriptor;
    let (said, found) = (entry.size, *size);
    let size = (said != found).then_some(Fault::Size { said, found });
    let (said, found) = (entry.media_type.clone(), media_type.clone());
    let media_type = (said != found).then_some(Fault::MediaType { said, found });
    size.into_iter().chain(media_type)
}
