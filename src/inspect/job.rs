use bytes::Bytes;
use futures_util::future::{join, try_join_all};

use crate::image::{
    Descriptor, Fetched, ImageConfig, ImageManifest, Index, Location, Manifest, Platform, Schema1Image, media_type,
    parse_config,
};
use crate::store::{Error, Store};

/// The manifest that a reference points at.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// The manifest's type, digest and size.
    pub descriptor: Descriptor,
    /// The manifest's exact bytes.
    pub bytes: Bytes,
    /// The parsed manifest.
    pub content: Content,
    /// The manifest's referrers, such as signatures; `None` if [`InspectOptions::referrers`] is not set or the registry
    /// cannot list them.
    pub referrers: Option<Vec<Descriptor>>,
}

/// Options for [`inspect`].
#[derive(Debug, Clone, Default)]
pub struct InspectOptions {
    /// Read only the image for this platform if the reference is an index. Defaults to `None`: the whole index.
    pub platform: Option<Platform>,
    /// Read the configs of an index's images. The config of a single image is always read. Defaults to false.
    pub child_configs: bool,
    /// List the manifest's referrers. Defaults to false.
    pub referrers: bool,
}

/// An image or an index, or an image of Docker's old schema 1.
#[derive(Debug, Clone)]
pub enum Content {
    /// One image.
    Image(Image),
    /// An index and its children, in order.
    Index(Index, Vec<Child>),
    /// An image of Docker's schema 1, which no other job accepts.
    Schema1(Schema1Image),
}

/// An image's manifest and, if it was read, its config.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Image {
    /// The manifest.
    pub manifest: Box<ImageManifest>,
    /// The config's exact bytes; `None` if it was not requested or is not an image config.
    pub config: Option<Bytes>,
}

/// A child of an index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Child {
    /// An image, with the exact bytes of its manifest.
    Image(Image, Bytes),
    /// A nested index, or a manifest of an unknown type; not read.
    Other,
}

impl Image {
    /// Returns the platform in the config; empty if the config was not read or is not an image config.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let config = self.config.as_deref().and_then(|bytes| parse_config::<ImageConfig>(bytes).ok());
        config.unwrap_or_default().platform
    }
}

/// Reads a reference: an image with its config, or an index with all its children.
///
/// # Errors
/// A manifest or config cannot be read, or the index has no image for the platform. Unreadable referrers are left out.
pub async fn inspect(store: &Store, reference: &Location, options: &InspectOptions) -> Result<Inspection, Error> {
    let fetched = match &options.platform {
        Some(platform) => store.fetch_image(reference, platform).await,
        None => store.fetch_root(reference).await,
    };
    let fetched = match fetched {
        Err(error) if error.is_schema_1() => {
            // If the image for the platform is of schema 1, the reference itself is an index.
            let read = store.fetch_schema_1(reference).await;
            let (image, descriptor, bytes) = match options.platform.is_some() && read.is_err() {
                true => return Err(error),
                false => read?,
            };
            check_platform(reference, &image, options.platform.as_ref())?;
            return Ok(Inspection { descriptor, bytes, content: Content::Schema1(image), referrers: None });
        }
        fetched => fetched?,
    };
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
        // Registries without a referrers API fail in many ways; return the manifest anyway.
        Err(error) if !error.is_stopped() => None,
        referrers => referrers?,
    };
    Ok(Inspection { content: content?, descriptor, bytes, referrers })
}

/// Checks that an image of schema 1 is for the wanted platform.
fn check_platform(reference: &Location, image: &Schema1Image, wanted: Option<&Platform>) -> Result<(), Error> {
    match wanted.filter(|wanted| !image.platform.matches(wanted)) {
        Some(wanted) => {
            let reason = format!("it is a single image for {}, not for {wanted}", image.platform);
            Err(Error::unsuitable(reference, reason))
        }
        None => Ok(()),
    }
}

/// Fetches the manifest of a reference, or the manifest of its image for `platform`.
///
/// # Errors
/// The manifest cannot be read, or the reference has no image for the platform.
pub async fn fetch(store: &Store, reference: &Location, platform: Option<&Platform>) -> Result<Fetched, Error> {
    match platform {
        Some(platform) => store.fetch_image(reference, platform).await,
        None => store.fetch_manifest(reference).await,
    }
}

/// Fetches the descriptor and the exact bytes of an image's config. From an index, chooses the image for the platform `wanted`, or for
/// `host` if that is `None`.
///
/// # Errors
/// The config cannot be read, or the reference has no image for the platform.
pub async fn config(
    store: &Store,
    reference: &Location,
    wanted: Option<&Platform>,
    host: &Platform,
) -> Result<(Descriptor, Bytes), Error> {
    let fetched = store.fetch_manifest(reference).await?;
    let is_index = matches!(fetched.manifest, Manifest::Index(_));
    let fetched = match wanted.or(is_index.then_some(host)) {
        Some(platform) => store.choose_image(reference, fetched, platform).await?,
        None => fetched,
    };
    match fetched.manifest {
        Manifest::Image(image) => {
            let bytes = store.fetch_config(reference, &image.config).await?;
            Ok((image.config, bytes))
        }
        Manifest::Index(_) => {
            let reason = "its entry for that platform is an index; name that index by its digest".into();
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
