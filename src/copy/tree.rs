use std::collections::HashSet;

use futures_util::future::{BoxFuture, try_join_all};

use super::Reason;
use crate::image::{Descriptor, Digest, Fetched, ImageManifest, Location, Manifest, media_type};
use crate::store::{Child, Store};

/// An index in an index in an index is as deep as anyone goes.
const MAX_DEPTH: usize = 4;

/// A manifest and all that is below it, in levels: what a manifest refers to is on a level before its own.
pub(super) async fn tree(
    store: &Store<'_>,
    from: &Location,
    to: &Location,
    root: &Fetched,
) -> Result<Vec<Vec<Child>>, Reason> {
    let mut levels = Vec::new();
    let mut seen = HashSet::new();
    let depth = gather(store, from, to, root, 0).await?;
    flatten(depth, &mut seen, &mut levels);
    Ok(levels)
}

struct Node {
    child: Child,
    below: Vec<Node>,
}

fn gather<'f>(
    store: &'f Store<'_>,
    from: &'f Location,
    to: &'f Location,
    fetched: &'f Fetched,
    depth: usize,
) -> BoxFuture<'f, Result<Node, Reason>> {
    Box::pin(async move {
        let (mut blobs, mut below) = (Vec::new(), Vec::new());
        match &fetched.manifest {
            Manifest::Image(image) => blobs = blobs_of(image),
            Manifest::Index(_) if depth >= MAX_DEPTH => {
                return Err(Reason::Unusable(format!("indexes lie in one another more than {MAX_DEPTH} deep")));
            }
            Manifest::Index(index) => {
                let mut seen: HashSet<&Digest> = HashSet::new();
                let entries = index.manifests.iter().filter(|entry| seen.insert(&entry.digest));
                below = try_join_all(entries.map(async |entry| {
                    let fetched = store.fetch_child(from, entry, Some(to)).await?;
                    gather(store, from, to, &fetched, depth + 1).await
                }))
                .await?;
            }
        }
        let (descriptor, bytes) = (fetched.descriptor.clone(), fetched.bytes.clone());
        let from = from.with_digest(descriptor.digest.clone());
        Ok(Node { child: Child { from, descriptor, bytes, blobs }, below })
    })
}

/// Config and layers, each once, but for those that are not to be moved.
fn blobs_of(image: &ImageManifest) -> Vec<Descriptor> {
    let mut seen = HashSet::new();
    let all = std::iter::once(&image.config).chain(&image.layers);
    all.filter(|blob| !media_type::is_foreign(&blob.media_type) && seen.insert(blob.digest.clone())).cloned().collect()
}

/// Puts a node on the level after the highest of what is below it; gives that level's number.
fn flatten(node: Node, seen: &mut HashSet<Digest>, levels: &mut Vec<Vec<Child>>) -> usize {
    let level = node.below.into_iter().map(|below| flatten(below, seen, levels) + 1).max().unwrap_or(0);
    if levels.len() <= level {
        levels.resize_with(level + 1, Vec::new);
    }
    if seen.insert(node.child.descriptor.digest.clone())
        && let Some(level) = levels.get_mut(level)
    {
        level.push(node.child);
    }
    level
}
