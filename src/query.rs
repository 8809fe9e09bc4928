//! Lists the platforms of a reference.

use futures_util::future::{try_join, try_join_all};

use crate::image::{
    ConfigDetails, Descriptor, ImageConfig, ImageManifest, Index, Location, Manifest, Platform, Timestamp, media_type,
    parse_config,
};
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
        Manifest::Index(index) => (true, platforms(store, reference, index).await?),
    };
    Ok(Query { descriptor: fetched.descriptor, is_index, platforms })
}

/// Lists the platforms of a reference as [`query`] does, and returns the creation date in the image's config, or in that
/// of the first image of an index. `None` if the config has no valid date, or the index has no image.
///
/// # Errors
/// The reference, the image or a config that is needed cannot be read.
pub async fn query_created(store: &Store, reference: &Location) -> Result<(Query, Option<Timestamp>), Error> {
    let fetched = store.fetch_manifest(reference).await?;
    let (is_index, platforms, created) = match &fetched.manifest {
        Manifest::Image(image) => {
            let (platform, created) = platform_and_date(store, reference, image).await?;
            (false, vec![platform], created)
        }
        Manifest::Index(index) => {
            let (platforms, created) =
                try_join(platforms(store, reference, index), first_date(store, reference, index)).await?;
            (true, platforms, created)
        }
    };
    Ok((Query { descriptor: fetched.descriptor, is_index, platforms }, created))
}

/// Returns the creation date of a reference as [`query_created`] does, without its platforms, which may need further
/// requests.
///
/// # Errors
/// The reference, or the image or config with the date, cannot be read.
pub async fn created(store: &Store, reference: &Location) -> Result<Option<Timestamp>, Error> {
    created_of(store, reference, &store.fetch_manifest(reference).await?.manifest).await
}

/// Returns the creation date of a manifest in the repository of `at`, as [`created`] does.
///
/// # Errors
/// The image or config with the date cannot be read.
pub(crate) async fn created_of(store: &Store, at: &Location, manifest: &Manifest) -> Result<Option<Timestamp>, Error> {
    match manifest {
        Manifest::Image(image) => Ok(platform_and_date(store, at, image).await?.1),
        Manifest::Index(index) => first_date(store, at, index).await,
    }
}

async fn platforms(store: &Store, reference: &Location, index: &Index) -> Result<Vec<Platform>, Error> {
    let is_image = |entry: &&Descriptor| !entry.is_attestation() && !media_type::is_blob(&entry.media_type);
    let images = index.manifests.iter().filter(is_image);
    try_join_all(images.map(|entry| store.platform_of_entry(reference, entry))).await
}

/// Returns the creation date of the first image of an index.
async fn first_date(store: &Store, reference: &Location, index: &Index) -> Result<Option<Timestamp>, Error> {
    let is_image = |entry: &&Descriptor| !entry.is_attestation() && media_type::is_image(&entry.media_type);
    let Some(entry) = index.manifests.iter().find(is_image) else { return Ok(None) };
    match store.fetch_child(reference, entry).await?.manifest {
        Manifest::Image(image) => Ok(platform_and_date(store, reference, &image).await?.1),
        Manifest::Index(_) => Ok(None),
    }
}

/// Returns the platform and the creation date in the config of an image, which artifacts do not have.
async fn platform_and_date(
    store: &Store,
    reference: &Location,
    image: &ImageManifest,
) -> Result<(Platform, Option<Timestamp>), Error> {
    if !media_type::is_config(&image.config.media_type) {
        return Ok((Platform::default(), None));
    }
    let bytes = store.fetch_config(reference, &image.config).await?;
    let platform = parse_config::<ImageConfig>(&bytes).unwrap_or_default().platform;
    Ok((platform, ConfigDetails::parse(&bytes).ok().and_then(|details| details.created())))
}
