use crate::image::{Location, Platform};
use crate::store::IfMatch;

/// The source and the target of a copy.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// The source.
    pub from: Location,
    /// The target. If it has no tag or digest, those of `from` are used.
    pub to: Location,
    /// Extra tags at the target.
    pub tags: Vec<Location>,
}

/// Options for [`copy`](super::copy()).
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// Copy only the images for these platforms if the source is an index: the image itself for one platform, or for
    /// several an index of only these images, which has another digest; see
    /// [`Store::fetch_images`](crate::store::Store::fetch_images). Defaults to an
    /// empty list: the whole index.
    pub platforms: Vec<Platform>,
    /// The platform to copy of an index if the target holds images of one platform (`docker-archive:`, `docker-daemon:`)
    /// and `platforms` is empty. Defaults to `None`: the index must then have a single image.
    pub default_platform: Option<Platform>,
    /// Copy the referrers of every copied manifest as well: signatures, SBOMs, attestations. Referrers of an index that
    /// `platforms` changes are not copied, because they refer to its digest. Defaults to false.
    pub referrers: bool,
    /// Return only after every written tag resolves to the copied digest. Defaults to false.
    pub wait: bool,
    /// Write only if the target meets this precondition; a target that already points at the copied digest need not.
    /// Defaults to `None`.
    pub if_match: Option<IfMatch>,
    /// Write only if no tag of the copy exists, except with the copied digest. Defaults to false.
    pub no_clobber: bool,
    /// Report what would happen to each tag, without writing. Defaults to false.
    pub dry_run: bool,
}
