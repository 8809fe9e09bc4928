//! Credentials for only the sources or only the targets of a command that has both.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::console::Console;
use super::failure::Failure;
use super::global::Global;
use super::login_pair::{PairNames, PartialPair, variable};
use crate::image::{Location, Reference, UntrustedText};
use crate::registry::{ScopedCredentials, ScopedSource, Secret};

/// Flags of the commands that read from some registries and write to others.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Credentials")]
pub(super) struct SideFlags {
    /// Sign in to the source's registry as this user
    #[arg(long, global = true, value_name = "USER", allow_hyphen_values = true)]
    source_username: Option<String>,
    /// Read the source's password from stdin
    #[arg(long, global = true)]
    source_password_stdin: bool,
    /// Read the sources' credentials from here
    #[arg(long, global = true, value_name = "DIR|FILE")]
    source_docker_cfg: Option<PathBuf>,
    /// Sign in to the target's registry as this user
    #[arg(long, global = true, value_name = "USER", allow_hyphen_values = true)]
    target_username: Option<String>,
    /// Read the target's password from stdin
    #[arg(long, global = true)]
    target_password_stdin: bool,
    /// Read the targets' credentials from here
    #[arg(long, global = true, value_name = "DIR|FILE")]
    target_docker_cfg: Option<PathBuf>,
}

/// The names of one side in messages, and of its flags and variables.
struct SideNames {
    side: &'static str,
    password_flag: &'static str,
    docker_cfg_flag: &'static str,
    pair: PairNames,
}

const SOURCE: SideNames = SideNames {
    side: "source",
    password_flag: "--source-password-stdin",
    docker_cfg_flag: "--source-docker-cfg",
    pair: PairNames {
        user_flag: "--source-username",
        user_variable: "MANIFEST_TOOL_SOURCE_USERNAME",
        password_variable: "MANIFEST_TOOL_SOURCE_PASSWORD",
        password_sources: "--source-password-stdin or MANIFEST_TOOL_SOURCE_PASSWORD",
    },
};

const TARGET: SideNames = SideNames {
    side: "target",
    password_flag: "--target-password-stdin",
    docker_cfg_flag: "--target-docker-cfg",
    pair: PairNames {
        user_flag: "--target-username",
        user_variable: "MANIFEST_TOOL_TARGET_USERNAME",
        password_variable: "MANIFEST_TOOL_TARGET_PASSWORD",
        password_sources: "--target-password-stdin or MANIFEST_TOOL_TARGET_PASSWORD",
    },
};

/// The variables that contain credentials for one side.
pub(super) const VARIABLES: [&str; 4] = [
    SOURCE.pair.user_variable,
    SOURCE.pair.password_variable,
    TARGET.pair.user_variable,
    TARGET.pair.password_variable,
];

/// The maximum length of each password on standard input, in bytes.
const MAX_PASSWORD: usize = 64 << 10;

/// The repositories of a registry that credentials are for; `None` for all of them.
type Repositories = Option<BTreeSet<String>>;

/// The repositories that a command reads and writes. A repository that it writes belongs to the targets only.
pub(super) struct Sides<'l> {
    sources: Vec<&'l Reference>,
    targets: Vec<&'l Reference>,
}

impl<'l> Sides<'l> {
    pub(super) fn new(
        sources: impl IntoIterator<Item = &'l Location>,
        targets: impl IntoIterator<Item = &'l Location>,
    ) -> Self {
        let targets: Vec<&Reference> = targets.into_iter().filter_map(Location::reference).collect();
        let written: BTreeSet<_> = targets.iter().map(|target| (target.registry(), target.repository())).collect();
        let sources = sources.into_iter().filter_map(Location::reference);
        let sources = sources.filter(|source| !written.contains(&(source.registry(), source.repository()))).collect();
        Self { sources, targets }
    }

    /// Returns the registries of the sources. Credentials are for all repositories of a registry, unless targets are in
    /// it as well.
    fn of_sources(&self) -> BTreeMap<&'l str, Repositories> {
        scopes(&self.sources, &self.targets)
    }

    /// Returns the registries of the targets. Credentials are for all repositories of a registry, unless sources are in
    /// it as well.
    fn of_targets(&self) -> BTreeMap<&'l str, Repositories> {
        scopes(&self.targets, &self.sources)
    }
}

fn scopes<'l>(side: &[&'l Reference], other_side: &[&Reference]) -> BTreeMap<&'l str, Repositories> {
    let shared: BTreeSet<&str> = other_side.iter().map(|reference| reference.registry()).collect();
    let mut scopes: BTreeMap<&str, Repositories> = BTreeMap::new();
    for reference in side {
        let registry = reference.registry();
        let repositories = scopes.entry(registry).or_insert_with(|| shared.contains(registry).then(BTreeSet::new));
        if let Some(repositories) = repositories {
            repositories.insert(reference.repository().to_owned());
        }
    }
    scopes
}

/// The credentials for the sides of a command.
#[derive(Default)]
pub(super) struct SideCredentials {
    pub(super) scoped: Vec<ScopedCredentials>,
    /// Why the only pair is not used for other registries.
    pub(super) unused: Option<String>,
}

/// What the command line has for one side.
struct SideFlag<'a> {
    names: &'static SideNames,
    username: Option<&'a str>,
    password: Option<Secret>,
    docker_cfg: Option<&'a Path>,
    scopes: BTreeMap<&'a str, Repositories>,
}

impl SideFlags {
    /// Whether standard input provides passwords.
    pub(super) fn use_stdin(&self) -> bool {
        self.source_password_stdin || self.target_password_stdin
    }

    /// Returns the credentials for the sources and for the targets. `taken` is the registry to which a pair from other
    /// flags applies, if any; variables do not apply to it.
    ///
    /// # Errors
    /// The flags contradict each other, a pair is incomplete or would be for several registries, or standard input or
    /// a configuration cannot be read.
    pub(super) fn credentials(
        &self,
        global: &Global,
        console: &Console,
        sides: &Sides<'_>,
        taken: Option<&str>,
    ) -> Result<SideCredentials, Failure> {
        self.check(global)?;
        let [source_password, target_password] = self.read_passwords()?;
        let source = SideFlag {
            names: &SOURCE,
            username: self.source_username.as_deref(),
            password: source_password,
            docker_cfg: self.source_docker_cfg.as_deref(),
            scopes: sides.of_sources(),
        };
        let target = SideFlag {
            names: &TARGET,
            username: self.target_username.as_deref(),
            password: target_password,
            docker_cfg: self.target_docker_cfg.as_deref(),
            scopes: sides.of_targets(),
        };
        let mut credentials = SideCredentials::default();
        let mut only_side = Vec::new();
        for side in [source, target] {
            let side_name = side.names.side;
            let scoped = side.scoped(console, taken)?;
            if let Some(ScopedSource::Login { name, .. }) = scoped.first().map(|scoped| &scoped.source) {
                only_side.push(format!("{name} is only for the {side_name}"));
            }
            credentials.scoped.extend(scoped);
        }
        credentials.unused = only_side.pop().filter(|_| only_side.is_empty());
        Ok(credentials)
    }

    /// Refuses flags that contradict each other. clap cannot check this if one flag precedes the command and another
    /// follows it.
    fn check(&self, global: &Global) -> Result<(), Failure> {
        let of_source = [
            (self.source_username.is_some(), SOURCE.pair.user_flag),
            (self.source_password_stdin, SOURCE.password_flag),
        ];
        let of_target = [
            (self.target_username.is_some(), TARGET.pair.user_flag),
            (self.target_password_stdin, TARGET.password_flag),
        ];
        let of_both = [
            (global.username.is_some(), "--username"),
            (global.password.is_some(), "--password"),
            (global.password_stdin, "--password-stdin"),
        ];
        let given =
            |flags: &[(bool, &'static str)]| flags.iter().find(|(is_given, _)| *is_given).map(|(_, flag)| *flag);
        let side = given(&of_source).or(given(&of_target));
        if let (Some(side), Some(both)) = (side, given(&of_both)) {
            return Err(Failure::usage(format!(
                "{both} and {side} cannot be combined: use --source-username with --source-password-stdin, and \
                 --target-username with --target-password-stdin"
            )));
        }
        for (flags, docker_cfg, names) in
            [(of_source, &self.source_docker_cfg, SOURCE), (of_target, &self.target_docker_cfg, TARGET)]
        {
            if let (Some(flag), Some(_)) = (given(&flags), docker_cfg) {
                let (side, docker_cfg) = (names.side, names.docker_cfg_flag);
                let why = format!("{flag} and {docker_cfg} cannot be combined: each is for every {side}");
                return Err(Failure::usage(why));
            }
        }
        Ok(())
    }

    /// Reads the passwords of the source and the target from standard input, if flags ask for that.
    fn read_passwords(&self) -> Result<[Option<Secret>; 2], Failure> {
        let flags = [(self.source_password_stdin, &SOURCE), (self.target_password_stdin, &TARGET)];
        let sides: Vec<&SideNames> = flags.iter().filter(|(is_given, _)| *is_given).map(|(_, side)| *side).collect();
        if sides.is_empty() {
            return Ok([None, None]);
        }
        let (limit, mut text) = (MAX_PASSWORD * sides.len(), String::new());
        let read = std::io::stdin().lock().take(limit as u64 + 1).read_to_string(&mut text);
        read.map_err(|error| Failure::new(format!("cannot read passwords from standard input: {error}")))?;
        if text.len() > limit {
            return Err(Failure::usage(format!("standard input is longer than {limit} bytes")));
        }
        let mut passwords = split_passwords(&text, &sides).map_err(Failure::usage)?.into_iter();
        Ok(flags.map(|(is_given, _)| if is_given { passwords.next() } else { None }))
    }
}

/// Splits standard input into one password per side, each on its own line. A line ends with LF or CR LF; the last one
/// may end without.
fn split_passwords(text: &str, sides: &[&SideNames]) -> Result<Vec<Secret>, String> {
    let without_end = |line: &'_ str| match line.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line).to_owned(),
        None => line.to_owned(),
    };
    let lines: Vec<String> = text.split_inclusive('\n').map(without_end).collect();
    let flags = sides.iter().map(|side| side.password_flag).collect::<Vec<_>>().join(" and ");
    match (sides, lines.len()) {
        ([side], 0) => return Err(format!("{flags}: the {}'s password on standard input is empty", side.side)),
        ([_], 2..) => return Err(format!("{flags} reads a single line, but standard input has {} lines", lines.len())),
        ([_, _], 0) => return Err(format!("{flags} read two lines, but standard input is empty")),
        ([_, _], 1) => {
            let order = "the source's password, then the target's";
            return Err(format!("{flags} read two lines ({order}), but standard input has only one"));
        }
        ([_, _], 3..) => return Err(format!("{flags} read two lines, but standard input has {}", lines.len())),
        _ => {}
    }
    for (position, (line, side)) in lines.iter().zip(sides).enumerate() {
        if line.is_empty() {
            let (side, position) = (side.side, position + 1);
            return Err(format!("{flags}: the {side}'s password, line {position} of standard input, is empty"));
        }
    }
    Ok(lines.into_iter().map(Secret::new).collect())
}

impl SideFlag<'_> {
    /// Returns the credentials for this side.
    fn scoped(self, console: &Console, taken: Option<&str>) -> Result<Vec<ScopedCredentials>, Failure> {
        let Self { names, username, password, docker_cfg, mut scopes } = self;
        if let Some(path) = docker_cfg {
            if let Some(registry) = taken.filter(|taken| scopes.contains_key(taken)) {
                return Err(Failure::usage(format!(
                    "{} and --username cannot be combined: both are for {registry}",
                    names.docker_cfg_flag
                )));
            }
            check_config(path, names.docker_cfg_flag, console)?;
            return Ok(scoped(scopes, &ScopedSource::DockerConfig(path.to_owned())));
        }
        let SideNames { side, pair: pair_names, .. } = names;
        let user = match username {
            Some(user) => Some((user.to_owned(), pair_names.user_flag)).filter(|(user, _)| !user.is_empty()),
            None => variable(pair_names.user_variable)?.map(|user| (user, pair_names.user_variable)),
        };
        let password = match password {
            Some(password) => Some((password, names.password_flag)),
            None => variable(pair_names.password_variable)?
                .map(|password| (Secret::new(password), pair_names.password_variable)),
        };
        let empty_flag = username.filter(|user| user.is_empty()).map(|_| pair_names.user_flag);
        let registry = scopes.keys().next().map_or_else(|| format!("the {side}"), ToString::to_string);
        let Some(pair) = pair_names.complete(PartialPair { user, password, empty_flag }, &registry, console)? else {
            return Ok(Vec::new());
        };
        let (user_from, is_from_environment) = (pair.user_from, pair.is_from_environment(pair_names));
        if is_from_environment {
            scopes.retain(|registry, _| Some(*registry) != taken);
        }
        if scopes.len() > 1 {
            let registries = scopes.keys().copied().collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(format!(
                "{user_from} is for one registry, but the {side}s are in {registries}; use {} for several",
                names.docker_cfg_flag
            )));
        }
        if scopes.is_empty() && !is_from_environment {
            let why = match *side {
                "source" => "no source is in a registry, except in a target's repository",
                _ => "no target is in a registry",
            };
            console.alert(format_args!("{user_from} is not used: {why}"));
        }
        Ok(scoped(scopes, &ScopedSource::Login { login: pair.into_login(), name: user_from.to_owned() }))
    }
}

fn scoped(scopes: BTreeMap<&str, Repositories>, source: &ScopedSource) -> Vec<ScopedCredentials> {
    let scoped = |(registry, repositories): (&str, Repositories)| ScopedCredentials {
        registry: registry.to_owned(),
        repositories,
        source: source.clone(),
    };
    scopes.into_iter().map(scoped).collect()
}

/// Checks that the path of a flag exists, because a misspelled path would look like missing credentials. Prints a note
/// for a folder without config.json, which provides no credentials.
///
/// # Errors
/// The file or folder does not exist. 2.2.1 refuses such a path of `--docker-cfg` too.
pub(super) fn check_config(path: &Path, flag: &str, console: &Console) -> Result<(), Failure> {
    let shown = UntrustedText::from(path.to_string_lossy().into_owned());
    if let Err(error) = path.metadata() {
        return Err(Failure::new(format!("cannot read {shown}, which {flag} names: {error}")));
    }
    if path.is_dir() && !path.join("config.json").exists() {
        console.note(format_args!("{shown} has no config.json; no stored credentials are used"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_password_on_standard_input_is_one_line() {
        let (one, both) = (&[&TARGET][..], &[&SOURCE, &TARGET][..]);
        for (text, sides, expected) in [
            ("t", one, Ok(vec!["t"])),
            ("t\n", one, Ok(vec!["t"])),
            ("t\r\n", one, Ok(vec!["t"])),
            (" t \r", one, Ok(vec![" t \r"])),
            ("s\nt", both, Ok(vec!["s", "t"])),
            ("s\r\nt\r\n", both, Ok(vec!["s", "t"])),
            ("", one, Err("--target-password-stdin: the target's password on standard input is empty")),
            ("\r\n", one, Err("the target's password, line 1 of standard input, is empty")),
            ("t\n\n", one, Err("--target-password-stdin reads a single line, but standard input has 2 lines")),
            ("", both, Err("read two lines, but standard input is empty")),
            (
                "s\n",
                both,
                Err("read two lines (the source's password, then the target's), but standard input has only one"),
            ),
            ("\nt\n", both, Err("the source's password, line 1 of standard input, is empty")),
            ("s\n\n", both, Err("the target's password, line 2 of standard input, is empty")),
            ("s\nt\nu", both, Err("read two lines, but standard input has 3")),
        ] {
            match (split_passwords(text, sides), expected) {
                (Ok(passwords), Ok(expected)) => {
                    assert_eq!(passwords.iter().map(Secret::reveal).collect::<Vec<_>>(), expected, "{text:?}");
                }
                (Err(error), Err(expected)) => assert!(error.ends_with(expected), "{text:?}: {error}"),
                (result, expected) => panic!("{text:?}: {result:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn a_registry_on_both_sides_is_divided_by_repository() {
        let locations = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Location>>();
        let shown = |scopes: BTreeMap<&str, Repositories>| {
            let shown = scopes.into_iter().map(|(registry, repositories)| match repositories {
                Some(repositories) => format!("{registry}: {}", repositories.into_iter().collect::<Vec<_>>().join(" ")),
                None => registry.to_owned(),
            });
            shown.collect::<Vec<_>>()
        };
        for (sources, targets, of_sources, of_targets) in [
            (&["s.io/a:1", "s.io/b:1"][..], &["t.io/a:1"][..], &["s.io"][..], &["t.io"][..]),
            (&["s.io/a:1", "r.io/a:1"], &["r.io/b:1", "oci:x"], &["r.io: a", "s.io"], &["r.io: b"]),
            (&["r.io/a:1", "r.io/b:1"], &["r.io/a:2"], &["r.io: b"], &["r.io: a"]),
            (&["r.io/a:1", "oci:x"], &["r.io/a:2"], &[], &["r.io"]),
        ] {
            let (sources, targets) = (locations(sources), locations(targets));
            let sides = Sides::new(&sources, &targets);
            assert_eq!(shown(sides.of_sources()), of_sources, "{sources:?}");
            assert_eq!(shown(sides.of_targets()), of_targets, "{targets:?}");
        }
    }
}
