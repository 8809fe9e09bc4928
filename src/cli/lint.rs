use clap::Args;
use serde_json::json;

use super::Global;
use super::failure::Failure;
use super::results::pretty;
use super::specs::{Given, Named, SpecsRead, Variables, form, forms, read_all, warn};
use crate::image::Location;
use crate::output;

/// Check specs without a network
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  manifest-tool lint --set VERSION=1.2 specs/ app.yaml")]
pub(super) struct Lint {
    /// Files, folders with .yaml and .yml files in them; - reads standard input
    #[arg(required = true, value_name = "SPEC")]
    specs: Vec<String>,
    /// The --type that they will be pushed with
    #[arg(long = "type", value_name = "docker|oci|auto", value_parser = forms(), hide_possible_values = true)]
    form: Option<String>,
    /// They will be pushed with --append
    #[arg(long)]
    append: bool,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    variables: Variables,
}

impl Lint {
    pub(super) fn run(self, global: &Global) -> Result<String, Failure> {
        let form = form(self.form.as_deref())?;
        let given = Given { form, append: self.append, strict: self.strict, variables: self.variables };
        let read = read_all(&self.specs, &given);
        if !global.quiet {
            warn(read.warnings());
        }
        let warnings: Vec<String> = read.warnings().map(ToString::to_string).collect();
        let SpecsRead { specs, mut problems, .. } = read;
        for (spec, file) in &specs {
            problems.extend(spec.faults().into_iter().map(|fault| format!("{file}: {}: {fault}", spec.target)));
        }
        let part = |(spec, file): &Named| {
            let tags: Vec<Location> = spec.locations().collect();
            let sources: Vec<&Location> = spec.sources.iter().map(|source| &source.location).collect();
            json!({"file": file, "reference": spec.target, "tags": tags, "type": spec.form.to_string(), "sources": sources})
        };
        let parts: Vec<_> = specs.iter().map(part).collect();
        let document = output::document("lint", json!({"specs": parts, "problems": problems, "warnings": warnings}));
        if !problems.is_empty() {
            let count =
                if problems.len() == 1 { "a problem".to_owned() } else { format!("{} problems", problems.len()) };
            return Err(Failure::new(format!("{count} found\n{}", problems.join("\n"))).with_document(document));
        }
        if global.is_json() {
            return Ok(pretty(&document));
        }
        let line = |(spec, file): &Named| {
            let count = spec.sources.len();
            format!("{file}: {}: {count} image{}\n", spec.target, if count == 1 { "" } else { "s" })
        };
        Ok(specs.iter().map(line).collect())
    }
}
