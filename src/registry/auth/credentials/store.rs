use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::file::{helper as helper_of, parse};
use super::helper;
use super::keys::{host_of, is_part, key_of};
use super::lock::Lock;
use super::paths::{HOME, config_in, default_config};
use super::replace::{make_folder, regular_file, replace};
use super::sources::CredentialSources;
use crate::registry::transport::redact::Secret;

/// Where credentials are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The program of a credential helper.
    Helper(String),
    /// The configuration file, unencrypted.
    File(PathBuf),
}

/// Stores a user name and password for a registry as `docker login` does: with the helper that the configuration names,
/// else in the configuration, whose other parts do not change. Dropping the future kills the helper, and never leaves a
/// partial configuration.
///
/// # Errors
/// The configuration cannot be found, read, locked or written, or the helper fails. The file is never partly written.
pub(crate) async fn store(
    sources: &CredentialSources,
    registry: &str,
    user: &str,
    password: &Secret,
) -> Result<Stored, String> {
    if user.contains(':') {
        return Err("cannot store a user name that contains \":\"".into());
    }
    let config = Config::open(sources)?;
    let helper = helper_of(&config.values, registry);
    let entry = match &helper {
        Some((key, name)) => {
            let secret = json!({"ServerURL": key, "Username": user, "Secret": password.reveal()}).to_string();
            helper::run(name, "store", &secret, &config.path.display().to_string())
                .await?
                .map_err(|_| format!("docker-credential-{name} failed to store the credentials"))?;
            // Docker writes an empty entry for credentials that a helper stores.
            json!({})
        }
        None => json!({"auth": BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()))}),
    };
    let insert = |auths: &mut Map<String, Value>| auths.insert(key_of(registry).to_owned(), entry);
    let path = change(sources, &config.path, insert).await?;
    Ok(helper.map_or(Stored::File(path), |(_, name)| Stored::Helper(format!("docker-credential-{name}"))))
}

/// Removes the stored credentials for a registry, as `docker logout` does. Returns where credentials were removed.
///
/// # Errors
/// The configuration cannot be found, read, locked or written, or the helper fails.
pub(crate) async fn erase(sources: &CredentialSources, registry: &str) -> Result<Vec<Stored>, String> {
    let config = Config::open(sources)?;
    let mut erased = Vec::new();
    if let Some((key, name)) = helper_of(&config.values, registry) {
        match helper::run(&name, "erase", &key, &config.path.display().to_string()).await? {
            Ok(_) => erased.push(Stored::Helper(format!("docker-credential-{name}"))),
            Err(output) if helper::is_not_found(&output) => {}
            Err(_) => return Err(format!("docker-credential-{name} failed to erase the credentials")),
        }
    }
    let is_unrelated = |key: &String| is_part(key) || !host_of(key).eq_ignore_ascii_case(host_of(key_of(registry)));
    if !config.auths.keys().all(is_unrelated) {
        let path = change(sources, &config.path, |auths| auths.retain(|key, _| is_unrelated(key))).await?;
        erased.push(Stored::File(path));
    }
    Ok(erased)
}

/// Changes `auths` in a configuration while it is locked against other runs of this program. Reads the file again under
/// the lock: another process may have changed it during the wait for the lock or for a helper.
async fn change<T>(
    sources: &CredentialSources,
    path: &Path,
    edit: impl FnOnce(&mut Map<String, Value>) -> T,
) -> Result<PathBuf, String> {
    make_folder(path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let _lock = Lock::acquire(path).await?;
    let mut config = Config::open(sources)?;
    if config.path != path {
        return Err(format!("cannot change {}: it was replaced by a link to another file", path.display()));
    }
    edit(&mut config.auths);
    config.write()
}

/// A configuration that keeps every part except `auths` byte for byte.
struct Config {
    path: PathBuf,
    parts: Vec<(String, Box<RawValue>)>,
    values: Map<String, Value>,
    auths: Map<String, Value>,
}

impl Config {
    /// Reads the configuration that credentials are stored in; an absent file counts as empty.
    fn open(sources: &CredentialSources) -> Result<Self, String> {
        let path = sources.docker_config.as_deref().map(config_in).or_else(default_config);
        let path =
            path.ok_or_else(|| format!("cannot store or erase credentials: neither {HOME} nor DOCKER_CONFIG is set"))?;
        let path = regular_file(&path)?;
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let values = parse(&text).map_err(|reason| format!("{} {reason}", path.display()))?;
        let parts =
            if values.is_empty() { Parts(Vec::new()) } else { serde_json::from_slice(&text).unwrap_or_default() };
        if parts.0.len() != values.len() {
            return Err(format!("{} contains a key twice", path.display()));
        }
        let auths = match values.get("auths") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(auths)) => auths.clone(),
            Some(_) => return Err(format!("\"auths\" in {} is not an object", path.display())),
        };
        Ok(Self { path, parts: parts.0, values, auths })
    }

    /// Writes the file with the current `auths`.
    fn write(mut self) -> Result<PathBuf, String> {
        let failed = |error: std::io::Error| format!("cannot write {}: {error}", self.path.display());
        let raw = pretty(&self.auths, "\t").and_then(RawValue::from_string).map_err(|error| failed(error.into()))?;
        match self.parts.iter_mut().find(|(key, _)| key == "auths") {
            Some((_, part)) => *part = raw,
            None => self.parts.push(("auths".into(), raw)),
        }
        let text = pretty(&Parts(self.parts), "").map_err(|error| failed(error.into()))?;
        replace(&self.path, &text).map_err(failed)?;
        Ok(self.path)
    }
}

/// The keys and verbatim values of an object, in their original order.
#[derive(Default)]
struct Parts(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Parts;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Parts, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = access.next_entry()? {
                    parts.push(part);
                }
                Ok(Parts(parts))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Formats JSON as Docker does, indented by tabs; `outer` is the indentation of the object itself.
fn pretty(value: &impl Serialize, outer: &str) -> serde_json::Result<String> {
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, indent))?;
    Ok(String::from_utf8_lossy(&text).replace('\n', &format!("\n{outer}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_uses_docker_hubs_url_and_erase_keeps_entries_for_parts_of_a_registry() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store =
            |sources: &_, registry: &str| runtime.block_on(super::store(sources, registry, "u", &Secret::new("p")));
        let erase = |sources: &_, registry: &str| runtime.block_on(super::erase(sources, registry));
        let sources = CredentialSources { docker_config: Some(folder.path().to_owned()), ..Default::default() };
        let read = || std::fs::read_to_string(&file).unwrap();
        assert_eq!(store(&sources, "docker.io").unwrap(), Stored::File(file.clone()));
        let hub = "\t\t\"https://index.docker.io/v1/\": {\n\t\t\t\"auth\": \"dTpw\"\n\t\t}\n\t}\n}";
        assert_eq!(read(), format!("{{\n\t\"auths\": {{\n{hub}"));
        assert_eq!(runtime.block_on(sources.source_for("docker.io")).unwrap().unwrap(), file.display().to_string());
        std::fs::write(
            &file,
            r#"{"n": 1.10, "auths": {"r.io/team": {}, "evilr.io": {}, "https://r.io/v1/": {}, "r.io": {}}}"#,
        )
        .unwrap();
        assert_eq!(erase(&sources, "r.io").unwrap(), [Stored::File(file.clone())]);
        assert_eq!(read(), "{\n\t\"n\": 1.10,\n\t\"auths\": {\n\t\t\"r.io/team\": {},\n\t\t\"evilr.io\": {}\n\t}\n}");
        assert_eq!(erase(&sources, "r.io").unwrap(), []);
        std::fs::write(&file, r#"{"a": 1, "a": 2}"#).unwrap();
        assert!(store(&sources, "r.io").unwrap_err().ends_with("contains a key twice"));
    }
}
