use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use super::duration::duration;
use super::failure::Failure;
use super::talk::{hide_secrets_of, say};
use crate::image::{Location, Reference};
use crate::registry::{
    Client, CredentialSources, DEFAULT_CONCURRENCY, Given, HOME, Login, Options, RetryPolicy, Secret, Stop, Tls, Trace,
};

/// Flags of every command, taken before and after it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// Tell on stderr what is done, a line for each request
    #[arg(long, global = true)]
    pub(super) debug: bool,
    /// How results are printed on stdout: as text, or as one JSON document
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value = "text")]
    output: Output,
    /// Do not check the certificates of the registries named
    #[arg(long, global = true)]
    insecure: bool,
    /// Speak HTTP without TLS
    #[arg(long, global = true)]
    plain_http: bool,
    /// Believe the authorities in a PEM file, besides the system's; may be given several times
    #[arg(long, global = true, value_name = "FILE")]
    ca_cert: Vec<PathBuf>,
    /// Requests under way at once to one registry
    #[arg(long, global = true, value_name = "N", default_value_t = DEFAULT_CONCURRENCY as u16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    concurrency: u16,
    /// How often a request is sent again after a server's error or no answer
    #[arg(long, global = true, value_name = "N", default_value_t = RetryPolicy::default().retries)]
    retries: u32,
    /// How long a server may say nothing, such as 30s or 1m
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// The longest wait before a request is sent again, whatever a registry asks for
    #[arg(long, global = true, value_name = "TIME", default_value = "60s", value_parser = duration)]
    max_wait: Duration,
    /// Time for all of it; what is not done by then is not done
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(super) deadline: Option<Duration>,
    /// Say nothing on stderr but errors
    #[arg(long, global = true)]
    pub(super) quiet: bool,
    /// User name for the target's registry, or MANIFEST_TOOL_USERNAME
    #[arg(long, short, global = true)]
    username: Option<String>,
    /// Password for it; others can see it, --password-stdin and MANIFEST_TOOL_PASSWORD keep it from them
    #[arg(long, short, global = true, conflicts_with = "password_stdin")]
    password: Option<Secret>,
    /// Read the password from standard input
    #[arg(long, global = true)]
    pub(super) password_stdin: bool,
    /// Docker configuration to take credentials from, as a folder with config.json in it or a file
    #[arg(long, global = true, value_name = "DIR|FILE")]
    docker_cfg: Option<PathBuf>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// No password is longer; bytes.
const MAX_PASSWORD: u64 = 64 << 10;

impl Global {
    /// Results are one JSON document on stdout.
    pub(super) fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// The client of this run. User and password from the command line are for the registry of the first of these
    /// that is in one, and for no other.
    pub(super) fn client<'l>(&self, mut locations: impl Iterator<Item = &'l Location>) -> Result<Client, Failure> {
        let registry = locations.find_map(Location::reference).map_or("", Reference::registry);
        let given = match (self.user()?, self.secret()?) {
            (Some((user, source)), Some((password, _))) => {
                let login = Login::Password { user, password };
                Some(Given { registry: registry.to_owned(), login, source: source.to_owned() })
            }
            (None, None) => None,
            // A pipeline may have one of the two set for other jobs.
            (Some((_, source @ USERNAME)), None) | (None, Some((_, source @ PASSWORD))) => {
                let other = if source == USERNAME { PASSWORD } else { USERNAME };
                say(format_args!("warning: {source} is set and {other} is not; neither is used"));
                None
            }
            (Some((_, source)), None) => {
                let missing = "and no password: --password-stdin, MANIFEST_TOOL_PASSWORD or --password";
                return Err(Failure::usage(format!("{source} gives a user name, {missing}")));
            }
            (None, Some((_, source))) => {
                let missing = "and no user name: --username, or MANIFEST_TOOL_USERNAME";
                return Err(Failure::usage(format!("{source} gives a password, {missing}")));
            }
        };
        Ok(self.client_with(given))
    }

    pub(super) fn client_with(&self, given: Option<Given>) -> Client {
        let client = Client::new(Options {
            plain_http: self.plain_http,
            tls: Tls { insecure: self.insecure, ca_certs: self.ca_cert.clone(), certs_folders: certs_folders() },
            credentials: self.sources(given),
            concurrency: self.concurrency.into(),
            retry: RetryPolicy { retries: self.retries, max_wait: self.max_wait },
            silence: self.timeout,
            stop: Stop::default(),
            warn: (!self.quiet).then(|| Box::new(|line: &str| say(format_args!("warning: {line}"))) as Trace),
            trace: self.debug.then(|| Box::new(|line: &str| say(format_args!("debug: {line}"))) as Trace),
        });
        hide_secrets_of(&client);
        client
    }

    pub(super) fn sources(&self, given: Option<Given>) -> CredentialSources {
        CredentialSources { given, docker_config: self.docker_cfg.clone() }
    }

    /// The user name given, and by what.
    pub(super) fn user(&self) -> Result<Option<(String, &'static str)>, Failure> {
        match &self.username {
            Some(user) => Ok(Some((user.clone(), "--username"))),
            None => Ok(variable(USERNAME)?.map(|user| (user, USERNAME))),
        }
    }

    /// The password given, and by what: the command line, standard input or the environment.
    pub(super) fn secret(&self) -> Result<Option<(Secret, &'static str)>, Failure> {
        if let Some(password) = &self.password {
            say(
                "warning: --password shows the password to others on this machine and in shell histories; use --password-stdin or MANIFEST_TOOL_PASSWORD",
            );
            return Ok(Some((password.clone(), "--password")));
        }
        if !self.password_stdin {
            return Ok(variable(PASSWORD)?.map(|password| (Secret::new(password), PASSWORD)));
        }
        let mut text = String::new();
        let read = std::io::stdin().lock().take(MAX_PASSWORD + 1).read_to_string(&mut text);
        read.map_err(|error| Failure::new(format!("cannot read the password from standard input: {error}")))?;
        if text.len() as u64 > MAX_PASSWORD {
            return Err(Failure::usage(format!(
                "standard input is longer than the {MAX_PASSWORD} bytes of a password"
            )));
        }
        // The end of a line is not part of it; anything else is.
        let password = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if password.is_empty() {
            return Err(Failure::usage("standard input holds no password"));
        }
        Ok(Some((Secret::new(password), "--password-stdin")))
    }
}

const USERNAME: &str = "MANIFEST_TOOL_USERNAME";
const PASSWORD: &str = "MANIFEST_TOOL_PASSWORD";

fn variable(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format!("{name} is not UTF-8 text"))),
    }
}

/// Docker's folders of certificates, also without root, and Podman's.
fn certs_folders() -> Vec<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder(HOME)?.join(".config")));
    let own = config.map(|folder| [folder.join("docker/certs.d"), folder.join("containers/certs.d")]);
    let system = ["/etc/docker/certs.d", "/etc/containers/certs.d"].map(PathBuf::from);
    own.into_iter().flatten().chain(system).collect()
}
