//! Assembles an index: resolves every source, plans the index and writes it.

mod addition;
mod annotations;
mod apply;
mod check;
mod config;
mod converge;
mod diff;
mod error;
mod existing;
mod log;
mod merge;
mod options;
mod plan;
mod plan_error;
mod remove;
mod report;
mod resolve;
mod resolve_error;
mod source;
mod target;
mod unknown;

pub use apply::push;
pub(crate) use apply::{Assembler, new_run};
pub use diff::Change;
pub use error::{Error, TargetsError};
pub use merge::{Selector, SelectorProblem};
pub use options::{PushOptions, RemoveOptions, RemoveRequest};
pub use plan::{Plan, PlannedEntry};
pub use plan_error::PlanError;
pub use remove::remove;
pub use report::{BlobStats, Placement, PushReport, TargetReport};
pub use resolve_error::{ResolveError, SourceProblem, SourceReason};
