//! Reads a manifest and all manifests below it.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::context::{CheckContext, MAX_CONCURRENT};
use super::known_content::key;
use super::node::{Node, is_known};
use super::{ImagePart, Problem};
use crate::image::{Descriptor, Fetched, ImageManifest, MAX_MANIFESTS, MAX_NESTING, Manifest, media_type};
use crate::registry::BlobInfo;
use crate::store::Error;

/// Reads all manifests from the root down, level by level, and compares each with its entry. Also returns the errors of
/// those that could not be read.
pub(super) async fn read(context: &CheckContext<'_>, root: Arc<Fetched>) -> (Vec<Node>, Vec<Error>) {
    let (mut nodes, mut unchecked) = (vec![Node::new(root.descriptor.clone(), None)], Vec::new());
    let mut front = vec![(0, root)];
    for depth in 0.. {
        let mut entries: Vec<(usize, Descriptor)> = Vec::new();
        for (position, fetched) in front.drain(..) {
            if let Manifest::Index(index) = &fetched.manifest {
                entries.extend(index.manifests.iter().map(|entry| (position, entry.clone())));
            }
            if let Some(node) = nodes.get_mut(position) {
                node.fetched = Some(fetched);
            }
        }
        if entries.is_empty() {
            break;
        }
        if depth >= MAX_NESTING || nodes.len() + entries.len() > MAX_MANIFESTS {
            let reason =
                format!("more than {MAX_MANIFESTS} manifests or more than {MAX_NESTING} levels of nested indexes");
            unchecked.push(over_limit(context, reason));
            break;
        }
        // Iterate over positions: futures that borrow entries would not be `Send`.
        let fetch = async |position: usize| match entries.get(position) {
            Some((_, entry)) => fetch(context, entry).await,
            None => Ok(OpenedManifest::ForeignLayer),
        };
        let mut opened = std::pin::pin!(stream::iter(0..entries.len()).map(fetch).buffered(MAX_CONCURRENT));
        for (parent, entry) in &entries {
            let Some(opened) = opened.next().await else { break };
            let mut node = Node::new(entry.clone(), Some(*parent));
            let is_blob = media_type::is_blob(&entry.media_type);
            let part = if is_blob { ImagePart::Blob(entry.digest.clone()) } else { ImagePart::Manifest };
            match opened {
                Ok(OpenedManifest::Manifest(fetched)) => {
                    node.problems.extend(differences(entry, &fetched).map(|problem| (ImagePart::Manifest, problem)));
                    front.push((nodes.len(), fetched));
                }
                Ok(OpenedManifest::Blob(blob)) => {
                    let (expected, actual) = (entry.size, blob.size.unwrap_or(entry.size));
                    node.is_blob = expected == actual;
                    node.problems.extend((!node.is_blob).then_some((part, Problem::Size { expected, actual })));
                }
                Ok(OpenedManifest::OtherManifest(manifest)) => {
                    let (expected, actual) = (entry.size, manifest.size.unwrap_or(entry.size));
                    node.problems.extend(
                        (expected != actual).then_some((ImagePart::Manifest, Problem::Size { expected, actual })),
                    );
                }
                Ok(OpenedManifest::ForeignLayer) => {}
                Err(error) => match Problem::from_error(&error) {
                    Some(problem) => node.problems.push((part, problem)),
                    // The remaining manifests would exceed the budget as well.
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

fn over_limit(context: &CheckContext<'_>, reason: String) -> Error {
    Error::unsuitable(context.at, format!("it has {reason}, so it is not read completely"))
}

/// The result of opening an entry.
enum OpenedManifest {
    /// An image or index.
    Manifest(Arc<Fetched>),
    /// A blob that exists.
    Blob(BlobInfo),
    /// A manifest of another media type that exists.
    OtherManifest(BlobInfo),
    /// A foreign layer, which is not checked.
    ForeignLayer,
}

/// Reads images and indexes. Content of another media type must only exist, as a blob or else as a manifest.
async fn fetch(context: &CheckContext<'_>, entry: &Descriptor) -> Result<OpenedManifest, Error> {
    if is_known(entry) {
        let at = context.at.with_digest(entry.digest.clone());
        let fetch = async { context.store.fetch_manifest(&at).await.map(Arc::new) };
        return context.known.manifests.get(&entry.digest, fetch).await.map(OpenedManifest::Manifest);
    }
    if ImageManifest::is_foreign(entry) {
        return Ok(OpenedManifest::ForeignLayer);
    }
    // Try a blob first, as in a BuildKit cache: some registries fail when a blob is requested as a manifest.
    match context.known.blobs.get(&key(entry), context.store.find_blob(context.at, entry)).await {
        Err(error) if error.is_missing_content() && !media_type::is_blob(&entry.media_type) => {
            let find = context.store.find_manifest(context.at, entry);
            context.known.other_manifests.get(&key(entry), find).await.map(OpenedManifest::OtherManifest)
        }
        found => found.map(OpenedManifest::Blob),
    }
}

/// Compares size and media type of a manifest with its entry.
fn differences(entry: &Descriptor, fetched: &Fetched) -> impl Iterator<Item = Problem> {
    let Descriptor { media_type, size, .. } = &fetched.descriptor;
    let (expected, actual) = (entry.size, *size);
    let size = (expected != actual).then_some(Problem::Size { expected, actual });
    let (expected, actual) = (entry.media_type.clone(), media_type.clone());
    let media_type = (expected != actual).then_some(Problem::MediaType { expected, actual });
    size.into_iter().chain(media_type)
}
