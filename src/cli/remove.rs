use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::json;

use super::Global;
use super::credentials::Registries;
use super::duration::duration;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::results::{Files, Results, pretty};
use crate::assemble::{self, RemoveOptions, RemoveRequest, Selector};
use crate::image::{Digest, Location, Platform};
use crate::output;
use crate::store::{IfMatch, Store};

/// Take images out of an index, with their attestations
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["platform", "digest"])))]
#[command(
    after_help = "The images stay in the registry; the tag points at an index without them.\n\nExample:\n  manifest-tool remove registry.example/app:v1 --platform linux/s390x,linux/arm/v6"
)]
pub(super) struct Remove {
    /// The index, with a tag
    #[arg(value_name = "REF")]
    index: String,
    /// Platforms whose images go, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,
    /// Digests of images or attestations that go, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "DIGEST", value_parser = digest)]
    digest: Vec<Digest>,
    /// Tell what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: exit code 4 when something would change
    #[arg(long, requires = "dry_run")]
    exit_code: bool,
    /// Write only over this: a digest that the tag must point at; else exit code 3
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    if_match: Option<Digest>,
    /// How long to wait before the tag is read back, to see whether others wrote over it [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    settle: Option<Duration>,
    #[command(flatten)]
    files: Files,
}

impl Remove {
    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        let target = target(&self.index)?;
        let platforms = self.platform.into_iter().map(Selector::Platform);
        let selectors: Vec<Selector> = platforms.chain(self.digest.into_iter().map(Selector::Digest)).collect();
        let dry_run = self.dry_run;
        let settle = self.settle.unwrap_or(RemoveOptions::default().settle);
        let options = RemoveOptions { if_match: self.if_match.map(IfMatch::Digest), dry_run, settle };
        let request = RemoveRequest { target: target.clone(), selectors };
        let files = self.files.begin(dry_run)?;
        let client = global.client(&Registries::written([&target]))?;
        let store = Store::new(client.clone());
        let document = |index| output::document("remove", json!({"dryRun": dry_run, "indexes": [index]}));
        let removing = assemble::remove(&store, &request, &options);
        let outcome = global.block_on(&client, removing);
        let outcome = outcome.map_err(|failure| {
            let document = document(failure.part_of_index(&target));
            failure.with_document(document)
        })?;
        let descriptor = &outcome.plan.descriptor;
        let document = document(output::index_json(&outcome));
        files.end(&document, Some(descriptor.digest.as_str()))?;
        let text = match (global.is_json(), dry_run) {
            (true, _) => pretty(&document),
            (false, true) => output::plan_text(&outcome),
            (false, false) => format!("Digest: {} {}\n", descriptor.digest, descriptor.size),
        };
        let would_change = self.exit_code && outcome.has_moved();
        Ok(Results { text, status: if would_change { ExitStatus::WouldChange } else { ExitStatus::Done } })
    }
}

fn target(text: &str) -> Result<Location, Failure> {
    let target: Location = text.parse().map_err(Failure::usage)?;
    match &target {
        Location::Layout(layout) if layout.archive => Err(Failure::usage(format!(
            "{target}: an archive is written anew, and not changed; copy it to a folder (oci:)"
        ))),
        _ if target.digest().is_some() => {
            Err(Failure::usage(format!("\"{text}\" has a digest, which no other index can have; name a tag")))
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
