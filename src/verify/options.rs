use crate::image::{Platform, UntrustedText};

/// Options for [`verify`](super::verify()).
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Read every layer, and verify both its digest and, against the config's `diff_ids`, its uncompressed digest.
    /// Defaults to false, which only checks that layers exist.
    pub layers: bool,
    /// Report every difference from this set of platforms: a platform without an image, and an image for another
    /// platform. Variants are normalized, and OS versions and features are ignored. Defaults to an empty list, which
    /// allows any platforms.
    pub platforms: Vec<Platform>,
    /// Report every image, except attestations, that lacks a referrer of one of these artifact types, such as
    /// `application/spdx+json`. Defaults to an empty list.
    pub referrers: Vec<UntrustedText>,
}
