use clap::Args;

use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::progress::Activity;
use super::render::{Body, CheckJson};
use super::session::Session;
use crate::image::{Location, Reference};
use crate::probe::{self, ProbeOptions, ProbeReport};
use crate::store::Store;

/// Test which features of multi-platform images a registry supports
#[derive(Debug, Args)]
#[command(
    after_help = "Pushes trial images, made of the given images' layers, and indexes of every kind\nto tags that begin with probe-. Deletes them afterwards if the registry supports\nthat. Exits with code 1 if the registry lacks a feature that manifest-tool\nneeds.\n\nExample:\n  manifest-tool probe registry.example/trial:amd64 registry.example/trial:arm64"
)]
pub(super) struct Probe {
    /// Images for different platforms in the repository to test
    #[arg(required = true, num_args = 2.., value_name = "IMAGE")]
    images: Vec<String>,
    /// Use no second repository, for accounts limited to one
    #[arg(long)]
    one_repository: bool,
    /// Keep the trial images
    #[arg(long)]
    keep: bool,
}

impl Probe {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let images: Vec<Reference> = self.images.iter().map(|image| reference(image)).collect::<Result<_, _>>()?;
        let Some(repository) = images.first().map(Reference::without_name) else { return Ok(String::new().into()) };
        if !images.iter().all(|image| image.same_repository(&repository)) {
            return Err(Failure::usage("the images must all be in one repository, the one to test"));
        }
        let locations: Vec<Location> = images.iter().cloned().map(Into::into).collect();
        let client = session.client(&Registries::written(&locations))?;
        let store = Store::new(client.clone());
        let options = ProbeOptions { one_repository: self.one_repository, keep: self.keep };
        // The console prints each check as soon as it is done.
        let activity = Some(Activity::new("testing", &repository, "images"));
        let report = session.block_on(&client, activity, probe::probe(&store, &images, &options));
        if report.is_err() && client.cancel_token().reason().is_some() {
            session.console.line(format_args!("the trial images remain {}", place_of_trial(&repository)));
        }
        let report = report?;
        session.console.check_printed()?;
        output(session, &repository, report)
    }
}

fn output(session: &Session, repository: &Reference, report: ProbeReport) -> Result<CommandOutput, Failure> {
    let console = &session.console;
    if !report.leftover.is_empty() {
        let (count, place) = (report.leftover.len(), place_of_trial(repository));
        console.line(format_args!("{count} manifests of this trial remain {place}"));
    }
    let sufficient = report.is_sufficient();
    if !sufficient {
        console.line(format_args!("{repository}: this registry lacks a feature that manifest-tool needs"));
    }
    let checks = report.checks.iter().map(CheckJson::from).collect();
    let body = Body::Probe { repository: repository.to_string(), sufficient, checks, leftover: report.leftover };
    CommandOutput::document(console, body, Ok(if sufficient { ExitStatus::Done } else { ExitStatus::Failed }))
}

fn place_of_trial(repository: &Reference) -> String {
    format!("in {repository}, at tags that begin with probe-")
}

fn reference(text: &str) -> Result<Reference, Failure> {
    let reference: Reference = text.parse().map_err(|error| Failure::usage(format!("{error}")))?;
    match reference.manifest_name() {
        Some(_) => Ok(reference),
        None => Err(Failure::usage(format!("\"{text}\" has no tag or digest"))),
    }
}
