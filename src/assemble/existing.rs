use bytes::Bytes;

use super::config::config_platform;
use crate::image::{Descriptor, Digest, Index, IndexKind, Location, Manifest, is_known_platform, media_type};
use crate::store::{Error, Store};

/// The content of the target's tag before it is written.
#[derive(Debug, Clone)]
pub(super) enum Existing {
    /// The tag was not read.
    Unread,
    /// The tag does not exist.
    Missing,
    /// The tag points at an index or an image.
    Manifest(Box<ExistingManifest>),
}

/// A manifest that a tag points at, as an index.
#[derive(Debug, Clone)]
pub(super) struct ExistingManifest {
    /// The manifest's type, digest and size.
    pub(super) descriptor: Descriptor,
    /// The manifest's exact bytes.
    pub(super) bytes: Bytes,
    /// The form of the index; for an image, the form that fits its type.
    pub(super) kind: IndexKind,
    /// The index; for an image, an index of only that image.
    pub(super) index: Index,
    /// Whether the manifest is an index.
    pub(super) is_index: bool,
    /// For an image, why its platform is unknown.
    pub(super) no_platform: Option<String>,
}

impl Existing {
    /// Reads the manifest that a tag points at.
    pub(super) async fn read(store: &Store, target: &Location) -> Result<Self, Error> {
        let Some(fetched) = store.fetch_current(target).await? else { return Ok(Self::Missing) };
        let (mut index, is_index, no_platform) = match fetched.manifest {
            Manifest::Index(index) => (index, true, None),
            Manifest::Image(image) => {
                let platform = match config_platform(store, target, &image.config).await {
                    Ok(platform) if is_known_platform(&platform) => Ok(platform),
                    Ok(platform) => Err(format!("its config declares {platform}")),
                    Err(reason) => Err(reason.to_string()),
                };
                let (platform, reason) = (platform.as_ref().ok().cloned(), platform.err());
                let entry = Descriptor { platform, ..fetched.descriptor.clone() };
                (Index { manifests: vec![entry], ..Index::default() }, false, reason)
            }
        };
        let docker = [media_type::DOCKER_LIST, media_type::DOCKER_MANIFEST];
        let is_docker = docker.contains(&fetched.descriptor.media_type.as_str());
        let kind = if is_docker { IndexKind::Docker } else { IndexKind::Oci };
        if kind == IndexKind::Docker {
            // Drop the fields that Docker manifest lists do not have, even if another program wrote them.
            index = Index { manifests: index.manifests, ..Index::default() };
            index.manifests.iter_mut().for_each(Descriptor::clear_oci_fields);
        }
        let (descriptor, bytes) = (fetched.descriptor, fetched.bytes);
        Ok(Self::Manifest(Box::new(ExistingManifest { descriptor, bytes, kind, index, is_index, no_platform })))
    }

    /// Returns the digest that the tag points at, if it was read and exists.
    pub(super) fn digest(&self) -> Option<&Digest> {
        self.manifest().map(|existing| &existing.descriptor.digest)
    }

    /// Returns the manifest that the tag points at, if it was read and exists.
    pub(super) fn manifest(&self) -> Option<&ExistingManifest> {
        match self {
            Self::Manifest(existing) => Some(existing),
            Self::Unread | Self::Missing => None,
        }
    }
}
