use clap::Args;

use super::failure::Failure;
use super::results::pretty;
use super::{Global, colour};
use crate::image::Location;
use crate::store::Store;
use crate::{inspect, output};

/// Show what a reference points at: an image, or an index with all its images
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  manifest-tool inspect registry.example/app:v1")]
pub(super) struct Inspect {
    /// Image or index, with a tag or a digest
    image: String,
    /// Print JSON
    #[arg(long)]
    raw: bool,
    /// Put the image's config into the JSON, in place of its descriptor
    #[arg(long)]
    expand_config: bool,
}

impl Inspect {
    pub(super) fn run(self, global: &Global) -> Result<String, Failure> {
        if self.expand_config && !self.raw {
            return Err(Failure::new("--expand-config only goes with --raw"));
        }
        if self.raw && global.is_json() {
            return Err(Failure::usage("--raw is another form of JSON than --output json; use one of them"));
        }
        let location: Location = self.image.parse().map_err(|error| Failure::new(format!("{error}")))?;
        if location.reference().is_some_and(|reference| reference.manifest_name().is_none()) {
            let image = &self.image;
            return Err(Failure::new(format!(
                "\"{image}\" has no tag or digest; manifest-tool does not default to \"latest\""
            )));
        }
        let client = global.client(std::iter::once(&location))?;
        let store = Store::new(&client);
        let inspection = global.block_on(&client, inspect::inspect(&store, &location, self.expand_config))?;
        if self.raw {
            let json = output::inspection_json(&self.image, &inspection, self.expand_config);
            let json = json.map_err(|error| Failure::new(format!("{location}: not a valid manifest: {error}")))?;
            return Ok(json + "\n");
        }
        if global.is_json() {
            return Ok(pretty(&output::document("inspect", output::inspection_parts(&self.image, &inspection))));
        }
        Ok(output::inspection_text(&self.image, &inspection, colour()))
    }
}
