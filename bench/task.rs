//! A benchmark task, which each program performs with its own command line.

use std::path::Path;

/// A task for any of the programs.
pub struct Task<'a> {
    pub host: &'a str,
    pub action: Action<'a>,
    pub login: Option<(&'a str, &'a str)>,
    /// A folder for the program's own files.
    pub scratch: &'a str,
}

#[derive(Clone, Copy)]
pub enum Action<'a> {
    /// Push an index `whole:v1` of the images that `template` names.
    Assemble { template: &'a str, platforms: &'a [&'a str] },
    /// Push an index `whole:v1` of images in `whole` that were pushed by digest.
    Merge(&'a [String]),
    /// Inspect `whole:v1`.
    Inspect,
    /// List the platforms of `whole:v1`.
    Query,
    /// Check that `whole:v1` is complete.
    Verify,
    /// List the platforms of each of these tags of `whole`.
    Tags(&'a [String]),
    /// Push the indexes of a file of specs.
    Specs(&'a Path),
    /// Copy an index with all its images to `whole:v1`.
    Copy(&'a str),
    /// Copy an index from an OCI layout to `whole:v1`, with this compression of its layers: `gzip`, `zstd` or `tar`.
    Recompress(&'a str, &'a str),
}

impl Task<'_> {
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host)
    }

    pub fn target(&self) -> String {
        self.reference("whole:v1")
    }
}
