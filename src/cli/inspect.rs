use clap::Args;

use super::credentials::Registries;
use super::failure::Failure;
use super::results::{Results, pretty};
use super::several::location;
use super::{Global, colour, print_bytes};
use crate::image::{Location, Platform};
use crate::inspect::{self, InspectOptions};
use crate::output;
use crate::registry::Client;
use crate::store::Store;

/// Show what a reference points at: an image, or an index with all its images
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool inspect registry.example/app:v1\n  manifest-tool inspect --config --platform linux/arm64 registry.example/app:v1"
)]
pub(super) struct Inspect {
    /// Image or index, with a tag or a digest
    image: String,
    /// Print JSON
    #[arg(long)]
    raw: bool,
    /// Put the image's config into the JSON, in place of its descriptor
    #[arg(long)]
    expand_config: bool,
    /// The image of this platform alone, out of an index
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Print the manifest, byte for byte
    #[arg(long, conflicts_with_all = ["raw", "expand_config"])]
    manifest: bool,
    /// Print the image's config, byte for byte; of an index, that for --platform, or else for this machine's
    #[arg(long, conflicts_with_all = ["raw", "expand_config", "manifest"])]
    config: bool,
    /// Show how large layers are, and all of them together
    #[arg(long, conflicts_with_all = ["raw", "manifest", "config"])]
    layers: bool,
    /// Show the annotations of the index and its entries, or of the image
    #[arg(long, conflicts_with_all = ["raw", "manifest", "config"])]
    annotations: bool,
}

impl Inspect {
    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        if self.expand_config && !self.raw {
            return Err(Failure::new("--expand-config only goes with --raw"));
        }
        let forms = [("--raw", self.raw), ("--manifest", self.manifest), ("--config", self.config)];
        if let Some((form, _)) = forms.iter().find(|(_, wanted)| *wanted && global.is_json()) {
            return Err(Failure::usage(format!("{form} is another form of JSON than --output json; use one of them")));
        }
        let location = location(&self.image)?;
        let client = global.client(&Registries::read([&location]))?;
        if self.manifest || self.config {
            return self.print_bytes(global, &client, &location);
        }
        let options = InspectOptions {
            platform: self.platform.clone(),
            child_configs: self.expand_config || global.is_json(),
            referrers: global.is_json(),
        };
        let store = Store::new(client.clone());
        let inspection = global.block_on(&client, inspect::inspect(&store, &location, &options))?;
        if self.raw {
            let json = output::inspection_json(&self.image, &inspection, self.expand_config);
            let json = json.map_err(|error| Failure::new(format!("{location}: not a valid manifest: {error}")))?;
            return Ok((json + "\n").into());
        }
        if global.is_json() {
            let parts = output::inspection_parts(&self.image, &inspection);
            return Ok(pretty(&output::document("inspect", parts)).into());
        }
        let shown = output::Shown { colour: colour(), layers: self.layers, annotations: self.annotations };
        Ok(output::inspection_text(&self.image, &inspection, shown).into())
    }

    /// A manifest or config as it is stored, without so much as the end of a line.
    fn print_bytes(&self, global: &Global, client: &Client, at: &Location) -> Result<Results, Failure> {
        let (store, platform) = (Store::new(client.clone()), self.platform.as_ref());
        let bytes = global.block_on(client, async {
            match self.manifest {
                true => inspect::fetch(&store, at, platform).await.map(|fetched| fetched.bytes),
                false => inspect::config(&store, at, platform, &this_machine()).await,
            }
        })?;
        print_bytes(&bytes)?;
        Ok(String::new().into())
    }
}

/// What containers run on here: on a Mac, too, they are Linux's.
fn this_machine() -> Platform {
    let os = match std::env::consts::OS {
        "macos" => "linux",
        os => os,
    };
    // Rust's names on the left, Go's on the right.
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        "mips64" if cfg!(target_endian = "little") => "mips64le",
        "mips" if cfg!(target_endian = "little") => "mipsle",
        architecture => architecture,
    };
    Platform { os: os.into(), architecture: architecture.into(), ..Platform::default() }
}
