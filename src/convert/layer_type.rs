//! The media types of layers, in both formats.

use super::Format;
use crate::image::media_type::{Compression, compression};

const DOCKER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
const OCI: &str = "application/vnd.oci.image.layer.v1.tar";
const OCI_FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

/// What the media type of a layer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerType {
    pub(super) is_foreign: bool,
    pub(super) compression: Compression,
}

impl LayerType {
    /// Returns `None` for content of other types: encrypted layers, and the content of artifacts.
    pub(super) fn parse(media_type: &str) -> Option<Self> {
        let compression = compression(media_type)?;
        let base = media_type.get(..media_type.rfind(".tar")? + ".tar".len())?;
        let is_foreign = match base {
            DOCKER | OCI => false,
            DOCKER_FOREIGN | OCI_FOREIGN => true,
            _ => return None,
        };
        Some(Self { is_foreign, compression })
    }

    /// Returns the media type in a format; `None` if the format has none, because Docker's has no zstd.
    pub(super) fn media_type(self, format: Format) -> Option<String> {
        let (base, separator) = match (format, self.is_foreign) {
            (Format::Docker, false) => (DOCKER, '.'),
            (Format::Docker, true) => (DOCKER_FOREIGN, '.'),
            (Format::Oci, false) => (OCI, '+'),
            (Format::Oci, true) => (OCI_FOREIGN, '+'),
        };
        match (format, self.compression) {
            (_, Compression::Tar) => Some(base.to_owned()),
            (Format::Docker, Compression::Zstd) => None,
            (_, compression) => Some(format!("{base}{separator}{compression}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_types_of_both_formats_correspond() {
        for (docker, oci) in [
            (DOCKER.to_owned(), OCI.to_owned()),
            (format!("{DOCKER}.gzip"), format!("{OCI}+gzip")),
            (DOCKER_FOREIGN.to_owned(), OCI_FOREIGN.to_owned()),
            (format!("{DOCKER_FOREIGN}.gzip"), format!("{OCI_FOREIGN}+gzip")),
        ] {
            for media_type in [&docker, &oci] {
                let layer = LayerType::parse(media_type).unwrap();
                assert_eq!(layer.media_type(Format::Docker).as_ref(), Some(&docker));
                assert_eq!(layer.media_type(Format::Oci).as_ref(), Some(&oci));
            }
        }
        for zstd in [format!("{OCI}+zstd"), format!("{DOCKER}.zstd")] {
            let zstd = LayerType::parse(&zstd).unwrap();
            assert_eq!(zstd.media_type(Format::Oci), Some(format!("{OCI}+zstd")));
            assert_eq!(zstd.media_type(Format::Docker), None);
        }
        for other in
            ["", "application/x", "application/vnd.in-toto+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"]
        {
            assert_eq!(LayerType::parse(other), None, "{other}");
        }
        assert_eq!(LayerType::parse(&format!("{OCI}+gzip+encrypted")), None);
    }
}
