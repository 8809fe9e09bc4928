use crate::convert::{Conversion, Format};
use crate::image::{Location, Platform};
use crate::layer::LayerEncoding;
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
    /// Convert manifests, configs and indexes to this format. The bytes of configs do not change. Defaults to `None`: each
    /// keeps its format.
    pub format: Option<Format>,
    /// Recompress the layers that have another compression, each once, and check them on the way. They are kept in the
    /// folder for temporary files until the copy is done. Defaults to `None`: each layer keeps its compression.
    pub encoding: Option<LayerEncoding>,
    /// If `format` is [`Format::Docker`], leave out what only annotations hold: annotations, and the attestations that they
    /// mark. Defaults to false: annotations are an error.
    pub drop_annotations: bool,
    /// Fail instead of writing a manifest that differs from the source's. Defaults to false.
    pub preserve_digests: bool,
    /// Report what would happen to each tag, without writing. Defaults to false.
    pub dry_run: bool,
}

impl CopyOptions {
    /// Returns the conversion; `None` if the copy changes no manifest.
    pub(super) fn conversion(&self) -> Option<Conversion> {
        let Self { format, encoding, drop_annotations, .. } = *self;
        let conversion = Conversion { format, encoding, drops_annotations: drop_annotations };
        (format.is_some() || encoding.is_some()).then_some(conversion)
    }
}
