use std::collections::HashMap;

use futures_util::future::try_join_all;

use super::Reason;
use crate::image::{Descriptor, Digest, Fetched, Location, MAX_MANIFESTS, MAX_NESTING, Manifest, media_type};
use crate::store::{Child, Store};

struct Node {
    child: Child,
    below: Vec<Digest>,
}

/// A manifest and all that is below it, each once, in levels: what a manifest refers to is on a level before its own.
pub(super) async fn tree(
    store: &Store<'_>,
    from: &Location,
    to: &Location,
    root: &Fetched,
) -> Result<Vec<Vec<Child>>, Reason> {
    let mut nodes: HashMap<Digest, Node> = HashMap::new();
    let mut front = vec![root.clone()];
    for _ in 0..=MAX_NESTING {
        let mut next: HashMap<Digest, Descriptor> = HashMap::new();
        for fetched in front {
            let entries = match &fetched.manifest {
                Manifest::Image(_) => &[][..],
                Manifest::Index(index) => &index.manifests,
            };
            for entry in entries {
                check_type(entry)?;
                next.insert(entry.digest.clone(), entry.clone());
            }
            let below = entries.iter().map(|entry| entry.digest.clone()).collect();
            nodes.insert(fetched.descriptor.digest.clone(), Node { child: child(from, &fetched), below });
        }
        next.retain(|digest, _| !nodes.contains_key(digest));
        if next.is_empty() {
            return Ok(levels(nodes, &root.descriptor.digest));
        }
        if nodes.len() + next.len() > MAX_MANIFESTS {
            return Err(Reason::Unusable(format!("it holds more than {MAX_MANIFESTS} manifests").into()));
        }
        front = try_join_all(next.values().map(|entry| store.fetch_child(from, entry, Some(to)))).await?;
    }
    Err(Reason::Unusable(format!("indexes lie in one another more than {MAX_NESTING} deep").into()))
}

fn check_type(entry: &Descriptor) -> Result<(), Reason> {
    let kind = &entry.media_type;
    if media_type::is_image(kind) || media_type::is_index(kind) {
        return Ok(());
    }
    let reason = format!("it holds {}, which is neither an image nor an index but {kind}", entry.digest);
    Err(Reason::Unusable(reason.into()))
}

fn child(from: &Location, fetched: &Fetched) -> Child {
    let blobs = match &fetched.manifest {
        Manifest::Image(image) => image.blobs(),
        Manifest::Index(_) => Vec::new(),
    };
    let (descriptor, bytes) = (fetched.descriptor.clone(), fetched.bytes.clone());
    Child { from: from.with_digest(descriptor.digest.clone()), descriptor, bytes, blobs: blobs.into() }
}

/// Takes away again and again what refers to nothing that is left; no manifest can refer to itself, as it would have
/// to hold its own digest.
fn levels(mut nodes: HashMap<Digest, Node>, root: &Digest) -> Vec<Vec<Child>> {
    let mut levels = Vec::new();
    while !nodes.is_empty() {
        let free = |node: &Node| node.below.iter().all(|digest| !nodes.contains_key(digest));
        let mut level: Vec<Digest> =
            nodes.iter().filter(|(_, node)| free(node)).map(|(digest, _)| digest.clone()).collect();
        if level.is_empty() {
            break;
        }
        level.sort_unstable();
        // The root comes last, alone.
        if nodes.len() > 1 {
            level.retain(|digest| digest != root);
        }
        levels.push(level.iter().filter_map(|digest| nodes.remove(digest)).map(|node| node.child).collect());
    }
    levels
}
