//! Reads the manifests that are signed.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::image::{Descriptor, Fetched, Location, MAX_MANIFESTS, MAX_NESTING, Manifest, media_type};
use crate::store::{Error, Store};

/// The maximum number of manifests that are read concurrently.
const MAX_CONCURRENT: usize = 16;

/// A manifest to sign.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// The manifest's type, digest and size, with the platform of its entry.
    pub(super) descriptor: Descriptor,
    /// The manifest's exact bytes.
    pub(super) bytes: Bytes,
}

/// Reads the manifest `root`, and if `is_recursive` the images and indexes below it, without attestations and artifacts.
/// Returns them in levels: the root is the first.
///
/// # Errors
/// A manifest cannot be read, or there are too many manifests or levels of indexes.
pub(super) async fn read(
    store: &Store,
    at: &Location,
    root: Fetched,
    is_recursive: bool,
) -> Result<Vec<Vec<Subject>>, Error> {
    let mut seen = HashSet::from([root.descriptor.digest.clone()]);
    let mut levels = Vec::new();
    let mut current = vec![(root.descriptor.clone(), root)];
    while !current.is_empty() {
        let mut entries: Vec<Descriptor> = Vec::new();
        let mut level = Vec::new();
        for (descriptor, fetched) in current {
            if let (Manifest::Index(index), true) = (&fetched.manifest, is_recursive) {
                let is_new = |entry: &&Descriptor| is_signed(entry) && seen.insert(entry.digest.clone());
                entries.extend(index.manifests.iter().filter(is_new).cloned());
            }
            level.push(Subject { descriptor, bytes: fetched.bytes });
        }
        levels.push(level);
        if seen.len() > MAX_MANIFESTS || (levels.len() > MAX_NESTING && !entries.is_empty()) {
            let reason =
                format!("it has more than {MAX_MANIFESTS} manifests or {MAX_NESTING} levels of nested indexes");
            return Err(Error::unsuitable(at, reason));
        }
        // Iterate over positions: futures that borrow entries would not be `Send`.
        let read = |position: usize| {
            let entry = entries.get(position);
            async move {
                let Some(entry) = entry else { return Ok(None) };
                let fetched = store.fetch_child(at, entry).await?;
                Ok::<_, Error>(Some((entry.clone(), fetched)).filter(|(_, fetched)| !is_artifact(fetched)))
            }
        };
        let read = stream::iter(0..entries.len()).map(read).buffered(MAX_CONCURRENT);
        let read: Vec<Option<(Descriptor, Fetched)>> = read.try_collect().await?;
        current = read.into_iter().flatten().collect();
    }
    Ok(levels)
}

fn is_signed(entry: &Descriptor) -> bool {
    let is_known = media_type::is_image(&entry.media_type) || media_type::is_index(&entry.media_type);
    is_known && !entry.is_attestation()
}

fn is_artifact(fetched: &Fetched) -> bool {
    matches!(&fetched.manifest, Manifest::Image(image) if !media_type::is_config(&image.config.media_type))
}
