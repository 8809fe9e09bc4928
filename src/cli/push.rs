use std::time::Duration;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Subcommand};

use super::Global;
use super::batch::Batch;
use super::duration::duration;
use super::failure::Failure;
use super::results::{Files, Results};
use super::specs::{Given, Variables, form, forms, read_specs, warn};
use crate::assemble::PushOptions;
use crate::image::Digest;
use crate::spec::{self, Form, Problem, Spec, SpecError, TemplateRequest};
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
    files: Files,
    /// Show no progress on a terminal
    #[arg(long, global = true)]
    no_progress: bool,
    #[command(subcommand)]
    from: Option<From>,
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
    #[command(flatten)]
    variables: Variables,
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
    /// Reference of the index; of several the last one counts
    #[arg(long, required = true, value_name = "REF")]
    target: Vec<String>,
    /// Further tags for the index, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "TAG")]
    tags: Vec<String>,
    /// Annotation of the index (OCI only); may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    /// Annotation of the entry of a platform; may be given several times
    #[arg(long, value_name = "PLATFORM:KEY=VALUE")]
    annotation_platform: Vec<String>,
    /// Leave out images that do not exist
    #[arg(long)]
    ignore_missing: bool,
    /// Words after the flags, which are ignored as in 2.2.1
    #[arg(hide = true, value_name = "ARGUMENT", value_parser = ignored_argument)]
    words: Vec<String>,
}

impl Push {
    /// Whether the command line says what to push.
    pub(super) fn has_source(&self) -> bool {
        self.from.is_some()
    }

    pub(super) fn run(self, global: &Global) -> Result<Results, Failure> {
        let form = form(self.form.as_deref())?;
        let append = self.append;
        if global.password_stdin
            && matches!(&self.from, Some(From::FromSpec(from)) if from.specs.iter().any(|path| path == "-"))
        {
            return Err(Failure::usage("standard input cannot hold both the spec and the password"));
        }
        let (specs, ignore_missing, fail_fast) = match self.from {
            None => return Err(Failure::usage("push needs from-spec or from-args")),
            Some(From::FromSpec(from)) => {
                let given = Given { form, append, strict: self.strict, variables: from.variables };
                (read_specs(&from.specs, &given, global.quiet)?, from.ignore_missing, from.fail_fast)
            }
            Some(From::FromArgs(from)) => {
                let ignore_missing = from.ignore_missing;
                (vec![from.spec(form, append, self.strict, global.quiet)?], ignore_missing, false)
            }
        };
        if specs.len() > 1 && matches!(self.if_match, Some(IfMatch::Digest(_))) {
            return Err(Failure::usage("--if-match with a digest is for one index, and the specs hold several"));
        }
        // Not for clap, which does not see that a flag stands before the command and another after it.
        if self.exit_code && !self.dry_run {
            return Err(Failure::usage("--exit-code is for --dry-run"));
        }
        if self.force && specs.iter().any(|spec| spec.append) {
            return Err(Failure::usage("--force and --append do not go together: what is appended to is compared"));
        }
        if self.settle.is_some() && !specs.iter().any(|spec| spec.append) {
            return Err(Failure::usage("--settle is for --append: any other push replaces what the tag holds"));
        }
        let options = PushOptions {
            ignore_missing,
            force: self.force,
            if_match: self.if_match,
            wait: self.wait,
            strict: self.strict,
            dry_run: self.dry_run,
            settle: self.settle.unwrap_or(PushOptions::default().settle),
        };
        let progress = !self.no_progress && !global.quiet;
        let batch = Batch { options, global, files: &self.files, fail_fast, exit_code: self.exit_code, progress };
        batch.run(&specs)
    }
}

impl FromArgs {
    /// The spec that the arguments describe.
    fn spec(&self, form: Option<Form>, append: bool, strict: bool, quiet: bool) -> Result<Spec, Failure> {
        let request = TemplateRequest {
            platforms: &self.platforms,
            template: &self.template,
            target: self.target.last().map_or("", String::as_str),
            tags: &self.tags,
            annotations: &self.annotations,
            entry_annotations: &self.annotation_platform,
            form,
            append,
            strict,
        };
        let mistakes = self.mistakes().map(Problem::of_arguments);
        match spec::from_template(&request) {
            Ok(_) if strict && mistakes.clone().next().is_some() => Err(SpecError::new(mistakes.collect()).into()),
            Ok(mut spec) => {
                spec.warnings.splice(0..0, mistakes);
                Ok(spec)
            }
            Err(mut error) => {
                if strict {
                    error.problems.extend(mistakes);
                } else if !quiet {
                    error.warnings.splice(0..0, mistakes);
                    warn(error.warnings.iter());
                }
                Err(error.into())
            }
        }
    }

    /// What 2.2.1 ignores without a word.
    fn mistakes(&self) -> impl Iterator<Item = String> + Clone {
        let target = match self.target.as_slice() {
            [.., _, last] => {
                Some(format!("--target is given {} times; only the last one counts: {last}", self.target.len()))
            }
            _ => None,
        };
        // The arguments themselves are not shown: one may be a password in the wrong place.
        let words = match self.words.len() {
            0 => None,
            1 => Some("one more argument is ignored: from-args takes only flags".to_owned()),
            count => Some(format!("{count} more arguments are ignored: from-args takes only flags")),
        };
        target.into_iter().chain(words)
    }
}

/// Reads an argument that is ignored. One that begins with a dash of any kind is a flag whose dashes a word processor
/// replaced.
fn ignored_argument(text: &str) -> Result<String, &'static str> {
    match text.starts_with(['-', '\u{2010}', '\u{2013}', '\u{2014}', '\u{2212}']) {
        true => Err("unexpected argument"),
        false => Ok(text.to_owned()),
    }
}

/// Refuses an argument of `from-args` before one of its flags, such as the second of two platforms with a blank between
/// them. 2.2.1 reads no flag after such an argument, and fails; ignored here, it would leave an image out.
///
/// # Errors
/// The message for the user.
pub(super) fn check_order(matches: &ArgMatches) -> Result<(), &'static str> {
    let from_args = matches.subcommand_matches("push").and_then(|push| push.subcommand_matches("from-args"));
    let Some((given, word)) = from_args.and_then(|given| Some((given, given.indices_of("words")?.min()?))) else {
        return Ok(());
    };
    let flags = ["platforms", "template", "target", "tags", "annotations", "annotation_platform", "ignore_missing"];
    let place_of = |flag| {
        let is_given = given.value_source(flag) == Some(ValueSource::CommandLine);
        given.indices_of(flag).filter(|_| is_given)?.max()
    };
    let mut places = flags.into_iter().filter_map(place_of);
    if places.any(|flag| flag > word) {
        return Err("unexpected argument before a flag of from-args; write a list without blanks \
                    (--platforms linux/amd64,linux/arm64), and the value of a switch with = (--ignore-missing=true)");
    }
    Ok(())
}

fn if_match(text: &str) -> Result<IfMatch, String> {
    match text {
        "none" => Ok(IfMatch::Nothing),
        digest => Digest::parse(digest).map(IfMatch::Digest).map_err(|error| format!("{error}; or none")),
    }
}
