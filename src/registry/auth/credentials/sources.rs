use std::path::PathBuf;

use super::login::Login;

/// Credentials that the caller gives, such as those of its command line. They count before every file.
#[derive(Debug, Clone)]
pub struct ExplicitCredentials {
    /// The registry that they are for; they go to no other.
    pub registry: String,
    /// User and password.
    pub login: Login,
    /// What messages call them, such as the name of a flag or variable.
    pub source: String,
}

/// Where credentials come from: the first of these that has any for a registry. `CredentialSources::default()` gives no
/// credentials and names no file: then the variables and files below are read.
///
/// [`Self::given`]; [`Self::docker_config`], after which no other file is read, as in 2.2.1; `DOCKER_AUTH_CONFIG`, which
/// holds the JSON itself; `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`; then Podman's files,
/// `$REGISTRY_AUTH_FILE` or `$XDG_RUNTIME_DIR/containers/auth.json` (`/run/containers/UID/auth.json` without that
/// variable) and `~/.config/containers/auth.json`.
#[derive(Debug, Clone, Default)]
pub struct CredentialSources {
    /// The caller's own, for one registry.
    pub given: Option<ExplicitCredentials>,
    /// A configuration file in Docker's form, or a folder with `config.json` in it. It must exist; a folder without
    /// that file counts as one without credentials.
    pub docker_config: Option<PathBuf>,
    /// Why the caller has credentials that are not for every registry. The hint of an error for want of credentials
    /// repeats it.
    pub unused: Option<String>,
}
