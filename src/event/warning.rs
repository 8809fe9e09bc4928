use std::fmt;

use crate::image::{Digest, Location, Platform};
use crate::spec::Problem;

/// A source that does not exist and was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The requested platform, if any.
    pub platform: Option<String>,
    /// The source.
    pub reference: Location,
    /// The registry's words.
    pub reason: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.platform {
            Some(platform) => write!(f, "{platform}: skipped: {}", self.reason),
            None => write!(f, "skipped: {}", self.reason),
        }
    }
}

/// A likely mistake in an index or its spec.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// An image was built for a platform other than that of its entry.
    OtherPlatform {
        /// The source of the image.
        source: Box<Location>,
        /// The image's digest.
        digest: Digest,
        /// The platform of the entry.
        entry: Box<Platform>,
        /// The platform in the image's config.
        config: Box<Platform>,
    },
    /// Several Windows entries have no `os.version`, which Windows uses to choose an image.
    NoWindowsVersion {
        /// The digests of the images.
        digests: Vec<Digest>,
    },
    /// A problem in the spec itself.
    Spec(Problem),
    /// The spec names a platform for a source that is an index with images for other platforms. All its images are
    /// added, as in 2.2.1.
    PlatformOfIndex {
        /// The source.
        source: Box<Location>,
        /// The platform in the spec.
        given: Box<Platform>,
        /// The platforms of the images in the index.
        images: Vec<Platform>,
    },
    /// A source contains a nested index, which is added unchanged; few clients follow nested indexes.
    NestedIndex {
        /// The source.
        source: Box<Location>,
        /// The digest of the nested index.
        digest: Digest,
    },
    /// One image is listed for several platforms.
    SameImage {
        /// The image's digest.
        digest: Digest,
        /// The platforms.
        platforms: Vec<Platform>,
    },
    /// Entries for one platform, spelled with and without its default variant, so clients may run either image.
    SpelledTwice {
        /// The platforms.
        platforms: Vec<Platform>,
    },
    /// Two sources are the same image, which is listed once.
    Duplicate {
        /// The source that is left out.
        source: Box<Location>,
        /// The source that is kept.
        first: Box<Location>,
        /// The image's digest.
        digest: Digest,
    },
    /// A source is an image for a platform that is not selected. It is kept: platforms are only selected from indexes.
    NotSelected {
        /// The source.
        source: Box<Location>,
        /// The image's platform.
        platform: Box<Platform>,
    },
    /// A Docker manifest list cannot have annotations, so those from labels and build metadata are left out.
    AnnotationsLeftOut,
    /// Referrers of the sources, such as signatures, are not carried to the target.
    ReferrersLeft {
        /// The number of referrers.
        count: usize,
    },
    /// An image's platform is probably a mistake.
    OddPlatform {
        /// The source of the image.
        source: Box<Location>,
        /// Why the platform is unlikely.
        reason: String,
    },
    /// A Docker manifest list lists OCI images, which the OCI image-spec does not provide for and some registries
    /// refuse.
    OciInDockerList {
        /// The number of OCI images.
        oci: usize,
    },
    /// An index lists both Docker and OCI images, which some registries and clients refuse.
    MixedTypes {
        /// The number of Docker images.
        docker: usize,
        /// The number of OCI images.
        oci: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherPlatform { source, digest, entry, config } => {
                write!(f, "{source}: its entry is for {entry}, but the image's config is for {config} ({digest})")
            }
            Self::NoWindowsVersion { digests } => {
                let digests: Vec<&str> = digests.iter().map(Digest::as_str).collect();
                let count = digests.len();
                write!(f, "{count} Windows entries have no os.version, which Windows uses to choose an image: ")?;
                f.write_str(&digests.join(", "))
            }
            Self::Spec(problem) => problem.fmt(f),
            Self::PlatformOfIndex { source, given, images } => {
                let images = join(images, ", ");
                write!(f, "{source} is listed for {given} but is an index: all its images are added ({images})")
            }
            Self::NestedIndex { source, digest } => {
                write!(
                    f,
                    "{source} contains a nested index, {digest}, added unchanged; few clients follow nested indexes"
                )
            }
            Self::SameImage { digest, platforms } => {
                write!(f, "one image is listed for several platforms, {}: {digest}", join(platforms, " and "))
            }
            Self::SpelledTwice { platforms } => {
                write!(f, "{} are one platform; clients may run either image", join(platforms, " and "))
            }
            Self::Duplicate { source, first, digest } => {
                write!(f, "{source} is the same image as {first} and is listed once: {digest}")
            }
            Self::NotSelected { source, platform } => {
                write!(
                    f,
                    "{source} is an image for {platform}, which is not selected; it is kept, because platforms are \
                     selected from indexes"
                )
            }
            Self::AnnotationsLeftOut => f.write_str(
                "annotations from labels and metadata are left out: a Docker manifest list cannot have them",
            ),
            Self::ReferrersLeft { count } => {
                let (s, are) = if *count == 1 { ("", "is") } else { ("s", "are") };
                write!(f, "{count} referrer{s} of the images (signatures, SBOMs, attestations) {are} not copied")
            }
            Self::OddPlatform { source, reason } => write!(f, "{source}: {reason}"),
            Self::OciInDockerList { oci: 1 } => {
                f.write_str("an OCI image in a Docker manifest list, which some registries refuse")
            }
            Self::OciInDockerList { oci } => {
                write!(f, "{oci} OCI images in a Docker manifest list, which some registries refuse")
            }
            Self::MixedTypes { docker, oci } => {
                write!(f, "the index lists {docker} Docker and {oci} OCI images, a mix that some registries refuse")
            }
        }
    }
}

fn join(platforms: &[Platform], separator: &str) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}
