//! What is odd about an index, though it can be pushed. Pure.

use std::fmt;

use super::resolve::Entry;
use crate::image::{Descriptor, Digest, Location, Platform, media_type};

/// Something that is likely to be a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// An image was built for another platform than its entry says.
    OtherPlatform {
        /// The source that it came from.
        source: Box<Location>,
        /// The image.
        digest: Digest,
        /// What the entry says.
        entry: Box<Platform>,
        /// What the image's config says.
        config: Box<Platform>,
    },
    /// Several entries for Windows, which chooses by `os.version`, do not have it.
    NoWindowsVersion {
        /// The images.
        digests: Vec<Digest>,
    },
    /// Some images are Docker's, others OCI's: some registries and clients refuse that.
    MixedTypes {
        /// How many are Docker's.
        docker: usize,
        /// How many are OCI's.
        oci: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherPlatform { source, digest, entry, config } => {
                write!(f, "{source}: its entry says {entry}, the image's config {config} ({digest})")
            }
            Self::NoWindowsVersion { digests } => {
                let digests: Vec<&str> = digests.iter().map(Digest::as_str).collect();
                write!(f, "{} entries for Windows have no os.version, by which it chooses: ", digests.len())?;
                f.write_str(&digests.join(", "))
            }
            Self::MixedTypes { docker, oci } => {
                write!(
                    f,
                    "{docker} of the images are Docker's and {oci} are OCI's; some registries refuse such an index"
                )
            }
        }
    }
}

/// The images that are not what their entries say.
pub(super) fn other_platforms(images: &[Entry]) -> Vec<Warning> {
    let differs = |image: &&Entry| match (&image.descriptor.platform, &image.config) {
        (Some(entry), Some(config)) => !agree(entry, config),
        _ => false,
    };
    let warning = |image: &Entry| Warning::OtherPlatform {
        source: Box::new(image.source.clone()),
        digest: image.descriptor.digest.clone(),
        entry: Box::new(image.descriptor.platform.clone().unwrap_or_default()),
        config: Box::new(image.config.clone().unwrap_or_default()),
    };
    images.iter().filter(differs).map(warning).collect()
}

/// Whether an entry says what the config says; what the config leaves open, anything may be said of.
fn agree(entry: &Platform, config: &Platform) -> bool {
    let same = |entry: &str, config: &str| config.is_empty() || entry == config;
    let variants = config.variant.is_empty() || entry.own_variant() == config.own_variant();
    same(&entry.os, &config.os)
        && same(&entry.architecture, &config.architecture)
        && same(&entry.os_version, &config.os_version)
        && variants
}

/// What is odd about the entries of an index together.
pub(super) fn of_entries(entries: &[Descriptor]) -> Vec<Warning> {
    let images = || entries.iter().filter(|entry| !entry.is_attestation());
    let mut warnings = Vec::new();
    let bare = |platform: &Platform| platform.os == "windows" && platform.os_version.is_empty();
    let windows: Vec<Digest> =
        images().filter(|entry| entry.platform.as_ref().is_some_and(bare)).map(|entry| entry.digest.clone()).collect();
    if windows.len() > 1 {
        warnings.push(Warning::NoWindowsVersion { digests: windows });
    }
    let count = |kind: &str| images().filter(|entry| entry.media_type == kind).count();
    let (docker, oci) = (count(media_type::DOCKER_MANIFEST), count(media_type::OCI_MANIFEST));
    if docker > 0 && oci > 0 {
        warnings.push(Warning::MixedTypes { docker, oci });
    }
    warnings
}
