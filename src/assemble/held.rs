use bytes::Bytes;

use super::resolve::config_platform;
use crate::image::{Descriptor, Digest, Index, IndexKind, Location, Manifest, is_known_platform, media_type};
use crate::store::{Error, Store};

/// What the target's tag points at before it is written.
#[derive(Debug, Clone)]
pub(crate) enum Held {
    /// Nobody looked.
    Unread,
    /// It does not exist.
    Nothing,
    /// An index, or an image.
    Manifest(Box<HeldManifest>),
}

/// A manifest that a tag points at, as an index.
#[derive(Debug, Clone)]
pub(crate) struct HeldManifest {
    /// Type, digest and size.
    pub descriptor: Descriptor,
    /// The exact bytes.
    pub bytes: Bytes,
    /// The form of the index; of an image, that of its kind.
    pub kind: IndexKind,
    /// The index; of an image, one of that image alone.
    pub index: Index,
    /// Whether it is an index.
    pub is_index: bool,
    /// Of an image, why it is not known what platform it is for.
    pub no_platform: Option<String>,
}

impl Held {
    /// Reads what a tag points at.
    pub(super) async fn read(store: &Store, target: &Location) -> Result<Self, Error> {
        let Some(fetched) = store.fetch_current(target).await? else { return Ok(Self::Nothing) };
        let mut no_platform = None;
        let (mut index, is_index) = match fetched.manifest {
            Manifest::Index(index) => (index, true),
            Manifest::Image(image) => {
                let platform = match config_platform(store, target, &image.config).await {
                    Ok(platform) if is_known_platform(&platform) => Ok(platform),
                    Ok(platform) => Err(format!("its config says {platform}")),
                    Err(reason) => Err(reason.to_string()),
                };
                let platform = platform.map_err(|reason| no_platform = Some(reason)).ok();
                (
                    Index {
                        manifests: vec![Descriptor { platform, ..fetched.descriptor.clone() }],
                        ..Index::default()
                    },
                    false,
                )
            }
        };
        let docker = [media_type::DOCKER_LIST, media_type::DOCKER_MANIFEST];
        let is_docker = docker.contains(&fetched.descriptor.media_type.as_str());
        let kind = if is_docker { IndexKind::Docker } else { IndexKind::Oci };
        if kind == IndexKind::Docker {
            // Nothing that a Docker manifest list has, whoever wrote it there.
            index = Index { manifests: index.manifests, ..Index::default() };
            index.manifests.iter_mut().for_each(Descriptor::keep_what_docker_has);
        }
        let (descriptor, bytes) = (fetched.descriptor, fetched.bytes);
        Ok(Self::Manifest(Box::new(HeldManifest { descriptor, bytes, kind, index, is_index, no_platform })))
    }

    /// The digest of what it is, if it is anything.
    #[must_use]
    pub(crate) fn digest(&self) -> Option<&Digest> {
        self.manifest().map(|held| &held.descriptor.digest)
    }

    /// What it is, if it is anything.
    #[must_use]
    pub(crate) fn manifest(&self) -> Option<&HeldManifest> {
        match self {
            Self::Manifest(held) => Some(held),
            Self::Unread | Self::Nothing => None,
        }
    }
}
