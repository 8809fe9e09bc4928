use super::log::Log;
use super::plan::Plan;
use crate::event::{BlobOutcome, Skipped, Step};
use crate::image::Digest;
use crate::store::TagReport;

/// What became of an index, or in a dry run what would become of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PushReport {
    /// What the index consists of.
    pub plan: Plan,
    /// What became of each tag, in the order in which they are written: the target, then the further tags.
    pub tags: Vec<TagReport>,
    /// Sources that were left out.
    pub skipped: Vec<Skipped>,
    /// What was placed in the target's repository for the index.
    pub placement: Placement,
    /// Whether nothing was written.
    pub dry_run: bool,
}

impl PushReport {
    pub(super) fn new(plan: Plan, tags: Vec<TagReport>, log: &Log, dry_run: bool) -> Self {
        let (steps, skipped) = log.snapshot();
        Self { plan, tags, skipped, placement: Placement::of(&steps), dry_run }
    }

    /// Whether any tag was moved, or would be.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.tags.iter().any(|tag| tag.outcome.is_written())
    }
}

/// A number of blobs, and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobStats {
    /// How many blobs.
    pub blobs: usize,
    /// Their size together, in bytes.
    pub bytes: u64,
}

/// What was placed in a repository. What another index of the same run placed there is not counted again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// Blobs that the repository had.
    pub existing: BlobStats,
    /// Blobs that the registry took from another of its repositories.
    pub mounted: BlobStats,
    /// Blobs that were sent.
    pub uploaded: BlobStats,
    /// Manifests of images and attestations that were written.
    pub manifests: Vec<Digest>,
}

impl Placement {
    fn of(steps: &[Step]) -> Self {
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
