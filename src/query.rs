//! Lists the platforms of a reference.

use futures_util::future::try_join_all;

use crate::image::{Descriptor, Location, Manifest, Platform, media_type};
use crate::store::{Error, Store};

/// The type and the platforms of a reference.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Query {
    /// The manifest's type, digest and size.
    pub descriptor: Descriptor,
    /// Whether the reference is an index rather than a single image.
    pub is_index: bool,
    /// The platforms of the images, in the order of the index, without attestations and the blobs of build caches. An
    /// image that declares no platform has an empty one.
    pub platforms: Vec<Platform>,
}

impl Query {
    /// Whether an image is for a platform. A `wanted` platform without a variant matches every variant.
    #[must_use]
    pub fn offers(&self, wanted: &Platform) -> bool {
        self.platforms.iter().any(|platform| platform.matches(wanted))
    }
}

/// Lists the platforms of a reference. Reads the config of an entry only if the entry does not name its platform.
///
/// # Errors
/// The reference, or a config that is needed, cannot be read.
pub async fn query(store: &Store, reference: &Location) -> Result<Query, Error> {
    let fetched = store.fetch_manifest(reference).await?;
    let (is_index, platforms) = match &fetched.manifest {
        Manifest::Image(image) => (false, vec![store.platform_of(reference, image).await?]),
        Manifest::Index(index) => {
            let is_image = |entry: &&Descriptor| !entry.is_attestation() && !media_type::is_blob(&entry.media_type);
            let images = index.manifests.iter().filter(is_image);
            (true, try_join_all(images.map(|entry| store.platform_of_entry(reference, entry))).await?)
        }
    };
    Ok(Query { descriptor: fetched.descriptor, is_index, platforms })
}
