//! Texts of the library, completed with the names of the command line's flags.

use super::checked::checked_text;
use crate::assemble::{self, PlanError, SelectorProblem};
use crate::event::{Event, Warning};
use crate::spec::{Hint, Problem};

/// The hint for a deletion that would affect more tags or indexes than the user named.
pub(in crate::cli) const TAKES_MORE_HINT: &str =
    "use --yes to delete it anyway, if the registry supports deleting manifests";

/// The hint for tags that are not versions, if the rules keep the newest versions.
pub(in crate::cli) const NOT_VERSIONS_HINT: &str =
    "--sort time orders tags by the created dates of their images; or use a pattern that matches only versions";

/// Describes an event in one line.
pub(in crate::cli) fn event_text(event: &Event) -> String {
    match event {
        Event::Warning { warning, .. } => warning_text(warning),
        Event::Verified { .. } => checked_text(event),
        event => event.to_string(),
    }
}

/// Describes a warning in one line.
pub(in crate::cli) fn warning_text(warning: &Warning) -> String {
    match warning {
        Warning::OciInDockerList { .. } => format!("{warning}; use --type auto"),
        Warning::AnnotationsLeftOut => format!("{warning}; use --type oci"),
        Warning::ReferrersLeft { .. } => format!("{warning}; use --referrers"),
        Warning::Spec(problem) => problem_text(problem),
        warning => warning.to_string(),
    }
}

/// Describes a problem of a spec, and the flag that fixes it.
pub(in crate::cli) fn problem_text(problem: &Problem) -> String {
    match &problem.hint {
        Some(Hint::SetVariable(name)) => format!("{problem}; set it with --set {name}=VALUE"),
        Some(Hint::FillVariables) => format!("{problem}; fill variables with --env or --set"),
        Some(Hint::UseOciForm(key)) => format!("{problem}; use --type oci, or remove the {key}"),
        Some(Hint::NameTarget) => format!("{problem}; name one with --target"),
        Some(Hint::NameImages) => format!("{problem}; name them, or use --metadata or --digests"),
        Some(Hint::SignIn(registry)) => format!("{problem}; use manifest-tool login {registry}, or --docker-cfg"),
        Some(Hint::TrustCertificate(registry)) => {
            format!("{problem}; put its files into certs.d/{registry}, or use --ca-cert for a CA")
        }
        _ => problem.to_string(),
    }
}

/// Describes an error of assembling an index, and the flag that fixes it.
pub(in crate::cli) fn assemble_error_text(error: &assemble::Error) -> String {
    match error {
        assemble::Error::Plan(plan) => plan_error_text(plan),
        assemble::Error::Unplanned { error, .. } => {
            format!("{}\n  the tag was written, but other writers overwrote it", plan_error_text(error))
        }
        assemble::Error::Targets(error) => error.message(assemble_error_text),
        error => error.to_string(),
    }
}

fn plan_error_text(error: &PlanError) -> String {
    format!("{}{}", error.prefix(), plan_reasons(error).join("\n  "))
}

/// Returns the reasons of an error, a line each, with the flags that fix them.
pub(in crate::cli) fn plan_reasons(error: &PlanError) -> Vec<String> {
    match error {
        PlanError::UnsupportedByDocker { .. } => {
            error.reasons().into_iter().map(|reason| format!("{reason}; use --type oci")).collect()
        }
        PlanError::Strict { warnings, .. } => warnings.iter().map(warning_text).collect(),
        PlanError::Selectors { problems, .. } => problems.iter().map(selector_text).collect(),
        error => error.reasons(),
    }
}

/// Describes a selector that does not match exactly one image, and the flag that fixes it.
pub(super) fn selector_text(problem: &SelectorProblem) -> String {
    match problem {
        SelectorProblem::Several { wanted, digests } => {
            let count = digests.len();
            format!("it has {count} images for {wanted}; name one with --digest: {}", digests.join(", "))
        }
        problem => problem.to_string(),
    }
}
