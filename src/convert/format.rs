use std::fmt;

use crate::image::media_type::{DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};

/// The two formats of images and indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Docker's: "Image Manifest V 2, Schema 2" and manifest lists.
    Docker,
    /// OCI's: image manifests and image indexes of the OCI image-spec.
    Oci,
}

impl Format {
    pub(super) fn manifest(self) -> &'static str {
        match self {
            Self::Docker => DOCKER_MANIFEST,
            Self::Oci => OCI_MANIFEST,
        }
    }

    pub(super) fn index(self) -> &'static str {
        match self {
            Self::Docker => DOCKER_LIST,
            Self::Oci => OCI_INDEX,
        }
    }

    pub(super) fn config(self) -> &'static str {
        match self {
            Self::Docker => DOCKER_CONFIG,
            Self::Oci => OCI_CONFIG,
        }
    }

    /// Returns the format of a manifest or index by its media type.
    pub(super) fn of(media_type: &str) -> Self {
        if matches!(media_type, DOCKER_MANIFEST | DOCKER_LIST) { Self::Docker } else { Self::Oci }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "Docker's format",
            Self::Oci => "OCI's format",
        })
    }
}
