use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::keys::{host_of, is_part, key_of};
use crate::registry::error::CredentialOrigin;

/// A configuration file in Docker's or Podman's form, read when it is first asked.
pub(super) struct ConfigFile {
    from: From,
    form: Form,
    required: bool,
    content: OnceLock<Result<Map<String, Value>, String>>,
}

enum From {
    Path(PathBuf),
    /// Name and text.
    Text(&'static str, String),
}

/// Whose file it is: Docker keeps credentials by host, Podman also by a part of the repository's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Docker,
    Podman,
}

/// What a file has for a registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConfigEntry {
    Auth { key: String, entry: Map<String, Value> },
    Helper { key: String, name: String },
}

/// No configuration is longer; bytes.
const MAX_LENGTH: u64 = 4 << 20;

impl ConfigFile {
    pub(super) fn required(path: PathBuf) -> Self {
        Self { from: From::Path(path), form: Form::Docker, required: true, content: OnceLock::new() }
    }

    pub(super) fn optional(path: PathBuf, form: Form) -> Self {
        Self { from: From::Path(path), form, required: false, content: OnceLock::new() }
    }

    pub(super) fn text(name: &'static str, text: String) -> Self {
        Self { from: From::Text(name, text), form: Form::Docker, required: true, content: OnceLock::new() }
    }

    /// Whether [`Self::locate`] has the content at hand.
    pub(super) fn is_read(&self) -> bool {
        self.content.get().is_some()
    }

    /// What messages call it.
    pub(super) fn name(&self) -> String {
        match &self.from {
            From::Path(path) => path.display().to_string(),
            From::Text(name, _) => (*name).to_owned(),
        }
    }

    /// Where credentials in it come from; `part` names an entry for a part of a registry.
    pub(super) fn origin(&self, part: &str) -> CredentialOrigin {
        let name = self.name() + part;
        match &self.from {
            From::Path(_) => CredentialOrigin::file(name),
            From::Text(..) => CredentialOrigin::above_files(name),
        }
    }

    /// What the file has for a repository.
    pub(super) fn locate(&self, registry: &str, repository: &str) -> Result<Option<ConfigEntry>, String> {
        let content = self.content.get_or_init(|| self.read());
        Ok(locate(content.as_ref().map_err(Clone::clone)?, self.form, registry, repository))
    }

    fn read(&self) -> Result<Map<String, Value>, String> {
        let name = self.name();
        let bytes = match &self.from {
            From::Text(_, text) => text.clone().into_bytes(),
            From::Path(path) => match read_bounded(path) {
                Ok(bytes) => bytes,
                // A folder that is none, such as with HOME=/dev/null, has no file either.
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
    std::fs::File::open(path)?.take(MAX_LENGTH + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LENGTH {
        return Err(std::io::Error::other("it is longer than any configuration"));
    }
    Ok(bytes)
}

/// A configuration's JSON. The parser's own words are not passed on, only the place: they may quote a secret.
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

/// Docker's order: `credHelpers[host]`, else `credsStore`, else `auths` by exact key, then by host.
fn locate(config: &Map<String, Value>, form: Form, registry: &str, repository: &str) -> Option<ConfigEntry> {
    let key = key_of(registry);
    if let Some((key, name)) = helper(config, registry) {
        return Some(ConfigEntry::Helper { key, name });
    }
    let auths = config.get("auths")?.as_object()?;
    let found = |key: &str, entry: &Value| match entry {
        // Docker leaves `{}` behind for a host whose credentials are in a helper.
        Value::Object(entry) if !entry.is_empty() => {
            Some(ConfigEntry::Auth { key: key.to_owned(), entry: entry.clone() })
        }
        _ => None,
    };
    if form == Form::Podman {
        let mut part = format!("{registry}/{repository}");
        loop {
            if let Some(located) = auths.get(&part).and_then(|entry| found(&part, entry)) {
                return Some(located);
            }
            match part.rsplit_once('/') {
                Some((parent, _)) => part.truncate(parent.len()),
                None => break,
            }
        }
    }
    let by_host = || {
        let same_host =
            |name: &str| host_of(name).eq_ignore_ascii_case(host_of(key)) && !(form == Form::Podman && is_part(name));
        auths.iter().filter(|(name, _)| same_host(name)).find_map(|(name, entry)| found(name, entry))
    };
    auths.get(key).and_then(|entry| found(key, entry)).or_else(by_host)
}

/// The helper that has a registry's credentials, and the key that it knows them by.
pub(super) fn helper(config: &Map<String, Value>, registry: &str) -> Option<(String, String)> {
    let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    let key = key_of(registry);
    let helpers = config.get("credHelpers").and_then(Value::as_object);
    let of_host =
        [key, registry, host_of(key)].iter().find_map(|key| Some(((*key).to_owned(), name(helpers?.get(*key)?)?)));
    // For Docker Hub helpers know the URL, whatever spelling the file has.
    let of_host = of_host.map(|(_, name)| (key.to_owned(), name));
    of_host.or_else(|| Some((key.to_owned(), name(config.get("credsStore")?)?)))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::super::entry::read_auth;
    use super::super::login::Login;
    use super::*;

    fn find(config: &Value, form: Form, registry: &str, repository: &str) -> String {
        match locate(config.as_object().unwrap(), form, registry, repository) {
            None => "none".into(),
            Some(ConfigEntry::Helper { key, name }) => format!("{name} for {key}"),
            Some(ConfigEntry::Auth { key, entry }) => {
                match read_auth(&key, &entry, CredentialOrigin::file("config.json")) {
                    Ok(Some(found)) => match found.login {
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
    fn dockers_auths() {
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
            assert_eq!(find(&config, Form::Docker, registry, "app"), expected, "{registry}");
        }
        for odd in [json!({"auths": []}), json!({"auths": {"r.io": 7}}), json!({"credsStore": 7, "credHelpers": "x"})] {
            assert_eq!(find(&odd, Form::Docker, "r.io", "app"), "none");
        }
    }

    #[test]
    fn the_order_of_helpers_and_auths() {
        let config = json!({"credHelpers": {"r.io": "own", "docker.io": "hub", "empty.io": ""}, "credsStore": "all", "auths": {"r.io": auth("r")}});
        assert_eq!(find(&config, Form::Docker, "r.io", "app"), "own for r.io");
        assert_eq!(find(&config, Form::Docker, "s.io", "app"), "all for s.io");
        assert_eq!(find(&config, Form::Docker, "empty.io", "app"), "all for empty.io");
        assert_eq!(find(&config, Form::Docker, "docker.io", "app"), "hub for https://index.docker.io/v1/");
        let url = json!({"credHelpers": {"https://index.docker.io/v1/": "hub"}});
        assert_eq!(find(&url, Form::Docker, "docker.io", "app"), "hub for https://index.docker.io/v1/");
        assert_eq!(find(&url, Form::Docker, "r.io", "app"), "none");
    }

    #[test]
    fn podmans_parts_of_a_registry() {
        let config = json!({"auths": {"r.io/team/app": auth("app"), "r.io/team": auth("team"), "r.io": auth("host"), "s.io/team": auth("s"), "docker.io": auth("hub")}});
        for (registry, repository, expected) in [
            ("r.io", "team/app", "app p:w"),
            ("r.io", "team/app/sub", "app p:w"),
            ("r.io", "team/other", "team p:w"),
            ("r.io", "teamster/app", "host p:w"),
            ("s.io", "team/app", "s p:w"),
            ("s.io", "other", "none"),
            ("docker.io", "library/alpine", "hub p:w"),
        ] {
            assert_eq!(find(&config, Form::Podman, registry, repository), expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn a_bad_file_is_named_and_not_quoted() {
        assert_eq!(parse(b" \n").unwrap(), Map::new());
        assert_eq!(parse(b"[]").unwrap_err(), "is not a JSON object");
        let error = parse(br#"{"auths": {"r.io": "hunter2 }"#).unwrap_err();
        assert!(error.starts_with("is not valid JSON (line 1, column ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_is_read_to_a_bound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b' '; 5 << 20]).unwrap();
        let config = ConfigFile::optional(file.path().to_owned(), Form::Docker);
        assert!(config.locate("r.io", "a").unwrap_err().ends_with("it is longer than any configuration"));
        let absent = ConfigFile::optional("/dev/null/.docker/config.json".into(), Form::Docker);
        assert_eq!(absent.locate("r.io", "a").unwrap(), None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, entry: String, key in "(r.io|https://r.io/|/|docker.io)[a-z/:]{0,9}") {
            let _ = parse(&bytes);
            for field in ["auth", "username", "identitytoken", "registrytoken"] {
                let config = json!({"auths": {&key: {field: &entry}, "r.io": &entry}, "credHelpers": {&key: &entry}});
                let text = config.to_string();
                // A file that was cut anywhere, as well.
                let _ = parse(text.get(..text.len() / 2).unwrap_or_default().as_bytes());
                let config = parse(text.as_bytes()).unwrap();
                for form in [Form::Docker, Form::Podman] {
                    if let Some(ConfigEntry::Auth { key, entry }) = locate(&config, form, "r.io", &entry) {
                        let _ = read_auth(&key, &entry, CredentialOrigin::file(""));
                    }
                }
            }
        }
    }
}
