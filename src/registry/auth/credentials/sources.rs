use std::collections::BTreeSet;
use std::path::PathBuf;

use super::login::Login;

/// Credentials that the caller passes, such as those on its command line. They take precedence over every file.
#[derive(Debug, Clone)]
pub struct ExplicitCredentials {
    /// The registry that they are for; they are sent to no other.
    pub registry: String,
    /// User name and password, or a token.
    pub login: Login,
    /// The name of their source in messages, such as a flag or variable.
    pub source: String,
}

/// Credentials for a registry, or for some of its repositories, that take precedence over all other sources there.
#[derive(Debug, Clone)]
pub struct ScopedCredentials {
    /// The registry that they are for; they are sent to no other.
    pub registry: String,
    /// The repositories that they are for, without the registry; `None` for every repository.
    pub repositories: Option<BTreeSet<String>>,
    /// Where the credentials come from.
    pub source: ScopedSource,
}

/// The source of [`ScopedCredentials`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ScopedSource {
    /// A login that the caller passes.
    Login {
        /// User name and password, or a token.
        login: Login,
        /// The name of its source in messages, such as a flag or variable.
        name: String,
    },
    /// A configuration, as for [`CredentialSources::docker_config`], after which no other source is read.
    DockerConfig(PathBuf),
}

impl ScopedCredentials {
    /// Whether these credentials are for a repository.
    pub(super) fn include(&self, registry: &str, repository: &str) -> bool {
        let is_included = |repositories: &BTreeSet<String>| repositories.contains(repository);
        self.registry == registry && self.repositories.as_ref().is_none_or(is_included)
    }
}

/// The sources of credentials; the first one that has any for a registry is used. `CredentialSources::default()` passes
/// no credentials and names no file, so that only environment variables and the usual files are read.
///
/// The order is [`Self::scoped`]; [`Self::explicit`]; [`Self::docker_config`], after which no other file is read, as in manifest-tool
/// 2.2.1; `DOCKER_AUTH_CONFIG`, which contains the JSON itself; `$DOCKER_CONFIG/config.json` or
/// `~/.docker/config.json`; then Podman's files, `$REGISTRY_AUTH_FILE` or `$XDG_RUNTIME_DIR/containers/auth.json`
/// (`/run/containers/UID/auth.json` without that variable) and `~/.config/containers/auth.json`.
#[derive(Debug, Clone, Default)]
pub struct CredentialSources {
    /// Credentials for some registries or repositories. The first that include a repository are used.
    pub scoped: Vec<ScopedCredentials>,
    /// The caller's own credentials for one registry.
    pub explicit: Option<ExplicitCredentials>,
    /// A configuration file in Docker's format, or a folder with `config.json` in it. It must exist; a folder without
    /// that file has no credentials.
    pub docker_config: Option<PathBuf>,
    /// Why the caller's credentials do not apply to every registry. The hint for missing credentials repeats it.
    pub unused: Option<String>,
}
