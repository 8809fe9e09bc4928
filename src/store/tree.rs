//! Reads a manifest and everything below it.

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{ARTIFACT_MANIFEST, Error, SourceManifest, Store};
use crate::image::{
    Descriptor, Digest, Fetched, ImageManifest, Location, MAX_MANIFEST, MAX_MANIFESTS, MAX_NESTING, Manifest,
    media_type,
};

struct Node {
    manifest: SourceManifest,
    children: Vec<Digest>,
}

/// The kind of content that an entry of an index refers to.
enum EntryKind {
    /// An image or an index.
    Manifest,
    /// An artifact manifest.
    Artifact,
    /// A blob; the index of a BuildKit cache lists blobs.
    Blob,
}

impl Store {
    /// Reads a manifest and all its descendants, each once, in levels: the children of a manifest are on earlier levels
    /// than the manifest. Blobs that an index lists belong to that index.
    ///
    /// # Errors
    /// A manifest cannot be read, or there are too many manifests or levels of indexes.
    pub(crate) async fn fetch_tree(&self, from: &Location, root: &Fetched) -> Result<Vec<Vec<SourceManifest>>, Error> {
        let mut nodes: HashMap<Digest, Node> = HashMap::new();
        let mut current = vec![root.clone()];
        for _ in 0..=MAX_NESTING {
            let mut next: HashMap<Digest, Descriptor> = HashMap::new();
            let mut artifacts: HashMap<Digest, Descriptor> = HashMap::new();
            for fetched in current {
                let (mut children, mut blobs) = (Vec::new(), Vec::new());
                match &fetched.manifest {
                    Manifest::Image(image) => blobs = image.blobs(),
                    Manifest::Index(index) => {
                        for (entry, kind) in index.manifests.iter().zip(kinds(self, from, &index.manifests).await?) {
                            match kind {
                                EntryKind::Manifest => next.insert(entry.digest.clone(), entry.clone()),
                                EntryKind::Artifact => artifacts.insert(entry.digest.clone(), entry.clone()),
                                EntryKind::Blob => {
                                    blobs.push(entry.clone());
                                    continue;
                                }
                            };
                            children.push(entry.digest.clone());
                        }
                    }
                }
                let node = Node { manifest: source_manifest(from, &fetched, blobs), children };
                nodes.insert(fetched.descriptor.digest.clone(), node);
            }
            next.retain(|digest, _| !nodes.contains_key(digest));
            artifacts.retain(|digest, _| !nodes.contains_key(digest));
            if nodes.len() + next.len() + artifacts.len() > MAX_MANIFESTS {
                return Err(Error::unsuitable(from, format!("it has more than {MAX_MANIFESTS} manifests")));
            }
            for manifest in try_join_all(artifacts.values().map(|entry| self.fetch_artifact(from, entry))).await? {
                nodes.insert(manifest.descriptor.digest.clone(), Node { manifest, children: Vec::new() });
            }
            if next.is_empty() {
                return Ok(levels(nodes, &root.descriptor.digest));
            }
            current = try_join_all(next.values().map(|entry| self.fetch_child(from, entry))).await?;
        }
        Err(Error::unsuitable(from, format!("its indexes are nested more than {MAX_NESTING} levels deep")))
    }
}

async fn kinds(store: &Store, from: &Location, entries: &[Descriptor]) -> Result<Vec<EntryKind>, Error> {
    try_join_all(entries.iter().map(|entry| kind(store, from, entry))).await
}

/// Returns the kind of an entry by its media type. Content of an unknown type is looked up as a blob.
///
/// # Errors
/// The source has no such blob, or the blob looks like a manifest: a manifest of an unknown type may refer to content
/// that would not be copied. Layouts and some registries store manifests among their blobs.
async fn kind(store: &Store, from: &Location, entry: &Descriptor) -> Result<EntryKind, Error> {
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
        Ok(_) => !looks_like_manifest(&store.fetch_blob(from, entry, MAX_MANIFEST).await?),
        Err(error) if error.is_missing_content() => false,
        Err(error) => return Err(error),
    };
    if is_blob {
        return Ok(EntryKind::Blob);
    }
    let reason = format!("its entry {} is not an image, index or blob but {media_type}", entry.digest);
    Err(Error::unsuitable(from, reason))
}

/// Whether the content looks like a manifest of any type, such as Docker's schema 1.
fn looks_like_manifest(bytes: &[u8]) -> bool {
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
    serde_json::from_slice::<ManifestKeys>(bytes).is_ok_and(|keys| {
        let ManifestKeys { schema_version, media_type, manifests, layers, fs_layers, blobs } = keys;
        (schema_version.or(media_type)).is_some() && manifests.or(layers).or(fs_layers).or(blobs).is_some()
    })
}

fn source_manifest(from: &Location, fetched: &Fetched, mut blobs: Vec<Descriptor>) -> SourceManifest {
    let mut seen = HashSet::new();
    blobs.retain(|blob| !ImageManifest::is_foreign(blob) && seen.insert(blob.digest.clone()));
    let (descriptor, bytes) = (fetched.descriptor.clone(), fetched.bytes.clone());
    SourceManifest { location: from.with_digest(descriptor.digest.clone()), descriptor, bytes, blobs: blobs.into() }
}

/// Sorts manifests into levels: repeatedly removes the manifests without remaining children. No cycles can occur,
/// because a manifest in a cycle would have to contain its own digest.
fn levels(mut nodes: HashMap<Digest, Node>, root: &Digest) -> Vec<Vec<SourceManifest>> {
    let mut levels = Vec::new();
    while !nodes.is_empty() {
        let is_leaf = |node: &Node| node.children.iter().all(|digest| !nodes.contains_key(digest));
        let mut level: Vec<Digest> =
            nodes.iter().filter(|(_, node)| is_leaf(node)).map(|(digest, _)| digest.clone()).collect();
        if level.is_empty() {
            break;
        }
        level.sort_unstable();
        // Keep the root on its own level, the last one.
        if nodes.len() > 1 {
            level.retain(|digest| digest != root);
        }
        levels.push(level.iter().filter_map(|digest| nodes.remove(digest)).map(|node| node.manifest).collect());
    }
    levels
}
