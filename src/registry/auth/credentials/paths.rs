//! The paths of configurations.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Reads an environment variable. An empty one counts as unset.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The environment variable that names the user's home folder.
pub(crate) const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

pub(super) fn in_home(path: &str) -> Option<PathBuf> {
    Some(Path::new(&variable(HOME)?).join(path))
}

/// Returns Podman's runtime folder if `XDG_RUNTIME_DIR` is unset: `/run/containers/UID`.
pub(super) fn podman_runtime() -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        // The owner of `/proc/self` is the user that this process runs as.
        let metadata = std::fs::metadata("/proc/self").ok()?;
        let uid = std::os::unix::fs::MetadataExt::uid(&metadata);
        Some(Path::new("/run/containers").join(uid.to_string()))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Returns the file that `docker login` writes: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.
pub(super) fn default_config() -> Option<PathBuf> {
    Some(variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| in_home(".docker"))?.join("config.json"))
}

/// Returns the path if it is a file, else `config.json` in it. An absent path ending in `.json` counts as a file.
pub(super) fn config_in(path: &Path) -> PathBuf {
    let is_file = path.is_file() || (!path.is_dir() && path.extension().is_some_and(|end| end == "json"));
    if is_file { path.to_owned() } else { path.join("config.json") }
}
