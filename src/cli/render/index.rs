//! The JSON of indexes that were pushed or changed, or would be in a dry run.

use serde::Serialize;

use super::descriptor::DescriptorJson;
use super::entry::EntryJson;
use super::error::ErrorJson;
use super::tag::TagJson;
use super::words::warning_text;
use crate::assemble::{BlobStats, Change, Placement, PlannedEntry, TargetReport};
use crate::event::Skipped;
use crate::image::{Digest, Location};
use crate::store::{PublishError, TagOutcome, TagReport};

/// The result of pushing or changing an index.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(in crate::cli) enum IndexResult {
    Pushed(Box<IndexJson>),
    Failed(Box<FailedIndexJson>),
}

/// An index, pushed or predicted.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct IndexJson {
    reference: Location,
    #[serde(flatten)]
    descriptor: DescriptorJson,
    changed: bool,
    tags: Vec<TagJson>,
    entries: Vec<PushedEntryJson>,
    skipped: Vec<SkippedJson>,
    warnings: Vec<String>,
    blobs: TransferStatsJson,
    /// The entries removed from the existing index, if it was compared with the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Vec<EntryJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson>,
}

/// An index that could not be pushed. Keys shared with a pushed index are always present.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct FailedIndexJson {
    reference: Location,
    changed: bool,
    tags: Vec<TagJson>,
    entries: [EntryJson; 0],
    skipped: [SkippedJson; 0],
    warnings: [String; 0],
    #[serde(flatten)]
    descriptor: Option<DescriptorJson>,
    error: ErrorJson,
}

/// The manifest and tags written before a failure.
#[derive(Debug, Clone)]
pub(in crate::cli) struct PublishedJson {
    pub(super) descriptor: DescriptorJson,
    pub(in crate::cli) changed: bool,
    pub(super) tags: Vec<TagJson>,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct PushedEntryJson {
    #[serde(flatten)]
    entry: EntryJson,
    source: Option<Location>,
    manifest: &'static str,
    #[serde(flatten)]
    change: Option<ChangeJson>,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ChangeJson {
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<Digest>,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SkippedJson {
    platform: Option<String>,
    reference: Location,
    reason: String,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct TransferStatsJson {
    existing: BlobStatsJson,
    mounted: BlobStatsJson,
    uploaded: BlobStatsJson,
}

#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct BlobStatsJson {
    pub(super) count: usize,
    pub(super) bytes: u64,
}

impl IndexResult {
    pub(in crate::cli) fn failed(target: &Location, published: Option<PublishedJson>, error: ErrorJson) -> Self {
        let (changed, tags, descriptor) = match published {
            Some(PublishedJson { descriptor, changed, tags }) => (changed, tags, Some(descriptor)),
            None => (false, Vec::new(), None),
        };
        Self::Failed(Box::new(FailedIndexJson {
            reference: target.clone(),
            changed,
            tags,
            entries: [],
            skipped: [],
            warnings: [],
            descriptor,
            error,
        }))
    }

    /// Marks an index in an archive as failed, because the archive was not written.
    pub(in crate::cli) fn mark_unwritten_archive(&mut self) {
        if let Self::Pushed(index) = self
            && is_archive(&index.reference)
        {
            index.changed = false;
            index.tags.iter_mut().for_each(TagJson::mark_failed);
            index.error = Some(ErrorJson::unwritten_archive());
        }
    }
}

pub(in crate::cli) fn is_archive(location: &Location) -> bool {
    location.is_written_whole()
}

impl From<&TargetReport> for IndexResult {
    fn from(report: &TargetReport) -> Self {
        Self::Pushed(Box::new(report.into()))
    }
}

impl From<&TargetReport> for IndexJson {
    fn from(report: &TargetReport) -> Self {
        let (plan, placement) = (&report.plan, &report.placement);
        Self {
            reference: plan.target.clone(),
            descriptor: (&plan.descriptor).into(),
            changed: report.has_written_tags(),
            tags: TagJson::all(&report.tags),
            entries: entries(report),
            skipped: report.skipped.iter().map(SkippedJson::from).collect(),
            warnings: plan.warnings.iter().map(warning_text).collect(),
            blobs: placement.into(),
            removed: plan.removed.as_ref().map(|removed| removed.iter().map(EntryJson::from).collect()),
            error: None,
        }
    }
}

fn entries(report: &TargetReport) -> Vec<PushedEntryJson> {
    let is_pushed = |entry: &PlannedEntry| report.placement.manifests.contains(&entry.descriptor.digest);
    let entry = |entry: &PlannedEntry| PushedEntryJson {
        entry: (&entry.descriptor).into(),
        source: entry.source.clone(),
        manifest: if is_pushed(entry) { "pushed" } else { "existing" },
        change: entry.change.as_ref().map(ChangeJson::from),
    };
    report.plan.entries.iter().map(entry).collect()
}

impl From<&Placement> for TransferStatsJson {
    fn from(placement: &Placement) -> Self {
        let Placement { existing, mounted, uploaded, .. } = placement;
        Self { existing: (*existing).into(), mounted: (*mounted).into(), uploaded: (*uploaded).into() }
    }
}

impl From<&PublishError> for PublishedJson {
    fn from(error: &PublishError) -> Self {
        // A tag whose state is unknown may have been written.
        let is_changed = |tag: &TagReport| tag.outcome.is_written() || tag.outcome == TagOutcome::Unknown;
        Self {
            descriptor: (&error.descriptor).into(),
            changed: error.tags.iter().any(is_changed),
            tags: TagJson::all(&error.tags),
        }
    }
}

impl From<&Change> for ChangeJson {
    fn from(change: &Change) -> Self {
        match change {
            Change::Added => Self { change: "added", replaces: None },
            Change::Replaced(digest) => Self { change: "replaced", replaces: Some(digest.clone()) },
            Change::Unchanged => Self { change: "unchanged", replaces: None },
        }
    }
}

impl From<&Skipped> for SkippedJson {
    fn from(skipped: &Skipped) -> Self {
        let Skipped { platform, reference, reason } = skipped;
        Self { platform: platform.clone(), reference: reference.clone(), reason: reason.clone() }
    }
}

impl From<BlobStats> for BlobStatsJson {
    fn from(stats: BlobStats) -> Self {
        Self { count: stats.blobs, bytes: stats.bytes }
    }
}
