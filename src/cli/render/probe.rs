use serde::Serialize;

use crate::event::{Check, Need};
use crate::image::UntrustedText;

/// A check of `probe`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct CheckJson {
    name: &'static str,
    needed: NeededJson,
    result: &'static str,
    reason: UntrustedText,
}

/// Whether manifest-tool needs the checked feature: true, false, or `"oneOf"` if it needs one of several.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum NeededJson {
    Always(bool),
    Sometimes(&'static str),
}

/// Returns a line of the table that `probe` prints.
#[must_use]
pub(in crate::cli) fn check_text(check: &Check) -> String {
    let need = match check.need {
        Need::Yes => "needed",
        Need::OneOf => "one of",
        Need::No => "",
    };
    let reason = &check.reason;
    format!("{:11}  {:26}  {need:6}  {reason}\n", check.verdict.word(), check.name)
}

impl From<&Check> for CheckJson {
    fn from(check: &Check) -> Self {
        let needed = match check.need {
            Need::Yes => NeededJson::Always(true),
            Need::OneOf => NeededJson::Sometimes("oneOf"),
            Need::No => NeededJson::Always(false),
        };
        Self { name: check.name, needed, result: check.verdict.word(), reason: check.reason.clone() }
    }
}
