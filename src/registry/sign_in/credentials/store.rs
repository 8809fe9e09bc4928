use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize as _;
use serde_json::{Map, Value, json};

use super::file::{helper, host_of, is_part, parse};
use super::{CredentialSources, Secret, config_in, default_config, helper_program, is_not_found, key_of};

/// Where a login was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// A credential helper's program.
    Helper(String),
    /// The configuration file, unencrypted.
    File(PathBuf),
}

/// Stores user and password for a registry as `docker login` does: with the helper that the configuration names, else
/// in the configuration, in which all else stays as it is.
///
/// Errors: no configuration can be found, read or written, or the helper fails. Nothing is half written.
pub fn store(sources: &CredentialSources, registry: &str, user: &str, password: &Secret) -> Result<Stored, String> {
    if user.contains(':') {
        return Err("a user name with \":\" in it cannot be stored".into());
    }
    let (path, mut config) = open(sources)?;
    let (entry, stored) = match helper(&config, registry) {
        Some((key, name)) => {
            let secret = json!({"ServerURL": key, "Username": user, "Secret": password.reveal()});
            let program = run_helper(&name, "store", &secret.to_string(), &path)?
                .map_err(|_| format!("docker-credential-{name} did not store the credentials"))?;
            // Docker's mark that a helper has them.
            (json!({}), Stored::Helper(program))
        }
        None => {
            let auth = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
            (json!({ "auth": auth }), Stored::File(path.clone()))
        }
    };
    let auths = config.entry("auths").or_insert_with(|| json!({}));
    let Value::Object(auths) = auths else { return Err(format!("\"auths\" in {} is not an object", path.display())) };
    auths.insert(key_of(registry).to_owned(), entry);
    write(&path, &config)?;
    Ok(stored)
}

/// Removes what is stored for a registry, as `docker logout` does. Tells where something was removed.
///
/// Errors: as [`store`].
pub fn erase(sources: &CredentialSources, registry: &str) -> Result<Vec<Stored>, String> {
    let (path, mut config) = open(sources)?;
    let mut erased = Vec::new();
    if let Some((key, name)) = helper(&config, registry) {
        match run_helper(&name, "erase", &key, &path)? {
            Ok(program) => erased.push(Stored::Helper(program)),
            Err(said) if is_not_found(&said) => {}
            Err(_) => return Err(format!("docker-credential-{name} did not erase the credentials")),
        }
    }
    if let Some(Value::Object(auths)) = config.get_mut("auths") {
        let before = auths.len();
        auths.retain(|key, _| is_part(key) || host_of(key) != host_of(key_of(registry)));
        if auths.len() != before {
            write(&path, &config)?;
            erased.push(Stored::File(path));
        }
    }
    Ok(erased)
}

fn open(sources: &CredentialSources) -> Result<(PathBuf, Map<String, Value>), String> {
    let path = sources.docker_config.as_deref().map(config_in).or_else(default_config);
    let path = path.ok_or("there is no place to store credentials: neither HOME nor DOCKER_CONFIG is set")?;
    // A link stays one; what it points to is written.
    let path = path.canonicalize().unwrap_or(path);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let config = parse(&bytes).map_err(|reason| format!("{} {reason}", path.display()))?;
            Ok((path, config))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok((path, Map::new())),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Writes a file beside, which no other user can read, and moves it into place.
fn write(path: &Path, config: &Map<String, Value>) -> Result<(), String> {
    let attempt = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder)?;
        // Mode 0600, as tempfile makes them.
        let mut file = tempfile::Builder::new().prefix(".config.json.").tempfile_in(folder)?;
        // Docker's own form.
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        config.serialize(&mut serde_json::Serializer::with_formatter(&mut file, indent))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    attempt().map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Runs a helper's verb (docker-credential-helpers, "Development"); secrets go through its standard input. The inner
/// result is the program's name, or what it said when it failed, which may hold a secret.
fn run_helper(name: &str, verb: &str, input: &str, file: &Path) -> Result<Result<String, String>, String> {
    let file = file.display().to_string();
    let program = helper_program(name, &file)?;
    let not_run = |error: std::io::Error| format!("{program}, which {file} names, could not be run: {error}");
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_run)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read closes the pipe, which is not an error of its own.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(not_run)?;
    if output.status.success() {
        return Ok(Ok(program));
    }
    Ok(Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
}
