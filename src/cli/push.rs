use std::io::Read as _;

use clap::{Args, Subcommand, ValueEnum};

use super::failure::Failure;
use super::{Global, block_on};
use crate::assemble::{self, Event};
use crate::image::IndexKind;
use crate::spec::{self, Spec, TemplateRequest};

/// Assemble an index from images in a registry and push it
#[derive(Debug, Args)]
pub(super) struct Push {
    /// Form of the index: Docker manifest list, or OCI image index
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value = "docker", global = true)]
    kind: Kind,
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

/// Push the index that a YAML file describes
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  manifest-tool push --type oci from-spec app.yaml")]
struct FromSpec {
    /// The file; - reads standard input
    spec: String,
    /// Leave out images that do not exist
    #[arg(long)]
    ignore_missing: bool,
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

/// A spec longer than this is not read: an index may not be larger than 4 MiB.
const MAX_SPEC: u64 = 8 << 20;

impl Push {
    pub(super) fn run(self, global: &Global) -> Result<String, Failure> {
        let kind = match self.kind {
            Kind::Docker => IndexKind::Docker,
            Kind::Oci => IndexKind::Oci,
        };
        if global.password_stdin && matches!(&self.from, From::FromSpec(from) if from.spec == "-") {
            return Err(Failure::usage("standard input cannot hold both the spec and the password"));
        }
        let (spec, ignore_missing) = match self.from {
            From::FromSpec(from) => (read_spec(&from.spec, kind)?, from.ignore_missing),
            From::FromArgs(from) => {
                let request = TemplateRequest {
                    platforms: &from.platforms,
                    template: &from.template,
                    target: &from.target,
                    tags: &from.tags,
                    annotations: &from.annotations,
                    kind,
                };
                (spec::from_template(&request)?, from.ignore_missing)
            }
        };
        let client = global.client(spec.target.registry())?;
        let debug = global.debug;
        let reporter = move |event: Event| report(&event, debug);
        let report = block_on(assemble::push(&client, &spec, ignore_missing, &reporter))??;
        Ok(format!("Digest: {} {}\n", report.descriptor.digest, report.descriptor.size))
    }
}

fn read_spec(path: &str, kind: IndexKind) -> Result<Spec, Failure> {
    let (name, opened): (&str, std::io::Result<Box<dyn std::io::Read>>) = if path == "-" {
        ("<stdin>", Ok(Box::new(std::io::stdin().lock())))
    } else {
        (path, std::fs::File::open(path).map(|file| Box::new(file) as Box<dyn std::io::Read>))
    };
    let failed = |error: std::io::Error| Failure::new(format!("cannot read {name}: {error}"));
    let mut bytes = Vec::new();
    opened.map_err(failed)?.take(MAX_SPEC + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_SPEC {
        return Err(Failure::new(format!("{name} is longer than {MAX_SPEC} bytes, no spec is")));
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::new(format!("{name} is not UTF-8 text")))?;
    Ok(spec::from_yaml(&text, name, kind)?)
}

fn report(event: &Event, debug: bool) {
    match event {
        Event::SkippedMissing { .. } => eprintln!("warning: {event}"),
        event if debug => eprintln!("debug: {event}"),
        _ => {}
    }
}
