//! Temporary files, which a rename makes complete files.

use std::path::Path;

use tempfile::NamedTempFile;

use super::STAGING_PREFIX;

/// Creates a temporary file in a folder, readable by all users.
pub(super) fn file_in(folder: &Path) -> std::io::Result<NamedTempFile> {
    readable_by_all(tempfile::Builder::new().prefix(STAGING_PREFIX).tempfile_in(folder)?)
}

/// Makes a temporary file readable by all users, because temporary files are created with mode 0600.
pub(super) fn readable_by_all(file: NamedTempFile) -> std::io::Result<NamedTempFile> {
    #[cfg(unix)]
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    Ok(file)
}
