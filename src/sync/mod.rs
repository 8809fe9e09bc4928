//! Selects the images that a sync copies and the target of each: from a file in the form of `skopeo sync`, or from a
//! repository or layout. Does no I/O: the caller lists the tags.

mod file;
mod plan;
mod rules;
mod tag_regex;
mod target;
mod version_constraint;

pub(crate) use file::from_yaml;
pub(crate) use plan::{PlanProblem, PlannedCopy, plan};
pub(crate) use rules::{RepositoryRules, SyncRules};
pub(crate) use target::{FolderName, SyncTarget, repository_path};
