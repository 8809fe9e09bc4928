use serde::Serialize;

use crate::image::{Digest, Location};
use crate::store::{TagOutcome, TagReport};

/// The result of writing a tag.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct TagJson {
    reference: Location,
    tag: Option<String>,
    state: &'static str,
    /// The digest that the tag pointed at before, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<Digest>,
}

impl TagJson {
    pub(in crate::cli) fn all(reports: &[TagReport]) -> Vec<Self> {
        reports.iter().map(Self::from).collect()
    }

    /// Marks a tag as failed, because its archive was not written.
    pub(super) fn mark_failed(&mut self) {
        self.state = state(TagOutcome::Failed);
    }
}

impl From<&TagReport> for TagJson {
    fn from(report: &TagReport) -> Self {
        let TagReport { location, outcome, previous } = report;
        Self {
            reference: location.clone(),
            tag: location.tag().map(str::to_owned),
            state: state(*outcome),
            was: previous.clone(),
        }
    }
}

/// Returns the word for the outcome of writing a tag.
pub(super) fn state(outcome: TagOutcome) -> &'static str {
    match outcome {
        TagOutcome::Created => "created",
        TagOutcome::Updated => "updated",
        TagOutcome::Written => "written",
        TagOutcome::Unchanged => "unchanged",
        TagOutcome::Failed => "failed",
        TagOutcome::Unknown => "unknown",
    }
}
