use std::fmt;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{Child, Error, Placed, Steps, Store};
use crate::event::Step;
use crate::image::{Descriptor, Digest, Location};
use crate::registry::IfMatch;

/// A manifest that is to be known under some tags, once each manifest that it refers to is in its place. The blobs of those
/// that were there before are not looked for.
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

/// What was published, or would be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// Type, digest and size of the manifest.
    pub descriptor: Descriptor,
    /// What became of each tag, the target's first.
    pub tags: Vec<TagReport>,
}

/// What became of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagReport {
    /// The tag.
    pub location: Location,
    /// What became of it.
    pub outcome: TagOutcome,
    /// What it pointed at before, where that is known.
    pub was: Option<Digest>,
}

/// What became of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagOutcome {
    /// It did not exist before.
    Created,
    /// It pointed at something else before.
    Updated,
    /// It was written, and not looked at before.
    Written,
    /// It pointed at the manifest already.
    Unchanged,
    /// It was not written.
    Failed,
    /// The answer was lost, and the registry cannot be asked.
    Unknown,
}

impl TagOutcome {
    /// Whether it was written.
    #[must_use]
    pub fn is_written(self) -> bool {
        matches!(self, Self::Created | Self::Updated | Self::Written)
    }
}

impl Report {
    /// Whether any tag was written.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.tags.iter().any(|tag| tag.outcome.is_written())
    }
}

/// What was written before it failed, and why it failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct PublishError {
    /// Where it was to be.
    pub target: Location,
    /// Type, digest and size of what was to be there.
    pub descriptor: Descriptor,
    /// Why; never empty.
    pub errors: Vec<Error>,
    /// What became of each tag.
    pub tags: Vec<TagReport>,
}

impl Store {
    /// Publishes: children, then the manifest under the target's tag, then the other tags one after another (some
    /// registries fail when two tags of one manifest are written at once).
    pub(crate) async fn publish(
        &self,
        publication: &Publication<'_>,
        placed: &Placed,
        steps: Steps<'_>,
    ) -> Result<Report, PublishError> {
        let &Publication { target, descriptor, bytes, .. } = publication;
        let digest = &descriptor.digest;
        let mut if_match = publication.if_match;
        // Before anything is written; once more just before the tag is.
        publication.check().map_err(|error| publication.failed_before(vec![error]))?;
        for level in publication.children {
            let errors = placed.push_children(self, target, level, steps).await;
            if !errors.is_empty() {
                return Err(publication.failed_before(errors));
            }
        }
        let mut report = publication.nothing_yet();
        for at in 0..report.tags.len() {
            let if_match = if_match.take(); // it is the target's, which is the first
            let Some(tag) = report.tags.get_mut(at) else { break };
            let foreseen = publication.foreseen_of(at);
            if foreseen == TagOutcome::Unchanged {
                steps(Step::TagUnchanged(tag.location.clone()));
            } else if let Err(error) = self.push_manifest(&tag.location, descriptor, bytes, if_match).await {
                // Tags are written one after another: it can be of this one alone that nobody knows.
                if error.is_unsettled() && error.subject() == tag.location.to_string() {
                    tag.outcome = TagOutcome::Unknown;
                }
                return Err(publication.failed(vec![error], report));
            } else {
                steps(Step::Tag(tag.location.clone()));
            }
            tag.outcome = foreseen;
        }
        if publication.wait {
            let written = report.tags.iter().filter(|tag| tag.outcome.is_written());
            let reading = join_all(written.map(|tag| self.read_back(&tag.location, digest))).await;
            let errors: Vec<Error> = reading.into_iter().filter_map(Result::err).collect();
            if !errors.is_empty() {
                return Err(publication.failed(errors, report));
            }
        }
        Ok(report)
    }
}

impl<'p> Publication<'p> {
    /// Of a manifest with nothing below it, of whose tags nothing is known.
    #[must_use]
    pub fn new(target: &'p Location, tags: &'p [Location], descriptor: &'p Descriptor, bytes: &'p Bytes) -> Self {
        Self { target, tags, descriptor, bytes, children: &[], current: &[], if_match: None, wait: false }
    }

    /// Whether the target is what it must be, as far as that is known: the condition, or the manifest already.
    pub fn check(&self) -> Result<(), Error> {
        match (self.if_match, self.current.first()) {
            (Some(if_match), Some(Ok(current))) if current.as_ref() != Some(&self.descriptor.digest) => {
                Ok(if_match.check(&self.target.to_string(), current.as_ref())?)
            }
            _ => Ok(()),
        }
    }

    /// What would become of each tag.
    #[must_use]
    pub fn foreseen(&self) -> Report {
        let mut report = self.nothing_yet();
        report.tags.iter_mut().enumerate().for_each(|(at, tag)| tag.outcome = self.foreseen_of(at));
        report
    }

    /// What becomes of the target's tag, or of the others after it. Where it is not known what a tag points at, it is
    /// written, and the answer to that says what is wrong.
    fn foreseen_of(&self, tag: usize) -> TagOutcome {
        match self.current.get(tag) {
            Some(Ok(Some(current))) if *current == self.descriptor.digest => TagOutcome::Unchanged,
            Some(Ok(Some(_))) => TagOutcome::Updated,
            Some(Ok(None)) => TagOutcome::Created,
            Some(Err(_)) | None => TagOutcome::Written,
        }
    }

    /// The target, then the other tags, in the order in which they are written; none is.
    fn nothing_yet(&self) -> Report {
        let was = |at| {
            self.current.get(at).and_then(|current: &Result<Option<Digest>, Error>| current.as_ref().ok()?.clone())
        };
        let locations = std::iter::once(self.target).chain(self.tags).cloned().enumerate();
        let tags = locations.map(|(at, location)| TagReport { location, outcome: TagOutcome::Failed, was: was(at) });
        Report { descriptor: self.descriptor.clone(), tags: tags.collect() }
    }

    /// No tag was written.
    #[must_use]
    pub fn failed_before(&self, errors: Vec<Error>) -> PublishError {
        self.failed(errors, self.nothing_yet())
    }

    fn failed(&self, errors: Vec<Error>, report: Report) -> PublishError {
        // An archive is written when all is done, which this is not.
        let is_archive = matches!(self.target, Location::Layout(layout) if layout.archive);
        if is_archive {
            return PublishError { errors, ..PublishError::of_archive(self.target, report, None) };
        }
        let Report { descriptor, tags } = report;
        PublishError { target: self.target.clone(), descriptor, errors, tags }
    }
}

impl PublishError {
    /// All was put together, and the archive is not in its place.
    #[must_use]
    pub fn of_archive(target: &Location, report: Report, error: Option<Error>) -> Self {
        let Report { descriptor, mut tags } = report;
        tags.iter_mut().for_each(|tag| tag.outcome = TagOutcome::Failed);
        Self { target: target.clone(), descriptor, errors: error.into_iter().collect(), tags }
    }

    /// Why the first of the tags is not as wanted, if that is all there is.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.errors.iter().all(Error::is_changed)
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot push {}: ", self.target)?;
        let mut reasons: Vec<String> = self.errors.iter().map(ToString::to_string).collect();
        reasons.sort_unstable();
        reasons.dedup();
        f.write_str(&reasons.join("\n  "))?;
        let tags = |state: fn(TagOutcome) -> bool| {
            let tags = self.tags.iter().filter(|tag| state(tag.outcome));
            tags.map(|tag| tag.location.to_string()).collect::<Vec<_>>().join(", ")
        };
        let unwritten = |outcome| outcome == TagOutcome::Failed;
        if self.tags.iter().all(|tag| unwritten(tag.outcome)) {
            return f.write_str("\n  no tag was written");
        }
        let states = [
            ("written", tags(|outcome| outcome.is_written() || outcome == TagOutcome::Unchanged)),
            ("not written", tags(unwritten)),
            ("not known", tags(|outcome| outcome == TagOutcome::Unknown)),
        ];
        let states = states.iter().filter(|(_, tags)| !tags.is_empty());
        let states: Vec<String> = states.map(|(state, tags)| format!("{state}: {tags}")).collect();
        write!(f, "\n  {}", states.join("; "))
    }
}

impl std::error::Error for PublishError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{self, ErrorKind};

    fn at(text: &str) -> Location {
        text.parse().unwrap()
    }

    fn descriptor() -> Descriptor {
        Descriptor::new("application/x", Digest::sha256(b"new"))
    }

    fn failure(subject: &str, reason: &str) -> Error {
        registry::Error::of_source(subject, reason).into()
    }

    fn publication<'p>(
        target: &'p Location,
        tags: &'p [Location],
        descriptor: &'p Descriptor,
        current: &'p [Result<Option<Digest>, Error>],
    ) -> Publication<'p> {
        static BYTES: Bytes = Bytes::from_static(b"new");
        Publication { target, tags, descriptor, bytes: &BYTES, children: &[], current, if_match: None, wait: false }
    }

    #[test]
    fn what_would_become_of_each_tag() {
        let (new, old) = (Digest::sha256(b"new"), Digest::sha256(b"old"));
        let known = [
            (Ok(Some(new.clone())), TagOutcome::Unchanged, Some(new)),
            (Ok(Some(old.clone())), TagOutcome::Updated, Some(old)),
            (Ok(None), TagOutcome::Created, None),
            (Err(failure("r.io/a:3", "no")), TagOutcome::Written, None),
        ];
        let (target, descriptor) = (at("r.io/a:0"), descriptor());
        let tags: Vec<Location> = (1..5).map(|n| at(&format!("r.io/a:{n}"))).collect();
        for first in 0..known.len() {
            let mut known = known.clone();
            known.rotate_left(first);
            let current: Vec<_> = known.iter().map(|(current, ..)| current.clone()).collect();
            let report = publication(&target, &tags, &descriptor, &current).foreseen();
            let nobody_looked = (Ok(None), TagOutcome::Written, None);
            let locations = std::iter::once(&target).chain(&tags);
            let expected: Vec<TagReport> = locations
                .zip(known.iter().chain([&nobody_looked]))
                .map(|(tag, (_, outcome, was))| TagReport {
                    location: tag.clone(),
                    outcome: *outcome,
                    was: was.clone(),
                })
                .collect();
            assert_eq!((&report.tags, &report.descriptor), (&expected, &descriptor));
            let failed = publication(&target, &tags, &descriptor, &current).failed_before(vec![failure("x", "y")]);
            let failures = expected.into_iter().map(|tag| TagReport { outcome: TagOutcome::Failed, ..tag });
            assert_eq!(failed.tags, failures.collect::<Vec<_>>());
        }
        for (outcome, moved) in [
            (TagOutcome::Created, true),
            (TagOutcome::Updated, true),
            (TagOutcome::Written, true),
            (TagOutcome::Unchanged, false),
            (TagOutcome::Failed, false),
            (TagOutcome::Unknown, false),
        ] {
            let tag = |outcome| TagReport { location: target.clone(), outcome, was: None };
            let tags = vec![tag(TagOutcome::Unchanged), tag(outcome)];
            assert_eq!(Report { descriptor: descriptor.clone(), tags }.has_moved(), moved, "{outcome:?}");
        }
    }

    fn failed(outcomes: &[TagOutcome], errors: &[(&str, &str)]) -> PublishError {
        let tag = |(n, outcome): (usize, &TagOutcome)| {
            let location = at(&format!("r.io/a:{n}"));
            TagReport { location, outcome: *outcome, was: None }
        };
        PublishError {
            target: at("r.io/a:0"),
            descriptor: descriptor(),
            errors: errors.iter().map(|(subject, reason)| failure(subject, reason)).collect(),
            tags: outcomes.iter().enumerate().map(tag).collect(),
        }
    }

    #[test]
    fn what_a_failure_says() {
        use TagOutcome::{Created, Failed, Unchanged, Unknown, Updated, Written};
        for (outcomes, errors, text) in [
            (&[Failed][..], &[("x", "no")][..], "x: no\n  no tag was written"),
            (&[Failed, Failed], &[("x", "no")], "x: no\n  no tag was written"),
            (&[Created, Failed, Failed], &[("x", "no")], "x: no\n  written: r.io/a:0; not written: r.io/a:1, r.io/a:2"),
            (&[Unchanged, Failed], &[("x", "no")], "x: no\n  written: r.io/a:0; not written: r.io/a:1"),
            (&[Unknown], &[("x", "no")], "x: no\n  not known: r.io/a:0"),
            (
                &[Updated, Unknown, Failed],
                &[("x", "no")],
                "x: no\n  written: r.io/a:0; not written: r.io/a:2; not known: r.io/a:1",
            ),
            (&[Written, Created], &[("x", "no")], "x: no\n  written: r.io/a:0, r.io/a:1"),
            (
                &[Failed],
                &[("y", "no"), ("x", "no"), ("y", "no"), ("x", "but")],
                "x: but\n  x: no\n  y: no\n  no tag was written",
            ),
        ] {
            let expected = format!("cannot push r.io/a:0: {text}");
            assert_eq!(failed(outcomes, errors).to_string(), expected, "{outcomes:?}");
        }
        let all = [Created, Updated, Written, Unchanged, Failed, Unknown];
        for (one, other) in all.iter().flat_map(|one| all.map(|other| (*one, other))) {
            let text = failed(&[one, other], &[("x", "no")]).to_string();
            let (_, last) = text.rsplit_once('\n').unwrap();
            let times = usize::from((one, other) != (Failed, Failed));
            assert!(["r.io/a:0", "r.io/a:1"].iter().all(|tag| last.matches(tag).count() == times), "{text}");
        }
    }

    #[test]
    fn an_archive_that_failed_has_nothing() {
        let outcomes = [TagOutcome::Created, TagOutcome::Unchanged, TagOutcome::Unknown];
        for (target, kept) in [("r.io/a:0", true), ("oci:dir:0", true), ("oci-archive:a.tar:0", false)] {
            let (target, descriptor) = (at(target), descriptor());
            let report = || Report { descriptor: descriptor.clone(), tags: failed(&outcomes, &[]).tags };
            let error = publication(&target, &[], &descriptor, &[]).failed(vec![failure("x", "no")], report());
            let found: Vec<TagOutcome> = error.tags.iter().map(|tag| tag.outcome).collect();
            assert_eq!(found, if kept { outcomes } else { [TagOutcome::Failed; 3] }, "{target}");
            assert!(error.to_string().starts_with(&format!("cannot push {target}: x: no\n")), "{error}");
            let unfinished = PublishError::of_archive(&target, report(), Some(failure("x", "no")));
            assert_eq!(unfinished.to_string(), format!("cannot push {target}: x: no\n  no tag was written"));
        }
    }

    #[test]
    fn changed_is_what_others_wrote_and_nothing_else() {
        let changed = || Error::from(IfMatch::Nothing.check("r.io/a:0", Some(&Digest::sha256(b"old"))).unwrap_err());
        let mut unsettled = registry::Error::of_source("r.io/a:0", "no");
        unsettled.kind = ErrorKind::Unsettled(Box::new(unsettled.kind));
        for (errors, expected) in [
            (vec![changed()], true),
            (vec![failure("x", "no")], false),
            (vec![changed(), failure("x", "no")], false),
            (vec![unsettled.into()], false),
        ] {
            let error = PublishError { errors, ..failed(&[TagOutcome::Failed], &[]) };
            assert_eq!(error.is_changed(), expected, "{error}");
        }
    }
}
