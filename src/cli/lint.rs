use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, Args, ValueEnum as _};

use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::output_format::OutputFormat;
use super::render::{Body, ProblemReport, Severity, SpecJson, problem_annotation, sarif_log};
use super::session::Session;
use super::specs::{NamedSpec, SpecFlags, SpecOptions, SpecsRead, Variables, form, forms, read_all, warn};

/// Returns the flag `--output`, with the formats that only `lint` has.
pub(super) fn output_flag() -> Arg {
    let values = OutputFormat::value_variants().iter().filter_map(OutputFormat::to_possible_value);
    let parser = PossibleValuesParser::from(values.map(|value| value.hide(false)).collect::<Vec<_>>());
    Arg::new("output")
        .long("output")
        .short('o')
        .value_name("text|json|github|sarif")
        .value_parser(parser.try_map(|text| OutputFormat::from_str(&text, false)))
        .default_value("text")
        .hide_possible_values(true)
        .help_heading("Global options")
        .help("Print text, JSON, GitHub annotations or SARIF")
}

/// Check specs without contacting a registry
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  manifest-tool lint --set VERSION=1.2 specs/ app.yaml")]
pub(super) struct Lint {
    /// Files, folders of .yaml/.yml files, or - for stdin (at most 16 MiB)
    #[arg(required = true, value_name = "SPEC")]
    specs: Vec<String>,
    /// Check the specs for a push with this --type
    #[arg(long = "type", value_name = "docker|oci|auto", value_parser = forms(), hide_possible_values = true)]
    form: Option<String>,
    /// Check the specs for a push with --append
    #[arg(long)]
    append: bool,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    /// Check the specs for a push with this flag
    #[arg(long)]
    annotations_from_labels: bool,
    #[command(flatten)]
    variables: Variables,
}

impl Lint {
    pub(super) fn run(self, session: &Session) -> Result<CommandOutput, Failure> {
        let console = &session.console;
        let form = form(self.form.as_deref())?;
        let Self { append, strict, annotations_from_labels, .. } = self;
        let flags = SpecFlags { form, append, strict, annotations_from_labels };
        let options = SpecOptions { flags, variables: self.variables };
        let read = read_all(&self.specs, &options);
        warn(console, read.warnings());
        let warnings: Vec<ProblemReport> = read.warnings().map(ProblemReport::from).collect();
        let SpecsRead { specs, mut problems, .. } = read;
        for (spec, file) in &specs {
            let of_platforms = spec.platform_problems();
            let report = |problem| ProblemReport::of_platform(problem, &spec.target.location, file);
            problems.extend(of_platforms.iter().map(report));
        }
        let result = if problems.is_empty() { Ok(ExitStatus::Done) } else { Err(Failure::counting(problems.clone())) };
        let mask = |problems: Vec<ProblemReport>| problems.into_iter().map(|it| console.masked_problem(it)).collect();
        let (problems, warnings): (Vec<_>, Vec<_>) = (mask(problems), mask(warnings));
        match (console.format(), &result) {
            (OutputFormat::Github, _) => console.data(annotations(&problems, &warnings))?,
            (OutputFormat::Sarif, _) => {
                let folder = std::env::current_dir().unwrap_or_default();
                console.data(console.json(&sarif_log(&problems, &warnings, &folder))?)?;
            }
            (OutputFormat::Text, Ok(_)) => return Ok(specs.iter().map(line).collect::<String>().into()),
            (OutputFormat::Text | OutputFormat::Json, _) => {}
        }
        let specs = specs.iter().map(|(spec, file)| SpecJson::new(spec, file)).collect();
        CommandOutput::document(console, Body::Lint { specs, problems, warnings }, result)
    }
}

/// Returns an annotation for each problem and each warning, a line each.
fn annotations(problems: &[ProblemReport], warnings: &[ProblemReport]) -> String {
    let errors = problems.iter().map(|problem| problem_annotation(Severity::Error, problem, &[]));
    let warnings = warnings.iter().map(|warning| problem_annotation(Severity::Warning, warning, &[]));
    errors.chain(warnings).map(|line| line + "\n").collect()
}

fn line((spec, file): &NamedSpec) -> String {
    let count = spec.sources.len();
    let targets: Vec<String> = spec.targets().map(ToString::to_string).collect();
    format!("{file}: {}: {count} image{}\n", targets.join(", "), if count == 1 { "" } else { "s" })
}
