use clap::Args;

use super::exit_status::ExitStatus;
use super::failure::Failure;
use super::output::CommandOutput;
use super::render::{Body, SpecJson};
use super::session::Session;
use super::specs::{NamedSpec, SpecFlags, SpecOptions, SpecsRead, Variables, form, forms, read_all, warn};

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
        let warnings = read.warnings().map(ToString::to_string).collect();
        let SpecsRead { specs, mut problems, .. } = read;
        for (spec, file) in &specs {
            problems.extend(
                spec.platform_problems().into_iter().map(|fault| format!("{file}: {}: {}", spec.target, fault.problem)),
            );
        }
        let result = match problems.len() {
            0 => Ok(ExitStatus::Done),
            1 => Err(Failure::new(format!("1 problem found\n{}", problems.concat()))),
            count => Err(Failure::new(format!("{count} problems found\n{}", problems.join("\n")))),
        };
        if result.is_ok() && !console.is_json() {
            return Ok(specs.iter().map(line).collect::<String>().into());
        }
        let specs = specs.iter().map(|(spec, file)| SpecJson::new(spec, file)).collect();
        CommandOutput::document(console, Body::Lint { specs, problems, warnings }, result)
    }
}

fn line((spec, file): &NamedSpec) -> String {
    let count = spec.sources.len();
    let targets: Vec<String> = spec.targets().map(ToString::to_string).collect();
    format!("{file}: {}: {count} image{}\n", targets.join(", "), if count == 1 { "" } else { "s" })
}
