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

/// Where a login was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    /// A credential helper's program.
    Helper(String),
    /// The configuration file, unencrypted.
    File(PathBuf),
}

/// Stores user and password for a registry as `docker login` does: with the helper that the configuration names, else
/// in the configuration, whose other parts are not changed. Dropping the future kills the helper, and never leaves half a
/// configuration.
///
/// # Errors
/// No configuration can be found, read, locked or written, or the helper fails. Nothing is half written.
pub(crate) async fn store(
    sources: &CredentialSources,
    registry: &str,
    user: &str,
    password: &Secret,
) -> Result<Stored, String> {
    if user.contains(':') {
        return Err("a user name with \":\" in it cannot be stored".into());
    }
    let config = Config::open(sources)?;
    let helper = helper_of(&config.values, registry);
    let entry = match &helper {
        Some((key, name)) => {
            let secret = json!({"ServerURL": key, "Username": user, "Secret": password.reveal()}).to_string();
            helper::run(name, "store", &secret, &config.path.display().to_string())
                .await?
                .map_err(|_| format!("docker-credential-{name} did not store the credentials"))?;
            // Docker's mark that a helper has them.
            json!({})
        }
        None => json!({"auth": BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()))}),
    };
    let insert = |auths: &mut Map<String, Value>| auths.insert(key_of(registry).to_owned(), entry);
    let path = change(sources, &config.path, insert).await?;
    Ok(helper.map_or(Stored::File(path), |(_, name)| Stored::Helper(format!("docker-credential-{name}"))))
}

/// Removes what is stored for a registry, as `docker logout` does. Tells where something was removed.
///
/// # Errors
/// As [`store`].
pub(crate) async fn erase(sources: &CredentialSources, registry: &str) -> Result<Vec<Stored>, String> {
    let config = Config::open(sources)?;
    let mut erased = Vec::new();
    if let Some((key, name)) = helper_of(&config.values, registry) {
        match helper::run(&name, "erase", &key, &config.path.display().to_string()).await? {
            Ok(_) => erased.push(Stored::Helper(format!("docker-credential-{name}"))),
            Err(said) if helper::is_not_found(&said) => {}
            Err(_) => return Err(format!("docker-credential-{name} did not erase the credentials")),
        }
    }
    let stays = |key: &String| is_part(key) || !host_of(key).eq_ignore_ascii_case(host_of(key_of(registry)));
    if !config.auths.keys().all(stays) {
        let path = change(sources, &config.path, |auths| auths.retain(|key, _| stays(key))).await?;
        erased.push(Stored::File(path));
    }
    Ok(erased)
}

/// Changes `auths` in a configuration while it is locked against other runs of this program. Reads it again under the
/// lock: others may have written to it during the wait for the lock or for a helper.
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

/// A configuration whose parts other than `auths` stay as they are written, to the byte.
struct Config {
    path: PathBuf,
    parts: Vec<(String, Box<RawValue>)>,
    values: Map<String, Value>,
    auths: Map<String, Value>,
}

impl Config {
    /// Reads the configuration that logins are stored in; one that does not exist yet is empty.
    fn open(sources: &CredentialSources) -> Result<Self, String> {
        let path = sources.docker_config.as_deref().map(config_in).or_else(default_config);
        let path = path.ok_or_else(|| {
            format!("there is no place to store credentials: neither {HOME} nor DOCKER_CONFIG is set")
        })?;
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
            return Err(format!("{} names a key twice", path.display()));
        }
        let auths = match values.get("auths") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(auths)) => auths.clone(),
            Some(_) => return Err(format!("\"auths\" in {} is not an object", path.display())),
        };
        Ok(Self { path, parts: parts.0, values, auths })
    }

    /// Writes the file with `auths` as they are now.
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

/// An object's keys and values in their order, the values as they are written.
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

/// Docker's own form, indented by tabs; `outer` is the indent of the object itself.
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
    fn docker_hub_has_a_key_of_its_own_and_parts_of_a_registry_stay() {
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
        assert!(store(&sources, "r.io").unwrap_err().ends_with("names a key twice"));
    }
}
