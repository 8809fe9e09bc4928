#[cfg(feature = "openpgp")]
use std::sync::Arc;

use crate::image::{Platform, Reference, UntrustedText};
use crate::signature::PublicKey;
#[cfg(feature = "openpgp")]
use crate::signature::openpgp::Keyring;

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
    /// List the signatures of every index and image, except attestations. Defaults to false.
    pub signatures: bool,
    /// Report every index and image, except attestations, without a valid signature by one of these keys. Defaults to an
    /// empty list, which verifies no signature.
    pub keys: Vec<PublicKey>,
    /// OpenPGP keyrings: a signature beside an image in `dir:` by one of their keys is valid as well. Defaults to an empty
    /// list. Needs the feature `openpgp`.
    #[cfg(feature = "openpgp")]
    pub openpgp_keys: Vec<Arc<Keyring>>,
    /// The repository that signatures must name, if they name one: that from which the image was copied. Its tag and
    /// digest are ignored. Defaults to `None`: the repository of the reference. Signatures in a layout may then name any.
    pub signed_as: Option<Reference>,
}

impl VerifyOptions {
    /// Whether signatures have to be found.
    pub(super) fn needs_signatures(&self) -> bool {
        self.signatures || self.has_keys()
    }

    /// Whether signatures have to be verified.
    pub(super) fn has_keys(&self) -> bool {
        #[cfg(feature = "openpgp")]
        let has_keyring = !self.openpgp_keys.is_empty();
        #[cfg(not(feature = "openpgp"))]
        let has_keyring = false;
        has_keyring || !self.keys.is_empty()
    }
}
