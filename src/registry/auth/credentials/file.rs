use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::keys::{host_of, is_part, key_of};
use crate::registry::error::CredentialOrigin;

/// A configuration file in Docker's or Podman's format, read on first use.
pub(super) struct ConfigFile {
    source: ConfigSource,
    format: FileFormat,
    required: bool,
    content: OnceLock<Result<Map<String, Value>, String>>,
}

enum ConfigSource {
    Path(PathBuf),
    /// An environment variable's name and value.
    Text(&'static str, String),
}

/// The format of a file: Docker stores credentials by host, Podman also by a prefix of the repository's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileFormat {
    Docker,
    Podman,
}

/// The entry of a file that applies to a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConfigEntry {
    Auth { key: String, entry: Map<String, Value> },
    Helper { key: String, name: String },
}

/// The maximum size of a configuration, in bytes.
const MAX_SIZE: u64 = 4 << 20;

impl ConfigFile {
    pub(super) fn required(path: PathBuf) -> Self {
        Self { source: ConfigSource::Path(path), format: FileFormat::Docker, required: true, content: OnceLock::new() }
    }

    pub(super) fn optional(path: PathBuf, format: FileFormat) -> Self {
        Self { source: ConfigSource::Path(path), format, required: false, content: OnceLock::new() }
    }

    pub(super) fn text(name: &'static str, text: String) -> Self {
        Self {
            source: ConfigSource::Text(name, text),
            format: FileFormat::Docker,
            required: true,
            content: OnceLock::new(),
        }
    }

    /// Whether the content is in memory, so that [`Self::locate`] does not block.
    pub(super) fn is_read(&self) -> bool {
        self.content.get().is_some()
    }

    /// Returns the file's name for messages.
    pub(super) fn name(&self) -> String {
        match &self.source {
            ConfigSource::Path(path) => path.display().to_string(),
            ConfigSource::Text(name, _) => (*name).to_owned(),
        }
    }

    /// Returns the origin of credentials in this file; `part` names an entry for a part of a registry.
    pub(super) fn origin(&self, part: &str) -> CredentialOrigin {
        let name = self.name() + part;
        match &self.source {
            ConfigSource::Path(_) => CredentialOrigin::file(name),
            ConfigSource::Text(..) => CredentialOrigin::above_files(name),
        }
    }

    /// Finds the entry that applies to a repository.
    pub(super) fn locate(&self, registry: &str, repository: &str) -> Result<Option<ConfigEntry>, String> {
        let content = self.content.get_or_init(|| self.read());
        Ok(locate(content.as_ref().map_err(Clone::clone)?, self.format, registry, repository))
    }

    fn read(&self) -> Result<Map<String, Value>, String> {
        let name = self.name();
        let bytes = match &self.source {
            ConfigSource::Text(_, text) => text.clone().into_bytes(),
            ConfigSource::Path(path) => match read_bounded(path) {
                Ok(bytes) => bytes,
                // With HOME=/dev/null, the parent of the file is not a folder. The file is absent as well.
                Err(error) if is_absent(&error) && !self.required => return Ok(Map::new()),
                Err(error) => return Err(format!("cannot read {name}: {error}")),
            },
        };
        parse(&bytes).map_err(|reason| format!("{name} {reason}"))
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn read_bounded(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(std::io::Error::other("it is larger than 4 MiB"));
    }
    Ok(bytes)
}

/// Parses a configuration. Errors report only the position, because the JSON parser's message may quote a secret.
pub(super) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err("is not a JSON object".into()),
        Err(error) => Err(format!("is not valid JSON (line {}, column {})", error.line(), error.column())),
    }
}

/// Finds an entry in Docker's order: `credHelpers[host]`, else `credsStore`, else `auths` by exact key, then by host.
fn locate(config: &Map<String, Value>, format: FileFormat, registry: &str, repository: &str) -> Option<ConfigEntry> {
    let key = key_of(registry);
    if let Some((key, name)) = helper(config, registry) {
        return Some(ConfigEntry::Helper { key, name });
    }
    let auths = config.get("auths")?.as_object()?;
    let auth_entry = |key: &str, entry: &Value| match entry {
        // Docker leaves `{}` behind for a host whose credentials are in a helper.
        Value::Object(entry) if !entry.is_empty() => {
            Some(ConfigEntry::Auth { key: key.to_owned(), entry: entry.clone() })
        }
        _ => None,
    };
    if format == FileFormat::Podman {
        let mut part = format!("{registry}/{repository}");
        loop {
            if let Some(located) = auths.get(&part).and_then(|entry| auth_entry(&part, entry)) {
                return Some(located);
            }
            match part.rsplit_once('/') {
                Some((parent, _)) => part.truncate(parent.len()),
                None => break,
            }
        }
    }
    let by_host = || {
        let same_host = |name: &str| {
            host_of(name).eq_ignore_ascii_case(host_of(key)) && !(format == FileFormat::Podman && is_part(name))
        };
        auths.iter().filter(|(name, _)| same_host(name)).find_map(|(name, entry)| auth_entry(name, entry))
    };
    auths.get(key).and_then(|entry| auth_entry(key, entry)).or_else(by_host)
}

/// Returns the key that a registry's credentials are stored under, and the name of the helper that stores them.
pub(super) fn helper(config: &Map<String, Value>, registry: &str) -> Option<(String, String)> {
    let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    let key = key_of(registry);
    let helpers = config.get("credHelpers").and_then(Value::as_object);
    let by_host_helper =
        [key, registry, host_of(key)].iter().find_map(|key| Some(((*key).to_owned(), name(helpers?.get(*key)?)?)));
    // Helpers store Docker Hub's credentials under its URL, regardless of the key in the file.
    let by_host_helper = by_host_helper.map(|(_, name)| (key.to_owned(), name));
    by_host_helper.or_else(|| Some((key.to_owned(), name(config.get("credsStore")?)?)))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::super::entry::read_auth;
    use super::super::login::Login;
    use super::*;

    fn find(config: &Value, format: FileFormat, registry: &str, repository: &str) -> String {
        match locate(config.as_object().unwrap(), format, registry, repository) {
            None => "none".into(),
            Some(ConfigEntry::Helper { key, name }) => format!("{name} for {key}"),
            Some(ConfigEntry::Auth { key, entry }) => {
                match read_auth(&key, &entry, CredentialOrigin::file("config.json")) {
                    Ok(Some(credentials)) => match credentials.login {
                        Login::Password { user, password } => format!("{user} {}", password.reveal()),
                        Login::IdentityToken(token) => format!("identity {}", token.reveal()),
                        Login::RegistryToken(token) => format!("registry {}", token.reveal()),
                    },
                    Ok(None) => "empty".into(),
                    Err(error) => error,
                }
            }
        }
    }

    fn auth(user: &str) -> Value {
        json!({"auth": base64::prelude::BASE64_STANDARD.encode(format!("{user}:p:w"))})
    }

    #[test]
    fn docker_auths_match_by_exact_key_or_by_host() {
        let mut mixed = auth("a");
        mixed["username"] = "other".into();
        mixed["password"] = "other".into();
        let config = json!({"auths": {
            "https://index.docker.io/v1/": auth("hub"), "r.io": auth("r"), "https://s.io:5000/v1/": auth("s"),
            "t.io": {"identitytoken": "t", "auth": auth("x")["auth"]}, "u.io": {"username": "u", "password": "p"},
            "v.io": {"registrytoken": "v"}, "mixed.io": mixed,
            "HTTPS://x.io": auth("x"), "Http://Y.io/v2/": auth("y"), "ftp://z.io": auth("z"),
            "wrapped.io": {"auth": "dTpw\r\nOnc=\n"},
            "bad.io": {"auth": "%%%"}, "empty.io": {}, "blank.io": {"auth": ""}, "w.io/team": auth("w"),
        }});
        for (registry, expected) in [
            ("docker.io", "hub p:w"),
            ("r.io", "r p:w"),
            ("s.io:5000", "s p:w"),
            ("s.io", "none"),
            ("evilr.io", "none"),
            ("r.io.evil.com", "none"),
            ("evildocker.io", "none"),
            ("t.io", "identity t"),
            ("u.io", "u p"),
            ("v.io", "registry v"),
            ("mixed.io", "a p:w"),
            ("w.io", "w p:w"),
            ("x.io", "x p:w"),
            ("y.io", "y p:w"),
            ("z.io", "none"),
            ("wrapped.io", "u p:w"),
            ("empty.io", "none"),
            ("blank.io", "empty"),
            ("bad.io", "the entry for bad.io in config.json cannot be read"),
        ] {
            assert_eq!(find(&config, FileFormat::Docker, registry, "app"), expected, "{registry}");
        }
        for malformed in
            [json!({"auths": []}), json!({"auths": {"r.io": 7}}), json!({"credsStore": 7, "credHelpers": "x"})]
        {
            assert_eq!(find(&malformed, FileFormat::Docker, "r.io", "app"), "none");
        }
    }

    #[test]
    fn a_hosts_helper_precedes_the_common_helper_and_auths() {
        let config = json!({
            "credHelpers": {"r.io": "own", "docker.io": "hub", "empty.io": ""},
            "credsStore": "all",
            "auths": {"r.io": auth("r")},
        });
        assert_eq!(find(&config, FileFormat::Docker, "r.io", "app"), "own for r.io");
        assert_eq!(find(&config, FileFormat::Docker, "s.io", "app"), "all for s.io");
        assert_eq!(find(&config, FileFormat::Docker, "empty.io", "app"), "all for empty.io");
        assert_eq!(find(&config, FileFormat::Docker, "docker.io", "app"), "hub for https://index.docker.io/v1/");
        let url = json!({"credHelpers": {"https://index.docker.io/v1/": "hub"}});
        assert_eq!(find(&url, FileFormat::Docker, "docker.io", "app"), "hub for https://index.docker.io/v1/");
        assert_eq!(find(&url, FileFormat::Docker, "r.io", "app"), "none");
    }

    #[test]
    fn podman_auths_match_the_longest_part_of_the_repository() {
        let config = json!({"auths": {
            "r.io/team/app": auth("app"), "r.io/team": auth("team"), "r.io": auth("host"), "s.io/team": auth("s"),
            "docker.io": auth("hub"),
        }});
        for (registry, repository, expected) in [
            ("r.io", "team/app", "app p:w"),
            ("r.io", "team/app/sub", "app p:w"),
            ("r.io", "team/other", "team p:w"),
            ("r.io", "teamster/app", "host p:w"),
            ("s.io", "team/app", "s p:w"),
            ("s.io", "other", "none"),
            ("docker.io", "library/alpine", "hub p:w"),
        ] {
            assert_eq!(find(&config, FileFormat::Podman, registry, repository), expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn a_parse_error_reports_the_position_and_does_not_quote_the_file() {
        assert_eq!(parse(b" \n").unwrap(), Map::new());
        assert_eq!(parse(b"[]").unwrap_err(), "is not a JSON object");
        let error = parse(br#"{"auths": {"r.io": "hunter2 }"#).unwrap_err();
        assert!(error.starts_with("is not valid JSON (line 1, column ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_above_4_mib_is_refused_and_an_absent_file_is_empty() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b' '; 5 << 20]).unwrap();
        let config = ConfigFile::optional(file.path().to_owned(), FileFormat::Docker);
        assert!(config.locate("r.io", "a").unwrap_err().ends_with("it is larger than 4 MiB"));
        let absent = ConfigFile::optional("/dev/null/.docker/config.json".into(), FileFormat::Docker);
        assert_eq!(absent.locate("r.io", "a").unwrap(), None);
    }

    proptest::proptest! {
        #[test]
        fn reading_a_configuration_never_panics(
            bytes: Vec<u8>,
            entry: String,
            key in "(r.io|https://r.io/|/|docker.io)[a-z/:]{0,9}",
        ) {
            let _ = parse(&bytes);
            for field in ["auth", "username", "identitytoken", "registrytoken"] {
                let config = json!({"auths": {&key: {field: &entry}, "r.io": &entry}, "credHelpers": {&key: &entry}});
                let text = config.to_string();
                // A truncated file.
                let _ = parse(text.get(..text.len() / 2).unwrap_or_default().as_bytes());
                let config = parse(text.as_bytes()).unwrap();
                for format in [FileFormat::Docker, FileFormat::Podman] {
                    if let Some(ConfigEntry::Auth { key, entry }) = locate(&config, format, "r.io", &entry) {
                        let _ = read_auth(&key, &entry, CredentialOrigin::file(""));
                    }
                }
            }
        }
    }
}
