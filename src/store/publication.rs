use std::fmt;

use bytes::Bytes;

use super::{Error, IfMatch, SourceManifest};
use crate::image::{Descriptor, Digest, Location};

/// A manifest that gets some tags, once each manifest that it refers to is in place.
#[derive(Debug, Clone)]
pub(crate) struct Publication<'p> {
    /// What messages name: the repository, tag or layout that is written.
    pub target: &'p Location,
    /// The tags, in the order in which they are written. Without a tag, the repository by digest, or the layout.
    pub tags: Vec<TagTarget>,
    /// Type, digest and size of the manifest.
    pub descriptor: &'p Descriptor,
    /// Its exact bytes.
    pub bytes: &'p Bytes,
    /// The manifests that it refers to, in levels: a level is written when those before it are. The blobs of manifests that
    /// were there before are not looked for.
    pub children: &'p [Vec<SourceManifest>],
    /// Whether every tag that was written must read back.
    pub wait: bool,
}

/// A tag that will point at a manifest.
#[derive(Debug, Clone)]
pub(crate) struct TagTarget {
    /// The tag.
    pub location: Location,
    /// What it points at, `None` if that was not looked up. A tag that points at the manifest already is not written, which
    /// immutable tags need.
    pub current: Option<Result<Option<Digest>, Error>>,
    /// What it must point at, or the manifest already.
    pub if_match: Option<IfMatch>,
}

impl TagTarget {
    /// A tag of which is known what it points at.
    pub(crate) fn new(location: Location, current: Result<Option<Digest>, Error>) -> Self {
        Self { location, current: Some(current), if_match: None }
    }

    /// A tag of which is not known what it points at.
    pub(crate) fn unread(location: Location) -> Self {
        Self { location, current: None, if_match: None }
    }

    /// Why it is not known what it points at, if it was looked up.
    pub(super) fn unknown(&self) -> Option<&Error> {
        self.current.as_ref().and_then(|current| current.as_ref().err())
    }

    /// Whether it is known to point at a digest.
    pub(crate) fn is_at(&self, digest: &Digest) -> bool {
        matches!(&self.current, Some(Ok(Some(current))) if current == digest)
    }

    /// What becomes of it. A tag of which is not known what it points at is written, and the answer to that says what is
    /// wrong.
    pub(super) fn predicted(&self, digest: &Digest) -> TagOutcome {
        match &self.current {
            Some(Ok(Some(current))) if current == digest => TagOutcome::Unchanged,
            Some(Ok(Some(_))) => TagOutcome::Updated,
            Some(Ok(None)) => TagOutcome::Created,
            Some(Err(_)) | None => TagOutcome::Written,
        }
    }

    fn report(&self, outcome: TagOutcome) -> TagReport {
        let was = self.current.as_ref().and_then(|current| current.as_ref().ok()?.clone());
        TagReport { location: self.location.clone(), outcome, was }
    }
}

/// What was published, or would be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublishReport {
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

impl PublishReport {
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
    /// The target that was not written.
    pub target: Location,
    /// Type, digest and size of what the target should point at.
    pub descriptor: Descriptor,
    /// Why; never empty.
    pub errors: Vec<Error>,
    /// What became of each tag.
    pub tags: Vec<TagReport>,
}

impl<'p> Publication<'p> {
    /// A publication without a tag, to be completed.
    pub(crate) fn new(
        target: &'p Location,
        descriptor: &'p Descriptor,
        bytes: &'p Bytes,
        children: &'p [Vec<SourceManifest>],
    ) -> Self {
        Self { target, tags: Vec::new(), descriptor, bytes, children, wait: false }
    }

    /// Checks the preconditions, as far as it is known what the tags point at.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.tags.iter().filter(|tag| !tag.is_at(&self.descriptor.digest)).try_for_each(|tag| {
            match (&tag.if_match, &tag.current) {
                (Some(if_match), Some(Ok(current))) => if_match.check(&tag.location.to_string(), current.as_ref()),
                _ => Ok(()),
            }
        })
    }

    /// What would become of each tag.
    pub(super) fn predicted(&self) -> PublishReport {
        self.report(|tag| tag.predicted(&self.descriptor.digest))
    }

    /// The report of a publication that has not written a tag yet.
    pub(super) fn unwritten(&self) -> PublishReport {
        self.report(|_| TagOutcome::Failed)
    }

    fn report(&self, outcome: impl Fn(&TagTarget) -> TagOutcome) -> PublishReport {
        let tags = self.tags.iter().map(|tag| tag.report(outcome(tag))).collect();
        PublishReport { descriptor: self.descriptor.clone(), tags }
    }

    /// The error of a publication that has not written a tag.
    pub(crate) fn failed_before(&self, errors: Vec<Error>) -> PublishError {
        self.failed(errors, self.unwritten())
    }

    pub(super) fn failed(&self, errors: Vec<Error>, report: PublishReport) -> PublishError {
        // An archive replaces its target file at the end of a run, which was not reached.
        let is_archive = matches!(self.target, Location::Layout(layout) if layout.archive);
        if is_archive {
            return PublishError { errors, ..PublishError::of_archive(self.target, report, None) };
        }
        let PublishReport { descriptor, tags } = report;
        PublishError { target: self.target.clone(), descriptor, errors, tags }
    }
}

impl PublishError {
    /// The archive was assembled, and did not replace its target file.
    #[must_use]
    pub(crate) fn of_archive(target: &Location, report: PublishReport, error: Option<Error>) -> Self {
        let PublishReport { descriptor, mut tags } = report;
        tags.iter_mut().for_each(|tag| tag.outcome = TagOutcome::Failed);
        Self { target: target.clone(), descriptor, errors: error.into_iter().collect(), tags }
    }

    /// Whether every error is a precondition that was not met.
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

impl std::error::Error for PublishError {
    /// The first of the errors.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.errors.first().map(|error| error as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{self, ErrorKind, StopReason};

    fn at(text: &str) -> Location {
        text.parse().unwrap()
    }

    fn descriptor() -> Descriptor {
        Descriptor::new("application/x", Digest::sha256(b"new"))
    }

    fn failure(subject: &str, reason: &str) -> Error {
        Error::unsuitable(subject, reason)
    }

    fn publication<'p>(target: &'p Location, tags: Vec<TagTarget>, descriptor: &'p Descriptor) -> Publication<'p> {
        static BYTES: Bytes = Bytes::from_static(b"new");
        Publication { target, tags, descriptor, bytes: &BYTES, children: &[], wait: false }
    }

    #[test]
    fn what_would_become_of_each_tag() {
        let (new, old) = (Digest::sha256(b"new"), Digest::sha256(b"old"));
        let known = [
            (Some(Ok(Some(new.clone()))), TagOutcome::Unchanged, Some(new)),
            (Some(Ok(Some(old.clone()))), TagOutcome::Updated, Some(old)),
            (Some(Ok(None)), TagOutcome::Created, None),
            (Some(Err(failure("r.io/a:3", "no"))), TagOutcome::Written, None),
            (None, TagOutcome::Written, None),
        ];
        let (target, descriptor) = (at("r.io/a:0"), descriptor());
        for first in 0..known.len() {
            let mut known = known.clone();
            known.rotate_left(first);
            let location = |n: usize| at(&format!("r.io/a:{n}"));
            let tags = known.iter().enumerate().map(|(n, (current, ..))| TagTarget {
                location: location(n),
                current: current.clone(),
                if_match: None,
            });
            let publication = publication(&target, tags.collect(), &descriptor);
            let expected: Vec<TagReport> = known
                .iter()
                .enumerate()
                .map(|(n, (_, outcome, was))| TagReport { location: location(n), outcome: *outcome, was: was.clone() })
                .collect();
            let report = publication.predicted();
            assert_eq!((&report.tags, &report.descriptor), (&expected, &descriptor));
            let failed = publication.failed_before(vec![failure("x", "y")]);
            let failures = expected.into_iter().map(|tag| TagReport { outcome: TagOutcome::Failed, ..tag });
            assert_eq!(failed.tags, failures.collect::<Vec<_>>());
        }
    }

    #[test]
    fn preconditions_are_of_one_tag_each() {
        let (new, old) = (Digest::sha256(b"new"), Digest::sha256(b"old"));
        let (target, descriptor) = (at("r.io/a:0"), descriptor());
        let tag = |current: Option<Result<Option<&Digest>, Error>>, if_match: Option<IfMatch>| {
            let current = current.map(|current| current.map(|digest| digest.cloned()));
            TagTarget { location: at("r.io/a:0"), current, if_match }
        };
        let (nothing, is_old) = (|| Some(IfMatch::Nothing), || Some(IfMatch::Digest(Digest::sha256(b"old"))));
        for (tag, holds) in [
            (tag(Some(Ok(None)), nothing()), true),
            (tag(Some(Ok(Some(&old))), nothing()), false),
            (tag(Some(Ok(Some(&new))), nothing()), true),
            (tag(Some(Ok(Some(&old))), is_old()), true),
            (tag(Some(Ok(None)), is_old()), false),
            (tag(Some(Err(failure("x", "no"))), is_old()), true),
            (tag(None, is_old()), true),
            (tag(Some(Ok(Some(&old))), None), true),
        ] {
            let other = TagTarget::new(at("r.io/a:1"), Ok(Some(old.clone())));
            for tags in [vec![tag.clone(), other.clone()], vec![other, tag.clone()]] {
                let checked = publication(&target, tags, &descriptor).check();
                assert_eq!(checked.is_ok(), holds, "{tag:?}");
                assert!(checked.err().is_none_or(|error| error.is_changed() && error.subject() == "r.io/a:0"));
            }
        }
    }

    #[test]
    fn a_tag_has_moved_if_it_was_written() {
        let (target, descriptor) = (at("r.io/a:0"), descriptor());
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
            assert_eq!(PublishReport { descriptor: descriptor.clone(), tags }.has_moved(), moved, "{outcome:?}");
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
            let report = || PublishReport { descriptor: descriptor.clone(), tags: failed(&outcomes, &[]).tags };
            let error = publication(&target, Vec::new(), &descriptor).failed(vec![failure("x", "no")], report());
            let found: Vec<TagOutcome> = error.tags.iter().map(|tag| tag.outcome).collect();
            assert_eq!(found, if kept { outcomes } else { [TagOutcome::Failed; 3] }, "{target}");
            assert!(error.to_string().starts_with(&format!("cannot push {target}: x: no\n")), "{error}");
            let unfinished = PublishError::of_archive(&target, report(), Some(failure("x", "no")));
            assert_eq!(unfinished.to_string(), format!("cannot push {target}: x: no\n  no tag was written"));
        }
    }

    #[test]
    fn changed_is_what_others_wrote_and_nothing_else() {
        let changed = || IfMatch::Nothing.check("r.io/a:0", Some(&Digest::sha256(b"old"))).unwrap_err();
        let mut unsettled = registry::Error::stopped("r.io/a:0", StopReason::Deadline);
        unsettled.kind = ErrorKind::OutcomeUnknown(Box::new(unsettled.kind));
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
