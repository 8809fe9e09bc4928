//! Converts manifests between Docker's format and OCI's, and to other layers. Does no I/O.
//!
//! The config of an image keeps its bytes, only its media type changes: both formats read the same JSON, and Docker's has
//! fields that OCI's does not define (`Healthcheck`, `OnBuild`, `Shell`), which would be lost.

mod fields;
mod format;
mod image;
mod index;
mod layer_type;
mod obstacle;
#[cfg(test)]
mod tests;

pub use format::Format;
pub(crate) use image::{LayerChange, convert_image, unlike};
pub(crate) use index::{convert_index, dropped_attestations};
pub(crate) use obstacle::{Obstacle, Remedy};

use crate::layer::LayerEncoding;

/// What changes in the manifests of a copy.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Conversion {
    /// The format to convert to; `None` to keep each manifest's format.
    pub(crate) format: Option<Format>,
    /// The compression of the layers; `None` to keep each layer's compression.
    pub(crate) encoding: Option<LayerEncoding>,
    /// Whether to leave out annotations, and the attestations that they mark, if Docker's format cannot hold them.
    pub(crate) drops_annotations: bool,
}
