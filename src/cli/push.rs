use std::time::Duration;

use clap::{Args, Subcommand};

use super::duration::duration;
use super::failure::Failure;
use super::from_args::FromArgs;
use super::output::CommandOutput;
use super::push_batch::PushBatch;
use super::result_files::OutputFiles;
use super::session::Session;
use super::specs::{SpecOptions, Variables, form, forms, read_specs};
use crate::assemble::PushOptions;
use crate::image::Digest;
use crate::spec::Spec;
use crate::store::IfMatch;

/// Assemble indexes from images in a registry and push them
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every push")]
#[command(
    after_help = "Example:\n  manifest-tool push --type oci from-spec app.yaml\n  manifest-tool push --dry-run from-args --platforms linux/amd64,linux/arm64 \\\n      --template registry.example/app:v1-ARCH --target registry.example/app:v1"
)]
pub(super) struct Push {
    /// Form of the index; auto is docker where every image is Docker's, else oci
    /// [default: the spec's; with --append the target's; else docker]
    #[arg(long = "type", value_name = "docker|oci|auto", global = true, value_parser = forms(), hide_possible_values = true)]
    form: Option<String>,
    /// Start from what the target holds: an image for the same platform is replaced, the others stay
    #[arg(long, global = true)]
    append: bool,
    /// Tell what would be done, and write nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// With --dry-run: exit code 4 when something would change
    #[arg(long, global = true)]
    exit_code: bool,
    /// Write tags even where they point at the index already
    #[arg(long, global = true)]
    force: bool,
    /// Write only over this: a digest that the target's tag must point at, or "none"; else exit code 3
    #[arg(long, global = true, value_name = "DIGEST|none", value_parser = if_match)]
    if_match: Option<IfMatch>,
    /// Return only when every tag reads back with the index's digest
    #[arg(long, global = true)]
    wait: bool,
    /// With --append: how long to wait before the tag is read back, to see whether others wrote over it
    /// [default: 1s]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    settle: Option<Duration>,
    /// Treat warnings as errors
    #[arg(long, global = true)]
    strict: bool,
    #[command(flatten)]
    files: OutputFiles,
    /// Show no progress on a terminal
    #[arg(long, global = true)]
    no_progress: bool,
    #[command(subcommand)]
    from: Option<Source>,
}

#[derive(Debug, Subcommand)]
enum Source {
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
    #[command(flatten)]
    variables: Variables,
    /// Leave out images that do not exist
    #[arg(long)]
    ignore_missing: bool,
    /// After an index that failed, do not begin with others
    #[arg(long)]
    fail_fast: bool,
}

/// The specs of a push, and what only one of its subcommands has.
struct SourceSpecs {
    specs: Vec<Spec>,
    ignore_missing: bool,
    fail_fast: bool,
}

impl Push {
    pub(super) fn run(mut self, session: &Session) -> Result<CommandOutput, Failure> {
        match self.from.take() {
            Some(source) => self.batch(source, session)?.run(session),
            None => Ok(CommandOutput::Help),
        }
    }

    /// Reads the specs, and checks them and the flags against each other.
    fn batch(self, source: Source, session: &Session) -> Result<PushBatch, Failure> {
        let SourceSpecs { specs, ignore_missing, fail_fast } = self.specs(source, session)?;
        self.check(&specs)?;
        let options = PushOptions {
            ignore_missing,
            force: self.force,
            if_match: self.if_match,
            wait: self.wait,
            strict: self.strict,
            dry_run: self.dry_run,
            settle: self.settle.unwrap_or(PushOptions::default().settle),
        };
        let (exit_code, shows_progress) = (self.exit_code, !self.no_progress);
        Ok(PushBatch { specs, options, files: self.files, fail_fast, exit_code, shows_progress })
    }

    fn specs(&self, source: Source, session: &Session) -> Result<SourceSpecs, Failure> {
        let (form, append, strict) = (form(self.form.as_deref())?, self.append, self.strict);
        match source {
            Source::FromSpec(from) => {
                if session.global.password_stdin && from.specs.iter().any(|path| path == "-") {
                    return Err(Failure::usage("standard input cannot hold both the spec and the password"));
                }
                let options = SpecOptions { form, append, strict, variables: from.variables };
                let specs = read_specs(&from.specs, &options, &session.console)?;
                Ok(SourceSpecs { specs, ignore_missing: from.ignore_missing, fail_fast: from.fail_fast })
            }
            Source::FromArgs(from) => {
                let specs = vec![from.spec(form, append, strict, &session.console)?];
                Ok(SourceSpecs { specs, ignore_missing: from.ignore_missing, fail_fast: false })
            }
        }
    }

    /// Refuses flags that do not go together, or not with these specs. clap cannot do this for a flag before the command
    /// and another one after it.
    fn check(&self, specs: &[Spec]) -> Result<(), Failure> {
        let appends = specs.iter().any(|spec| spec.append);
        let why = if specs.len() > 1 && matches!(self.if_match, Some(IfMatch::Digest(_))) {
            "--if-match with a digest is for one index, and the specs hold several"
        } else if self.exit_code && !self.dry_run {
            "--exit-code is for --dry-run"
        } else if self.force && appends {
            "--force and --append do not go together: what is appended to is compared"
        } else if self.settle.is_some() && !appends {
            "--settle is for --append: any other push replaces what the tag holds"
        } else if specs.len() > 1 && self.files.wants_digest() {
            "--digest-file is for one index, and the specs hold several"
        } else {
            return Ok(());
        };
        Err(Failure::usage(why))
    }
}

fn if_match(text: &str) -> Result<IfMatch, String> {
    match text {
        "none" => Ok(IfMatch::Nothing),
        digest => Digest::parse(digest).map(IfMatch::Digest).map_err(|error| format!("{error}; or none")),
    }
}
