use clap::{Args, Subcommand, ValueEnum};

use super::Global;
use super::batch::Batch;
use super::failure::Failure;
use super::specs::read_specs;
use crate::assemble::PushOptions;
use crate::image::{Digest, IndexKind};
use crate::registry::IfMatch;
use crate::spec::{self, TemplateRequest};

/// Assemble indexes from images in a registry and push them
#[derive(Debug, Args)]
pub(super) struct Push {
    /// Form of the index: Docker manifest list, or OCI image index
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value = "docker", global = true)]
    kind: Kind,
    /// Write tags that point at the index already
    #[arg(long, global = true)]
    force: bool,
    /// Write only over this: a digest that the target's tag must point at, or "none"; else exit code 3
    #[arg(long, global = true, value_name = "DIGEST|none", value_parser = if_match)]
    if_match: Option<IfMatch>,
    /// Return only when every tag reads back with the index's digest
    #[arg(long, global = true)]
    wait: bool,
    /// Show no progress on a terminal
    #[arg(long, global = true)]
    no_progress: bool,
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Docker,
    Oci,
}

#[derive(Debug, Subcommand)]
enum From {
    FromSpec(FromSpec),
    FromArgs(FromArgs),
}

/// Push the indexes that YAML files describe, one for each document
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool push --type oci from-spec app.yaml\n  manifest-tool push from-spec --fail-fast specs/ more.yaml"
)]
struct FromSpec {
    /// Files, folders with .yaml and .yml files in them; - reads standard input
    #[arg(required = true, value_name = "SPEC")]
    specs: Vec<String>,
    /// Leave out images that do not exist
    #[arg(long)]
    ignore_missing: bool,
    /// After an index that failed, do not begin with others
    #[arg(long)]
    fail_fast: bool,
}

/// Push an index of images whose references follow a pattern
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool push from-args --platforms linux/amd64,linux/arm/v7 \\\n      --template registry.example/app-ARCHVARIANT:v1 --target registry.example/app:v1 --tags v1.2,latest"
)]
struct FromArgs {
    /// Platforms, with commas between them
    #[arg(long, required = true, value_delimiter = ',', value_name = "OS/ARCH[/VARIANT]")]
    platforms: Vec<String>,
    /// Reference of the images; OS, ARCH and VARIANT in it stand for the platform's
    #[arg(long, value_name = "REF")]
    template: String,
    /// Reference of the index
    #[arg(long, value_name = "REF")]
    target: String,
    /// Further tags for the index, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "TAG")]
    tags: Vec<String>,
    /// Annotation of the index (OCI only); may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    /// Leave out images that do not exist
    #[arg(long)]
    ignore_missing: bool,
}

impl Push {
    pub(super) fn run(self, global: &Global) -> Result<String, Failure> {
        let kind = match self.kind {
            Kind::Docker => IndexKind::Docker,
            Kind::Oci => IndexKind::Oci,
        };
        if global.password_stdin
            && matches!(&self.from, From::FromSpec(from) if from.specs.iter().any(|path| path == "-"))
        {
            return Err(Failure::usage("standard input cannot hold both the spec and the password"));
        }
        let (specs, ignore_missing, fail_fast) = match self.from {
            From::FromSpec(from) => (read_specs(&from.specs, kind)?, from.ignore_missing, from.fail_fast),
            From::FromArgs(from) => {
                let request = TemplateRequest {
                    platforms: &from.platforms,
                    template: &from.template,
                    target: &from.target,
                    tags: &from.tags,
                    annotations: &from.annotations,
                    kind,
                };
                (vec![spec::from_template(&request)?], from.ignore_missing, false)
            }
        };
        if specs.len() > 1 && matches!(self.if_match, Some(IfMatch::Digest(_))) {
            return Err(Failure::usage("--if-match with a digest is for one index, and the specs hold several"));
        }
        let batch = Batch {
            options: PushOptions { ignore_missing, force: self.force, if_match: self.if_match, wait: self.wait },
            fail_fast,
            debug: global.debug,
            quiet: global.quiet,
            progress: !self.no_progress && !global.quiet,
        };
        batch.run(global, &specs)?;
        Ok(String::new())
    }
}

fn if_match(text: &str) -> Result<IfMatch, String> {
    match text {
        "none" => Ok(IfMatch::Nothing),
        digest => Digest::parse(digest).map(IfMatch::Digest).map_err(|error| format!("{error}; or none")),
    }
}
