//! User name and password from the command line and the environment, and the registry that they apply to.

use std::io::{IsTerminal as _, Read as _};

use super::console::Console;
use super::failure::Failure;
use super::global::Global;
use super::prompt::without_echo;
use super::registry_name::registry_name;
use crate::image::{Location, Reference, UntrustedText, visible};
use crate::registry::{CredentialSources, ExplicitCredentials, Login, Secret};

const USERNAME_FLAG: &str = "--username";
const USERNAME: &str = "MANIFEST_TOOL_USERNAME";
const PASSWORD: &str = "MANIFEST_TOOL_PASSWORD";
/// The variable that names the only registry to receive the user name and password from the environment.
const REGISTRY: &str = "MANIFEST_TOOL_REGISTRY";

/// Variables that may contain credentials of this program: `--env` does not put them into a spec, and usage errors mask
/// them. The URL of a proxy may contain a user name and password.
const SECRET_VARIABLES: [&str; 6] =
    [USERNAME, PASSWORD, "DOCKER_AUTH_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// The maximum length of a password on standard input, in bytes.
const MAX_PASSWORD: u64 = 64 << 10;

/// The registries that a command names. They determine which registry receives the given credentials.
#[derive(Default)]
pub(super) struct Registries<'l> {
    /// The first registry that the command names.
    first: Option<&'l str>,
    /// The first registry that the command writes to.
    written: Option<&'l str>,
}

impl<'l> Registries<'l> {
    /// Creates the registries of a command that only reads these locations.
    pub(super) fn read(locations: impl IntoIterator<Item = &'l Location>) -> Self {
        Self { first: first(locations), written: None }
    }

    /// Creates the registries of a command that writes to all these locations.
    pub(super) fn written(locations: impl IntoIterator<Item = &'l Location>) -> Self {
        let written = first(locations);
        Self { first: written, written }
    }

    /// Adds locations that the command reads, after the known ones.
    pub(super) fn and_read(self, locations: impl IntoIterator<Item = &'l Location>) -> Self {
        Self { first: self.first.or_else(|| first(locations)), ..self }
    }

    /// Adds locations that the command writes to. Credentials from flags do not apply to them.
    pub(super) fn and_written(self, locations: impl IntoIterator<Item = &'l Location>) -> Self {
        Self { written: self.written.or_else(|| first(locations)), ..self }
    }
}

fn first<'l>(locations: impl IntoIterator<Item = &'l Location>) -> Option<&'l str> {
    locations.into_iter().find_map(Location::reference).map(Reference::registry)
}

/// A user name and a password, and the flag or variable that each came from.
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

    fn into_credentials(self, registry: &str) -> ExplicitCredentials {
        let login = Login::Password { user: self.user, password: self.password };
        ExplicitCredentials { registry: registry.to_owned(), login, source: self.user_from.to_owned() }
    }
}

/// Returns the sources of credentials for this run. A pair with a user name or password from the command line applies
/// to the first registry that the command names. A pair from the environment applies to the registry that
/// `MANIFEST_TOOL_REGISTRY` names or, without that variable, to the registry that the command writes to.
///
/// # Errors
/// Only the user name or only the password is given, or a variable has an invalid value.
pub(super) fn sources(
    global: &Global,
    console: &Console,
    registries: &Registries<'_>,
) -> Result<CredentialSources, Failure> {
    let sources = stored(global);
    check_config(global, console)?;
    let Some(pair) = pair(global, console, registries)? else { return Ok(sources) };
    if !pair.is_from_environment() {
        return Ok(CredentialSources {
            explicit: registries.first.map(|first| pair.into_credentials(first)),
            ..sources
        });
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
                 set {REGISTRY} to the registry to use them for"
            );
            (None, Some(unused))
        }
    };
    Ok(CredentialSources { explicit: registry.map(|registry| pair.into_credentials(&registry)), unused, ..sources })
}

/// Checks that the path of `--docker-cfg` exists, because a misspelled path would look like missing credentials. Prints
/// a note for a folder without config.json, which provides no credentials.
///
/// # Errors
/// The file or folder does not exist. 2.2.1 refuses such a path too.
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

/// Returns the configuration files and helpers, without the user name and password from the command line and the
/// environment.
pub(super) fn stored(global: &Global) -> CredentialSources {
    CredentialSources { docker_config: global.docker_cfg.clone(), ..CredentialSources::default() }
}

/// Returns the user name and password from flags, standard input or variables. Warns and returns `None` if the
/// environment sets only one of the two: a pipeline may have set it for other jobs.
fn pair(global: &Global, console: &Console, registries: &Registries<'_>) -> Result<Option<Pair>, Failure> {
    match (user(global)?, secret(global, console)?) {
        (Some((user, user_from)), Some((password, password_from))) => {
            Ok(Some(Pair { user, password, user_from, password_from }))
        }
        (None, None) => Ok(None),
        // A pipeline passed an empty variable, as in a fork without secrets: continue anonymously, as in 2.2.1.
        (Some((_, source)), None) if global.password.is_some() => {
            console.alert(format_args!("--password is empty; {source} is not used"));
            Ok(None)
        }
        (None, Some((_, source))) if global.username.is_some() => {
            console.alert(format_args!("--username is empty; {source} is not used"));
            Ok(None)
        }
        (Some((_, source @ USERNAME)), None) | (None, Some((_, source @ PASSWORD))) => {
            let other = if source == USERNAME { PASSWORD } else { USERNAME };
            console.alert(format_args!("{source} is set and {other} is not; neither is used"));
            Ok(None)
        }
        (Some((user, user_from @ USERNAME_FLAG)), None) if is_attended() => {
            let password = prompt_for_password(&user, registries.first.unwrap_or("the registry"))?;
            Ok(Some(Pair { user, password, user_from, password_from: "the terminal" }))
        }
        (Some((_, source)), None) => {
            let missing = "but no password is given: use --password-stdin, MANIFEST_TOOL_PASSWORD or --password";
            Err(Failure::usage(format!("{source} gives a user name, {missing}")))
        }
        (None, Some((_, source))) => {
            let missing = "but no user name is given: use --username or MANIFEST_TOOL_USERNAME";
            Err(Failure::usage(format!("{source} gives a password, {missing}")))
        }
    }
}

/// Whether a person can answer a prompt. A CI system may provide a terminal without a user.
fn is_attended() -> bool {
    let is_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && !is_ci
}

/// Prompts for the password of a user at the terminal.
pub(super) fn prompt_for_password(user: &str, registry: &str) -> Result<Secret, Failure> {
    let password = without_echo(format!("password of {} for {registry}: ", visible(user)))?;
    if password.is_empty() { Err(Failure::usage("the password is empty")) } else { Ok(Secret::new(password)) }
}

/// Fails if `login` would send the user name and password from the environment to a registry other than the one that
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

/// Returns the user name and the flag or variable that it came from. An empty one counts as not given, as in 2.2.1.
pub(super) fn user(global: &Global) -> Result<Option<(String, &'static str)>, Failure> {
    match &global.username {
        Some(user) => Ok(Some((user.clone(), USERNAME_FLAG)).filter(|(user, _)| !user.is_empty())),
        None => Ok(variable(USERNAME)?.map(|user| (user, USERNAME))),
    }
}

/// Returns the password and the flag or variable that it came from.
pub(super) fn secret(global: &Global, console: &Console) -> Result<Option<(Secret, &'static str)>, Failure> {
    if let Some(password) = &global.password {
        if password.is_empty() {
            return Ok(None);
        }
        console.alert(
            "--password exposes the password to other users and in the shell history; use --password-stdin or \
             MANIFEST_TOOL_PASSWORD",
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
        return Err(Failure::usage(format!("the password on standard input is longer than {MAX_PASSWORD} bytes")));
    }
    // Strip one line ending only: anything else may be part of the password.
    let password = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if password.is_empty() {
        return Err(Failure::usage("the password on standard input is empty"));
    }
    Ok(Some((Secret::new(password), "--password-stdin")))
}

/// Whether a variable may contain credentials of this program. Ignores case: Windows does, and the names of proxy
/// variables are accepted in either case everywhere.
pub(super) fn holds_credentials(name: &str) -> bool {
    SECRET_VARIABLES.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

/// Returns the values of variables that contain secrets. Excludes user names, and URLs of proxies without credentials.
pub(super) fn secret_values() -> impl Iterator<Item = String> {
    let set = std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value));
    set.filter(|(name, _)| holds_credentials(name) && !name.eq_ignore_ascii_case(USERNAME))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .filter(|(name, value)| !name.to_ascii_uppercase().ends_with("_PROXY") || value.contains('@'))
        .map(|(_, value)| value)
}

/// Returns the registry that `MANIFEST_TOOL_REGISTRY` names, in the form that references use.
fn named_registry() -> Result<Option<String>, Failure> {
    let name = |text: String| registry_name(&text).map_err(|reason| Failure::usage(format!("{REGISTRY}: {reason}")));
    variable(REGISTRY)?.map(name).transpose()
}

/// Returns the value of a variable. An empty one counts as not set.
fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{name} is not UTF-8 text"))),
    }
}
