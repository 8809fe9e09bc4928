use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::registry::{Client, CredentialSources, DEFAULT_CONCURRENCY, Given, Login, Options, Secret, Tls};

/// Flags of every command, taken before and after it.
#[derive(Debug, clap::Args)]
pub(super) struct Global {
    /// Tell on stderr what is done, a line for each request
    #[arg(long, global = true)]
    pub(super) debug: bool,
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
    /// User name for the target's registry, or MANIFEST_TOOL_USERNAME
    #[arg(long, global = true)]
    username: Option<String>,
    /// Password for it; visible to others, --password-stdin or MANIFEST_TOOL_PASSWORD is not
    #[arg(long, global = true, conflicts_with = "password_stdin")]
    password: Option<Secret>,
    /// Read the password from standard input
    #[arg(long, global = true)]
    pub(super) password_stdin: bool,
    /// Docker configuration to take credentials from, as a folder with config.json in it or a file
    #[arg(long, global = true, value_name = "DIR|FILE")]
    docker_cfg: Option<PathBuf>,
}

/// No password is longer; bytes.
const MAX_PASSWORD: u64 = 64 << 10;

impl Global {
    /// The client of this run. User and password from the command line are for `registry` alone.
    pub(super) fn client(&self, registry: &str) -> Result<Client, Failure> {
        let given = match (self.user(), self.secret()?) {
            (Some((user, source)), Some(password)) => {
                let login = Login::Password { user, password };
                Some(Given { registry: registry.to_owned(), login, source: source.to_owned() })
            }
            (None, None) => None,
            (Some((_, source)), None) => {
                let missing = "and no password: --password-stdin, MANIFEST_TOOL_PASSWORD or --password";
                return Err(Failure::usage(format!("{source} gives a user name, {missing}")));
            }
            (None, Some(_)) => {
                return Err(Failure::usage(
                    "a password is given, and no user name: --username, or MANIFEST_TOOL_USERNAME",
                ));
            }
        };
        Ok(self.client_with(given))
    }

    pub(super) fn client_with(&self, given: Option<Given>) -> Client {
        Client::new(Options {
            plain_http: self.plain_http,
            tls: Tls { insecure: self.insecure, ca_certs: self.ca_cert.clone(), certs_folders: certs_folders() },
            credentials: self.sources(given),
            concurrency: self.concurrency.into(),
            trace: self.debug.then(|| Box::new(|line: &str| eprintln!("debug: {line}")) as crate::registry::Trace),
        })
    }

    pub(super) fn sources(&self, given: Option<Given>) -> CredentialSources {
        CredentialSources { given, docker_config: self.docker_cfg.clone() }
    }

    /// The user name given, and by what.
    pub(super) fn user(&self) -> Option<(String, &'static str)> {
        match &self.username {
            Some(user) => Some((user.clone(), "--username")),
            None => Some((variable("MANIFEST_TOOL_USERNAME")?, "MANIFEST_TOOL_USERNAME")),
        }
    }

    /// The password given, from the command line, standard input or the environment.
    pub(super) fn secret(&self) -> Result<Option<Secret>, Failure> {
        if let Some(password) = &self.password {
            eprintln!(
                "warning: --password shows the password to others on this machine and in shell histories; use --password-stdin or MANIFEST_TOOL_PASSWORD"
            );
            return Ok(Some(password.clone()));
        }
        if !self.password_stdin {
            return Ok(variable("MANIFEST_TOOL_PASSWORD").map(Secret::new));
        }
        let mut text = String::new();
        let read = std::io::stdin().lock().take(MAX_PASSWORD).read_to_string(&mut text);
        read.map_err(|error| Failure::new(format!("cannot read the password from standard input: {error}")))?;
        // The end of a line is not part of it; anything else is.
        let password = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if password.is_empty() {
            return Err(Failure::usage("standard input holds no password"));
        }
        Ok(Some(Secret::new(password)))
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Docker's folders of certificates, also without root, and Podman's.
fn certs_folders() -> Vec<PathBuf> {
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(Path::new(&variable("HOME")?).join(".config")));
    let own = config.map(|folder| [folder.join("docker/certs.d"), folder.join("containers/certs.d")]);
    let system = ["/etc/docker/certs.d", "/etc/containers/certs.d"].map(PathBuf::from);
    own.into_iter().flatten().chain(system).collect()
}
