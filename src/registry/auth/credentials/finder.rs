use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::read_auth;
use super::file::{ConfigEntry, ConfigFile, FileFormat};
use super::helper;
use super::login::{Login, LoginLookup, SourcedLogin};
use super::paths::{config_in, default_config, in_home, podman_runtime, variable};
use super::sources::{CredentialSources, ExplicitCredentials, ScopedCredentials, ScopedSource};
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
    /// Each with the file that it names, if any.
    scoped: Vec<(ScopedCredentials, Option<Arc<ConfigFile>>)>,
    explicit: Option<ExplicitCredentials>,
    unused: Option<String>,
    files: Vec<Arc<ConfigFile>>,
    /// The results of helpers, by key and helper. Each helper runs only once for a key, even if it fails.
    helper_results: SingleFlight<(String, String), LoginLookup, Infallible>,
}

/// Where to find the credentials for a repository.
enum Sources<'a> {
    /// A login, and the name of its source.
    Login(&'a Login, &'a str),
    Files(&'a [Arc<ConfigFile>]),
}

impl Credentials {
    /// Reads the environment, but no files yet.
    pub(crate) fn new(sources: &CredentialSources) -> Self {
        let files = match sources.docker_config.as_deref() {
            Some(path) => vec![Self::named_file(path)],
            None => Self::default_files(),
        };
        let scoped = sources.scoped.iter().map(|scoped| match &scoped.source {
            ScopedSource::Login { .. } => (scoped.clone(), None),
            ScopedSource::DockerConfig(path) => (scoped.clone(), Some(Arc::new(Self::named_file(path)))),
        });
        Self {
            scoped: scoped.collect(),
            explicit: sources.explicit.clone(),
            unused: sources.unused.clone(),
            files: files.into_iter().map(Arc::new).collect(),
            helper_results: SingleFlight::default(),
        }
    }

    /// Returns the configuration file at a path that the caller named, or in the folder there.
    fn named_file(path: &Path) -> ConfigFile {
        match path.is_dir() {
            true => ConfigFile::optional(config_in(path), FileFormat::Docker),
            false => ConfigFile::required(config_in(path)),
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

    /// Whether the repositories of a registry may have different credentials that the caller passed.
    pub(crate) fn differ_within(&self, registry: &str) -> bool {
        self.scoped.iter().any(|(scoped, _)| scoped.registry == registry && scoped.repositories.is_some())
    }

    /// Returns the login that the caller passed for a repository, or the files to search for one.
    fn sources_for(&self, registry: &str, repository: &str) -> Sources<'_> {
        match self.scoped.iter().find(|(scoped, _)| scoped.include(registry, repository)) {
            Some((ScopedCredentials { source: ScopedSource::Login { login, name }, .. }, _)) => {
                Sources::Login(login, name)
            }
            Some((_, file)) => Sources::Files(file.as_slice()),
            None => match self.explicit.as_ref().filter(|explicit| explicit.registry == registry) {
                Some(ExplicitCredentials { login, source, .. }) => Sources::Login(login, source),
                None => Sources::Files(&self.files),
            },
        }
    }

    /// Returns the login for a repository, or `None` if no source has one. May run a helper, which is killed when the
    /// future is dropped.
    ///
    /// # Errors
    /// A configuration cannot be read or a helper fails before a source with a login is reached.
    pub(crate) async fn find(&self, registry: &str, repository: &str) -> LoginLookup {
        let files = match self.sources_for(registry, repository) {
            Sources::Login(login, name) => {
                let origin = CredentialOrigin::above_files(name);
                return Ok(Some(SourcedLogin { login: login.clone(), origin }));
            }
            Sources::Files(files) => files,
        };
        for file in files {
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
        let Sources::Files(files) = self.sources_for(registry, repository) else { return true };
        for file in files {
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
    use super::*;
    use crate::registry::transport::redact::Secret;

    #[test]
    fn scoped_credentials_are_used_only_for_their_repositories() {
        let folder = tempfile::tempdir().unwrap();
        let auths = r#"{"auths": {"r.io": {"auth": "dTpw"}, "s.io": {"auth": "dTpw"}}}"#;
        std::fs::write(folder.path().join("config.json"), auths).unwrap();
        let login = || Login::Password { user: "u".into(), password: Secret::new("p") };
        let scoped = |registry: &str, repositories: Option<&str>, source| ScopedCredentials {
            registry: registry.into(),
            repositories: repositories.map(|repository| [repository.to_owned()].into()),
            source,
        };
        let of = |name: &str| ScopedSource::Login { login: login(), name: name.into() };
        let sources = CredentialSources {
            scoped: vec![
                scoped("r.io", Some("parts"), of("--source")),
                scoped("r.io", Some("whole"), of("--target")),
                scoped("s.io", None, ScopedSource::DockerConfig(folder.path().to_owned())),
                scoped("t.io", None, ScopedSource::DockerConfig(folder.path().to_owned())),
            ],
            explicit: Some(ExplicitCredentials {
                registry: "r.io".into(),
                login: login(),
                source: "--username".into(),
            }),
            docker_config: Some("/dev/null".into()),
            ..CredentialSources::default()
        };
        let file = folder.path().join("config.json").display().to_string();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (registry, repository, expected) in [
            ("r.io", "parts", Some("--source")),
            ("r.io", "whole", Some("--target")),
            ("r.io", "other", Some("--username")),
            ("s.io", "parts", Some(&*file)),
            ("t.io", "parts", None),
        ] {
            let credentials = Credentials::new(&sources);
            let login = runtime.block_on(credentials.find(registry, repository)).unwrap();
            assert_eq!(login.map(|login| login.origin.name).as_deref(), expected, "{registry}/{repository}");
            let may_have = runtime.block_on(credentials.may_have(registry, repository));
            assert_eq!(may_have, expected.is_some(), "{registry}/{repository}");
            assert_eq!(credentials.differ_within(registry), registry == "r.io");
        }
    }

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
