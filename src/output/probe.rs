use serde_json::{Value, json};

use crate::event::{Check, Need};
use crate::probe::Report;

/// A line of the table that `probe` prints.
#[must_use]
pub(crate) fn check_text(check: &Check) -> String {
    let need = match check.need {
        Need::Yes => "needed",
        Need::OneOf => "one of",
        Need::No => "",
    };
    let reason = &check.reason;
    format!("{:11}  {:26}  {need:6}  {reason}\n", check.verdict.word(), check.name)
}

/// What `probe` found out, for programs.
#[must_use]
pub(crate) fn report_json(repository: &str, report: &Report) -> Value {
    let check = |check: &Check| {
        let need = match check.need {
            Need::Yes => json!(true),
            Need::OneOf => json!("oneOf"),
            Need::No => json!(false),
        };
        json!({"name": check.name, "needed": need, "result": check.verdict.word(), "reason": check.reason})
    };
    json!({
        "repository": repository,
        "enough": report.is_enough(),
        "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
        "left": report.left,
    })
}
