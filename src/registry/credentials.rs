use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use serde_json::{Map, Value, json};

use super::redact::Secret;

/// What a registry's token service, or the registry itself, takes as proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// User and password.
    Password {
        /// User name.
        user: String,
        /// Password or access token.
        password: Secret,
    },
    /// An identity token, which only a token service takes.
    IdentityToken(Secret),
}

/// Where credentials come from: those given outright for one registry, then Docker's configuration.
#[derive(Debug, Clone, Default)]
pub struct CredentialSources {
    /// For this registry alone, such as `--username` and `--password` for the target's.
    pub given: Option<(String, Login)>,
    /// Docker's configuration file, or the folder with `config.json` in it. Without it, `$DOCKER_CONFIG/config.json`
    /// or `~/.docker/config.json`.
    pub docker_config: Option<PathBuf>,
}

impl CredentialSources {
    /// The credentials for a registry, with the place they came from; `None` means that there are none.
    ///
    /// Errors: a configuration that cannot be read, or a helper that fails. A helper's "not found" is no error.
    pub fn find(&self, registry: &str) -> Result<Option<(Login, String)>, String> {
        if let Some((host, login)) = &self.given
            && host == registry
        {
            return Ok(Some((login.clone(), "--username and --password".into())));
        }
        let Some(path) = self.config_path() else { return Ok(None) };
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.docker_config.is_none() => {
                return Ok(None);
            }
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let config: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|error| format!("{} is not valid JSON: {error}", path.display()))?;
        look_up(&config, registry, &path)
    }

    fn config_path(&self) -> Option<PathBuf> {
        match &self.docker_config {
            Some(path) if path.is_dir() => Some(path.join("config.json")),
            Some(path) => Some(path.clone()),
            None => {
                let folder = std::env::var_os("DOCKER_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
                let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".docker"));
                Some(folder.or_else(home)?.join("config.json"))
            }
        }
    }
}

/// Docker's order: `credHelpers[host]`, else `credsStore`, else `auths` by exact key, then by host.
///
/// One entry at a time goes to `docker_credential`, which runs helpers and decodes; which entry is decided here,
/// because that crate asks `credsStore` last and Docker asks it before `auths`.
fn look_up(config: &Map<String, Value>, registry: &str, path: &Path) -> Result<Option<(Login, String)>, String> {
    let key = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    let helper = config
        .get("credHelpers")
        .and_then(|helpers| helpers.get(key).or_else(|| helpers.get(registry)))
        .or_else(|| config.get("credsStore"))
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty());
    let (one_entry, source) = if let Some(name) = helper {
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Err(format!("{}: \"{name}\" is not the name of a credential helper", path.display()));
        }
        (json!({"credHelpers": {key: name}}), format!("docker-credential-{name}"))
    } else {
        let Some(auths) = config.get("auths").and_then(Value::as_object) else { return Ok(None) };
        let by_host = || auths.iter().find(|(name, _)| host_of(name) == host_of(key)).map(|(_, entry)| entry);
        match auths.get(key).or_else(by_host) {
            Some(Value::Object(entry)) => (json!({"auths": {key: usable(entry)}}), path.display().to_string()),
            _ => return Ok(None),
        }
    };
    match get_credential_from_reader(one_entry.to_string().as_bytes(), key) {
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some((Login::Password { user, password: Secret::new(password) }, source)))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some((Login::IdentityToken(Secret::new(token)), source))),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // Its own text is not passed on: a helper's output may hold a secret.
        Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
            if [&stdout, &stderr].iter().any(|text| text.contains("credentials not found")) =>
        {
            Ok(None)
        }
        Err(CredentialRetrievalError::HelperFailure { .. }) => Err(format!("{source} failed for {registry}")),
        Err(CredentialRetrievalError::HelperCommunicationError) => Err(format!("{source} could not be run")),
        Err(CredentialRetrievalError::MalformedHelperResponse) => {
            Err(format!("{source} gave an answer for {registry} that cannot be read"))
        }
        Err(_) => Err(format!("the entry for {registry} in {source} cannot be read")),
    }
}

/// Empty fields, which Docker writes beside a `credsStore`, count as absent.
fn usable(entry: &Map<String, Value>) -> Map<String, Value> {
    entry
        .iter()
        .filter(|(_, value)| value.as_str().is_some_and(|text| !text.is_empty()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(config: &Value, registry: &str) -> String {
        match look_up(config.as_object().unwrap(), registry, Path::new("config.json")) {
            Ok(Some((Login::Password { user, password }, source))) => {
                format!("{user}:{} from {source}", password.reveal())
            }
            Ok(Some((Login::IdentityToken(token), source))) => format!("token {} from {source}", token.reveal()),
            Ok(None) => "none".into(),
            Err(error) => error,
        }
    }

    #[test]
    fn auths() {
        let auth = |user: &str| json!({"auth": base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("{user}:p:w"))});
        let config = json!({"auths": {
            "https://index.docker.io/v1/": auth("hub"), "r.io": auth("r"), "https://s.io:5000/v1/": auth("s"),
            "t.io": {"identitytoken": "t", "auth": ""}, "u.io": {"username": "u", "password": "p"}, "bad.io": {"auth": "%%%"}, "empty.io": {},
        }});
        for (registry, expected) in [
            ("docker.io", "hub:p:w from config.json"),
            ("r.io", "r:p:w from config.json"),
            ("s.io:5000", "s:p:w from config.json"),
            ("s.io", "none"),
            ("evilr.io", "none"),
            ("r.io.evil.com", "none"),
            ("t.io", "token t from config.json"),
            ("u.io", "u:p from config.json"),
            ("empty.io", "none"),
            ("bad.io", "the entry for bad.io in config.json cannot be read"),
        ] {
            assert_eq!(find(&config, registry), expected, "{registry}");
        }
        assert_eq!(find(&json!({"auths": []}), "r.io"), "none");
        assert_eq!(
            find(&json!({"credsStore": "no-such-helper"}), "r.io"),
            "docker-credential-no-such-helper could not be run"
        );
        assert!(find(&json!({"credHelpers": {"r.io": "../x"}}), "r.io").contains("not the name"));
    }
}
