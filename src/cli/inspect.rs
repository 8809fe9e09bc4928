use std::io::IsTerminal as _;
use std::time::SystemTime;

use clap::Args;

use super::credentials::Registries;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::platform_arg::platform;
use super::progress::Activity;
use super::references::{check_named, parse};
use super::render::{
    Body, Branches, Details, InspectionJson, Painter, Shown, TreeStyle, config_text, inspection_json, inspection_text,
    tree_text,
};
use super::session::Session;
use super::this_machine::this_machine;
use crate::image::{ConfigDetails, Location, Platform, UntrustedText, media_type};
use crate::inspect::{self, InspectOptions, Inspection, NodeKind, TreeNode, TreeOptions};
use crate::registry::Client;
use crate::store::{self, Store};

/// Show an image, or an index with all its images
#[derive(Debug, Args)]
#[command(
    after_help = "For an index without --platform, --config uses the platform of this machine. On\na terminal, it is shown as text; redirect it to get the stored bytes. --layers\nalso shows created dates and labels on a terminal.\n\n--tree shows the images of an index with their attestations, and what refers to\nthem: signatures, SBOMs and other artifacts, also those in cosign's tags.\n\nExample:\n  manifest-tool inspect registry.example/app:v1\n  manifest-tool inspect --tree registry.example/app:v1\n  manifest-tool inspect --config --platform linux/arm64 registry.example/app:v1"
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
    /// Print the image config; byte for byte if piped
    #[arg(long, conflicts_with_all = ["raw", "expand_config", "manifest"])]
    config: bool,
    /// Show layer sizes and their total
    #[arg(long, conflicts_with_all = ["raw", "manifest", "config"])]
    layers: bool,
    /// Show the annotations
    #[arg(long, conflicts_with_all = ["raw", "manifest", "config"])]
    annotations: bool,
    /// Show a tree with attestations and signatures
    #[arg(long, conflicts_with_all = ["raw", "expand_config", "manifest", "config", "layers", "annotations"])]
    tree: bool,
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
        if self.tree && is_json {
            let reason =
                "--tree conflicts with --output json, whose document of inspect lists referrers without --tree";
            return Err(Failure::usage(reason));
        }
        let location = parse(&self.image)?;
        // 2.2.1 exits with code 1 for a reference without a tag.
        check_named(&self.image, &location).map_err(|failure| failure.with_status(ExitStatus::Failed))?;
        let client = session.client(&Registries::read([&location]))?;
        if self.tree {
            return self.print_tree(session, &client, &location);
        }
        let now = std::io::stdout().is_terminal().then(SystemTime::now);
        if let Some(now) = now.filter(|_| self.config) {
            return self.config_text(session, &client, &location, now);
        }
        if self.manifest || self.config {
            return self.print_bytes(session, &client, &location);
        }
        let options = InspectOptions {
            platform: self.platform.clone(),
            child_configs: self.expand_config || is_json,
            referrers: is_json,
        };
        let store = Store::new(client.clone());
        let (inspection, details) = session.block_on(&client, self.activity(), async {
            let inspection = inspect::inspect(&store, &location, &options).await?;
            let details = match self.layers && !is_json && now.is_some() {
                true => inspect::config_details(&store, &location, &inspection).await?,
                false => Vec::new(),
            };
            Ok::<_, store::Error>((inspection, details))
        })?;
        self.output(session, &location, &inspection, &details, now)
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity::of_references("reading", std::slice::from_ref(&self.image)))
    }

    fn output(
        &self,
        session: &Session,
        location: &Location,
        inspection: &Inspection,
        details: &[Option<Details>],
        now: Option<SystemTime>,
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
        let shown = Shown { colour: console.colour(), layers: self.layers, annotations: self.annotations, now };
        Ok(inspection_text(&self.image, inspection, details, shown).into())
    }

    /// Prints a reference as a tree. Fails after printing it if a manifest below the reference cannot be read.
    fn print_tree(&self, session: &Session, client: &Client, at: &Location) -> Result<CommandOutput, Failure> {
        let (store, options) = (Store::new(client.clone()), TreeOptions { platform: self.platform.clone() });
        let root = session.block_on(client, self.activity(), inspect::tree(&store, at, &options))?;
        let style = TreeStyle {
            painter: Painter(session.console.colour()),
            branches: Branches::for_locale(locale().as_deref()),
            now: SystemTime::now(),
        };
        session.console.data(tree_text(&self.image, &root, style))?;
        match unread(&root).as_slice() {
            [] => Ok(String::new().into()),
            [only] => Err((*only).clone().into()),
            errors => {
                let lines: String = errors.iter().map(|error| format!("\n  {error}")).collect();
                let count = errors.len();
                Err(Failure::new(format!("{at}: {count} of its manifests and configs cannot be read{lines}")))
            }
        }
    }

    /// Returns the config of an image as text for a person; the config of an artifact as JSON.
    fn config_text(
        &self,
        session: &Session,
        client: &Client,
        at: &Location,
        now: SystemTime,
    ) -> Result<CommandOutput, Failure> {
        let (store, platform) = (Store::new(client.clone()), self.platform.as_ref());
        let (config, bytes) =
            session.block_on(client, self.activity(), inspect::config(&store, at, platform, &this_machine()))?;
        let invalid = |error: serde_json::Error| {
            let hint = "redirect the output to get the stored bytes";
            let kind = if media_type::is_config(&config.media_type) { "a valid image config" } else { "JSON" };
            let what = format!("{at}: its config is not {kind}: {}", UntrustedText::from(error.to_string()));
            Failure::new(what).with_hint(hint.into())
        };
        if media_type::is_config(&config.media_type) {
            let details = ConfigDetails::parse(&bytes).map_err(invalid)?;
            return Ok(config_text(&details, Painter(session.console.colour()), now).into());
        }
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(invalid)?;
        Ok(session.console.json(&value)?.into())
    }

    /// Prints the stored bytes of a manifest or config, without adding a line break.
    fn print_bytes(&self, session: &Session, client: &Client, at: &Location) -> Result<CommandOutput, Failure> {
        let (store, platform) = (Store::new(client.clone()), self.platform.as_ref());
        let bytes = session.block_on(client, self.activity(), async {
            match self.manifest {
                true => inspect::fetch(&store, at, platform).await.map(|fetched| fetched.bytes),
                false => inspect::config(&store, at, platform, &this_machine()).await.map(|(_, bytes)| bytes),
            }
        })?;
        session.console.bytes(&bytes)?;
        Ok(String::new().into())
    }
}

/// Returns why the manifests and configs below a reference could not be read. Referrers are not a part of it.
fn unread(root: &TreeNode) -> Vec<&store::Error> {
    let (mut errors, mut unvisited) = (Vec::new(), vec![root]);
    while let Some(node) = unvisited.pop() {
        let is_part = !matches!(node.kind, NodeKind::Referrer | NodeKind::CosignTag(_) | NodeKind::SignatureFile(..));
        errors.extend(node.error.as_ref().filter(|_| is_part));
        unvisited.extend(node.children.iter().rev());
    }
    errors
}

/// Returns the locale for characters, if one is set (POSIX, "Environment Variables").
fn locale() -> Option<String> {
    let variables = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
    variables.filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty())
}
