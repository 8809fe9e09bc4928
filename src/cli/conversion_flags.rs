use clap::{Args, ValueEnum};

use crate::copy::{Format, LayerEncoding};

/// The flags of `copy` that change what is copied.
#[derive(Debug, Clone, Args)]
pub(super) struct ConversionFlags {
    /// Convert manifests and indexes to this format
    #[arg(long, value_name = "docker|oci", hide_possible_values = true)]
    pub(super) format: Option<FormatName>,
    /// Recompress layers: gzip:1 to 9, zstd:1 to 19
    #[arg(long, value_name = "gzip|zstd[:LEVEL]")]
    compress: Option<LayerEncoding>,
    /// Decompress layers
    #[arg(long, conflicts_with = "compress")]
    decompress: bool,
    /// Leave out annotations that docker cannot hold
    #[arg(long)]
    pub(super) drop_annotations: bool,
    /// Fail if anything would change a digest
    #[arg(long)]
    pub(super) preserve_digests: bool,
}

/// A format by its name on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum FormatName {
    Docker,
    Oci,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Docker => Self::Docker,
            FormatName::Oci => Self::Oci,
        }
    }
}

impl ConversionFlags {
    pub(super) fn encoding(&self) -> Option<LayerEncoding> {
        self.compress.or(self.decompress.then_some(LayerEncoding::TAR))
    }
}
