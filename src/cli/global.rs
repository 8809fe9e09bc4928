use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::credentials::Registries;
use super::duration::duration;
use super::failure::Failure;
use super::hosts::{HostsArg, hosts};
use super::talk::{hide_secrets_of, report};
use crate::event::{Event, Events};
use crate::registry::{Client, ClientConfig, CredentialSources, HOME, RetryPolicy, Secret, Stop, Tls};

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
    /// Do not check the certificates of the registries in references; with =HOST, of these registries only
    #[arg(long, global = true, value_name = "HOST,...", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = HostsArg::parse)]
    insecure: Vec<HostsArg>,
    /// Use HTTP without TLS; with =HOST, for these registries only
    #[arg(long, global = true, value_name = "HOST,...", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = HostsArg::parse)]
    plain_http: Vec<HostsArg>,
    /// Believe the authorities in a PEM file, besides the system's; may be given several times
    #[arg(long, global = true, value_name = "FILE")]
    ca_cert: Vec<PathBuf>,
    /// Requests under way at once to one registry
    #[arg(long, global = true, value_name = "N", default_value = "16", value_parser = concurrency)]
    concurrency: NonZeroUsize,
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
    #[arg(long, short, global = true, allow_hyphen_values = true)]
    pub(super) username: Option<String>,
    /// Password for it; others can see it, --password-stdin and MANIFEST_TOOL_PASSWORD keep it from them
    #[arg(long, short, global = true, allow_hyphen_values = true, conflicts_with = "password_stdin")]
    pub(super) password: Option<Secret>,
    /// Read the password from standard input
    #[arg(long, global = true)]
    pub(super) password_stdin: bool,
    /// Docker configuration to take credentials from, as a folder with config.json in it or a file
    #[arg(long, global = true, value_name = "DIR|FILE")]
    pub(super) docker_cfg: Option<PathBuf>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Global {
    /// Whether a user name or a password is given on the command line.
    pub(super) fn has_credentials(&self) -> bool {
        self.username.is_some() || self.password.is_some() || self.password_stdin
    }

    /// Results are one JSON document on stdout.
    pub(super) fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// The client of a run whose given credentials are for one of these registries.
    ///
    /// # Errors
    /// As [`Self::credentials`].
    pub(super) fn client(&self, registries: &Registries<'_>) -> Result<Client, Failure> {
        Ok(self.client_with(self.credentials(registries)?))
    }

    pub(super) fn client_with(&self, credentials: CredentialSources) -> Client {
        self.client_reporting(credentials, |_| {})
    }

    /// A client whose events go to `also` as well.
    pub(super) fn client_reporting(
        &self,
        credentials: CredentialSources,
        also: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Client {
        let (quiet, debug) = (self.quiet, self.debug);
        let client = Client::new(ClientConfig {
            plain_http: hosts(&self.plain_http),
            tls: Tls {
                insecure: hosts(&self.insecure),
                ca_certs: self.ca_cert.clone(),
                certs_folders: certs_folders(),
            },
            credentials,
            concurrency: self.concurrency,
            retry: RetryPolicy { retries: self.retries, max_wait: self.max_wait },
            idle_timeout: self.timeout,
            stop: Stop::default(),
            events: Events::new(move |event| {
                also(event);
                report(event, quiet, debug);
            }),
        });
        hide_secrets_of(&client);
        client
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

/// Requests at once: 1 to 1000.
fn concurrency(text: &str) -> Result<NonZeroUsize, String> {
    let count: i64 = text.parse().map_err(|error| format!("{error}"))?;
    let count = usize::try_from(count).ok().filter(|count| *count <= 1000).and_then(NonZeroUsize::new);
    count.ok_or_else(|| format!("{text} is not in 1..=1000"))
}
