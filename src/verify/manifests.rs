//! Reading all manifests below one.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::{AT_ONCE, Fault, Node, Part, Work};
use crate::image::{Descriptor, Fetched, MAX_MANIFESTS, MAX_NESTING, Manifest, media_type};
use crate::registry::Error as RegistryError;
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
            None => Ok(None),
        };
        let mut found = std::pin::pin!(stream::iter(0..entries.len()).map(fetch).buffered(AT_ONCE));
        for (parent, entry) in &entries {
            let Some(found) = found.next().await else { break };
            let mut node = Node::new(entry.clone(), Some(*parent));
            match found {
                Ok(Some(fetched)) => {
                    node.faults.extend(differences(entry, &fetched).map(|fault| (Part::Manifest, fault)));
                    front.push((nodes.len(), fetched));
                }
                Ok(None) => {}
                Err(error) => match Fault::of(&error) {
                    Some(fault) => node.faults.push((Part::Manifest, fault)),
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
    RegistryError::of_source(work.at.to_string(), format!("it holds {reason}, which are not read")).into()
}

/// Reads what is known here; of anything else nothing but whether it is there, as a manifest or a blob.
async fn fetch(work: &Work<'_>, entry: &Descriptor) -> Result<Option<Arc<Fetched>>, Error> {
    if is_known(entry) {
        let at = work.at.with_digest(entry.digest.clone());
        let fetch = async { work.store.fetch_manifest(&at, None).await.map(Arc::new) };
        return work.manifests.get(&entry.digest, fetch).await.map(Some);
    }
    // As a blob first, as in a cache of BuildKit's: registries fail at a blob that is asked for as a manifest.
    match work.store.find_blob(work.at, entry).await {
        Err(error) if error.is_missing_content() => work.store.find_manifest(work.at, entry).await.map(|_| None),
        found => found.map(|_| None),
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
