use clap::Args;
use serde_json::json;

use super::credentials::Registries;
use super::documents::Documents;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::results::{Results, pretty};
use super::several::{locations, look_at_all};
use super::{Global, print_for_reader, talk};
use crate::image::Location;
use crate::store::Store;
use crate::verify::VerifyOptions;
use crate::{output, verify};

/// Check that images and indexes are sound: all of it is there, and is what it is said to be
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 5 when something is wrong; all of it is told of.\n\nExample:\n  manifest-tool verify registry.example/app:v1\n  manifest-tool verify --layers oci-archive:app.tar"
)]
pub(super) struct Verify {
    /// Images or indexes, with a tag or a digest
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Read every layer, and compare it with its digest, as it is stored and unpacked
    #[arg(long)]
    layers: bool,
    /// Show no progress on a terminal
    #[arg(long)]
    no_progress: bool,
}

impl Verify {
    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        let locations = locations(&self.images)?;
        let client = global.client(&Registries::read(locations.iter().map(|(_, location)| location)))?;
        let store = Store::new(client.clone());
        let (mut documents, mut is_unsound, mut unchecked) = (Documents::default(), false, Vec::new());
        let options = VerifyOptions { layers: self.layers };
        let look = async |store: &Store, at: &Location| {
            let found = verify::verify(store, at, &options).await;
            let traffic = store.client().traffic();
            talk::done(traffic.requests, traffic.retries);
            found
        };
        let looking = look_at_all(&store, &locations, look, |name, found| match found {
            Ok(found) => {
                is_unsound |= !found.findings.is_empty();
                unchecked.extend(Failure::unchecked(name, &found.unchecked));
                if !global.is_json() {
                    return print_for_reader(output::verification_text(name, &found));
                }
                documents.push(output::verification_json(name, &found))
            }
            Err(failure) => documents.push(failure.part(name)),
        });
        let shown = (self.layers && !self.no_progress && !global.quiet).then_some((locations.len(), "images"));
        let looked = global.block_on(&client, talk::with_progress(shown, looking));
        // Told of whatever became of the others; and who was stopped while waiting for another try was stopped.
        let unchecked = Failure::all(unchecked, "cannot be checked wholly", locations.len())
            .map_err(|failure| failure.stopped(client.stop().raised()));
        let looked = match (looked, unchecked) {
            (Err(failure), Err(unchecked)) => {
                talk::say(&unchecked);
                Err(failure)
            }
            (looked, unchecked) => looked.and(unchecked),
        };
        let document = documents.into_document("verify", json!({}), "images");
        let text = if global.is_json() { pretty(&document) } else { String::new() };
        match looked {
            Ok(()) => Ok(Results { text, status: if is_unsound { ExitStatus::Unsound } else { ExitStatus::Done } }),
            // That is known, whatever else there is to know.
            Err(failure) if is_unsound && failure.status() == ExitStatus::Failed => {
                Err(failure.with_status(ExitStatus::Unsound).with_document(document))
            }
            Err(failure) => Err(failure.with_document(document)),
        }
    }
}
