use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::results::{Results, pretty};
use super::talk::say;
use super::{Global, print};
use crate::event::Event;
use crate::image::Reference;
use crate::output;
use crate::probe::{self, ProbeOptions};
use crate::store::Store;

/// Find out what a registry does with images for several platforms, by trying
#[derive(Debug, Args)]
#[command(
    after_help = "New images are made of the layers of those given, and put into indexes of every kind under tags\nof their own, probe-...; afterwards they are deleted where the registry does that. Exit code 1 when\nthe registry lacks anything that manifest-tool needs.\n\nExample:\n  manifest-tool probe registry.example/trial:amd64 registry.example/trial:arm64"
)]
pub(super) struct Probe {
    /// Images for different platforms, in the repository that is tried
    #[arg(required = true, num_args = 2.., value_name = "IMAGE")]
    images: Vec<String>,
    /// Use no other repository, as where an account has one alone
    #[arg(long)]
    one_repository: bool,
    /// Leave what was pushed
    #[arg(long)]
    keep: bool,
}

impl Probe {
    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        let images: Vec<Reference> = self.images.iter().map(|image| reference(image)).collect::<Result<_, _>>()?;
        let Some(repository) = images.first().map(Reference::without_name) else { return Ok(String::new().into()) };
        if !images.iter().all(|image| image.same_repository(&repository)) {
            return Err(Failure::usage("the images are not all in one repository, which is the one that is tried"));
        }
        let locations: Vec<_> = images.iter().cloned().map(Into::into).collect();
        let (unprinted, is_json) = (Arc::new(Mutex::new(Ok(()))), global.is_json());
        let printed = Arc::clone(&unprinted);
        let print_check = move |event: &Event| {
            let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Event::Checked(check), false, true) = (event, is_json, printed.is_ok()) {
                *printed = print(output::check_text(check));
            }
        };
        let client = global.client_reporting(global.credentials(&Registries::written(&locations))?, print_check);
        let store = Store::new(client.clone());
        let options = ProbeOptions { one_repository: self.one_repository, keep: self.keep };
        let report = global.block_on(&client, probe::probe(&store, &images, &options));
        let left = format!("in {repository}, under tags that begin with probe-");
        if report.is_err() && client.stop().raised().is_some() {
            say(format_args!("what was pushed is left {left}"));
        }
        let report = report?;
        std::mem::replace(&mut *unprinted.lock().unwrap_or_else(PoisonError::into_inner), Ok(()))?;
        if !report.left.is_empty() {
            let count = report.left.len();
            say(format_args!("{count} manifests of this trial are left {left}"));
        }
        let parts = output::report_json(&repository.to_string(), &report);
        let text = if global.is_json() { pretty(&output::document("probe", parts)) } else { String::new() };
        if !report.is_enough() {
            say(format_args!("{repository}: this registry lacks something that manifest-tool needs"));
        }
        Ok(Results { text, status: if report.is_enough() { ExitStatus::Done } else { ExitStatus::Failed } })
    }
}

fn reference(text: &str) -> Result<Reference, Failure> {
    let reference: Reference = text.parse().map_err(|error| Failure::usage(format!("{error}")))?;
    match reference.manifest_name() {
        Some(_) => Ok(reference),
        None => Err(Failure::usage(format!("\"{text}\" has no tag or digest"))),
    }
}
