use serde::Serialize;

use super::copy::CopyResult;
use super::delete_tags::{DeletedTagJson, KeptTagJson, OrphanedTagJson};
use super::error::FailedJson;
use super::tag::TagJson;
use crate::copy::UpdateReport;
use crate::image::{Digest, Location};
use crate::store::{TagOutcome, TagReport};

/// The result of an image of a sync.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(in crate::cli) enum SyncResult {
    Copy(CopyResult),
    Unchanged(Box<UnchangedJson>),
}

/// An image that the target already has. Its manifest was not read, so its size and type are unknown.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct UnchangedJson {
    source: Location,
    reference: Location,
    digest: Digest,
    changed: bool,
    tags: Vec<TagJson>,
}

/// The deletions of tags in a repository.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct TagDeletionsJson {
    pub(in crate::cli) repository: String,
    pub(in crate::cli) deleted: Vec<DeletedTagJson>,
    pub(in crate::cli) kept: Vec<KeptTagJson>,
    pub(in crate::cli) failed: Vec<FailedJson>,
    pub(in crate::cli) orphaned: Vec<OrphanedTagJson>,
}

impl SyncResult {
    pub(in crate::cli) fn new(source: &Location, target: &Location, report: &UpdateReport) -> Self {
        let UpdateReport { digest, copied, .. } = report;
        if let Some(copied) = copied {
            return Self::Copy(CopyResult::copied(source, copied));
        }
        let outcome = TagOutcome::Unchanged;
        let tag = TagReport { location: target.clone(), outcome, previous: Some(digest.clone()) };
        let tags = if target.tag().is_some() { TagJson::all(&[tag]) } else { Vec::new() };
        let (source, reference, digest) = (source.clone(), target.clone(), digest.clone());
        Self::Unchanged(Box::new(UnchangedJson { source, reference, digest, changed: false, tags }))
    }
}
