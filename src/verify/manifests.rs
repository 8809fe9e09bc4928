//! Reading all manifests below one.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::verifier::{MAX_CONCURRENT, Node, Verifier};
use super::{ImagePart, Problem};
use crate::image::{Descriptor, Fetched, ImageManifest, MAX_MANIFESTS, MAX_NESTING, Manifest, media_type};
use crate::registry::FoundBlob;
use crate::store::Error;

/// Whether it is opened.
pub(super) fn is_known(entry: &Descriptor) -> bool {
    media_type::is_image(&entry.media_type) || media_type::is_index(&entry.media_type)
}

/// All manifests from the root on, level by level, compared with what names them; and what could not be read.
pub(super) async fn read(verifier: &Verifier<'_>, root: Fetched) -> (Vec<Node>, Vec<Error>) {
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
            unchecked.push(over_limit(verifier, reason));
            break;
        }
        // Futures of places: those of entries could not be sent to another thread.
        let fetch = async |place: usize| match entries.get(place) {
            Some((_, entry)) => fetch(verifier, entry).await,
            None => Ok(OpenedManifest::RedirectTarget),
        };
        let mut found = std::pin::pin!(stream::iter(0..entries.len()).map(fetch).buffered(MAX_CONCURRENT));
        for (parent, entry) in &entries {
            let Some(found) = found.next().await else { break };
            let mut node = Node::new(entry.clone(), Some(*parent));
            let is_blob = media_type::is_blob(&entry.media_type);
            let part = if is_blob { ImagePart::Blob(entry.digest.clone()) } else { ImagePart::Manifest };
            match found {
                Ok(OpenedManifest::Manifest(fetched)) => {
                    node.problems.extend(differences(entry, &fetched).map(|problem| (ImagePart::Manifest, problem)));
                    front.push((nodes.len(), fetched));
                }
                Ok(OpenedManifest::Blob(blob)) => {
                    let (said, found) = (entry.size, blob.size.unwrap_or(entry.size));
                    node.is_blob = said == found;
                    node.problems.extend((!node.is_blob).then_some((part, Problem::Size { said, found })));
                }
                Ok(OpenedManifest::OtherManifest(manifest)) => {
                    let (said, found) = (entry.size, manifest.size.unwrap_or(entry.size));
                    node.problems
                        .extend((said != found).then_some((ImagePart::Manifest, Problem::Size { said, found })));
                }
                Ok(OpenedManifest::RedirectTarget) => {}
                Err(error) => match Problem::of(&error) {
                    Some(problem) => node.problems.push((part, problem)),
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

fn over_limit(verifier: &Verifier<'_>, reason: String) -> Error {
    Error::unsuitable(verifier.at, format!("it holds {reason}, which are not read"))
}

/// What was found of an entry.
enum OpenedManifest {
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
async fn fetch(verifier: &Verifier<'_>, entry: &Descriptor) -> Result<OpenedManifest, Error> {
    if is_known(entry) {
        let at = verifier.at.with_digest(entry.digest.clone());
        let fetch = async { verifier.store.fetch_manifest(&at).await.map(Arc::new) };
        return verifier.manifests.get(&entry.digest, fetch).await.map(OpenedManifest::Manifest);
    }
    if ImageManifest::is_foreign(entry) {
        return Ok(OpenedManifest::RedirectTarget);
    }
    // As a blob first, as in a cache of BuildKit's: registries fail at a blob that is asked for as a manifest.
    match verifier.blobs.get(&entry.digest, verifier.store.find_blob(verifier.at, entry)).await {
        Err(error) if error.is_missing_content() && !media_type::is_blob(&entry.media_type) => {
            verifier.store.find_manifest(verifier.at, entry).await.map(OpenedManifest::OtherManifest)
        }
        found => found.map(OpenedManifest::Blob),
    }
}

fn differences(entry: &Descriptor, fetched: &Fetched) -> impl Iterator<Item = Problem> {
    let Descriptor { media_type, size, .. } = &fetched.descriptor;
    let (said, found) = (entry.size, *size);
    let size = (said != found).then_some(Problem::Size { said, found });
    let (said, found) = (entry.media_type.clone(), media_type.clone());
    let media_type = (said != found).then_some(Problem::MediaType { said, found });
    size.into_iter().chain(media_type)
}
