use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use super::entry::read_auth;
use super::file::{ConfigEntry, ConfigFile, Form};
use super::helper;
use super::login::{LoginLookup, SourcedLogin};
use super::paths::{config_in, default_config, in_home, podman_runtime, variable};
use super::sources::{CredentialSources, ExplicitCredentials};
use crate::registry::error::CredentialOrigin;
use crate::single_flight::SingleFlight;

impl CredentialSources {
    /// What messages call the source that has credentials for a registry, if one has. May run a helper.
    ///
    /// # Errors
    /// A configuration cannot be read, or a helper fails.
    pub(crate) async fn source_for(&self, registry: &str) -> Result<Option<String>, String> {
        Credentials::new(self).source(registry).await
    }
}

/// Finds credentials in their sources, each of which is read when it is first needed.
pub(crate) struct Credentials {
    given: Option<ExplicitCredentials>,
    unused: Option<String>,
    files: Vec<Arc<ConfigFile>>,
    /// Each helper is run once for a key, whatever comes of it.
    asked: SingleFlight<(String, String), LoginLookup, Infallible>,
}

impl Credentials {
    /// Reads the environment, and no file yet.
    pub(crate) fn new(sources: &CredentialSources) -> Self {
        let files = match sources.docker_config.as_deref() {
            Some(folder) if folder.is_dir() => vec![ConfigFile::optional(config_in(folder), Form::Docker)],
            Some(file) => vec![ConfigFile::required(config_in(file))],
            None => Self::default_files(),
        };
        Self {
            given: sources.given.clone(),
            unused: sources.unused.clone(),
            files: files.into_iter().map(Arc::new).collect(),
            asked: SingleFlight::default(),
        }
    }

    /// The files of Docker and Podman, in the order in which they are read.
    fn default_files() -> Vec<ConfigFile> {
        let mut files = Vec::new();
        if let Some(json) = variable("DOCKER_AUTH_CONFIG") {
            files.push(ConfigFile::text("DOCKER_AUTH_CONFIG", json.to_string_lossy().into_owned()));
        }
        files.extend(default_config().map(|path| ConfigFile::optional(path, Form::Docker)));
        let path = |name| variable(name).map(PathBuf::from);
        let runtime = path("XDG_RUNTIME_DIR").map(|folder| folder.join("containers")).or_else(podman_runtime);
        let config = path("XDG_CONFIG_HOME").or_else(|| in_home(".config")).map(|folder| folder.join("containers"));
        let podman: Vec<PathBuf> = match path("REGISTRY_AUTH_FILE") {
            Some(path) => vec![path],
            None => [runtime, config].into_iter().flatten().map(|folder| folder.join("auth.json")).collect(),
        };
        files.extend(podman.into_iter().map(|path| ConfigFile::optional(path, Form::Podman)));
        files
    }

    /// Why the caller's credentials were not used for a registry that has none.
    pub(crate) fn unused(&self) -> Option<&str> {
        self.unused.as_deref()
    }

    /// The login for a repository of a registry; `None` means that no source has any. May run a helper, which ends when
    /// the future is dropped.
    ///
    /// # Errors
    /// A configuration cannot be read or a helper fails, before a source that has one.
    pub(crate) async fn find(&self, registry: &str, repository: &str) -> LoginLookup {
        if let Some(given) = self.given.as_ref().filter(|given| given.registry == registry) {
            return Ok(Some(SourcedLogin {
                login: given.login.clone(),
                origin: CredentialOrigin::above_files(given.source.clone()),
            }));
        }
        for file in &self.files {
            let found = match located(file, registry, repository).await? {
                None => None,
                Some(ConfigEntry::Auth { key, entry }) => {
                    // Entries for a part of a registry are named with their key.
                    let part =
                        if key.starts_with(&format!("{registry}/")) { format!(" ({key})") } else { String::new() };
                    read_auth(&key, &entry, file.origin(&part))?
                }
                Some(ConfigEntry::Helper { key, name }) => self.ask_once(key, name, &file.name()).await?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// What messages call the credentials that would be used for a registry, if there are any.
    async fn source(&self, registry: &str) -> Result<Option<String>, String> {
        Ok(self.find(registry, "").await?.map(|found| found.origin.name))
    }

    /// Whether there may be credentials, as far as can be told without running a helper.
    pub(crate) async fn may_have(&self, registry: &str, repository: &str) -> bool {
        if self.given.as_ref().is_some_and(|given| given.registry == registry) {
            return true;
        }
        for file in &self.files {
            if !matches!(located(file, registry, repository).await, Ok(None)) {
                return true;
            }
        }
        false
    }

    async fn ask_once(&self, key: String, name: String, file: &str) -> LoginLookup {
        let asked = (key, name);
        let asking = async { Ok(helper::get(&asked.0, &asked.1, file).await) };
        self.asked.get(&asked, asking).await.unwrap_or_else(|never| match never {})
    }
}

/// What a file has for a repository. It is read in a thread of its own: a pipe or a network file system may take long.
async fn located(file: &Arc<ConfigFile>, registry: &str, repository: &str) -> Result<Option<ConfigEntry>, String> {
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
    fn given_credentials_are_only_for_their_registry() {
        let login = Login::Password { user: "u".into(), password: Secret::new("p") };
        let given = ExplicitCredentials { registry: "r.io".into(), login, source: "--username".into() };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        let sources = CredentialSources {
            given: Some(given),
            docker_config: Some(folder.path().to_owned()),
            ..Default::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (registry, expected) in
            [("r.io", true), ("evilr.io", false), ("r.io.evil", false), ("r.io:5000", false), ("x.io", false)]
        {
            let credentials = Credentials::new(&sources);
            let own = |source: &str| source == "--username";
            let source = runtime.block_on(credentials.source(registry)).unwrap();
            assert_eq!(source.as_deref().is_some_and(own), expected, "{registry}");
            assert!(!expected || runtime.block_on(credentials.may_have(registry, "a")));
        }
        assert!(!format!("{sources:?}").contains("\"p\""), "{sources:?}");
    }
}
