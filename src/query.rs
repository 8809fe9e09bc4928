//! Which platforms a reference is for.

use futures_util::future::try_join_all;

use crate::image::{Descriptor, Location, Manifest, Platform, media_type};
use crate::store::{Error, Store};

/// What a reference is, and what it runs on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Query {
    /// Type, digest and size.
    pub descriptor: Descriptor,
    /// It is an index, and not one image.
    pub is_index: bool,
    /// The platforms of its images, in their order; attestations and blobs, as build caches have them, are left out. An
    /// image that does not say what it is for has an empty one.
    pub platforms: Vec<Platform>,
}

impl Query {
    /// Whether there is an image for a platform; a variant that is not wanted may be any.
    #[must_use]
    pub fn offers(&self, wanted: &Platform) -> bool {
        self.platforms.iter().any(|platform| platform.matches(wanted))
    }
}

/// Reads which platforms a reference is for. Configs are read only where an entry does not name its platform.
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
