use std::fmt;

/// How an image is stored outside of a registry, in the words of skopeo (containers-transports(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// `oci:FOLDER[:NAME]`: an OCI image layout in a folder.
    Oci,
    /// `oci-archive:FILE[:NAME]`: an OCI image layout in a tar archive.
    OciArchive,
    /// `docker-archive:FILE[:REF]`: an archive that `docker save` writes and `docker load` reads.
    DockerArchive,
    /// `dir:FOLDER`: one image in a folder without subfolders, as skopeo writes it.
    Dir,
    /// `docker-daemon:REF`: an image in Docker's engine.
    DockerDaemon,
}

impl Transport {
    pub(crate) const ALL: [Self; 5] = [Self::Oci, Self::OciArchive, Self::DockerArchive, Self::Dir, Self::DockerDaemon];

    /// Returns the prefix of its locations, without the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
            Self::Dir => "dir",
            Self::DockerDaemon => "docker-daemon",
        }
    }

    /// Returns the transport with a prefix.
    pub(super) fn from_prefix(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.as_str() == prefix)
    }

    /// Whether a target is written as a whole, at the end of a run, and replaces the existing archive or image.
    #[must_use]
    pub fn is_written_whole(self) -> bool {
        matches!(self, Self::OciArchive | Self::DockerArchive | Self::DockerDaemon)
    }

    /// Whether the images are in an OCI image layout, which can also hold their referrers.
    pub(crate) fn is_oci(self) -> bool {
        matches!(self, Self::Oci | Self::OciArchive)
    }

    /// Whether a location is the path of a tar archive.
    pub(crate) fn is_archive_file(self) -> bool {
        matches!(self, Self::OciArchive | Self::DockerArchive)
    }

    /// Whether Docker reads what is written. Docker's formats hold images of one platform, with references as names.
    pub(crate) fn is_docker(self) -> bool {
        matches!(self, Self::DockerArchive | Self::DockerDaemon)
    }

    /// Whether a location holds one image, whose name cannot be chosen or is the location itself.
    pub(crate) fn has_no_names(self) -> bool {
        matches!(self, Self::Dir | Self::DockerDaemon)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
