use std::time::Duration;

use clap::{ArgGroup, Args};

use super::console::Console;
use super::credentials::Registries;
use super::duration::duration;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::platform_arg::platform;
use super::progress::Activity;
use super::render::{Body, IndexResult, PlanText, removed_line};
use super::result_files::OutputFiles;
use super::session::Session;
use crate::assemble::{self, RemoveOptions, RemoveRequest, Selector, TargetReport};
use crate::image::{Digest, Location, Platform};
use crate::store::{IfMatch, Store};

/// Remove images and their attestations from an index
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["platform", "digest"])))]
#[command(
    override_usage = "manifest-tool remove [OPTIONS] <REF>\n       <--platform <OS/ARCH[/VARIANT]>|--digest <DIGEST>>",
    after_help = "The images stay in the registry; the tag then points at an index without them.\n\nExample:\n  manifest-tool remove registry.example/app:v1 --platform linux/s390x"
)]
pub(super) struct Remove {
    /// Index to change, with a tag
    #[arg(value_name = "REF")]
    index: String,
    /// Remove these platforms (comma-separated)
    #[arg(long, value_delimiter = ',', value_name = "OS/ARCH[/VARIANT]", value_parser = platform(), hide_possible_values = true)]
    platform: Vec<Platform>,
    /// Remove these entries (comma-separated)
    #[arg(long, value_delimiter = ',', value_name = "DIGEST", value_parser = digest)]
    digest: Vec<Digest>,
    /// Show what would be written, without writing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run, exit with code 4 on changes
    #[arg(long, requires = "dry_run")]
    exit_code: bool,
    /// Write only if the tag matches, else exit code 3
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    if_match: Option<Digest>,
    /// Delay the check for other writers [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    settle: Option<Duration>,
    #[command(flatten)]
    files: OutputFiles,
}

impl Remove {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let console = &session.console;
        let target = target(&self.index)?;
        let platforms = self.platform.into_iter().map(Selector::Platform);
        let selectors: Vec<Selector> = platforms.chain(self.digest.into_iter().map(Selector::Digest)).collect();
        let (dry_run, defaults) = (self.dry_run, RemoveOptions::default());
        let settle = self.settle.unwrap_or(defaults.settle);
        let options = RemoveOptions { if_match: self.if_match.map(IfMatch::Digest), dry_run, settle };
        let request = RemoveRequest { target: target.clone(), selectors };
        let files = self.files.open(dry_run)?;
        let client = session.client(&Registries::written([&target]))?;
        let store = Store::new(client.clone());
        let activity = Some(Activity::new("changing", &target, "indexes").dry(dry_run));
        let removed = session.block_on(&client, activity, assemble::remove(&store, &request, &options));
        let report = match removed {
            Ok(report) => report,
            Err(failure) => {
                let indexes = [failure.part_of_index(&target)];
                return CommandOutput::document(console, Body::Remove { dry_run, indexes }, Err(failure));
            }
        };
        if !dry_run {
            console.done(|| removed_line(&report));
        }
        let would_change = self.exit_code && report.has_written_tags();
        let status = if would_change { ExitStatus::WouldChange } else { ExitStatus::Done };
        let body = Body::Remove { dry_run, indexes: [IndexResult::from(&report)] };
        match files.write(console, &body, Some(report.plan.descriptor.digest.as_str())) {
            Ok(()) if !console.is_json() => Ok(CommandOutput::new(text(&report, console), status)),
            written => CommandOutput::document(console, body, written.map(|()| status)),
        }
    }
}

fn text(report: &TargetReport, console: &Console) -> String {
    if report.dry_run {
        let mut plan = PlanText::new(console.colour());
        return plan.index(report) + &plan.end();
    }
    let descriptor = &report.plan.descriptor;
    format!("Digest: {} {}\n", descriptor.digest, descriptor.size)
}

fn target(text: &str) -> Result<Location, Failure> {
    let target: Location = text.parse().map_err(Failure::usage)?;
    match &target {
        _ if target.is_written_whole() => Err(Failure::usage(format!(
            "{target}: archives cannot be changed in place; copy it to a folder (oci:) first"
        ))),
        _ if target.layout().is_some_and(|layout| layout.transport.has_no_names()) => Ok(target),
        _ if target.digest().is_some() => {
            Err(Failure::usage(format!("\"{text}\" has a digest, but removing entries changes the digest; give a tag")))
        }
        _ if target.tag().is_none() => {
            Err(Failure::usage(format!("\"{text}\" has no tag; manifest-tool does not default to \"latest\"")))
        }
        _ => Ok(target),
    }
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).map_err(|error| error.to_string())
}
