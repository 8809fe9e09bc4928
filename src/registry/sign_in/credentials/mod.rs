mod file;
mod store;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde_json::{Map, Value, json};

use crate::registry::redact::Secret;
use file::{ConfigFile, Form, Located};
pub use store::{Stored, erase, store};

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
/// [`Self::given`]; [`Self::docker_config`]; `DOCKER_AUTH_CONFIG`, which holds the JSON itself;
/// `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`; then Podman's files, `$REGISTRY_AUTH_FILE` or
/// `$XDG_RUNTIME_DIR/containers/auth.json` and `~/.config/containers/auth.json`.
#[derive(Debug, Clone, Default)]
pub struct CredentialSources {
    /// For one registry alone.
    pub given: Option<Given>,
    /// A configuration file in Docker's form, or a folder with `config.json` in it. It must exist.
    pub docker_config: Option<PathBuf>,
}

/// A login and what messages call its source.
#[derive(Debug, Clone)]
pub(in crate::registry) struct Found {
    pub(in crate::registry) login: Login,
    pub(in crate::registry) source: String,
}

/// What came of looking for a login. `None` is that there is none.
pub(in crate::registry) type Looked = Result<Option<Found>, String>;

/// The sources, opened as far as they were needed.
pub(in crate::registry) struct Credentials {
    given: Option<Given>,
    files: Vec<ConfigFile>,
    /// Each helper is run once for a key.
    asked: Mutex<HashMap<(String, String), Looked>>,
}

impl Credentials {
    /// Nothing is read yet but the environment.
    pub(in crate::registry) fn new(sources: &CredentialSources) -> Self {
        let mut files = Vec::new();
        files.extend(sources.docker_config.as_deref().map(|path| ConfigFile::required(config_in(path))));
        if let Some(json) = variable("DOCKER_AUTH_CONFIG") {
            files.push(ConfigFile::text("DOCKER_AUTH_CONFIG", json.to_string_lossy().into_owned()));
        }
        files.extend(default_config().map(|path| ConfigFile::optional(path, Form::Docker)));
        let in_folder = |folder: Option<PathBuf>| Some(folder?.join("containers/auth.json"));
        let podman = match variable("REGISTRY_AUTH_FILE") {
            Some(path) => [Some(path.into()), None],
            None => [
                in_folder(variable("XDG_RUNTIME_DIR").map(Into::into)),
                in_folder(variable("XDG_CONFIG_HOME").map(Into::into).or_else(|| in_home(".config"))),
            ],
        };
        files.extend(podman.into_iter().flatten().map(|path| ConfigFile::optional(path, Form::Podman)));
        Self { given: sources.given.clone(), files, asked: Mutex::default() }
    }

    /// The login for a repository of a registry; `None` means that no source has any. May run a helper, and wait.
    ///
    /// Errors: a configuration that cannot be read or a helper that fails, before a source that has one.
    pub(in crate::registry) fn find(&self, registry: &str, repository: &str) -> Looked {
        if let Some(given) = self.given.as_ref().filter(|given| given.registry == registry) {
            return Ok(Some(Found { login: given.login.clone(), source: given.source.clone() }));
        }
        for file in &self.files {
            let found = match file.locate(registry, repository)? {
                None => None,
                Some(Located::Auth { key, entry }) => {
                    // Entries for a part of a registry are told apart.
                    let part =
                        if key.starts_with(&format!("{registry}/")) { format!(" ({key})") } else { String::new() };
                    read_auth(&key, entry, file.name() + &part)?
                }
                Some(Located::Helper { key, name }) => self.ask_once(key, name, &file.name())?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Whether there may be credentials, as far as can be told without running a helper.
    pub(in crate::registry) fn may_have(&self, registry: &str, repository: &str) -> bool {
        self.given.as_ref().is_some_and(|given| given.registry == registry)
            || self.files.iter().any(|file| matches!(file.locate(registry, repository), Ok(Some(_)) | Err(_)))
    }

    fn ask_once(&self, key: String, name: String, file: &str) -> Looked {
        let asked = (key, name);
        if let Some(known) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&asked) {
            return known.clone();
        }
        let answer = ask_helper(&asked.0, &asked.1, file);
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(asked, answer.clone());
        answer
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn in_home(path: &str) -> Option<PathBuf> {
    Some(Path::new(&variable("HOME")?).join(path))
}

/// The file that `docker login` writes: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.
fn default_config() -> Option<PathBuf> {
    Some(variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| in_home(".docker"))?.join("config.json"))
}

fn config_in(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("config.json") } else { path.to_owned() }
}

/// The key of a registry in configurations and helpers.
fn key_of(registry: &str) -> &str {
    if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry }
}

/// One entry of `auths`. `docker_credential` decodes it; which of its fields count is decided here, as Docker does:
/// `auth` over `username` and `password`, and empty ones, which Docker writes beside a `credsStore`, not at all.
fn read_auth(key: &str, mut entry: Map<String, Value>, source: String) -> Looked {
    entry.retain(|_, value| value.as_str().is_some_and(|text| !text.is_empty()));
    if let Some(Value::String(token)) = entry.remove("registrytoken") {
        return Ok(Some(Found { login: Login::RegistryToken(Secret::new(token)), source }));
    }
    if entry.contains_key("auth") {
        entry.remove("username");
        entry.remove("password");
    }
    match get_credential_from_reader(json!({"auths": {key: entry}}).to_string().as_bytes(), key) {
        Ok(credential) => Ok(Some(Found { login: login(credential), source })),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // Its own text is not passed on: it may hold a secret.
        Err(_) => Err(format!("the entry for {key} in {source} cannot be read")),
    }
}

fn ask_helper(key: &str, name: &str, file: &str) -> Looked {
    let helper = helper_program(name, file)?;
    match get_credential_from_reader(json!({"credHelpers": {key: name}}).to_string().as_bytes(), key) {
        // What a helper with nothing for the host gives at times.
        Ok(DockerCredential::UsernamePassword(user, password)) if user.is_empty() && password.is_empty() => Ok(None),
        Ok(credential) => Ok(Some(Found { login: login(credential), source: helper })),
        // What a helper says is not passed on: it may hold a secret.
        Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. }) => {
            if is_not_found(&stdout) || is_not_found(&stderr) {
                return Ok(None);
            }
            Err(format!("{helper}, which {file} names, failed for {key}"))
        }
        Err(CredentialRetrievalError::HelperCommunicationError) => {
            Err(format!("{helper}, which {file} names, could not be run; is it on PATH?"))
        }
        Err(_) => Err(format!("{helper}, which {file} names, gave an answer for {key} that cannot be read")),
    }
}

/// The words of a helper that has nothing for a host (docker-credential-helpers, "credentials not found").
fn is_not_found(said: &str) -> bool {
    said.contains("credentials not found")
}

/// The program of a helper; its name comes from a file, and must not name any other program.
fn helper_program(name: &str, file: &str) -> Result<String, String> {
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(format!(
            "{file}: \"{}\" is not the name of a credential helper",
            crate::registry::redact::clean(name)
        ));
    }
    Ok(format!("docker-credential-{name}"))
}

fn login(credential: DockerCredential) -> Login {
    match credential {
        DockerCredential::UsernamePassword(user, password) => Login::Password { user, password: Secret::new(password) },
        DockerCredential::IdentityToken(token) => Login::IdentityToken(Secret::new(token)),
    }
}
