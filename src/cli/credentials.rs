//! The user name and password of the command line and the environment, and the registry that they are for.

use std::io::Read as _;

use super::console::Console;
use super::failure::Failure;
use super::global::Global;
use super::registry_name::registry_name;
use crate::image::{Location, Reference, UntrustedText};
use crate::registry::{CredentialSources, ExplicitCredentials, Login, Secret};

const USERNAME: &str = "MANIFEST_TOOL_USERNAME";
const PASSWORD: &str = "MANIFEST_TOOL_PASSWORD";
/// Names the only registry that the user name and password of the environment are for.
const REGISTRY: &str = "MANIFEST_TOOL_REGISTRY";

/// Variables whose values are credentials of this program: `--env` puts none of them into a spec, and no usage error
/// shows them. A proxy's URL may hold a user name and password.
const SECRET_VARIABLES: [&str; 6] =
    [USERNAME, PASSWORD, "DOCKER_AUTH_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// The longest password that is read from standard input; bytes.
const MAX_PASSWORD: u64 = 64 << 10;

/// The references of a command, as far as they decide which registry gets the given credentials.
#[derive(Default)]
pub(super) struct Registries<'l> {
    /// The first registry that the command names.
    first: Option<&'l str>,
    /// The first registry that the command writes to.
    written: Option<&'l str>,
}

impl<'l> Registries<'l> {
    /// The references of a command that only reads.
    pub(super) fn read(locations: impl IntoIterator<Item = &'l Location>) -> Self {
        Self { first: first(locations), written: None }
    }

    /// The references of a command that writes to all of them.
    pub(super) fn written(locations: impl IntoIterator<Item = &'l Location>) -> Self {
        let written = first(locations);
        Self { first: written, written }
    }

    /// Adds references that the command reads, after those that are known.
    pub(super) fn and_read(self, locations: impl IntoIterator<Item = &'l Location>) -> Self {
        Self { first: self.first.or_else(|| first(locations)), ..self }
    }

    /// Adds references that the command writes to, but that the flags' credentials are not for.
    pub(super) fn and_written(self, locations: impl IntoIterator<Item = &'l Location>) -> Self {
        Self { written: self.written.or_else(|| first(locations)), ..self }
    }
}

fn first<'l>(locations: impl IntoIterator<Item = &'l Location>) -> Option<&'l str> {
    locations.into_iter().find_map(Location::reference).map(Reference::registry)
}

/// A user name and a password, and what gave each: a flag, standard input or a variable.
struct Pair {
    user: String,
    password: Secret,
    user_from: &'static str,
    password_from: &'static str,
}

impl Pair {
    fn is_from_environment(&self) -> bool {
        (self.user_from, self.password_from) == (USERNAME, PASSWORD)
    }

    fn given_to(self, registry: &str) -> ExplicitCredentials {
        let login = Login::Password { user: self.user, password: self.password };
        ExplicitCredentials { registry: registry.to_owned(), login, source: self.user_from.to_owned() }
    }
}

/// Where this run's credentials come from. A user name or password on the command line makes the pair one for the
/// first registry that the command names. A pair of the environment is for the registry that
/// `MANIFEST_TOOL_REGISTRY` names; without that variable, for the registry that the command writes to.
///
/// # Errors
/// Only one half of the pair is given, or a variable has an unusable value.
pub(super) fn sources(
    global: &Global,
    console: &Console,
    registries: &Registries<'_>,
) -> Result<CredentialSources, Failure> {
    let sources = stored(global);
    check_config(global, console)?;
    let Some(pair) = pair(global, console)? else { return Ok(sources) };
    if !pair.is_from_environment() {
        return Ok(CredentialSources { given: registries.first.map(|first| pair.given_to(first)), ..sources });
    }
    let (registry, unused) = match (named_registry()?, registries.written) {
        (Some(named), _) => {
            let unused = format!("{USERNAME} and {PASSWORD} are only for {named}, which {REGISTRY} names");
            (Some(named), Some(unused))
        }
        (None, Some(written)) => (Some(written.to_owned()), None),
        (None, None) => {
            let unused = format!(
                "{USERNAME} and {PASSWORD} were not used, because this command writes to no registry; \
                 {REGISTRY} names a registry to use them for"
            );
            (None, Some(unused))
        }
    };
    Ok(CredentialSources { given: registry.map(|registry| pair.given_to(&registry)), unused, ..sources })
}

/// Checks that the path of `--docker-cfg` exists: otherwise a misspelled path would look like missing credentials. A
/// folder without config.json gives no credentials, with a note.
///
/// # Errors
/// The file or folder does not exist. 2.2.1 refuses that as well.
fn check_config(global: &Global, console: &Console) -> Result<(), Failure> {
    let Some(path) = global.docker_cfg.as_deref() else { return Ok(()) };
    let shown = UntrustedText::from(path.to_string_lossy().into_owned());
    if let Err(error) = path.metadata() {
        return Err(Failure::new(format!("cannot read {shown}, which --docker-cfg names: {error}")));
    }
    if path.is_dir() && !path.join("config.json").exists() {
        console.note(format_args!("{shown} has no config.json; no stored credentials are used"));
    }
    Ok(())
}

/// The configurations and helpers, without the user name and password of the command line and the environment.
pub(super) fn stored(global: &Global) -> CredentialSources {
    CredentialSources { docker_config: global.docker_cfg.clone(), ..CredentialSources::default() }
}

/// The user name and password, from wherever they are given. With only one half of a pair in the environment,
/// which a pipeline may have set for other jobs, warns and gives neither.
fn pair(global: &Global, console: &Console) -> Result<Option<Pair>, Failure> {
    match (user(global)?, secret(global, console)?) {
        (Some((user, user_from)), Some((password, password_from))) => {
            Ok(Some(Pair { user, password, user_from, password_from }))
        }
        (None, None) => Ok(None),
        // An empty variable of a pipeline, as in a fork without secrets: anonymous, as in 2.2.1.
        (Some((_, source)), None) if global.password.is_some() => {
            console.line(format_args!("warning: --password is empty; {source} is not used"));
            Ok(None)
        }
        (None, Some((_, source))) if global.username.is_some() => {
            console.line(format_args!("warning: --username is empty; {source} is not used"));
            Ok(None)
        }
        (Some((_, source @ USERNAME)), None) | (None, Some((_, source @ PASSWORD))) => {
            let other = if source == USERNAME { PASSWORD } else { USERNAME };
            console.line(format_args!("warning: {source} is set and {other} is not; neither is used"));
            Ok(None)
        }
        (Some((_, source)), None) => {
            let missing = "and no password: --password-stdin, MANIFEST_TOOL_PASSWORD or --password";
            Err(Failure::usage(format!("{source} gives a user name, {missing}")))
        }
        (None, Some((_, source))) => {
            let missing = "and no user name: --username, or MANIFEST_TOOL_USERNAME";
            Err(Failure::usage(format!("{source} gives a password, {missing}")))
        }
    }
}

/// Fails where `login` would send the environment's user name and password to another registry than the one that
/// `MANIFEST_TOOL_REGISTRY` names.
pub(super) fn check_login_registry(global: &Global, registry: &str) -> Result<(), Failure> {
    if global.username.is_some() || global.password.is_some() || global.password_stdin {
        return Ok(());
    }
    if variable(USERNAME)?.is_none() || variable(PASSWORD)?.is_none() {
        return Ok(());
    }
    match named_registry()? {
        Some(named) if named != registry => Err(Failure::usage(format!(
            "{registry}: {USERNAME} and {PASSWORD} are only for {named}, which {REGISTRY} names"
        ))),
        _ => Ok(()),
    }
}

/// The given user name, and what gave it. An empty one counts as not given, as in 2.2.1.
pub(super) fn user(global: &Global) -> Result<Option<(String, &'static str)>, Failure> {
    match &global.username {
        Some(user) => Ok(Some((user.clone(), "--username")).filter(|(user, _)| !user.is_empty())),
        None => Ok(variable(USERNAME)?.map(|user| (user, USERNAME))),
    }
}

/// The given password, and what gave it: the command line, standard input or the environment.
pub(super) fn secret(global: &Global, console: &Console) -> Result<Option<(Secret, &'static str)>, Failure> {
    if let Some(password) = &global.password {
        if password.is_empty() {
            return Ok(None);
        }
        console.line(
            "warning: --password shows the password to others on this machine and in shell histories; use --password-stdin or MANIFEST_TOOL_PASSWORD",
        );
        return Ok(Some((password.clone(), "--password")));
    }
    if !global.password_stdin {
        return Ok(variable(PASSWORD)?.map(|password| (Secret::new(password), PASSWORD)));
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_PASSWORD + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("cannot read the password from standard input: {error}")))?;
    if text.len() as u64 > MAX_PASSWORD {
        return Err(Failure::usage(format!("standard input is longer than the {MAX_PASSWORD} bytes of a password")));
    }
    // The end of a line is not part of it; anything else is.
    let password = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if password.is_empty() {
        return Err(Failure::usage("standard input holds no password"));
    }
    Ok(Some((Secret::new(password), "--password-stdin")))
}
/// Whether a variable may hold credentials of this program. Case does not matter: it does not on Windows, and proxies
/// are read from variables in either case everywhere.
pub(super) fn holds_credentials(name: &str) -> bool {
    SECRET_VARIABLES.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

/// The values of variables that hold secrets. User names do not count, nor proxies' URLs without credentials.
pub(super) fn secret_values() -> impl Iterator<Item = String> {
    let set = std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value));
    set.filter(|(name, _)| holds_credentials(name) && !name.eq_ignore_ascii_case(USERNAME))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .filter(|(name, value)| !name.to_ascii_uppercase().ends_with("_PROXY") || value.contains('@'))
        .map(|(_, value)| value)
}

/// The registry that `MANIFEST_TOOL_REGISTRY` names, as references have it.
fn named_registry() -> Result<Option<String>, Failure> {
    let name = |text: String| registry_name(&text).map_err(|reason| Failure::usage(format!("{REGISTRY}: {reason}")));
    variable(REGISTRY)?.map(name).transpose()
}

/// The value of a variable. An empty one counts as not set.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{name} is not UTF-8 text"))),
    }
}
