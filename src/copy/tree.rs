use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::CopyProblem;
use crate::image::{
    Descriptor, Digest, Fetched, ImageManifest, Location, MAX_MANIFEST, MAX_MANIFESTS, MAX_NESTING, Manifest,
    media_type,
};
use crate::store::{ARTIFACT_MANIFEST, SourceManifest, Store};

struct Node {
    child: SourceManifest,
    below: Vec<Digest>,
}

/// What an entry of an index names.
enum EntryKind {
    /// An image or an index.
    Manifest,
    /// An artifact manifest.
    Artifact,
    /// A blob, as in the index of a BuildKit cache.
    Blob,
}

/// A manifest and all that is below it, each once, in levels: what a manifest refers to is on a level before its own. Blobs
/// that an index lists belong to that index.
pub(super) async fn tree(
    store: &Store,
    from: &Location,
    root: &Fetched,
) -> Result<Vec<Vec<SourceManifest>>, CopyProblem> {
    let mut nodes: HashMap<Digest, Node> = HashMap::new();
    let mut front = vec![root.clone()];
    for _ in 0..=MAX_NESTING {
        let mut next: HashMap<Digest, Descriptor> = HashMap::new();
        let mut artifacts: HashMap<Digest, Descriptor> = HashMap::new();
        for fetched in front {
            let (mut below, mut blobs) = (Vec::new(), Vec::new());
            match &fetched.manifest {
                Manifest::Image(image) => blobs = image.blobs(),
                Manifest::Index(index) => {
                    for (entry, kind) in index.manifests.iter().zip(kinds(store, from, &index.manifests).await?) {
                        match kind {
                            EntryKind::Manifest => next.insert(entry.digest.clone(), entry.clone()),
                            EntryKind::Artifact => artifacts.insert(entry.digest.clone(), entry.clone()),
                            EntryKind::Blob => {
                                blobs.push(entry.clone());
                                continue;
                            }
                        };
                        below.push(entry.digest.clone());
                    }
                }
            }
            nodes.insert(fetched.descriptor.digest.clone(), Node { child: manifest(from, &fetched, blobs), below });
        }
        next.retain(|digest, _| !nodes.contains_key(digest));
        artifacts.retain(|digest, _| !nodes.contains_key(digest));
        if nodes.len() + next.len() + artifacts.len() > MAX_MANIFESTS {
            return Err(CopyProblem::Unusable(format!("it holds more than {MAX_MANIFESTS} manifests").into()));
        }
        for child in try_join_all(artifacts.values().map(|entry| store.fetch_artifact(from, entry))).await? {
            nodes.insert(child.descriptor.digest.clone(), Node { child, below: Vec::new() });
        }
        if next.is_empty() {
            return Ok(levels(nodes, &root.descriptor.digest));
        }
        front = try_join_all(next.values().map(|entry| store.fetch_child(from, entry))).await?;
    }
    Err(CopyProblem::Unusable(format!("indexes lie in one another more than {MAX_NESTING} deep").into()))
}

async fn kinds(store: &Store, from: &Location, entries: &[Descriptor]) -> Result<Vec<EntryKind>, CopyProblem> {
    try_join_all(entries.iter().map(|entry| kind(store, from, entry))).await
}

/// Tells what an entry names by its media type; one of a type that is not known here is looked for as a blob.
///
/// # Errors
/// The source does not have it as a blob, or it looks like a manifest: one of an unknown type may refer to content
/// that would not be copied with it. Layouts and some registries hold manifests among their blobs.
async fn kind(store: &Store, from: &Location, entry: &Descriptor) -> Result<EntryKind, CopyProblem> {
    let media_type = &entry.media_type;
    if media_type::is_image(media_type) || media_type::is_index(media_type) {
        return Ok(EntryKind::Manifest);
    }
    if *media_type == ARTIFACT_MANIFEST {
        return Ok(EntryKind::Artifact);
    }
    if media_type::is_blob(media_type) {
        return Ok(EntryKind::Blob);
    }
    let is_blob = match store.find_blob(from, entry).await {
        Ok(_) if entry.size > MAX_MANIFEST => true,
        Ok(_) => !names_content(&store.fetch_blob(from, entry, MAX_MANIFEST).await?),
        Err(error) if error.is_missing_content() => false,
        Err(error) => return Err(error.into()),
    };
    if is_blob {
        return Ok(EntryKind::Blob);
    }
    let reason = format!("it holds {}, which is neither image, index nor blob but {media_type}", entry.digest);
    Err(CopyProblem::Unusable(reason.into()))
}

/// Whether this looks like a manifest of any type, such as Docker's schema 1.
fn names_content(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ManifestKeys {
        schema_version: Option<IgnoredAny>,
        media_type: Option<IgnoredAny>,
        manifests: Option<IgnoredAny>,
        layers: Option<IgnoredAny>,
        fs_layers: Option<IgnoredAny>,
        blobs: Option<IgnoredAny>,
    }
    serde_json::from_slice::<ManifestKeys>(bytes).is_ok_and(|parts| {
        let ManifestKeys { schema_version, media_type, manifests, layers, fs_layers, blobs } = parts;
        (schema_version.or(media_type)).is_some() && manifests.or(layers).or(fs_layers).or(blobs).is_some()
    })
}

fn manifest(from: &Location, fetched: &Fetched, mut blobs: Vec<Descriptor>) -> SourceManifest {
    let mut seen = HashSet::new();
    blobs.retain(|blob| !ImageManifest::is_foreign(blob) && seen.insert(blob.digest.clone()));
    let (descriptor, bytes) = (fetched.descriptor.clone(), fetched.bytes.clone());
    SourceManifest { location: from.with_digest(descriptor.digest.clone()), descriptor, bytes, blobs: blobs.into() }
}

/// Takes away again and again what refers to nothing that is left; no manifest can refer to itself, as it would have
/// to hold its own digest.
fn levels(mut nodes: HashMap<Digest, Node>, root: &Digest) -> Vec<Vec<SourceManifest>> {
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
