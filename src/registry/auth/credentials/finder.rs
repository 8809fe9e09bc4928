use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use super::entry::read_auth;
use super::file::{ConfigEntry, ConfigFile, FileFormat};
use super::helper;
use super::login::{LoginLookup, SourcedLogin};
use super::paths::{config_in, default_config, in_home, podman_runtime, variable};
use super::sources::{CredentialSources, ExplicitCredentials};
use crate::registry::error::CredentialOrigin;
use crate::single_flight::SingleFlight;

impl CredentialSources {
    /// Returns the name of the source that has credentials for a registry, if any. May run a helper.
    ///
    /// # Errors
    /// A configuration cannot be read, or a helper fails.
    pub(crate) async fn source_for(&self, registry: &str) -> Result<Option<String>, String> {
        Credentials::new(self).source(registry).await
    }
}

/// Finds credentials in their sources, each of which is read on first use.
pub(crate) struct Credentials {
    explicit: Option<ExplicitCredentials>,
    unused: Option<String>,
    files: Vec<Arc<ConfigFile>>,
    /// The results of helpers, by key and helper. Each helper runs only once for a key, even if it fails.
    helper_results: SingleFlight<(String, String), LoginLookup, Infallible>,
}

impl Credentials {
    /// Reads the environment, but no files yet.
    pub(crate) fn new(sources: &CredentialSources) -> Self {
        let files = match sources.docker_config.as_deref() {
            Some(folder) if folder.is_dir() => vec![ConfigFile::optional(config_in(folder), FileFormat::Docker)],
            Some(file) => vec![ConfigFile::required(config_in(file))],
            None => Self::default_files(),
        };
        Self {
            explicit: sources.explicit.clone(),
            unused: sources.unused.clone(),
            files: files.into_iter().map(Arc::new).collect(),
            helper_results: SingleFlight::default(),
        }
    }

    /// Returns the files of Docker and Podman, in the order in which they are read.
    fn default_files() -> Vec<ConfigFile> {
        let mut files = Vec::new();
        if let Some(json) = variable("DOCKER_AUTH_CONFIG") {
            files.push(ConfigFile::text("DOCKER_AUTH_CONFIG", json.to_string_lossy().into_owned()));
        }
        files.extend(default_config().map(|path| ConfigFile::optional(path, FileFormat::Docker)));
        let path = |name| variable(name).map(PathBuf::from);
        let runtime = path("XDG_RUNTIME_DIR").map(|folder| folder.join("containers")).or_else(podman_runtime);
        let config = path("XDG_CONFIG_HOME").or_else(|| in_home(".config")).map(|folder| folder.join("containers"));
        let podman: Vec<PathBuf> = match path("REGISTRY_AUTH_FILE") {
            Some(path) => vec![path],
            None => [runtime, config].into_iter().flatten().map(|folder| folder.join("auth.json")).collect(),
        };
        files.extend(podman.into_iter().map(|path| ConfigFile::optional(path, FileFormat::Podman)));
        files
    }

    /// Returns why the caller's credentials were not used, for the error of a registry without credentials.
    pub(crate) fn unused(&self) -> Option<&str> {
        self.unused.as_deref()
    }

    /// Returns the login for a repository, or `None` if no source has one. May run a helper, which is killed when the
    /// future is dropped.
    ///
    /// # Errors
    /// A configuration cannot be read or a helper fails before a source with a login is reached.
    pub(crate) async fn find(&self, registry: &str, repository: &str) -> LoginLookup {
        if let Some(explicit) = self.explicit.as_ref().filter(|explicit| explicit.registry == registry) {
            return Ok(Some(SourcedLogin {
                login: explicit.login.clone(),
                origin: CredentialOrigin::above_files(explicit.source.clone()),
            }));
        }
        for file in &self.files {
            let lookup = match locate(file, registry, repository).await? {
                None => None,
                Some(ConfigEntry::Auth { key, entry }) => {
                    // Messages name an entry for a part of a registry with its key.
                    let part =
                        if key.starts_with(&format!("{registry}/")) { format!(" ({key})") } else { String::new() };
                    read_auth(&key, &entry, file.origin(&part))?
                }
                Some(ConfigEntry::Helper { key, name }) => self.run_helper_once(key, name, &file.name()).await?,
            };
            if lookup.is_some() {
                return Ok(lookup);
            }
        }
        Ok(None)
    }

    /// Returns the name of the source whose credentials would be used for a registry, if any.
    async fn source(&self, registry: &str) -> Result<Option<String>, String> {
        Ok(self.find(registry, "").await?.map(|credentials| credentials.origin.name))
    }

    /// Whether credentials may exist, as far as that is known without running a helper.
    pub(crate) async fn may_have(&self, registry: &str, repository: &str) -> bool {
        if self.explicit.as_ref().is_some_and(|explicit| explicit.registry == registry) {
            return true;
        }
        for file in &self.files {
            if !matches!(locate(file, registry, repository).await, Ok(None)) {
                return true;
            }
        }
        false
    }

    async fn run_helper_once(&self, key: String, name: String, file: &str) -> LoginLookup {
        let lookup = (key, name);
        let run = async { Ok(helper::get(&lookup.0, &lookup.1, file).await) };
        self.helper_results.get(&lookup, run).await.unwrap_or_else(|never| match never {})
    }
}

/// Finds the entry of a file for a repository. Reads the file in a blocking thread: a pipe or a network file system may
/// take long.
async fn locate(file: &Arc<ConfigFile>, registry: &str, repository: &str) -> Result<Option<ConfigEntry>, String> {
    if file.is_read() {
        return file.locate(registry, repository);
    }
    let (file, registry, repository) = (Arc::clone(file), registry.to_owned(), repository.to_owned());
    let locating = tokio::task::spawn_blocking(move || file.locate(&registry, &repository));
    locating.await.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::login::Login;
    use super::super::sources::ExplicitCredentials;
    use super::*;
    use crate::registry::transport::redact::Secret;

    #[test]
    fn explicit_credentials_are_used_only_for_their_registry() {
        let login = Login::Password { user: "u".into(), password: Secret::new("p") };
        let explicit = ExplicitCredentials { registry: "r.io".into(), login, source: "--username".into() };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        let sources = CredentialSources {
            explicit: Some(explicit),
            docker_config: Some(folder.path().to_owned()),
            ..Default::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (registry, expected) in
            [("r.io", true), ("evilr.io", false), ("r.io.evil", false), ("r.io:5000", false), ("x.io", false)]
        {
            let credentials = Credentials::new(&sources);
            let source = runtime.block_on(credentials.source(registry)).unwrap();
            assert_eq!(source.as_deref().is_some_and(|source| source == "--username"), expected, "{registry}");
            assert!(!expected || runtime.block_on(credentials.may_have(registry, "a")));
        }
        assert!(!format!("{sources:?}").contains("\"p\""), "{sources:?}");
    }
}
