use std::collections::VecDeque;
use std::fmt;

use super::event::{Event, Reporter};
use super::place::Placed;
use super::plan::Plan;
use crate::image::{Descriptor, Digest, Reference};
use crate::registry::{Client, Error};

/// What a push did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The index: type, digest and size.
    pub descriptor: Descriptor,
    /// The tags that were written, in their order.
    pub moved: Vec<Reference>,
    /// The tags that pointed at it already.
    pub unchanged: Vec<Reference>,
}

/// What was written before it failed, and why it failed.
#[derive(Debug)]
pub struct PublishError {
    /// The index's target.
    pub target: Reference,
    /// Why; never empty.
    pub errors: Vec<Error>,
    /// Tags that point at the new index.
    pub moved: Vec<Reference>,
    /// Tags that were not written.
    pub unmoved: Vec<Reference>,
}

/// Carries the plan out: child manifests, the index under the target's tag, then the extra tags one after another
/// (some registries fail when two tags of one manifest are written at once).
///
/// `current` is what each tag points at, as far as that is known: one that points at this index already is left alone,
/// which immutable tags need.
pub(super) async fn publish(
    client: &Client,
    placed: &Placed,
    plan: &Plan,
    current: &[Option<Digest>],
    reporter: Reporter<'_>,
) -> Result<Report, PublishError> {
    let errors = placed.push_children(client, &plan.target, &plan.children, reporter).await;
    let mut left: VecDeque<Reference> = plan.references().collect();
    let mut report = Report { descriptor: plan.descriptor.clone(), moved: Vec::new(), unchanged: Vec::new() };
    if !errors.is_empty() {
        return Err(PublishError::new(plan, errors, report, left));
    }
    let mut current = current.iter();
    while let Some(reference) = left.pop_front() {
        if current.next().is_some_and(|current| current.as_ref() == Some(&plan.descriptor.digest)) {
            reporter(Event::TagUnchanged { reference: reference.clone() });
            report.unchanged.push(reference);
            continue;
        }
        if let Err(error) = client.push_manifest(&reference, &plan.descriptor, &plan.bytes).await {
            left.push_front(reference);
            return Err(PublishError::new(plan, vec![error], report, left));
        }
        reporter(Event::TagPushed { reference: reference.clone() });
        report.moved.push(reference);
    }
    Ok(report)
}

impl PublishError {
    /// Nothing was written.
    pub(super) fn before(plan: &Plan, errors: Vec<Error>) -> Self {
        let report = Report { descriptor: plan.descriptor.clone(), moved: Vec::new(), unchanged: Vec::new() };
        Self::new(plan, errors, report, plan.references().collect())
    }

    fn new(plan: &Plan, errors: Vec<Error>, report: Report, unmoved: VecDeque<Reference>) -> Self {
        let pointing = [report.moved, report.unchanged].concat();
        Self { target: plan.target.clone(), errors, moved: pointing, unmoved: unmoved.into() }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |references: &[Reference]| references.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "cannot push {}: ", self.target)?;
        let mut reasons: Vec<String> = self.errors.iter().map(ToString::to_string).collect();
        reasons.sort_unstable();
        reasons.dedup();
        f.write_str(&reasons.join("\n  "))?;
        if self.moved.is_empty() {
            f.write_str("\n  no tag was written")
        } else {
            write!(f, "\n  written: {}; not written: {}", names(&self.moved), names(&self.unmoved))
        }
    }
}

impl std::error::Error for PublishError {}
