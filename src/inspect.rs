//! Reading one reference: an image with its config, or an index with all its children.

use bytes::Bytes;
use futures_util::future::{join, try_join_all};

use crate::image::{
    Descriptor, Fetched, ImageConfig, ImageManifest, Index, Location, Manifest, Platform, media_type, parse_config,
};
use crate::store::{Error, Store};

/// What a reference points at.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// Type, digest and size.
    pub descriptor: Descriptor,
    /// The manifest's exact bytes.
    pub bytes: Bytes,
    /// What it is.
    pub content: Content,
    /// What refers to it, such as signatures; nothing where nobody asked, or the registry does not tell.
    pub referrers: Option<Vec<Descriptor>>,
}

/// What to read.
#[derive(Debug, Clone, Default)]
pub struct InspectOptions {
    /// The image of this platform alone, out of an index.
    pub platform: Option<Platform>,
    /// The configs of an index's images. An image's own is always read.
    pub child_configs: bool,
    /// What refers to it.
    pub referrers: bool,
}

/// An image or an index.
#[derive(Debug, Clone)]
pub enum Content {
    /// One image.
    Image(Image),
    /// An index and its children, in order.
    Index(Index, Vec<Child>),
}

/// An image's manifest and, where it was wanted and is one, its config.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Image {
    /// The manifest.
    pub manifest: Box<ImageManifest>,
    /// The config's exact bytes.
    pub config: Option<Bytes>,
}

/// A child of an index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Child {
    /// An image, with the exact bytes of its manifest.
    Image(Image, Bytes),
    /// An index in the index, or a type that is not known here; it is named, not opened.
    Other,
}

impl Image {
    /// What the config says the image runs on; empty where there is no config or it is not one of an image.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let config = self.config.as_deref().and_then(|bytes| parse_config::<ImageConfig>(bytes).ok());
        config.unwrap_or_default().platform
    }
}

/// Reads a reference: an image with its config, or an index with all its children.
///
/// # Errors
/// A manifest or config cannot be read, or there is no image for the platform. Referrers that cannot be read are left out.
pub async fn inspect(store: &Store, reference: &Location, options: &InspectOptions) -> Result<Inspection, Error> {
    let fetched = fetch(store, reference, options.platform.as_ref()).await?;
    let (descriptor, bytes) = (fetched.descriptor.clone(), fetched.bytes.clone());
    let content = async {
        Ok::<_, Error>(match fetched.manifest {
            Manifest::Image(manifest) => Content::Image(image(store, reference, manifest, true).await?),
            Manifest::Index(index) => {
                let children =
                    index.manifests.iter().map(|entry| child(store, reference, entry, options.child_configs));
                let children = try_join_all(children).await?;
                Content::Index(index, children)
            }
        })
    };
    let referrers = async {
        match options.referrers {
            true => store.referrers(reference, &descriptor.digest).await.map(Some),
            false => Ok(None),
        }
    };
    let (content, referrers) = join(content, referrers).await;
    let referrers = match referrers {
        // A registry that has no such list may say so in many ways, and the rest is worth having.
        Err(error) if !error.is_stopped() => None,
        referrers => referrers?,
    };
    Ok(Inspection { content: content?, descriptor, bytes, referrers })
}

/// Fetches the manifest of a reference, or of the image for a platform in it.
///
/// # Errors
/// It cannot be read, or there is no image for the platform.
pub async fn fetch(store: &Store, reference: &Location, platform: Option<&Platform>) -> Result<Fetched, Error> {
    match platform {
        Some(platform) => store.fetch_image(reference, platform).await,
        None => store.fetch_manifest(reference).await,
    }
}

/// Fetches the config of an image, byte for byte; of an index, that of its image for the platform `wanted`, or else `own`.
///
/// # Errors
/// It cannot be read, or there is no image for the platform.
pub async fn config(
    store: &Store,
    reference: &Location,
    wanted: Option<&Platform>,
    own: &Platform,
) -> Result<Bytes, Error> {
    let fetched = store.fetch_manifest(reference).await?;
    let is_index = matches!(fetched.manifest, Manifest::Index(_));
    let fetched = match wanted.or(is_index.then_some(own)) {
        Some(platform) => store.choose_image(reference, fetched, platform).await?,
        None => fetched,
    };
    match fetched.manifest {
        Manifest::Image(image) => store.fetch_config(reference, &image.config).await,
        Manifest::Index(_) => {
            let reason = "what it holds for that platform is an index; name it by its digest".into();
            Err(Error::Unsuitable { subject: reference.to_string(), reason })
        }
    }
}

async fn child(store: &Store, reference: &Location, entry: &Descriptor, config: bool) -> Result<Child, Error> {
    if !media_type::is_image(&entry.media_type) {
        return Ok(Child::Other);
    }
    let Fetched { manifest, bytes, .. } = store.fetch_child(reference, entry).await?;
    match manifest {
        Manifest::Image(manifest) => Ok(Child::Image(image(store, reference, manifest, config).await?, bytes)),
        Manifest::Index(_) => Ok(Child::Other),
    }
}

async fn image(
    store: &Store,
    reference: &Location,
    manifest: Box<ImageManifest>,
    with_config: bool,
) -> Result<Image, Error> {
    let config = if with_config && media_type::is_config(&manifest.config.media_type) {
        Some(store.fetch_config(reference, &manifest.config).await?)
    } else {
        None
    };
    Ok(Image { manifest, config })
}
