//! The main job: resolve every source, make the plan, carry it out.

mod amend;
mod change;
mod check;
mod gather;
mod held;
mod outcome;
mod plan;
mod problem;
mod push;
mod remove;
mod resolve;
mod settle;
mod unknown;

pub use amend::Selector;
pub use change::Change;
pub use outcome::{Moves, Outcome, Volume};
pub use plan::{Difference, Plan};
pub use problem::{PlanError, ResolveError, SourceProblem, SourceReason};
pub use push::{Assembler, push};
pub use remove::remove;

use std::time::Duration;

use crate::registry::IfMatch;
use crate::store::{Error as StoreError, PublishError};

/// Why an index was not assembled, or not wholly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Sources that cannot be used. No manifest was written.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Sources that do not make an index together. No manifest was written.
    #[error(transparent)]
    Plan(Box<PlanError>),
    /// What the target holds cannot be read. No manifest was written.
    #[error(transparent)]
    Target(StoreError),
    /// Writing failed; the error says what was done before.
    #[error(transparent)]
    Publish(Box<PublishError>),
    /// Others kept writing over the tag, or changed it each time that it was to be written.
    #[error("{}", contended(.times, .written))]
    Contended {
        /// Times that it was written.
        times: u32,
        /// The tag, and what became of it; without errors.
        written: Box<PublishError>,
    },
    /// The tag was written, and others have put there what the change cannot be made to.
    #[error("{error}\n  it was written, and then written over by others")]
    Unplanned {
        /// Why it cannot be made again.
        error: Box<PlanError>,
        /// The tag, and what became of it; without errors.
        written: Box<PublishError>,
    },
}

fn contended(times: &u32, written: &PublishError) -> String {
    if *times == 0 {
        return format!("{}: changed by others each time that it was to be written; run this again", written.target);
    }
    let times = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
    format!(
        "{}: written {times}, and written over by others each time; run this again when they are done",
        written.target
    )
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        Self::Plan(Box::new(error))
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

/// How to push.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    /// Leave out sources of which the registry says that they do not exist, unless that leaves none.
    pub ignore_missing: bool,
    /// Write tags that point at the index already.
    pub force: bool,
    /// Write only if the target's tag points at this, or at the new index already.
    pub if_match: Option<IfMatch>,
    /// Be done only when every tag that was written reads back with the index's digest.
    pub wait: bool,
    /// Take what is likely to be a mistake for an error; see [`Warning`](crate::event::Warning).
    pub strict: bool,
    /// Write nothing, and tell what would be done.
    pub dry_run: bool,
    /// Where what the target holds is changed, and not replaced: how long others may take to write over it what they
    /// had begun. The tag is read back after that.
    pub settle: Duration,
}
