use clap::parser::ValueSource;
use clap::{ArgMatches, Args};

use super::console::Console;
use super::failure::Failure;
use super::specs::warn;
use crate::spec::{self, Form, Problem, Spec, SpecError, TemplateRequest};

/// Push an index of images whose references follow a pattern
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  manifest-tool push from-args --platforms linux/amd64,linux/arm/v7 \\\n      --template registry.example/app-ARCHVARIANT:v1 --target registry.example/app:v1 --tags v1.2,latest"
)]
pub(super) struct FromArgs {
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
    pub(super) ignore_missing: bool,
    /// Words after the flags, which are ignored as in 2.2.1
    #[arg(hide = true, value_name = "ARGUMENT", value_parser = ignored_argument)]
    words: Vec<String>,
}

impl FromArgs {
    /// The spec that the arguments describe.
    pub(super) fn spec(
        &self,
        form: Option<Form>,
        append: bool,
        strict: bool,
        console: &Console,
    ) -> Result<Spec, Failure> {
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
                } else {
                    error.warnings.splice(0..0, mistakes);
                    warn(console, error.warnings.iter());
                }
                Err(error.into())
            }
        }
    }

    /// What 2.2.1 ignores silently.
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
