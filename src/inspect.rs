//! Reading one reference: an image with its config, or an index with all its children.

use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::image::{Descriptor, Fetched, ImageConfig, ImageManifest, Index, Location, Manifest, media_type};
use crate::store::{Error, Store};

/// What a reference points at.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Type, digest and size.
    pub descriptor: Descriptor,
    /// The manifest's exact bytes.
    pub bytes: Bytes,
    /// What it is.
    pub content: Content,
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
pub struct Image {
    /// The manifest.
    pub manifest: Box<ImageManifest>,
    /// The config's exact bytes.
    pub config: Option<Bytes>,
}

/// A child of an index.
#[derive(Debug, Clone)]
pub enum Child {
    /// An image, with the exact bytes of its manifest.
    Image(Image, Bytes),
    /// An index in the index, or a type that is not known here; it is named, not opened.
    Other,
}

impl Image {
    /// What the config says the image runs on; empty where there is no config or it is not one of an image.
    #[must_use]
    pub fn platform(&self) -> crate::image::Platform {
        let config = self.config.as_deref().and_then(|bytes| serde_json::from_slice::<ImageConfig>(bytes).ok());
        config.unwrap_or_default().platform
    }
}

/// Reads a reference. An image's config is always fetched, those of an index's children with `child_configs`.
pub async fn inspect(store: &Store<'_>, reference: &Location, child_configs: bool) -> Result<Inspection, Error> {
    let fetched = store.fetch_manifest(reference, None).await?;
    let (descriptor, bytes) = (fetched.descriptor.clone(), fetched.bytes.clone());
    let content = match fetched.manifest {
        Manifest::Image(manifest) => Content::Image(image(store, reference, manifest, true).await?),
        Manifest::Index(index) => {
            let children = index.manifests.iter().map(|entry| child(store, reference, entry, child_configs));
            let children = try_join_all(children).await?;
            Content::Index(index, children)
        }
    };
    Ok(Inspection { descriptor, bytes, content })
}

async fn child(store: &Store<'_>, reference: &Location, entry: &Descriptor, config: bool) -> Result<Child, Error> {
    if !media_type::is_image(&entry.media_type) {
        return Ok(Child::Other);
    }
    let Fetched { manifest, bytes, .. } = store.fetch_child(reference, entry, None).await?;
    match manifest {
        Manifest::Image(manifest) => Ok(Child::Image(image(store, reference, manifest, config).await?, bytes)),
        Manifest::Index(_) => Ok(Child::Other),
    }
}

async fn image(
    store: &Store<'_>,
    reference: &Location,
    manifest: Box<ImageManifest>,
    with_config: bool,
) -> Result<Image, Error> {
    let config = if with_config && media_type::is_config(&manifest.config.media_type) {
        Some(store.fetch_config(reference, &manifest.config, None).await?)
    } else {
        None
    };
    Ok(Image { manifest, config })
}
