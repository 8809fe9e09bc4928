use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Child, Error, Placed, Step, Steps, Store};
use crate::image::{Descriptor, Digest, LayoutReference, Location};
use crate::registry::IfMatch;

/// A manifest that is to be known under some tags, when all that it refers to is in its place.
#[derive(Debug, Clone)]
pub struct Publication<'p> {
    /// The first tag; where there is to be none, the repository by digest or the layout alone.
    pub target: &'p Location,
    /// The other tags, in their order.
    pub tags: &'p [Location],
    /// Type, digest and size of the manifest.
    pub descriptor: &'p Descriptor,
    /// Its exact bytes.
    pub bytes: &'p Bytes,
    /// The manifests that it refers to, those that others of them refer to first: each of these is written when those
    /// before it are.
    pub children: &'p [Vec<Child>],
    /// What each tag points at, the target's first, as far as that is known: one that points at this manifest already
    /// is left alone, which immutable tags need.
    pub current: &'p [Result<Option<Digest>, Error>],
    /// What the target must point at.
    pub if_match: Option<&'p IfMatch>,
    /// Every tag that was written is to read back.
    pub wait: bool,
}

/// What was published.
#[derive(Debug, Clone)]
pub struct Report {
    /// Type, digest and size of the manifest.
    pub descriptor: Descriptor,
    /// The tags that were written, in their order.
    pub moved: Vec<Location>,
    /// The tags that pointed at it already.
    pub unchanged: Vec<Location>,
}

/// What was written before it failed, and why it failed.
#[derive(Debug)]
pub struct PublishError {
    /// Where it was to be.
    pub target: Location,
    /// Why; never empty.
    pub errors: Vec<Error>,
    /// Tags that point at the new manifest.
    pub moved: Vec<Location>,
    /// Tags that were not written.
    pub unmoved: Vec<Location>,
    /// A tag of which nobody knows, as the answer was lost and the registry cannot be asked.
    pub unknown: Option<Location>,
}

impl Store<'_> {
    /// Publishes: children, then the manifest under the target's tag, then the other tags one after another (some
    /// registries fail when two tags of one manifest are written at once).
    pub async fn publish(
        &self,
        publication: &Publication<'_>,
        placed: &Placed,
        steps: Steps<'_>,
    ) -> Result<Report, PublishError> {
        let &Publication { target, descriptor, bytes, .. } = publication;
        let digest = &descriptor.digest;
        let mut if_match = publication.if_match;
        // Before anything is written; once more just before the tag is.
        if let (Some(if_match), Some(Ok(current))) = (if_match, publication.current.first())
            && current.as_ref() != Some(digest)
            && let Err(error) = if_match.check(&target.to_string(), current.as_ref())
        {
            return Err(publication.failed_before(vec![error.into()]));
        }
        for level in publication.children {
            let errors = placed.push_children(self, target, level, steps).await;
            if !errors.is_empty() {
                return Err(publication.failed_before(errors));
            }
        }
        let mut left: VecDeque<Location> = publication.locations().collect();
        let mut report = Report { descriptor: descriptor.clone(), moved: Vec::new(), unchanged: Vec::new() };
        let mut current = publication.current.iter();
        while let Some(location) = left.pop_front() {
            let if_match = if_match.take(); // it is the target's, which is the first
            // Where it is not known what a tag points at, it is written, and the answer to that says what is wrong.
            if matches!(current.next(), Some(Ok(Some(current))) if current == digest) {
                steps(Step::TagUnchanged(location.clone()));
                report.unchanged.push(location);
                continue;
            }
            if let Err(error) = self.push_manifest(&location, descriptor, bytes, if_match).await {
                left.push_front(location);
                return Err(publication.failed(vec![error], report, left));
            }
            steps(Step::Tag(location.clone()));
            report.moved.push(location);
        }
        if publication.wait {
            let reading = join_all(report.moved.iter().map(|tag| self.read_back(tag, digest))).await;
            let errors: Vec<Error> = reading.into_iter().filter_map(Result::err).collect();
            if !errors.is_empty() {
                return Err(publication.failed(errors, report, left));
            }
        }
        Ok(report)
    }
}

impl Publication<'_> {
    /// The target, then the other tags, in the order in which they are written.
    fn locations(&self) -> impl Iterator<Item = Location> {
        std::iter::once(self.target).chain(self.tags).cloned()
    }

    /// No tag was written.
    #[must_use]
    pub fn failed_before(&self, errors: Vec<Error>) -> PublishError {
        let report = Report { descriptor: self.descriptor.clone(), moved: Vec::new(), unchanged: Vec::new() };
        self.failed(errors, report, self.locations().collect())
    }

    fn failed(&self, errors: Vec<Error>, report: Report, mut unmoved: VecDeque<Location>) -> PublishError {
        let mut moved = [report.moved, report.unchanged].concat();
        if matches!(self.target, Location::Layout(layout) if layout.archive) {
            // It is written when all is done, which this is not.
            moved.drain(..).rev().for_each(|tag| unmoved.push_front(tag));
        }
        // Tags are written one after another: of those left it can be the first alone.
        let first = unmoved.front().map(ToString::to_string);
        let is_first = |error: &Error| error.is_unsettled() && Some(error.subject()) == first.as_deref();
        let unknown = if errors.iter().any(is_first) { unmoved.pop_front() } else { None };
        PublishError { target: self.target.clone(), errors, moved, unmoved: unmoved.into(), unknown }
    }
}

impl PublishError {
    /// All was put together, and the archive could not be put in its place.
    #[must_use]
    pub fn of_archive(report: Report, error: Error) -> Self {
        let unmoved = [report.moved, report.unchanged].concat();
        let target = unmoved.first().cloned();
        let empty = || LayoutReference { archive: true, path: String::new(), name: None, digest: None };
        let target = target.unwrap_or_else(|| Location::Layout(empty()));
        Self { target, errors: vec![error], moved: Vec::new(), unmoved, unknown: None }
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
