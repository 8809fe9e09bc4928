//! Choosing the image for a platform.

use futures_util::future::try_join_all;

use super::{Error, Store};
use crate::image::{
    Descriptor, Fetched, ImageConfig, ImageManifest, Index, Location, Manifest, Platform, media_type, parse_config,
};

impl Store {
    /// Fetches the image for a platform: the only one for it of an index, or the image itself.
    ///
    /// # Errors
    /// It cannot be read, or [`Error::Unsuitable`] if it has no image, or several, for the platform.
    pub async fn fetch_image(&self, at: &Location, wanted: &Platform) -> Result<Fetched, Error> {
        self.choose_image(at, self.fetch_manifest(at).await?, wanted).await
    }

    /// Fetches the image for a platform, like [`Self::fetch_image`], out of what was fetched from `at`.
    ///
    /// # Errors
    /// As [`Self::fetch_image`].
    pub async fn choose_image(&self, at: &Location, fetched: Fetched, wanted: &Platform) -> Result<Fetched, Error> {
        let unsuitable = |reason: String| Error::Unsuitable { subject: at.to_string(), reason: reason.into() };
        let image = match &fetched.manifest {
            Manifest::Index(index) => {
                let named = self.with_platform(at, index, wanted).await?;
                let entry = named.as_ref().unwrap_or(index).image_for(wanted).map_err(unsuitable)?;
                // As the index describes it, without the platform of its config.
                let entry = index.manifests.iter().find(|listed| listed.digest == entry.digest).unwrap_or(entry);
                return self.fetch_child(at, entry).await;
            }
            Manifest::Image(image) => image,
        };
        let found = self.platform_of(at, image).await?;
        if found.matches(wanted) {
            return Ok(fetched);
        }
        if found == Platform::default() {
            return Err(unsuitable(format!("it is one image, and does not say that it is for {wanted}")));
        }
        Err(unsuitable(format!("it is one image, for {found} and not for {wanted}")))
    }

    /// The index with the platforms of configs where its entries have none, if no entry names the `wanted` platform.
    /// `None` means that the index itself is enough.
    pub(crate) async fn with_platform(
        &self,
        at: &Location,
        index: &Index,
        wanted: &Platform,
    ) -> Result<Option<Index>, Error> {
        let is_open =
            |entry: &Descriptor| entry.platform.as_ref().is_none_or(Platform::is_empty) && !entry.is_attestation();
        if !index.images_for(wanted).is_empty() || !index.manifests.iter().any(is_open) {
            return Ok(None);
        }
        let mut named = index.clone();
        let open = named.manifests.iter_mut().filter(|entry| is_open(entry));
        try_join_all(open.map(async |entry| {
            entry.platform = Some(self.platform_of_entry(at, entry).await?);
            Ok::<_, Error>(())
        }))
        .await?;
        Ok(Some(named))
    }

    /// The platform of an index's entry: what the entry names, else what its image's config says. Empty for entries
    /// that are not images.
    ///
    /// # Errors
    /// The image or its config cannot be read.
    pub async fn platform_of_entry(&self, at: &Location, entry: &Descriptor) -> Result<Platform, Error> {
        match &entry.platform {
            Some(platform) if !platform.is_empty() => Ok(platform.clone()),
            _ if !media_type::is_image(&entry.media_type) => Ok(Platform::default()),
            _ => match self.fetch_child(at, entry).await?.manifest {
                Manifest::Image(image) => self.platform_of(at, &image).await,
                Manifest::Index(_) => Ok(Platform::default()),
            },
        }
    }

    /// The platform that the config of an image names; empty if it does not name one, or is not an image's config.
    ///
    /// # Errors
    /// The config cannot be read.
    pub async fn platform_of(&self, of: &Location, image: &ImageManifest) -> Result<Platform, Error> {
        if !media_type::is_config(&image.config.media_type) {
            return Ok(Platform::default());
        }
        let bytes = self.fetch_config(of, &image.config).await?;
        Ok(parse_config::<ImageConfig>(&bytes).unwrap_or_default().platform)
    }
}
