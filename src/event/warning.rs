use std::fmt;

use crate::image::{Digest, Location, Platform};
use crate::spec::Problem;

/// A source that does not exist and was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// The platform asked for, if one was.
    pub platform: Option<String>,
    /// The source.
    pub reference: Location,
    /// What the registry said.
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
    /// Something in the spec itself.
    Spec(Problem),
    /// A source for which the spec gives a platform is an index with images for others: all of them are taken, as in
    /// 2.2.1.
    PlatformOfIndex {
        /// The source.
        source: Box<Location>,
        /// What the spec says.
        given: Box<Platform>,
        /// What the index says of its images.
        images: Vec<Platform>,
    },
    /// A source holds another index, which is listed unchanged; few clients follow that.
    NestedIndex {
        /// The source.
        source: Box<Location>,
        /// The index in it.
        digest: Digest,
    },
    /// One image is listed for several platforms.
    SameImage {
        /// The image.
        digest: Digest,
        /// The platforms.
        platforms: Vec<Platform>,
    },
    /// An image is for a platform that is probably a mistake.
    OddPlatform {
        /// The source.
        source: Box<Location>,
        /// What is odd about it.
        reason: String,
    },
    /// A Docker manifest list of OCI images, which the OCI image-spec has no place for and some registries refuse.
    OciInDockerList {
        /// How many are OCI's.
        oci: usize,
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
            Self::Spec(problem) => problem.fmt(f),
            Self::PlatformOfIndex { source, given, images } => {
                let images = join(images, ", ");
                write!(f, "{source} is given for {given}, and is an index: all its images are taken ({images})")
            }
            Self::NestedIndex { source, digest } => {
                write!(f, "{source} holds another index, {digest}, which is listed unchanged; few clients follow that")
            }
            Self::SameImage { digest, platforms } => {
                write!(f, "one image is listed for several platforms, {}: {digest}", join(platforms, " and "))
            }
            Self::OddPlatform { source, reason } => write!(f, "{source}: {reason}"),
            Self::OciInDockerList { oci: 1 } => {
                f.write_str("an OCI image in a Docker manifest list, which some registries refuse")
            }
            Self::OciInDockerList { oci } => {
                write!(f, "{oci} OCI images in a Docker manifest list, which some registries refuse")
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

fn join(platforms: &[Platform], separator: &str) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}
