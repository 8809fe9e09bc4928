use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::console::ConsoleOptions;
use super::duration::duration;
use super::hosts::{HostsArg, hosts};
use super::output_format::OutputFormat;
use crate::registry::{Hosts, RetryPolicy, Secret};

/// Heading of these flags in the help.
pub(super) const HEADING: &str = "Global options";

/// Flags of every command, accepted before and after its name.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(super) struct Global {
    /// Log every request to stderr
    #[arg(long, short = 'D', global = true)]
    debug: bool,
    /// Print results as text or JSON
    #[arg(
        long,
        short,
        global = true,
        value_name = "text|json",
        value_enum,
        default_value = "text",
        hide_possible_values = true
    )]
    pub(super) output: OutputFormat,
    /// Skip certificate checks, for all or these hosts
    #[arg(long, global = true, value_name = "HOST,...", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = HostsArg::parse)]
    insecure: Vec<HostsArg>,
    /// Use HTTP without TLS, for all or these hosts
    #[arg(long, global = true, value_name = "HOST,...", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = HostsArg::parse)]
    plain_http: Vec<HostsArg>,
    /// Use the mirrors in registries.conf: Podman's, or FILE
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "", value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(super) registries_conf: Option<PathBuf>,
    /// Trust the CA certificates in a PEM file
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) ca_cert: Vec<PathBuf>,
    /// Limit requests per registry, 1-1000
    #[arg(long, global = true, value_name = "N", default_value = "16", value_parser = concurrency)]
    pub(super) concurrency: NonZeroUsize,
    /// Retry a request up to N times
    #[arg(long, global = true, value_name = "N", default_value_t = RetryPolicy::default().retries)]
    retries: u32,
    /// Abort a request idle this long
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(super) timeout: Duration,
    /// Limit the delay before a retry
    #[arg(long, global = true, value_name = "TIME", default_value = "60s", value_parser = duration)]
    max_wait: Duration,
    /// Stop the whole run after this long, such as 10m
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(super) deadline: Option<Duration>,
    /// Print only errors to stderr
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Sign in to the target's registry as this user
    #[arg(long, short, global = true, allow_hyphen_values = true)]
    pub(super) username: Option<String>,
    /// Sign in with this password, visible to others
    #[arg(long, short, global = true, allow_hyphen_values = true, conflicts_with = "password_stdin")]
    pub(super) password: Option<Secret>,
    /// Read the password from stdin (at most 64 KiB)
    #[arg(long, global = true)]
    pub(super) password_stdin: bool,
    /// Read credentials from this Docker configuration
    #[arg(long, global = true, value_name = "DIR|FILE")]
    pub(super) docker_cfg: Option<PathBuf>,
}

impl Global {
    /// Whether the command line has a user name or a password.
    pub(super) fn has_credentials(&self) -> bool {
        self.username.is_some() || self.password.is_some() || self.password_stdin
    }

    /// Returns the output flags.
    pub(super) fn console_options(&self) -> ConsoleOptions {
        ConsoleOptions { quiet: self.quiet, debug: self.debug, format: self.output }
    }

    pub(super) fn debug(&self) -> bool {
        self.debug
    }

    /// Returns the registries to reach over HTTP without TLS.
    pub(super) fn plain_http(&self) -> Hosts {
        hosts(&self.plain_http)
    }

    /// Returns the registries whose certificates are not checked.
    pub(super) fn insecure(&self) -> Hosts {
        hosts(&self.insecure)
    }

    /// Returns the limits for retries.
    pub(super) fn retry(&self) -> RetryPolicy {
        RetryPolicy { retries: self.retries, max_wait: self.max_wait }
    }
}

/// Parses the number of concurrent requests, 1 to 1000.
fn concurrency(text: &str) -> Result<NonZeroUsize, String> {
    let count: i64 = text.parse().map_err(|_| "expected a number from 1 to 1000")?;
    let count = usize::try_from(count).ok().filter(|count| *count <= 1000).and_then(NonZeroUsize::new);
    count.ok_or_else(|| format!("{text} is not in 1..=1000"))
}
