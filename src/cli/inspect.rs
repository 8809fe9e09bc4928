use clap::Args;

use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::platform_arg::platform;
use super::progress::Activity;
use super::references::location;
use super::render::{Body, InspectionJson, Shown, inspection_json, inspection_text};
use super::session::Session;
use crate::image::{Location, Platform};
use crate::inspect::{self, InspectOptions, Inspection};
use crate::registry::Client;
use crate::store::Store;

/// Show an image, or an index with all its images
#[derive(Debug, Args)]
#[command(
    after_help = "For an index without --platform, --config uses the platform of this machine.\n\nExample:\n  manifest-tool inspect registry.example/app:v1\n  manifest-tool inspect --config --platform linux/arm64 registry.example/app:v1"
)]
pub(super) struct Inspect {
    /// Image or index, with a tag or digest
    image: String,
    /// Print JSON as manifest-tool 2.2.1 does
    #[arg(long)]
    raw: bool,
    /// With --raw, inline the image configs
    #[arg(long)]
    expand_config: bool,
    /// Show only the image for this platform
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform(), hide_possible_values = true)]
    platform: Option<Platform>,
    /// Print the manifest byte for byte
    #[arg(long, conflicts_with_all = ["raw", "expand_config"])]
    manifest: bool,
    /// Print the image config byte for byte
    #[arg(long, conflicts_with_all = ["raw", "expand_config", "manifest"])]
    config: bool,
    /// Show layer sizes and their total
    #[arg(long, conflicts_with_all = ["raw", "manifest", "config"])]
    layers: bool,
    /// Show the annotations
    #[arg(long, conflicts_with_all = ["raw", "manifest", "config"])]
    annotations: bool,
}

impl Inspect {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let is_json = session.console.is_json();
        if self.expand_config && !self.raw {
            return Err(Failure::new("--expand-config only goes with --raw"));
        }
        let flags = [("--raw", self.raw), ("--manifest", self.manifest), ("--config", self.config)];
        if let Some((flag, _)) = flags.iter().find(|(_, is_set)| *is_set && is_json) {
            return Err(Failure::usage(format!("{flag} conflicts with --output json; use one of them")));
        }
        let location = location(&self.image)?;
        let client = session.client(&Registries::read([&location]))?;
        if self.manifest || self.config {
            return self.print_bytes(session, &client, &location);
        }
        let options = InspectOptions {
            platform: self.platform.clone(),
            child_configs: self.expand_config || is_json,
            referrers: is_json,
        };
        let store = Store::new(client.clone());
        let inspection = session.block_on(&client, self.activity(), inspect::inspect(&store, &location, &options))?;
        self.output(session, &location, &inspection)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::of_references("reading", std::slice::from_ref(&self.image)))
    }

    fn output(
        &self,
        session: &Session,
        location: &Location,
        inspection: &Inspection,
    ) -> Result<CommandOutput, Failure> {
        let console = &session.console;
        if self.raw {
            let json = inspection_json(&self.image, inspection, self.expand_config);
            let json = json.map_err(|error| Failure::new(format!("{location}: not a valid manifest: {error}")))?;
            return Ok((json + "\n").into());
        }
        if console.is_json() {
            let body = Body::Inspect(Box::new(InspectionJson::new(&self.image, inspection)));
            return CommandOutput::document(console, body, Ok(ExitStatus::Done));
        }
        let shown = Shown { colour: console.colour(), layers: self.layers, annotations: self.annotations };
        Ok(inspection_text(&self.image, inspection, shown).into())
    }

    /// Prints the stored bytes of a manifest or config, without adding a line break.
    fn print_bytes(&self, session: &Session, client: &Client, at: &Location) -> Result<CommandOutput, Failure> {
        let (store, platform) = (Store::new(client.clone()), self.platform.as_ref());
        let bytes = session.block_on(client, self.activity(), async {
            match self.manifest {
                true => inspect::fetch(&store, at, platform).await.map(|fetched| fetched.bytes),
                false => inspect::config(&store, at, platform, &this_machine()).await,
            }
        })?;
        session.console.bytes(&bytes)?;
        Ok(String::new().into())
    }
}

/// Returns the platform of containers on this machine. On macOS that is Linux.
fn this_machine() -> Platform {
    let os = match std::env::consts::OS {
        "macos" => "linux",
        os => os,
    };
    // Translate Rust's names (left) to Go's (right).
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
