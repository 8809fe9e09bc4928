use serde::Serialize;

use super::descriptor::DescriptorJson;
use super::error::ErrorJson;
use super::index::{PublishedJson, is_archive};
use super::tag::TagJson;
use crate::image::Location;
use crate::store::PublishReport;

/// The result of a copy.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(in crate::cli) enum CopyResult {
    Copied(Box<CopyJson>),
    Failed(Box<FailedCopyJson>),
}

/// A copy, actual or predicted.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct CopyJson {
    source: Location,
    reference: Option<Location>,
    #[serde(flatten)]
    descriptor: DescriptorJson,
    changed: bool,
    tags: Vec<TagJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson>,
}

/// A copy that failed.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct FailedCopyJson {
    source: Location,
    reference: String,
    changed: bool,
    tags: Vec<TagJson>,
    #[serde(flatten)]
    descriptor: Option<DescriptorJson>,
    error: ErrorJson,
}

impl CopyResult {
    pub(in crate::cli) fn copied(source: &Location, report: &PublishReport) -> Self {
        Self::Copied(Box::new(CopyJson {
            source: source.clone(),
            reference: report.tags.first().map(|tag| tag.location.clone()),
            descriptor: (&report.descriptor).into(),
            changed: report.has_written_tags(),
            tags: TagJson::all(&report.tags),
            error: None,
        }))
    }

    pub(in crate::cli) fn failed(
        source: &Location,
        target: &Location,
        published: Option<PublishedJson>,
        error: ErrorJson,
    ) -> Self {
        let (changed, tags, descriptor) = match published {
            Some(PublishedJson { descriptor, changed, tags }) => (changed, tags, Some(descriptor)),
            None => (false, Vec::new(), None),
        };
        let (source, reference) = (source.clone(), target.to_string());
        Self::Failed(Box::new(FailedCopyJson { source, reference, changed, tags, descriptor, error }))
    }

    /// Marks a copy into an archive as failed, because the archive was not written.
    pub(in crate::cli) fn mark_unwritten_archive(&mut self) {
        if let Self::Copied(copy) = self
            && copy.reference.as_ref().is_some_and(is_archive)
        {
            copy.changed = false;
            copy.tags.iter_mut().for_each(TagJson::mark_failed);
            copy.error = Some(ErrorJson::unwritten_archive());
        }
    }
}
