//! Media types of manifests, indexes, configs and layers (OCI image-spec, "Media Types"; Docker, "Image Manifest V 2,
//! Schema 2").

/// Docker image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// BuildKit cache config.
pub const BUILDKIT_CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// The `Accept` header of every manifest request. If a type is missing, some registries convert the manifest, or return
/// one image of an index.
pub const ACCEPT: &str = concat!(
    "application/vnd.docker.distribution.manifest.v2+json, ",
    "application/vnd.docker.distribution.manifest.list.v2+json, ",
    "application/vnd.oci.image.manifest.v1+json, ",
    "application/vnd.oci.image.index.v1+json"
);

/// Returns whether a media type is that of a manifest list or an index.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, DOCKER_LIST | OCI_INDEX)
}

/// Returns whether a media type is that of an image manifest.
#[must_use]
pub fn is_image(media_type: &str) -> bool {
    matches!(media_type, DOCKER_MANIFEST | OCI_MANIFEST)
}

/// Returns whether a media type is that of a Docker or OCI image config.
#[must_use]
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, DOCKER_CONFIG | OCI_CONFIG)
}

/// Returns whether a media type is that of a blob: a layer, an image config, or a BuildKit cache config. The index of a
/// BuildKit cache lists blobs instead of manifests.
#[must_use]
pub fn is_blob(media_type: &str) -> bool {
    is_config(media_type) || media_type == BUILDKIT_CACHE_CONFIG || media_type.contains(".tar")
}

/// Returns whether a media type is that of a foreign (Docker) or non-distributable (OCI) layer. Such a layer is not
/// copied between repositories if it lists the URLs where it is stored.
#[must_use]
pub fn is_foreign(media_type: &str) -> bool {
    media_type.contains("foreign") || media_type.contains("nondistributable")
}

/// The compression of a layer's tar archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// No compression.
    Tar,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// Returns what a media type declares: `no compression`, `gzip` or `zstd`.
    pub(crate) fn declared(self) -> &'static str {
        match self {
            Self::Tar => "no compression",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tar => "not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Returns the compression that a layer's media type declares (OCI image-spec, "Layer"; Docker's types have a dot
/// instead of the plus). Returns `None` for other content, such as an attestation, and for encrypted layers.
#[must_use]
pub fn compression(layer: &str) -> Option<Compression> {
    match layer.rsplit_once(".tar")?.1 {
        "" => Some(Compression::Tar),
        "+gzip" | ".gzip" => Some(Compression::Gzip),
        "+zstd" | ".zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

/// Returns whether text is a well-formed media type (RFC 6838, section 4.2).
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let is_name = |name: &str| {
        let rest = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        name.len() <= 127 && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.bytes().all(rest)
    };
    text.split_once('/').is_some_and(|(kind, name)| is_name(kind) && is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_configs_and_cache_configs_are_blobs() {
        for (media_type, expected) in [
            ("application/vnd.oci.image.layer.v1.tar+gzip", true),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", true),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", true),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", true),
            (BUILDKIT_CACHE_CONFIG, true),
            (OCI_CONFIG, true),
            (OCI_MANIFEST, false),
            (DOCKER_LIST, false),
            ("application/vnd.example.other", false),
            ("", false),
        ] {
            assert_eq!(is_blob(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn the_media_type_declares_the_compression() {
        for (layer, expected) in [
            ("application/vnd.oci.image.layer.v1.tar", Some(Compression::Tar)),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Some(Compression::Gzip)),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Some(Compression::Zstd)),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Some(Compression::Gzip)),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Some(Compression::Gzip)),
            ("application/vnd.docker.image.rootfs.diff.tar.zstd", Some(Compression::Zstd)),
            ("application/vnd.docker.image.rootfs.diff.tar", Some(Compression::Tar)),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", None),
            ("application/vnd.in-toto+json", None),
            ("", None),
        ] {
            assert_eq!(compression(layer), expected, "{layer}");
        }
    }
}
