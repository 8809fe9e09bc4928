use super::log::Log;
use super::plan::Plan;
use crate::event::{BlobOutcome, Skipped, Step};
use crate::image::{Digest, Location};
use crate::store::{TagOutcome, TagReport};

/// The result of pushing an index to its targets, predicted in a dry run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PushReport {
    /// The result for each target, in the order of the spec. Never empty.
    pub targets: Vec<TargetReport>,
}

impl PushReport {
    /// Whether any tag was written, or would be.
    #[must_use]
    pub fn has_written_tags(&self) -> bool {
        self.targets.iter().any(TargetReport::has_written_tags)
    }
}

/// The result of writing an index to one target, predicted in a dry run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TargetReport {
    /// The content of the index.
    pub plan: Plan,
    /// The outcome for each tag, in the order in which they are written: the target, then the extra tags.
    pub tags: Vec<TagReport>,
    /// Sources that were left out.
    pub skipped: Vec<Skipped>,
    /// The blobs and manifests that the index needed in the target's repository.
    pub placement: Placement,
    /// Whether this is the prediction of a dry run.
    pub dry_run: bool,
    /// Whether an earlier run finished this target with the same digest, so that its tags were neither read nor written.
    pub was_finished: bool,
}

impl TargetReport {
    pub(super) fn new(plan: Plan, tags: Vec<TagReport>, log: &Log, dry_run: bool) -> Self {
        let (steps, skipped) = log.snapshot();
        Self { plan, tags, skipped, placement: Placement::new(&steps), dry_run, was_finished: false }
    }

    /// Returns the report of a target that an earlier run finished with the digest of this plan.
    pub(super) fn finished(plan: Plan, tags: impl IntoIterator<Item = Location>, log: &Log, dry_run: bool) -> Self {
        let digest = &plan.descriptor.digest;
        let tag = |location| TagReport { location, outcome: TagOutcome::Unchanged, previous: Some(digest.clone()) };
        let tags = tags.into_iter().map(tag).collect();
        Self { was_finished: true, ..Self::new(plan, tags, log, dry_run) }
    }

    /// Whether any tag was written, or would be.
    #[must_use]
    pub fn has_written_tags(&self) -> bool {
        self.tags.iter().any(|tag| tag.outcome.is_written())
    }
}

/// The number and total size of blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobStats {
    /// The number of blobs.
    pub blobs: usize,
    /// The total size in bytes.
    pub bytes: u64,
}

/// The blobs and manifests that an index needed in a repository. Content that another index of the same run wrote is
/// not counted again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// Blobs that the repository already had.
    pub existing: BlobStats,
    /// Blobs that the registry mounted from another repository.
    pub mounted: BlobStats,
    /// Blobs that were uploaded.
    pub uploaded: BlobStats,
    /// Manifests of images and attestations that were written.
    pub manifests: Vec<Digest>,
}

impl Placement {
    fn new(steps: &[Step]) -> Self {
        let mut placement = Self::default();
        for step in steps {
            match step {
                Step::Blob(_, bytes, outcome) => {
                    let stats = match outcome {
                        BlobOutcome::Existing => &mut placement.existing,
                        BlobOutcome::Mounted => &mut placement.mounted,
                        BlobOutcome::Uploaded => &mut placement.uploaded,
                    };
                    stats.blobs += 1;
                    stats.bytes += bytes;
                }
                Step::Manifest(digest) => placement.manifests.push(digest.clone()),
                Step::Tag(_) | Step::TagUnchanged(_) | Step::TagKept(_) => {}
            }
        }
        placement
    }
}
