//! Reading all manifests below one.

use futures_util::future::join_all;

use super::{Fault, Node, Part, Work};
use crate::image::{Descriptor, Fetched, Manifest, media_type};
use crate::registry::Error as RegistryError;
use crate::store::Error;

/// An index in an index in an index is as deep as anyone goes.
const MAX_DEPTH: usize = 4;
/// Manifests that are read at most.
const MAX_MANIFESTS: usize = 10_000;

/// Whether it is opened.
pub(super) fn is_known(entry: &Descriptor) -> bool {
    media_type::is_image(&entry.media_type) || media_type::is_index(&entry.media_type)
}

/// All manifests from the root on, level by level, compared with what names them; and what could not be read.
pub(super) async fn read(work: &Work<'_>, root: Fetched) -> (Vec<Node>, Vec<Error>) {
    let (mut nodes, mut unchecked) = (vec![Node::new(root.descriptor.clone(), None)], Vec::new());
    let mut front = vec![(0, root)];
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
        let too_much = if depth >= MAX_DEPTH {
            format!("indexes lie in one another more than {MAX_DEPTH} deep")
        } else {
            format!("it holds more than {MAX_MANIFESTS} manifests")
        };
        if entries.is_empty() {
            break;
        }
        if depth >= MAX_DEPTH || nodes.len() + entries.len() > MAX_MANIFESTS {
            unchecked.push(RegistryError::of_source(work.at.to_string(), too_much).into());
            break;
        }
        let found = join_all(entries.iter().map(|(_, entry)| fetch(work, entry))).await;
        for ((parent, entry), found) in entries.into_iter().zip(found) {
            let mut node = Node::new(entry, Some(parent));
            match found {
                None => {}
                Some(Ok(fetched)) => {
                    node.faults.extend(differences(&node.entry, &fetched).map(|fault| (Part::Manifest, fault)));
                    front.push((nodes.len(), fetched));
                }
                Some(Err(error)) => match Fault::of(&error) {
                    Some(fault) => node.faults.push((Part::Manifest, fault)),
                    None => unchecked.push(error),
                },
            }
            nodes.push(node);
        }
    }
    (nodes, unchecked)
}

async fn fetch(work: &Work<'_>, entry: &Descriptor) -> Option<Result<Fetched, Error>> {
    if !is_known(entry) {
        return None;
    }
    let at = work.at.with_digest(entry.digest.clone());
    Some(work.manifests.get(&entry.digest, work.store.fetch_manifest(&at, None)).await)
}

fn differences(entry: &Descriptor, fetched: &Fetched) -> impl Iterator<Item = Fault> {
    let Descriptor { media_type, size, .. } = &fetched.descriptor;
    let (said, found) = (entry.size, *size);
    let size = (said != found).then_some(Fault::Size { said, found });
    let (said, found) = (entry.media_type.clone(), media_type.clone());
    let media_type = (said != found).then_some(Fault::MediaType { said, found });
    size.into_iter().chain(media_type)
}
