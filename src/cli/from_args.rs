use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::console::Console;
use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::platform_arg::platform_text;
use super::render::ProblemReport;
use super::specs::{SpecFlags, warn};
use crate::image::known_systems;
use crate::spec::{self, Problem, Spec, TemplateRequest};

/// Push an index of images whose references follow a template
#[derive(Debug, Args)]
#[command(
    override_usage = "manifest-tool push from-args [OPTIONS] --platforms <OS/ARCH[/VARIANT]>\n       --template <REF> --target <REF>",
    after_help = "--type auto is docker if every image is Docker's, else oci. Without --type, the\ntype is that of the existing index with --append, else docker.\n\nExample:\n  manifest-tool push from-args --platforms linux/amd64,linux/arm/v7 \\\n      --template registry.example/app-ARCHVARIANT:v1 \\\n      --target registry.example/app:v1 --tags v1.2,latest"
)]
pub(super) struct FromArgs {
    /// Include these platforms (comma-separated)
    #[arg(long, required = true, value_delimiter = ',', value_name = "OS/ARCH[/VARIANT]", value_parser = platform_text(), hide_possible_values = true)]
    platforms: Vec<String>,
    /// Find images at this reference, with OS, ARCH and VARIANT replaced
    #[arg(long, value_name = "REF")]
    template: String,
    /// Push the index to this reference (the last one is used)
    #[arg(long, required = true, value_name = "REF")]
    target: Vec<String>,
    /// Also push the index to these tags (comma-separated)
    #[arg(long, value_delimiter = ',', value_name = "TAG")]
    tags: Vec<String>,
    /// Add an annotation to the index (OCI only, repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    /// Add one annotation, as docker buildx does
    #[arg(long, value_name = "[LEVEL:]K=V")]
    annotation: Vec<String>,
    /// Add an annotation to the entry for a platform (repeatable)
    #[arg(long, value_name = "PLATFORM:KEY=VALUE")]
    annotation_platform: Vec<String>,
    /// Skip images that do not exist
    #[arg(long)]
    pub(super) ignore_missing: bool,
    /// Extra arguments after the flags, ignored as in 2.2.1
    #[arg(hide = true, value_name = "ARGUMENT", value_parser = ignored_argument)]
    words: Vec<String>,
}

impl FromArgs {
    /// Builds the spec that the arguments describe.
    pub(super) fn spec(&self, flags: &SpecFlags, console: &Console) -> Result<Spec, Failure> {
        let SpecFlags { form, append, strict, annotations_from_labels } = *flags;
        let request = TemplateRequest {
            platforms: &self.platforms,
            template: &self.template,
            target: self.target.last().map_or("", String::as_str),
            tags: &self.tags,
            annotations: &self.annotations,
            leveled_annotations: &self.annotation,
            entry_annotations: &self.annotation_platform,
            annotations_from_labels,
            form,
            append,
            strict,
        };
        let ignored = self.ignored().map(Problem::of_arguments);
        match spec::from_template(&request) {
            Ok(_) if strict && ignored.clone().next().is_some() => Err(failure(&ignored.collect::<Vec<_>>())),
            Ok(mut spec) => {
                spec.warnings.splice(0..0, ignored);
                Ok(spec)
            }
            Err(mut error) => {
                if strict {
                    error.problems.extend(ignored);
                } else {
                    error.warnings.splice(0..0, ignored);
                    warn(console, error.warnings.iter());
                }
                let failure = failure(&error.problems);
                Err(if self.has_incomplete_platform() { failure } else { failure.with_status(ExitStatus::Usage) })
            }
        }
    }

    /// Whether a platform is only an operating system. 2.2.1 exits with 1 for it, and scripts may rely on that.
    fn has_incomplete_platform(&self) -> bool {
        self.platforms.iter().any(|platform| known_systems().contains(&platform.as_str()))
    }

    /// Returns a warning for each argument that 2.2.1 ignores silently.
    fn ignored(&self) -> impl Iterator<Item = String> + Clone {
        let target = match self.target.as_slice() {
            [.., _, last] => {
                Some(format!("--target is given {} times; only the last one is used: {last}", self.target.len()))
            }
            _ => None,
        };
        // Do not print the arguments themselves: one may be a misplaced password.
        let words = match self.words.len() {
            0 => None,
            1 => Some("1 extra argument is ignored: from-args takes only flags".to_owned()),
            count => Some(format!("{count} extra arguments are ignored: from-args takes only flags")),
        };
        target.into_iter().chain(words)
    }
}

/// Creates the failure of invalid values.
fn failure(problems: &[Problem]) -> Failure {
    Failure::of_problems(problems.iter().map(ProblemReport::from).collect())
}

/// Accepts an argument to be ignored. Refuses one that starts with any kind of dash: it is a flag, whose dashes a word
/// processor may have replaced.
fn ignored_argument(text: &str) -> Result<String, &'static str> {
    match text.starts_with(['-', '\u{2010}', '\u{2013}', '\u{2014}', '\u{2212}']) {
        true => Err("unexpected argument"),
        false => Ok(text.to_owned()),
    }
}

/// Refuses an extra argument before a flag of `from-args`, such as the second of two platforms separated by a space.
/// 2.2.1 parses no flags after such an argument, and fails; ignoring it here would drop an image from the index.
///
/// # Errors
/// The message for the user.
pub(super) fn check_order(matches: &ArgMatches) -> Result<(), &'static str> {
    let from_args = matches.subcommand_matches("push").and_then(|push| push.subcommand_matches("from-args"));
    let Some((matches, word)) = from_args.and_then(|matches| Some((matches, matches.indices_of("words")?.min()?)))
    else {
        return Ok(());
    };
    let flags = [
        "platforms",
        "template",
        "target",
        "tags",
        "annotations",
        "annotation",
        "annotation_platform",
        "ignore_missing",
    ];
    let index_of = |flag| {
        let is_given = matches.value_source(flag) == Some(ValueSource::CommandLine);
        matches.indices_of(flag).filter(|_| is_given)?.max()
    };
    let mut indices = flags.into_iter().filter_map(index_of);
    if indices.any(|flag| flag > word) {
        return Err("unexpected argument before a flag of from-args; write lists without spaces \
                    (--platforms linux/amd64,linux/arm64) and values of switches with = (--ignore-missing=true)");
    }
    Ok(())
}
