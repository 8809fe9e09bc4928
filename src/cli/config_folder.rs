use std::path::PathBuf;

use crate::registry::HOME;

/// Returns the folder of the user's configuration files (XDG Base Directory Specification).
pub(super) fn config_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("XDG_CONFIG_HOME").or_else(|| Some(folder(HOME)?.join(".config")))
}
