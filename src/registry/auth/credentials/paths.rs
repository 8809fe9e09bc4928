//! Where configurations are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A variable of the environment. An empty one counts as not set.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The variable that names the user's folder.
pub(crate) const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

pub(super) fn in_home(path: &str) -> Option<PathBuf> {
    Some(Path::new(&variable(HOME)?).join(path))
}

/// Podman's folder where `XDG_RUNTIME_DIR` is not set: `/run/containers/UID`.
pub(super) fn podman_runtime() -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        // The owner of this process's own folder is the user that it runs as.
        let own = std::fs::metadata("/proc/self").ok()?;
        let uid = std::os::unix::fs::MetadataExt::uid(&own);
        Some(Path::new("/run/containers").join(uid.to_string()))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The file that `docker login` writes: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.
pub(super) fn default_config() -> Option<PathBuf> {
    Some(variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| in_home(".docker"))?.join("config.json"))
}

/// A file, or the folder with `config.json` in it, also where neither is there yet.
pub(super) fn config_in(path: &Path) -> PathBuf {
    let is_file = path.is_file() || (!path.is_dir() && path.extension().is_some_and(|end| end == "json"));
    if is_file { path.to_owned() } else { path.join("config.json") }
}
