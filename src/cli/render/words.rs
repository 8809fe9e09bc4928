//! Texts of the library that the command line completes with the names of its flags.

use crate::assemble::{self, PlanError, SelectorProblem};
use crate::event::{Event, Warning};
use crate::spec::{Hint, Problem};

/// The hint of a deletion that would take more than was named.
pub(in crate::cli) const TAKES_MORE_HINT: &str = "--yes deletes it all the same, where the registry deletes manifests";

/// Describes an event in a line.
pub(in crate::cli) fn event_text(event: &Event) -> String {
    match event {
        Event::Warning { warning, .. } => warning_text(warning),
        event => event.to_string(),
    }
}

/// Describes a warning in a line.
pub(in crate::cli) fn warning_text(warning: &Warning) -> String {
    match warning {
        Warning::OciInDockerList { .. } => format!("{warning}; use --type auto"),
        Warning::Spec(problem) => problem_text(problem),
        warning => warning.to_string(),
    }
}

/// A problem of a spec, with the flag that helps.
pub(in crate::cli) fn problem_text(problem: &Problem) -> String {
    match &problem.hint {
        Some(Hint::SetVariable(name)) => format!("{problem}; --set {name}=VALUE gives it a value"),
        Some(Hint::FillVariables) => format!("{problem}; --env and --set fill variables"),
        Some(Hint::UseOciForm(key)) => format!("{problem}; use --type oci, or leave the {key} out"),
        _ => problem.to_string(),
    }
}

/// An error of the main job, with the flag that helps.
pub(in crate::cli) fn assemble_error_text(error: &assemble::Error) -> String {
    match error {
        assemble::Error::Plan(plan) => plan_error_text(plan),
        assemble::Error::Unplanned { error, .. } => {
            format!("{}\n  it was written, and then written over by others", plan_error_text(error))
        }
        error => error.to_string(),
    }
}

fn plan_error_text(error: &PlanError) -> String {
    match error {
        PlanError::NotDockers { .. } => format!("{error}; with --type oci it has"),
        PlanError::Strict { target, warnings } => {
            let warnings: Vec<String> = warnings.iter().map(warning_text).collect();
            format!("cannot assemble {target}: {}", warnings.join("\n  "))
        }
        PlanError::Selectors { target, problems } => {
            let problems: Vec<String> = problems.iter().map(selector_text).collect();
            format!("cannot change {target}: {}", problems.join("\n  "))
        }
        error => error.to_string(),
    }
}

fn selector_text(problem: &SelectorProblem) -> String {
    match problem {
        SelectorProblem::Several { wanted, digests } => {
            let count = digests.len();
            format!("it holds {count} images for {wanted}; --digest names one of {}", digests.join(", "))
        }
        problem => problem.to_string(),
    }
}
