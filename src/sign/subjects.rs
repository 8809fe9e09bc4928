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

/// Reads the manifest `root`, and if `is_recursive` the images and indexes below it, without attestations.
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
                Ok::<_, Error>(Some((entry.clone(), fetched)))
            }
        };
        let read = stream::iter(0..entries.len()).map(read).buffered(MAX_CONCURRENT);
        let read: Vec<Option<(Descriptor, Fetched)>> = read.try_collect().await?;
        current = read.into_iter().flatten().collect();
    }
    Ok(levels)
}

/// Whether an entry is signed: what `verify` requires to be signed, and artifacts.
fn is_signed(entry: &Descriptor) -> bool {
    media_type::is_index(&entry.media_type) || (media_type::is_image(&entry.media_type) && !entry.is_never_selected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Digest, Platform, REFERENCE_TYPE};

    #[test]
    fn only_images_marked_as_attestations_in_every_way_are_exempt() {
        let unknown = || Platform { os: "unknown".into(), architecture: "unknown".into(), ..Platform::default() };
        let linux = Platform { os: "linux".into(), architecture: "amd64".into(), ..Platform::default() };
        for (media_type, platform, signed) in [
            (media_type::OCI_MANIFEST, Some(unknown()), false),
            (media_type::OCI_MANIFEST, Some(Platform::default()), false),
            (media_type::OCI_MANIFEST, None, true),
            (media_type::OCI_MANIFEST, Some(linux), true),
            (media_type::OCI_INDEX, Some(unknown()), true),
            ("application/octet-stream", None, false),
        ] {
            let mut entry = Descriptor { platform, ..Descriptor::new(media_type, Digest::sha256(b"entry")) };
            entry.annotations.insert(REFERENCE_TYPE.into(), "attestation-manifest".into());
            assert_eq!(is_signed(&entry), signed, "{entry:?}");
            entry.annotations.clear();
            assert_eq!(is_signed(&entry), media_type != "application/octet-stream", "{entry:?}");
        }
    }
}
