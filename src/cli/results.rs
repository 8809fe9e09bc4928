//! Where results go: stdout, and the files that a pipeline asks for.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::failure::Failure;

/// What a command has to say in the end.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// For stdout.
    pub(super) text: String,
    /// Not 0 where that is no failure.
    pub(super) code: u8,
}

impl From<String> for Results {
    fn from(text: String) -> Self {
        Self { text, code: 0 }
    }
}

/// Files for the results of a command that writes, each replaced in one step, and only when all is done.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// Write what --output json prints to a file as well, when all is done
    #[arg(long, global = true, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Write the digest to a file, when all is done; for one index or image
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "dry_run")]
    digest_file: Option<PathBuf>,
}

impl Files {
    pub(super) fn wants_digest(&self) -> bool {
        self.digest_file.is_some()
    }

    pub(super) fn wants_metadata(&self) -> bool {
        self.metadata_file.is_some()
    }

    /// Writes the files that are wanted. `digest` is that of the only index or image.
    pub(super) fn write(&self, document: &Value, digest: Option<&str>) -> Result<(), Failure> {
        if let Some(path) = &self.metadata_file {
            replace(path, &pretty(document))?;
        }
        if let (Some(path), Some(digest)) = (&self.digest_file, digest) {
            replace(path, digest)?;
        }
        Ok(())
    }
}

/// JSON as it is printed.
pub(super) fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

/// Puts a file in its place in one step; what follows a link is replaced, and the link stays.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // Such as /dev/stdout, or a pipe.
        if std::fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
            return std::fs::write(&target, text);
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        #[cfg(unix)]
        file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&target)?;
        Ok(())
    };
    write().map_err(|error: std::io::Error| {
        Failure::new(format!("all is done, but {} cannot be written: {error}", path.display()))
    })
}
