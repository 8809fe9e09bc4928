use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::console::ConsoleOptions;
use super::duration::duration;
use super::hosts::{HostsArg, hosts};
use crate::registry::{Hosts, RetryPolicy, Secret};

/// Flags of every command, accepted before and after its name.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// Tell on stderr what is done, a line for each request
    #[arg(long, global = true)]
    debug: bool,
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
    pub(super) ca_cert: Vec<PathBuf>,
    /// Requests under way at once to one registry
    #[arg(long, global = true, value_name = "N", default_value = "16", value_parser = concurrency)]
    pub(super) concurrency: NonZeroUsize,
    /// How often a request is sent again after a server's error or no answer
    #[arg(long, global = true, value_name = "N", default_value_t = RetryPolicy::default().retries)]
    retries: u32,
    /// How long a server may say nothing, such as 30s or 1m
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) timeout: Duration,
    /// The longest wait before a request is sent again, whatever a registry asks for
    #[arg(long, global = true, value_name = "TIME", default_value = "60s", value_parser = duration)]
    max_wait: Duration,
    /// Time for all of it; what is not done by then is not done
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(super) deadline: Option<Duration>,
    /// Say nothing on stderr but errors
    #[arg(long, global = true)]
    quiet: bool,
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

    /// What the flags say about output.
    pub(super) fn console_options(&self) -> ConsoleOptions {
        ConsoleOptions { quiet: self.quiet, debug: self.debug, json: self.output == Output::Json }
    }

    /// The registries that are spoken to without TLS.
    pub(super) fn debug(&self) -> bool {
        self.debug
    }

    pub(super) fn plain_http(&self) -> Hosts {
        hosts(&self.plain_http)
    }

    /// The registries whose certificates are not checked.
    pub(super) fn insecure(&self) -> Hosts {
        hosts(&self.insecure)
    }

    /// How often and when requests are sent again.
    pub(super) fn retry(&self) -> RetryPolicy {
        RetryPolicy { retries: self.retries, max_wait: self.max_wait }
    }
}

/// Requests at once: 1 to 1000.
fn concurrency(text: &str) -> Result<NonZeroUsize, String> {
    let count: i64 = text.parse().map_err(|error| format!("{error}"))?;
    let count = usize::try_from(count).ok().filter(|count| *count <= 1000).and_then(NonZeroUsize::new);
    count.ok_or_else(|| format!("{text} is not in 1..=1000"))
}
