use crate::image::{Digest, UntrustedText};

/// Why a manifest cannot be converted without losing something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// The manifest or index.
    pub(crate) manifest: Digest,
    /// What stands in the way.
    pub(crate) reason: UntrustedText,
    /// What the user can do about it.
    pub(crate) remedy: Option<Remedy>,
}

/// What the user can do about an obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Remedy {
    /// Leave out annotations.
    DropAnnotations,
    /// Compress the layers with gzip, or not at all.
    Recompress,
    /// Convert to OCI's format.
    UseOci,
    /// Select the images by platform.
    SelectPlatforms,
}
