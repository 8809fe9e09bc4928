//! Selects the entries of an index for some platforms.

use std::collections::{BTreeSet, HashSet};

use super::{Descriptor, Index, Platform, REFERENCE_DIGEST, UntrustedText};

/// The entries of an index for some platforms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selected<'p> {
    /// The positions of the entries.
    pub(crate) positions: BTreeSet<usize>,
    /// The platforms for which the index has no image.
    pub(crate) missing: Vec<&'p Platform>,
}

impl Index {
    /// Selects the images for each platform, all other entries for exactly the platform of such an image, and their
    /// attestations. `named` is this index with the platforms from configs. It is used for the platforms that no entry
    /// of this index names.
    pub(crate) fn select<'p>(&self, named: Option<&Self>, wanted: &'p [Platform]) -> Selected<'p> {
        let (mut positions, mut missing) = (BTreeSet::new(), Vec::new());
        for platform in wanted {
            let index = named.filter(|_| self.images_for(platform).is_empty()).unwrap_or(self);
            let images = index.images_for(platform);
            if images.is_empty() {
                missing.push(platform);
            }
            let platforms: HashSet<&Platform> =
                images.into_iter().filter_map(|(_, image)| image.platform.as_ref()).collect();
            positions.extend(index.positions(|entry| {
                !entry.is_attestation() && entry.platform.as_ref().is_some_and(|platform| platforms.contains(platform))
            }));
        }
        let images: HashSet<UntrustedText> = positions
            .iter()
            .filter_map(|position| self.manifests.get(*position))
            .map(|image| image.digest.as_str().into())
            .collect();
        let is_selected = |entry: &Descriptor| {
            let image = entry.annotations.get(REFERENCE_DIGEST);
            entry.is_attestation() && image.is_some_and(|image| images.contains(image))
        };
        positions.extend(self.positions(is_selected));
        Selected { positions, missing }
    }

    fn positions(&self, is_match: impl Fn(&Descriptor) -> bool) -> impl Iterator<Item = usize> {
        self.manifests.iter().enumerate().filter(move |(_, entry)| is_match(entry)).map(|(position, _)| position)
    }
}
