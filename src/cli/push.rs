use std::time::Duration;

use clap::{Args, Subcommand};

use super::console::Console;
use super::duration::duration;
use super::failure::Failure;
use super::from_args::FromArgs;
use super::from_images::FromImages;
use super::if_match::if_match;
use super::output::CommandOutput;
use super::push_batch::PushBatch;
use super::result_files::OutputFiles;
use super::run_report::ReportFlags;
use super::session::Session;
use super::shard::{Shard, shard};
use super::side_flags::SideFlags;
use super::specs::{SpecFlags, SpecOptions, Variables, form, forms, read_specs};
use crate::assemble::PushOptions;
use crate::spec::Spec;
use crate::store::IfMatch;

/// Assemble indexes from images in a registry and push them
#[derive(Debug, Args)]
#[command(next_help_heading = "Push options")]
#[command(
    after_help = "--type auto is docker if every image is Docker's, else oci. Without --type, the\nspec decides, or with --append the existing index; the default is docker, or\nauto for from-images.\n\nExample:\n  manifest-tool push --type oci from-spec app.yaml\n  manifest-tool push --dry-run from-args --platforms linux/amd64,linux/arm64 \\\n      --template registry.example/app:v1-ARCH --target registry.example/app:v1"
)]
pub(super) struct Push {
    /// Set the index type [default: see below]
    #[arg(long = "type", value_name = "docker|oci|auto", global = true, value_parser = forms(), hide_possible_values = true)]
    form: Option<String>,
    /// Add or replace platforms in the existing index
    #[arg(long, global = true)]
    append: bool,
    /// Show what would be written, without writing
    #[arg(long, global = true)]
    dry_run: bool,
    /// With --dry-run, exit with code 4 on changes
    #[arg(long, global = true)]
    exit_code: bool,
    /// Also write tags that already point at the index
    #[arg(long, global = true)]
    force: bool,
    /// Write only if the tag matches, else exit code 3
    #[arg(long, global = true, value_name = "DIGEST|none", value_parser = if_match)]
    if_match: Option<IfMatch>,
    /// Wait until every tag returns the new digest
    #[arg(long, global = true)]
    wait: bool,
    /// Move the tags of an index together if possible
    #[arg(long, global = true)]
    multi_tag: bool,
    /// Delay the check after --append [default: 1s]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    settle: Option<Duration>,
    /// Treat warnings as errors
    #[arg(long, global = true)]
    strict: bool,
    /// Add labels that all images share as annotations
    #[arg(long, global = true)]
    annotations_from_labels: bool,
    /// Also copy signatures, SBOMs, attestations
    #[arg(long, global = true)]
    referrers: bool,
    #[command(flatten)]
    files: OutputFiles,
    /// Hide the progress display
    #[arg(long, global = true)]
    no_progress: bool,
    #[command(flatten)]
    sides: SideFlags,
    #[command(subcommand)]
    from: Option<Source>,
}

#[derive(Debug, Subcommand)]
enum Source {
    #[command(name = "from-spec")]
    Spec(FromSpec),
    #[command(name = "from-args")]
    Args(FromArgs),
    #[command(name = "from-images")]
    Images(FromImages),
}

/// Push the indexes that YAML files describe, one per document
#[derive(Debug, Args)]
#[command(
    after_help = "--type auto is docker if every image is Docker's, else oci. Without --type, the\nspec decides, or with --append the existing index; the default is docker.\n\nExample:\n  manifest-tool push --type oci from-spec app.yaml\n  manifest-tool push from-spec --fail-fast specs/ more.yaml"
)]
struct FromSpec {
    /// Files, folders of .yaml/.yml files, or - for stdin (at most 16 MiB)
    #[arg(required = true, value_name = "SPEC")]
    specs: Vec<String>,
    #[command(flatten)]
    variables: Variables,
    /// Skip images that do not exist
    #[arg(long)]
    ignore_missing: bool,
    /// Start no further indexes after one has failed
    #[arg(long)]
    fail_fast: bool,
    /// Push only this part of the indexes, e.g. 2/5
    #[arg(long, value_name = "PART/PARTS", value_parser = shard)]
    shard: Option<Shard>,
    #[command(flatten)]
    report: ReportFlags,
}

/// The specs of a push, and the flags that only its subcommands have.
#[derive(Default)]
struct SourceSpecs {
    specs: Vec<Spec>,
    ignore_missing: bool,
    fail_fast: bool,
    shard: Option<Shard>,
    report: ReportFlags,
}

impl Push {
    pub(super) fn run(mut self, session: &Session) -> Result<CommandOutput, Failure> {
        match self.from.take() {
            Some(source) => self.batch(source, session)?.run(session),
            None => Ok(CommandOutput::Help),
        }
    }

    /// Reads the specs, and checks that they and the flags are consistent.
    fn batch(self, source: Source, session: &Session) -> Result<PushBatch, Failure> {
        let SourceSpecs { specs, ignore_missing, fail_fast, shard, report } = self.specs(source, session)?;
        self.check(&specs)?;
        let (finished, report) = report.open(self.dry_run)?;
        let total = specs.len();
        let specs = match shard {
            Some(shard) => part(specs, shard, &session.console),
            None => specs,
        };
        let options = PushOptions {
            ignore_missing,
            force: self.force,
            if_match: self.if_match,
            wait: self.wait,
            multi_tag: self.multi_tag,
            strict: self.strict,
            referrers: self.referrers,
            dry_run: self.dry_run,
            settle: self.settle.unwrap_or(PushOptions::default().settle),
        };
        let (exit_code, shows_progress) = (self.exit_code, !self.no_progress);
        let (files, sides) = (self.files, self.sides);
        Ok(PushBatch { specs, total, options, files, sides, report, finished, fail_fast, exit_code, shows_progress })
    }

    /// Whether standard input provides a password.
    fn reads_password(&self, session: &Session) -> bool {
        session.global.password_stdin || self.sides.use_stdin()
    }

    fn specs(&self, source: Source, session: &Session) -> Result<SourceSpecs, Failure> {
        let flags = SpecFlags {
            form: form(self.form.as_deref())?,
            append: self.append,
            strict: self.strict,
            annotations_from_labels: self.annotations_from_labels,
        };
        match source {
            Source::Spec(from) => {
                if self.reads_password(session) && from.specs.iter().any(|path| path == "-") {
                    return Err(Failure::usage("standard input cannot provide both the spec and the password"));
                }
                let options = SpecOptions { flags, variables: from.variables };
                let specs = read_specs(&from.specs, &options, &session.console)?;
                let FromSpec { ignore_missing, fail_fast, shard, report, .. } = from;
                Ok(SourceSpecs { specs, ignore_missing, fail_fast, shard, report })
            }
            Source::Args(from) => {
                let specs = vec![from.spec(&flags, &session.console)?];
                Ok(SourceSpecs { specs, ignore_missing: from.ignore_missing, ..SourceSpecs::default() })
            }
            Source::Images(from) => {
                let specs = vec![from.spec(&flags, self.reads_password(session), session)?];
                Ok(SourceSpecs { specs, ignore_missing: from.ignore_missing, ..SourceSpecs::default() })
            }
        }
    }

    /// Refuses flags that conflict with each other or with the specs. clap cannot check this if one flag precedes the
    /// command and another follows it.
    fn check(&self, specs: &[Spec]) -> Result<(), Failure> {
        let appends = specs.iter().any(|spec| spec.append);
        let has_targets = specs.iter().any(|spec| !spec.more_targets.is_empty());
        let why = if specs.len() > 1 && matches!(self.if_match, Some(IfMatch::Digest(_))) {
            "--if-match with a digest needs a single index, but the specs describe several"
        } else if has_targets && matches!(self.if_match, Some(IfMatch::Digest(_))) {
            "--if-match with a digest needs a single target; use --if-match none for several"
        } else if self.exit_code && !self.dry_run {
            "--exit-code requires --dry-run"
        } else if self.force && appends {
            "--force and --append cannot be combined: --append compares the new index with the existing one"
        } else if self.settle.is_some() && !appends {
            "--settle requires --append: any other push replaces the existing index"
        } else if specs.len() > 1 && self.files.wants_digest() {
            "--digest-file needs a single index, but the specs describe several"
        } else if has_targets && appends && self.files.wants_digest() {
            "--digest-file needs a single target with --append, because the indexes may differ"
        } else {
            return Ok(());
        };
        Err(Failure::usage(why))
    }
}

/// Returns the indexes of a part, and says how many there are.
fn part(mut specs: Vec<Spec>, shard: Shard, console: &Console) -> Vec<Spec> {
    let total = specs.len();
    specs.retain(|spec| shard.has_target(&spec.target.location));
    console.info(format_args!("{shard}: {} of {total} indexes", specs.len()));
    specs
}
