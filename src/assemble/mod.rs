//! Assembles an index: resolves every source, plans the index and writes it.

mod apply;
mod check;
mod converge;
mod diff;
mod error;
mod existing;
mod log;
mod merge;
mod options;
mod plan;
mod remove;
mod report;
mod resolve;
mod source;
mod unknown;

pub(crate) use apply::Assembler;
pub use apply::push;
pub use diff::Change;
pub use error::{Error, PlanError, ResolveError, SourceProblem, SourceReason};
pub use merge::{Selector, SelectorProblem};
pub use options::{PushOptions, RemoveOptions, RemoveRequest};
pub use plan::{Plan, PlannedEntry};
pub use remove::remove;
pub use report::{BlobStats, Placement, PushReport};
