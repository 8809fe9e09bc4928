//! Chooses the image for a platform.

use futures_util::future::try_join_all;

use super::{Error, Store};
use crate::image::{
    Descriptor, Fetched, ImageConfig, ImageManifest, Index, Location, Manifest, Platform, media_type, parse_config,
};

impl Store {
    /// Fetches the image for a platform: the one entry of an index that matches, or the reference itself if it is an
    /// image.
    ///
    /// # Errors
    /// The image cannot be read. [`Error::Unsuitable`] if no image, or more than one, is for the platform.
    pub async fn fetch_image(&self, at: &Location, wanted: &Platform) -> Result<Fetched, Error> {
        self.choose_image(at, self.fetch_manifest(at).await?, wanted).await
    }

    /// Chooses the image for a platform from a manifest that was fetched from `at`; see [`Self::fetch_image`].
    ///
    /// # Errors
    /// The errors of [`Self::fetch_image`].
    pub async fn choose_image(&self, at: &Location, fetched: Fetched, wanted: &Platform) -> Result<Fetched, Error> {
        let unsuitable = |reason: String| Error::Unsuitable { subject: at.to_string(), reason: reason.into() };
        let image = match &fetched.manifest {
            Manifest::Index(index) => {
                let named = self.with_platform(at, index, wanted).await?;
                let entry = named.as_ref().unwrap_or(index).image_for(wanted).map_err(unsuitable)?;
                // Use the entry of the original index, without the platform that was added from the config.
                let entry = index.manifests.iter().find(|listed| listed.digest == entry.digest).unwrap_or(entry);
                return self.fetch_child(at, entry).await;
            }
            Manifest::Image(image) => image,
        };
        let actual = self.platform_of(at, image).await?;
        if actual.matches(wanted) {
            return Ok(fetched);
        }
        if actual == Platform::default() {
            return Err(unsuitable(format!("it is a single image of unknown platform, not for {wanted}")));
        }
        Err(unsuitable(format!("it is a single image for {actual}, not for {wanted}")))
    }

    /// Finds the image for a platform without reading it: the one entry of an index that matches, or the reference
    /// itself if it is an image. `None` if no image is for the platform.
    ///
    /// # Errors
    /// The reference, or a config that is needed, cannot be read. [`Error::Unsuitable`] if several images are for the
    /// platform.
    pub async fn find_image(&self, at: &Location, wanted: &Platform) -> Result<Option<Descriptor>, Error> {
        let fetched = self.fetch_manifest(at).await?;
        match &fetched.manifest {
            Manifest::Index(index) => {
                let named = self.with_platform(at, index, wanted).await?;
                let entry = named.as_ref().unwrap_or(index).find_image(wanted);
                Ok(entry.map_err(|reason| Error::unsuitable(at, reason))?.cloned())
            }
            Manifest::Image(image) => {
                let is_match = self.platform_of(at, image).await?.matches(wanted);
                Ok(is_match.then_some(fetched.descriptor))
            }
        }
    }

    /// Adds the platforms from configs to entries without a platform, if no entry names the `wanted` platform. Returns
    /// `None` if the index needs no change.
    pub(crate) async fn with_platform(
        &self,
        at: &Location,
        index: &Index,
        wanted: &Platform,
    ) -> Result<Option<Index>, Error> {
        let lacks_platform =
            |entry: &Descriptor| entry.platform.as_ref().is_none_or(Platform::is_empty) && !entry.is_attestation();
        if !index.images_for(wanted).is_empty() || !index.manifests.iter().any(lacks_platform) {
            return Ok(None);
        }
        let mut named = index.clone();
        let entries = named.manifests.iter_mut().filter(|entry| lacks_platform(entry));
        try_join_all(entries.map(async |entry| {
            entry.platform = Some(self.platform_of_entry(at, entry).await?);
            Ok::<_, Error>(())
        }))
        .await?;
        Ok(Some(named))
    }

    /// Returns the platform of an index's entry: the entry's own, or that of the image's config. Empty for entries that
    /// are not images.
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

    /// Returns the platform in the config of an image; empty if the config declares no platform or is not an image
    /// config.
    ///
    /// # Errors
    /// The config cannot be read.
    pub async fn platform_of(&self, at: &Location, image: &ImageManifest) -> Result<Platform, Error> {
        if !media_type::is_config(&image.config.media_type) {
            return Ok(Platform::default());
        }
        let bytes = self.fetch_config(at, &image.config).await?;
        Ok(parse_config::<ImageConfig>(&bytes).unwrap_or_default().platform)
    }
}
