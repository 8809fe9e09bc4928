//! User name and password from the command line and the environment, and the registry that they apply to.

use std::collections::BTreeSet;
use std::io::Read as _;

use super::console::Console;
use super::failure::Failure;
use super::global::Global;
use super::key_files::COSIGN_PASSWORD;
use super::login_pair::{LoginPair, PairNames, PartialPair, variable};
use super::registry_name::registry_name;
use super::side_flags::{self, SideFlags, Sides, check_config};
use crate::image::{Location, Reference};
use crate::registry::{CredentialSources, ExplicitCredentials, Secret};

const USERNAME: &str = "MANIFEST_TOOL_USERNAME";
const PASSWORD: &str = "MANIFEST_TOOL_PASSWORD";
/// The variable that names the only registry to receive the user name and password from the environment.
const REGISTRY: &str = "MANIFEST_TOOL_REGISTRY";

/// The flags and variables of the user name and password for one registry.
const NAMES: PairNames = PairNames {
    user_flag: "--username",
    user_variable: USERNAME,
    password_variable: PASSWORD,
    password_sources: "--password-stdin, MANIFEST_TOOL_PASSWORD or --password",
};

/// Variables that may contain credentials of this program: `--env` does not put them into a spec, and usage errors mask
/// them. The URL of a proxy may contain a user name and password.
const SECRET_VARIABLES: [&str; 7] =
    [USERNAME, PASSWORD, COSIGN_PASSWORD, "DOCKER_AUTH_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// The maximum length of a password on standard input, in bytes.
const MAX_PASSWORD: u64 = 64 << 10;

/// The registries that a command names. They determine which registry receives the given credentials.
#[derive(Default)]
pub(super) struct Registries<'l> {
    /// The first registry that the command names.
    first: Option<&'l str>,
    /// The first registry that the command writes to.
    written: Option<&'l str>,
    /// The references that the command writes.
    targets: Vec<&'l Reference>,
    /// Registries whose certificates are not checked, in addition to those of `--insecure`.
    unverified: BTreeSet<String>,
}

impl<'l> Registries<'l> {
    /// Creates the registries of a command that only reads these locations.
    pub(super) fn read(locations: impl IntoIterator<Item = &'l Location>) -> Self {
        Self { first: first(&references(locations)), ..Self::default() }
    }

    /// Creates the registries of a command that writes to all these locations.
    pub(super) fn written(locations: impl IntoIterator<Item = &'l Location>) -> Self {
        let targets = references(locations);
        let written = first(&targets);
        Self { first: written, written, targets, unverified: BTreeSet::new() }
    }

    /// Adds locations that the command reads, after the known ones.
    pub(super) fn and_read(self, locations: impl IntoIterator<Item = &'l Location>) -> Self {
        Self { first: self.first.or_else(|| first(&references(locations))), ..self }
    }

    /// Adds locations that the command writes to. Credentials from flags do not apply to them.
    pub(super) fn and_written(mut self, locations: impl IntoIterator<Item = &'l Location>) -> Self {
        self.targets.extend(references(locations));
        Self { written: self.written.or_else(|| first(&self.targets)), ..self }
    }

    /// Does not check the certificates of these registries.
    pub(super) fn and_unverified(self, unverified: &BTreeSet<String>) -> Self {
        Self { unverified: unverified.clone(), ..self }
    }

    /// Returns the registries whose certificates are not checked.
    pub(super) fn unverified(&self) -> &BTreeSet<String> {
        &self.unverified
    }

    /// Returns the references that the command writes.
    pub(super) fn targets(&self) -> impl Iterator<Item = &'l Reference> {
        self.targets.iter().copied()
    }
}

fn references<'l>(locations: impl IntoIterator<Item = &'l Location>) -> Vec<&'l Reference> {
    locations.into_iter().filter_map(Location::reference).collect()
}

fn first<'l>(references: &[&'l Reference]) -> Option<&'l str> {
    references.first().map(|reference| reference.registry())
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
    if let Some(path) = global.docker_cfg.as_deref() {
        check_config(path, "--docker-cfg", console)?;
    }
    let Some(pair) = pair(global, console, registries)? else { return Ok(sources) };
    if !pair.is_from_environment(&NAMES) {
        return Ok(CredentialSources { explicit: registries.first.map(|first| credentials(pair, first)), ..sources });
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
    Ok(CredentialSources { explicit: registry.map(|registry| credentials(pair, &registry)), unused, ..sources })
}

/// Returns the sources of credentials of a command that reads from some registries and writes to others. Those for one
/// side take precedence over those of [`sources`].
///
/// # Errors
/// [`sources`] or [`SideFlags::credentials`] fails.
pub(super) fn sources_of_sides(
    global: &Global,
    console: &Console,
    registries: &Registries<'_>,
    flags: &SideFlags,
    sides: &Sides<'_>,
) -> Result<CredentialSources, Failure> {
    let taken = registries.first.filter(|_| global.has_credentials());
    let of_sides = flags.credentials(global, console, sides, taken)?;
    let sources = sources(global, console, registries)?;
    Ok(CredentialSources { scoped: of_sides.scoped, unused: sources.unused.or(of_sides.unused), ..sources })
}

fn credentials(pair: LoginPair, registry: &str) -> ExplicitCredentials {
    let source = pair.user_from.to_owned();
    ExplicitCredentials { registry: registry.to_owned(), login: pair.into_login(), source }
}

/// Returns the user name and password from flags, standard input, variables or the terminal.
fn pair(global: &Global, console: &Console, registries: &Registries<'_>) -> Result<Option<LoginPair>, Failure> {
    let is_username_empty = global.username.as_deref() == Some("");
    let is_password_empty = global.password.as_ref().is_some_and(Secret::is_empty);
    let empty_flag = if is_username_empty { Some(NAMES.user_flag) } else { is_password_empty.then_some("--password") };
    let pair = PartialPair { user: user(global)?, password: secret(global, console)?, empty_flag };
    NAMES.complete(pair, registries.first.unwrap_or("the registry"), console)
}

/// Returns the configuration files and helpers, without the user name and password from the command line and the
/// environment.
pub(super) fn stored(global: &Global) -> CredentialSources {
    CredentialSources { docker_config: global.docker_cfg.clone(), ..CredentialSources::default() }
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
        Some(user) => Ok(Some((user.clone(), NAMES.user_flag)).filter(|(user, _)| !user.is_empty())),
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
    SECRET_VARIABLES.iter().chain(&side_flags::VARIABLES).any(|secret| secret.eq_ignore_ascii_case(name))
}

/// Returns the values of variables that contain secrets. Excludes user names, and URLs of proxies without credentials.
pub(super) fn secret_values() -> impl Iterator<Item = String> {
    let set = std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value));
    set.filter(|(name, _)| holds_credentials(name) && !name.to_ascii_uppercase().ends_with("_USERNAME"))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .filter(|(name, value)| !name.to_ascii_uppercase().ends_with("_PROXY") || value.contains('@'))
        .map(|(_, value)| value)
}

/// Returns the registry that `MANIFEST_TOOL_REGISTRY` names, in the form that references use.
fn named_registry() -> Result<Option<String>, Failure> {
    let name = |text: String| registry_name(&text).map_err(|reason| Failure::usage(format!("{REGISTRY}: {reason}")));
    variable(REGISTRY)?.map(name).transpose()
}
