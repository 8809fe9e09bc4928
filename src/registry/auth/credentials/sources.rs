use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::{Map, Value};

use super::file::{ConfigFile, Form, Located};
use super::helper;
use crate::registry::transport::redact::Secret;
use crate::single_flight::SingleFlight;

/// What a registry's token service, or the registry itself, takes as proof.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// User and password.
    Password {
        /// User name.
        user: String,
        /// Password or access token.
        password: Secret,
    },
    /// An identity token, which only a token service takes (Docker's `identitytoken`).
    IdentityToken(Secret),
    /// A token that the registry itself takes as it is (Docker's `registrytoken`).
    RegistryToken(Secret),
}

/// Credentials given outright, such as on the command line.
#[derive(Debug, Clone)]
pub struct Given {
    /// The registry that they are for; they go to no other.
    pub registry: String,
    /// User and password.
    pub login: Login,
    /// What messages call them, such as `--username`.
    pub source: String,
}

/// Where credentials come from: the first of these that has any for a registry.
///
/// [`Self::given`]; [`Self::docker_config`], after which no other file is read, as in 2.2.1; `DOCKER_AUTH_CONFIG`, which
/// holds the JSON itself; `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`; then Podman's files,
/// `$REGISTRY_AUTH_FILE` or `$XDG_RUNTIME_DIR/containers/auth.json` (`/run/containers/UID/auth.json` without that
/// variable) and `~/.config/containers/auth.json`.
#[derive(Debug, Clone, Default)]
pub struct CredentialSources {
    /// For one registry alone.
    pub given: Option<Given>,
    /// A configuration file in Docker's form, or a folder with `config.json` in it. It must exist; a folder without
    /// that file counts as one without credentials.
    pub docker_config: Option<PathBuf>,
    /// Why the caller has credentials that are not for every registry. The hint of an error for want of credentials
    /// repeats it.
    pub unused: Option<String>,
}

impl CredentialSources {
    /// What messages call the source that has credentials for a registry, if one has. May run a helper.
    ///
    /// Errors: a configuration that cannot be read, or a helper that fails.
    pub(crate) async fn source_for(&self, registry: &str) -> Result<Option<String>, String> {
        Ok(Credentials::new(self).find(registry, "").await?.map(|found| found.source))
    }
}

/// A login and what messages call its source.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) login: Login,
    pub(crate) source: String,
}

/// What came of looking for a login. `None` is that there is none.
pub(crate) type Looked = Result<Option<Found>, String>;

/// The sources, opened as far as they were needed.
pub(crate) struct Credentials {
    given: Option<Given>,
    unused: Option<String>,
    files: Vec<Arc<ConfigFile>>,
    /// Each helper is run once for a key, whatever comes of it.
    asked: SingleFlight<(String, String), Looked, Infallible>,
}

impl Credentials {
    /// Nothing is read yet but the environment.
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

    /// Why given credentials were not used for a registry that has none.
    pub(crate) fn unused(&self) -> Option<&str> {
        self.unused.as_deref()
    }

    /// The login for a repository of a registry; `None` means that no source has any. May run a helper, which ends when
    /// the future is dropped.
    ///
    /// Errors: a configuration that cannot be read or a helper that fails, before a source that has one.
    pub(crate) async fn find(&self, registry: &str, repository: &str) -> Looked {
        if let Some(given) = self.given.as_ref().filter(|given| given.registry == registry) {
            return Ok(Some(Found { login: given.login.clone(), source: given.source.clone() }));
        }
        for file in &self.files {
            let found = match located(file, registry, repository).await? {
                None => None,
                Some(Located::Auth { key, entry }) => {
                    // Entries for a part of a registry are told apart.
                    let part =
                        if key.starts_with(&format!("{registry}/")) { format!(" ({key})") } else { String::new() };
                    read_auth(&key, &entry, file.name() + &part)?
                }
                Some(Located::Helper { key, name }) => self.ask_once(key, name, &file.name()).await?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
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

    async fn ask_once(&self, key: String, name: String, file: &str) -> Looked {
        let asked = (key, name);
        let asking = async { Ok(ask_helper(&asked.0, &asked.1, file).await) };
        self.asked.get(&asked, asking).await.unwrap_or_else(|never| match never {})
    }
}

/// What a file has for a repository. It is read in a thread of its own: a pipe or a network file system may take long.
async fn located(file: &Arc<ConfigFile>, registry: &str, repository: &str) -> Result<Option<Located>, String> {
    if file.is_read() {
        return file.locate(registry, repository);
    }
    let (file, registry, repository) = (Arc::clone(file), registry.to_owned(), repository.to_owned());
    let locating = tokio::task::spawn_blocking(move || file.locate(&registry, &repository));
    locating.await.unwrap_or_else(|error| Err(error.to_string()))
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The variable that names the user's folder.
pub(crate) const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

fn in_home(path: &str) -> Option<PathBuf> {
    Some(Path::new(&variable(HOME)?).join(path))
}

/// Podman's folder where `XDG_RUNTIME_DIR` is not set: `/run/containers/UID`.
fn podman_runtime() -> Option<PathBuf> {
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

/// The key of a registry in configurations and helpers.
pub(super) fn key_of(registry: &str) -> &str {
    if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry }
}

/// One entry of `auths`, as Docker reads it: a token before `auth`, `auth` before `username` and `password`; empty
/// fields, which Docker writes beside a `credsStore`, count as absent.
pub(super) fn read_auth(key: &str, entry: &Map<String, Value>, source: String) -> Looked {
    let field = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let login = if let Some(token) = field("registrytoken") {
        Login::RegistryToken(Secret::new(token))
    } else if let Some(token) = field("identitytoken") {
        Login::IdentityToken(Secret::new(token))
    } else if let Some(auth) = field("auth") {
        // What is wrong with it is not said: it is a secret.
        decode(auth).ok_or_else(|| format!("the entry for {key} in {source} cannot be read"))?
    } else if let (Some(user), Some(password)) = (field("username"), field("password")) {
        Login::Password { user: user.to_owned(), password: Secret::new(password) }
    } else {
        return Ok(None);
    };
    Ok(Some(Found { login, source }))
}

/// `USER:PASSWORD` in base64, with or without padding. As Docker reads it: line breaks, which `base64` puts after 76
/// characters, are ignored, and zero bytes at the end dropped.
fn decode(auth: &str) -> Option<Login> {
    let auth: String = auth.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let bytes = BASE64_STANDARD_NO_PAD.decode(auth.trim_end_matches('=')).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login::Password { user: user.to_owned(), password: Secret::new(password.trim_end_matches('\0')) })
}

async fn ask_helper(key: &str, name: &str, file: &str) -> Looked {
    // `{}` is what some helpers answer without credentials for the host.
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        #[serde(default)]
        username: String,
        #[serde(default = "no_secret")]
        secret: Secret,
    }
    fn no_secret() -> Secret {
        Secret::new("")
    }
    let answer = match helper::run(name, "get", key, file).await? {
        Ok(answer) => answer,
        Err(said) if helper::is_not_found(&said) => return Ok(None),
        // What a helper says is not passed on: it may hold a secret.
        Err(_) => return Err(format!("docker-credential-{name}, which {file} names, failed for {key}")),
    };
    let Answer { username, secret } = serde_json::from_str(&answer).map_err(|_| {
        format!("docker-credential-{name}, which {file} names, gave an answer for {key} that cannot be read")
    })?;
    let login = match username.as_str() {
        "" if secret.reveal().is_empty() => return Ok(None),
        "<token>" => Login::IdentityToken(secret),
        _ => Login::Password { user: username, password: secret },
    };
    Ok(Some(Found { login, source: format!("docker-credential-{name}") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_for_its_registry_alone() {
        let login = Login::Password { user: "u".into(), password: Secret::new("p") };
        let given = Given { registry: "r.io".into(), login, source: "--username".into() };
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
            let source = runtime.block_on(credentials.find(registry, "")).unwrap().map(|found| found.source);
            assert_eq!(source.as_deref().is_some_and(own), expected, "{registry}");
            assert!(!expected || runtime.block_on(credentials.may_have(registry, "a")));
        }
        assert!(!format!("{sources:?}").contains("\"p\""), "{sources:?}");
    }
}
