//! The main job: resolve every source, make the plan, carry it out.

mod event;
mod plan;
mod publish;
mod resolve;

pub use event::{Event, Reporter};
pub use plan::{Child, Plan, PlanError};
pub use publish::{PublishError, Report};
pub use resolve::{Entry, ResolveError, Resolved, SourceProblem, SourceReason};

use crate::registry::Client;
use crate::spec::Spec;

/// Why an index was not assembled, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Sources that cannot be used. The registry is untouched.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Sources that do not make an index together. The registry is untouched.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Writing failed; the error says what was done before.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Assembles the index that `spec` describes and pushes it: children, then the target tag, then the extra tags.
///
/// Nothing is written before every source is fetched and checked. With `ignore_missing`, sources of which the
/// registry says that they do not exist are left out, unless that leaves none.
pub async fn push(client: &Client, spec: &Spec, ignore_missing: bool, reporter: Reporter<'_>) -> Result<Report, Error> {
    let resolved = resolve::resolve(client, spec, ignore_missing, reporter).await?;
    let plan = Plan::new(spec, resolved)?;
    Ok(publish::publish(client, &plan, reporter).await?)
}
