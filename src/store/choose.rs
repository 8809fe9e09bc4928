//! Chooses the image for a platform.

use futures_util::future::try_join_all;

use super::{Error, Store};
use crate::image::{
    Descriptor, Digest, Fetched, ImageConfig, ImageManifest, Index, Location, Manifest, Platform, media_type,
    parse_config, parse_manifest, platform_names,
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
        match &fetched.manifest {
            Manifest::Index(index) => self.fetch_child(at, &self.choose_entry(at, index, wanted).await?).await,
            Manifest::Image(image) => {
                self.check_platform(at, image, std::slice::from_ref(wanted)).await?;
                Ok(fetched)
            }
        }
    }

    /// Chooses the entry of an index for a platform, without the platform that may be added to it from its config.
    ///
    /// # Errors
    /// A config that is needed cannot be read. [`Error::Unsuitable`] if no image, or more than one, is for the platform.
    pub(crate) async fn choose_entry(
        &self,
        at: &Location,
        index: &Index,
        wanted: &Platform,
    ) -> Result<Descriptor, Error> {
        let named = self.with_platforms(at, index, std::slice::from_ref(wanted)).await?;
        let entry = named.as_ref().unwrap_or(index).image_for(wanted);
        let entry = entry.map_err(|reason| Error::unsuitable(at, reason))?;
        Ok(index.manifests.iter().find(|listed| listed.digest == entry.digest).unwrap_or(entry).clone())
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
                let named = self.with_platforms(at, index, std::slice::from_ref(wanted)).await?;
                let entry = named.as_ref().unwrap_or(index).find_image(wanted);
                Ok(entry.map_err(|reason| Error::unsuitable(at, reason))?.cloned())
            }
            Manifest::Image(image) => {
                let is_match = self.platform_of(at, image).await?.matches(wanted);
                Ok(is_match.then_some(fetched.descriptor))
            }
        }
    }

    /// Fetches the images for several platforms: an index without the entries for other platforms, byte for byte if
    /// every entry is kept, or the reference itself if it is an image for all of them.
    ///
    /// The index keeps the images for each platform, all other entries for exactly the same platforms, and their
    /// attestations, in order. Its other fields stay. A platform without a variant keeps the images for every variant,
    /// and every OS version is kept, unless one image is preferred; see [`Index::images_for`].
    ///
    /// # Errors
    /// The reference, or a config that is needed, cannot be read. [`Error::Unsuitable`] if some of the platforms have no
    /// image.
    pub async fn fetch_images(&self, at: &Location, wanted: &[Platform]) -> Result<Fetched, Error> {
        let fetched = self.fetch_manifest(at).await?;
        let index = match &fetched.manifest {
            Manifest::Index(index) => index,
            Manifest::Image(image) => {
                self.check_platform(at, image, wanted).await?;
                return Ok(fetched);
            }
        };
        let named = self.with_platforms(at, index, wanted).await?;
        let filtered = index.filter(&fetched.bytes, named.as_ref(), wanted);
        let Some(bytes) = filtered.map_err(|reason| Error::unsuitable(at, reason))? else { return Ok(fetched) };
        let (manifest, media_type) = parse_manifest(&bytes, &fetched.descriptor.media_type)
            .map_err(|error| Error::unsuitable(at, error.to_string()))?;
        let descriptor =
            Descriptor { size: bytes.len() as u64, ..Descriptor::new(&media_type, Digest::sha256(&bytes)) };
        Ok(Fetched { bytes: bytes.into(), descriptor, manifest })
    }

    /// Checks that a single image is for all platforms, according to its config.
    ///
    /// # Errors
    /// The config cannot be read. [`Error::Unsuitable`] if the image is for another platform.
    pub(crate) async fn check_platform(
        &self,
        at: &Location,
        image: &ImageManifest,
        wanted: &[Platform],
    ) -> Result<(), Error> {
        let actual = self.platform_of(at, image).await?;
        let mut others = wanted.iter().filter(|wanted| !actual.matches(wanted)).peekable();
        if others.peek().is_none() {
            return Ok(());
        }
        let kind = if actual == Platform::default() { "of unknown platform".into() } else { format!("for {actual}") };
        Err(Error::unsuitable(at, format!("it is a single image {kind}, not for {}", platform_names(others))))
    }

    /// Adds the platforms from configs to entries without a platform, if one of the `wanted` platforms is named by no
    /// entry. Returns `None` if the index needs no change.
    ///
    /// # Errors
    /// A config cannot be read.
    pub(crate) async fn with_platforms(
        &self,
        at: &Location,
        index: &Index,
        wanted: &[Platform],
    ) -> Result<Option<Index>, Error> {
        let lacks_platform =
            |entry: &Descriptor| entry.platform.as_ref().is_none_or(Platform::is_empty) && !entry.is_attestation();
        let has_all = wanted.iter().all(|platform| !index.images_for(platform).is_empty());
        if has_all || !index.manifests.iter().any(lacks_platform) {
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
