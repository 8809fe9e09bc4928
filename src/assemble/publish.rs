use std::collections::VecDeque;
use std::fmt;

use futures_util::future::join_all;

use super::PushOptions;
use super::event::{Event, Reporter};
use super::plan::Plan;
use crate::image::{Descriptor, Digest, Location};
use crate::store::{Error, Placed, Step, Store};

/// What a push did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The index: type, digest and size.
    pub descriptor: Descriptor,
    /// The tags that were written, in their order.
    pub moved: Vec<Location>,
    /// The tags that pointed at it already.
    pub unchanged: Vec<Location>,
}

/// What was written before it failed, and why it failed.
#[derive(Debug)]
pub struct PublishError {
    /// The index's target.
    pub target: Location,
    /// Why; never empty.
    pub errors: Vec<Error>,
    /// Tags that point at the new index.
    pub moved: Vec<Location>,
    /// Tags that were not written.
    pub unmoved: Vec<Location>,
    /// A tag of which nobody knows, as the answer was lost and the registry cannot be asked.
    pub unknown: Option<Location>,
}

/// Carries the plan out: child manifests, the index under the target's tag, then the extra tags one after another
/// (some registries fail when two tags of one manifest are written at once).
///
/// `current` is what each tag points at, as far as that is known: one that points at this index already is left alone,
/// which immutable tags need.
pub(super) async fn publish(
    store: &Store<'_>,
    placed: &Placed,
    plan: &Plan,
    current: &[Result<Option<Digest>, Error>],
    options: &PushOptions,
    reporter: Reporter<'_>,
) -> Result<Report, PublishError> {
    let digest = &plan.descriptor.digest;
    let mut left: VecDeque<Location> = plan.references().collect();
    let mut report = Report { descriptor: plan.descriptor.clone(), moved: Vec::new(), unchanged: Vec::new() };
    let mut if_match = options.if_match.as_ref();
    // Before anything is written; once more just before the tag is.
    if let (Some(if_match), Some(Ok(current))) = (if_match, current.first())
        && current.as_ref() != Some(digest)
        && let Err(error) = if_match.check(&plan.target.to_string(), current.as_ref())
    {
        return Err(PublishError::before(plan, vec![error.into()]));
    }
    let steps = |step: Step| reporter(step.into());
    let errors = placed.push_children(store, &plan.target, &plan.children, &steps).await;
    if !errors.is_empty() {
        return Err(PublishError::new(plan, errors, report, left));
    }
    let mut current = current.iter();
    while let Some(reference) = left.pop_front() {
        let if_match = if_match.take(); // it is the target's, which is the first
        // Where it is not known what a tag points at, it is written, and the answer to that says what is wrong.
        if matches!(current.next(), Some(Ok(Some(current))) if current == digest) {
            reporter(Event::TagUnchanged { reference: reference.clone() });
            report.unchanged.push(reference);
            continue;
        }
        if let Err(error) = store.push_manifest(&reference, &plan.descriptor, &plan.bytes, if_match).await {
            left.push_front(reference);
            return Err(PublishError::new(plan, vec![error], report, left));
        }
        reporter(Event::TagPushed { reference: reference.clone() });
        report.moved.push(reference);
    }
    if let Err(error) = store.finish(&plan.target) {
        let report = Report { moved: Vec::new(), ..report };
        return Err(PublishError::new(plan, vec![error], report, plan.references().collect()));
    }
    if options.wait {
        let reading = join_all(report.moved.iter().map(|tag| store.read_back(tag, digest))).await;
        let errors: Vec<Error> = reading.into_iter().filter_map(Result::err).collect();
        if !errors.is_empty() {
            return Err(PublishError::new(plan, errors, report, left));
        }
    }
    Ok(report)
}

impl PublishError {
    /// Nothing was written.
    pub(super) fn before(plan: &Plan, errors: Vec<Error>) -> Self {
        let report = Report { descriptor: plan.descriptor.clone(), moved: Vec::new(), unchanged: Vec::new() };
        Self::new(plan, errors, report, plan.references().collect())
    }

    fn new(plan: &Plan, errors: Vec<Error>, report: Report, mut unmoved: VecDeque<Location>) -> Self {
        let moved = [report.moved, report.unchanged].concat();
        // Tags are written one after another: it can be the first alone.
        let unknown = if errors.iter().any(Error::is_unsettled) { unmoved.pop_front() } else { None };
        Self { target: plan.target.clone(), errors, moved, unmoved: unmoved.into(), unknown }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |references: &[Location]| references.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "cannot push {}: ", self.target)?;
        let mut reasons: Vec<String> = self.errors.iter().map(ToString::to_string).collect();
        reasons.sort_unstable();
        reasons.dedup();
        f.write_str(&reasons.join("\n  "))?;
        if self.moved.is_empty() && self.unknown.is_none() {
            return f.write_str("\n  no tag was written");
        }
        let unknown: Vec<Location> = self.unknown.iter().cloned().collect();
        let states = [("written", &self.moved), ("not written", &self.unmoved), ("not known", &unknown)];
        let states = states.iter().filter(|(_, tags)| !tags.is_empty());
        let states: Vec<String> = states.map(|(state, tags)| format!("{state}: {}", names(tags))).collect();
        write!(f, "\n  {}", states.join("; "))
    }
}

impl std::error::Error for PublishError {}
