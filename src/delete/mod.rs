//! Deletes a tag, or a manifest with all its tags, or the tags of a repository that match patterns.

mod error;
mod job;
mod tag_deletion;
mod tag_list;
mod tag_plan;
mod tag_rules;
mod uses;

pub use error::{Error, NotVersions, TakesMore};
pub use job::{DeleteOptions, Deleted, delete};
pub use tag_deletion::{DeletionOutcome, TagDeletion};
pub use tag_list::UndatedReason;
pub use tag_plan::{KeptTag, OrphanedTag, PlannedDeletion, TagPlan, plan_tags, plan_tags_except};
pub use tag_rules::{KeepReason, TagOrder, TagRules};
pub use uses::Uses;

/// The maximum number of tags that are read concurrently.
const MAX_CONCURRENT: usize = 16;
