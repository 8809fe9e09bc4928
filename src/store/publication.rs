use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;

use super::causes::{Hit, by_cause, lines};
use super::{Error, IfMatch, SourceManifest};
use crate::image::{Descriptor, Digest, Location, Manifest, Platform, parse_manifest};

/// A manifest to publish: its children are written first, then its tags.
#[derive(Debug, Clone)]
pub(crate) struct Publication<'p> {
    /// The repository, tag or layout that messages name.
    pub target: &'p Location,
    /// The tags, in the order in which they are written. Without a tag, the repository by digest, or the layout.
    pub tags: Vec<TagTarget>,
    /// Type, digest and size of the manifest.
    pub descriptor: &'p Descriptor,
    /// The manifest's exact bytes.
    pub bytes: &'p Bytes,
    /// The manifest's descendants in levels, written one level after another. The blobs of manifests that the target
    /// already has are not checked.
    pub children: &'p [Vec<SourceManifest>],
    /// Whether to wait until every written tag resolves to the manifest.
    pub wait: bool,
}

/// A tag that will point at a manifest.
#[derive(Debug, Clone)]
pub(crate) struct TagTarget {
    /// The tag.
    pub location: Location,
    /// The digest that the tag points at; the outer `None` if it was not looked up. A tag that already points at the
    /// manifest is not written, because writing an immutable tag fails.
    pub current: Option<Result<Option<Digest>, Error>>,
    /// The precondition. A tag that already points at the manifest need not meet it.
    pub if_match: Option<IfMatch>,
}

impl TagTarget {
    /// Returns a tag whose current digest was looked up.
    pub(crate) fn new(location: Location, current: Result<Option<Digest>, Error>) -> Self {
        Self { location, current: Some(current), if_match: None }
    }

    /// Returns a tag whose current digest was not looked up.
    pub(crate) fn unread(location: Location) -> Self {
        Self { location, current: None, if_match: None }
    }

    /// Returns the error of looking up the tag, if that failed.
    pub(super) fn lookup_error(&self) -> Option<&Error> {
        self.current.as_ref().and_then(|current| current.as_ref().err())
    }

    /// Whether the tag is known to point at a manifest. Its digests with different algorithms are equal.
    pub(crate) fn points_at(&self, digest: &Digest, bytes: &[u8]) -> bool {
        let is_same = |current: &Digest| {
            current == digest || (current.algorithm() != digest.algorithm() && current.matches(bytes))
        };
        matches!(&self.current, Some(Ok(Some(current))) if is_same(current))
    }

    /// Predicts the outcome. A tag whose lookup failed counts as written: the push writes it, and the write reports
    /// what is wrong.
    pub(super) fn predicted(&self, digest: &Digest, bytes: &[u8]) -> TagOutcome {
        match &self.current {
            _ if self.points_at(digest, bytes) => TagOutcome::Unchanged,
            Some(Ok(Some(_))) => TagOutcome::Updated,
            Some(Ok(None)) => TagOutcome::Created,
            Some(Err(_)) | None => TagOutcome::Written,
        }
    }

    fn report(&self, outcome: TagOutcome) -> TagReport {
        let previous = self.current.as_ref().and_then(|current| current.as_ref().ok()?.clone());
        TagReport { location: self.location.clone(), outcome, previous }
    }
}

/// The result of a publication, predicted in a dry run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublishReport {
    /// Type, digest and size of the manifest.
    pub descriptor: Descriptor,
    /// The outcome for each tag, the target's first.
    pub tags: Vec<TagReport>,
    /// The platforms of the images if the manifest is an index, without repetitions; else empty.
    pub platforms: Vec<Platform>,
}

/// A tag and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagReport {
    /// The tag.
    pub location: Location,
    /// The outcome.
    pub outcome: TagOutcome,
    /// The digest that the tag pointed at before, if known.
    pub previous: Option<Digest>,
}

/// The outcome of publishing a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagOutcome {
    /// The tag was written and did not exist before.
    Created,
    /// The tag was written and pointed at another digest before.
    Updated,
    /// The tag was written; its previous digest is unknown.
    Written,
    /// The tag already pointed at the manifest.
    Unchanged,
    /// The tag was not written.
    Failed,
    /// The response was lost, and reading the tag failed.
    Unknown,
}

impl TagOutcome {
    /// Whether the tag was written.
    #[must_use]
    pub fn is_written(self) -> bool {
        matches!(self, Self::Created | Self::Updated | Self::Written)
    }
}

impl PublishReport {
    /// Whether any tag was written.
    #[must_use]
    pub fn has_written_tags(&self) -> bool {
        self.tags.iter().any(|tag| tag.outcome.is_written())
    }
}

/// A failed publication: why it failed, and what was written before.
#[derive(Debug)]
#[non_exhaustive]
pub struct PublishError {
    /// The target that was not written.
    pub target: Location,
    /// Type, digest and size of the manifest that the target should point at.
    pub descriptor: Descriptor,
    /// Why the publication failed; never empty.
    pub errors: Vec<Error>,
    /// The outcome for each tag.
    pub tags: Vec<TagReport>,
}

impl<'p> Publication<'p> {
    /// Returns a publication without tags.
    pub(crate) fn new(
        target: &'p Location,
        descriptor: &'p Descriptor,
        bytes: &'p Bytes,
        children: &'p [Vec<SourceManifest>],
    ) -> Self {
        Self { target, tags: Vec::new(), descriptor, bytes, children, wait: false }
    }

    /// Checks the preconditions of the tags whose current digests are known.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.tags.iter().filter(|tag| !tag.points_at(&self.descriptor.digest, self.bytes)).try_for_each(|tag| {
            match (&tag.if_match, &tag.current) {
                (Some(if_match), Some(Ok(current))) => if_match.check(&tag.location.to_string(), current.as_ref()),
                _ => Ok(()),
            }
        })
    }

    /// Predicts the outcome for each tag.
    pub(super) fn predicted(&self) -> PublishReport {
        self.report(|tag| tag.predicted(&self.descriptor.digest, self.bytes))
    }

    /// Returns the report of a publication that has not written a tag yet.
    pub(super) fn unwritten(&self) -> PublishReport {
        self.report(|_| TagOutcome::Failed)
    }

    fn report(&self, outcome: impl Fn(&TagTarget) -> TagOutcome) -> PublishReport {
        let tags = self.tags.iter().map(|tag| tag.report(outcome(tag))).collect();
        let platforms = platforms(self.bytes, &self.descriptor.media_type);
        PublishReport { descriptor: self.descriptor.clone(), tags, platforms }
    }

    /// Returns the error of a publication that has not written a tag.
    pub(crate) fn failed_before(&self, errors: Vec<Error>) -> PublishError {
        self.failed(errors, self.unwritten())
    }

    pub(super) fn failed(&self, errors: Vec<Error>, report: PublishReport) -> PublishError {
        // A failed run never replaces the target file of an archive, so its tags are not written.
        let is_archive = self.target.is_written_whole();
        if is_archive {
            return PublishError {
                errors,
                ..PublishError::uncommitted(self.target, report.descriptor, report.tags, None)
            };
        }
        let PublishReport { descriptor, tags, .. } = report;
        PublishError { target: self.target.clone(), descriptor, errors, tags }
    }
}

/// Returns the distinct platforms of the images in an index, in its order.
fn platforms(bytes: &[u8], media_type: &str) -> Vec<Platform> {
    let Ok((Manifest::Index(index), _)) = parse_manifest(bytes, media_type) else { return Vec::new() };
    let images = index.manifests.into_iter().filter(|entry| !entry.is_attestation());
    let mut seen = HashSet::new();
    images.filter_map(|image| image.platform).filter(|platform| seen.insert(platform.clone())).collect()
}

impl PublishError {
    /// Returns the error of an archive that was assembled but did not replace its target file.
    #[must_use]
    pub(crate) fn uncommitted(
        target: &Location,
        descriptor: Descriptor,
        mut tags: Vec<TagReport>,
        error: Option<Error>,
    ) -> Self {
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
        let hit = |error: &Error| Hit { message: error.to_string(), ..error.hit(&self.target) };
        let mut hits: Vec<Hit> = self.errors.iter().map(hit).collect();
        hits.sort_by(|one, other| one.message.cmp(&other.message));
        f.write_str(&lines(&by_cause(hits)).join("\n  "))?;
        let tags = |has_state: fn(TagOutcome) -> bool| {
            let tags = self.tags.iter().filter(|tag| has_state(tag.outcome));
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
    /// Returns the first error.
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
    fn outcomes_are_predicted_from_what_tags_point_at() {
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
                .map(|(n, (_, outcome, previous))| TagReport {
                    location: location(n),
                    outcome: *outcome,
                    previous: previous.clone(),
                })
                .collect();
            let report = publication.predicted();
            assert_eq!((&report.tags, &report.descriptor), (&expected, &descriptor));
            let failed = publication.failed_before(vec![failure("x", "y")]);
            let failures = expected.into_iter().map(|tag| TagReport { outcome: TagOutcome::Failed, ..tag });
            assert_eq!(failed.tags, failures.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_tag_with_a_digest_of_another_algorithm_is_compared_by_content() {
        let sha512 = |bytes: &[u8]| {
            use sha2::Digest as _;
            let hex: String = sha2::Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            Digest::parse(&format!("sha512:{hex}")).unwrap()
        };
        let tag = |digest| TagTarget::new(at("r.io/a:0"), Ok(Some(digest)));
        let sha256 = Digest::sha256(b"new");
        assert!(
            tag(sha512(b"new")).points_at(&sha256, b"new") && tag(sha256.clone()).points_at(&sha512(b"new"), b"new")
        );
        assert!(!tag(sha512(b"old")).points_at(&sha256, b"new") && !tag(sha256).points_at(&sha512(b"old"), b"old"));
    }

    #[test]
    fn a_precondition_applies_to_its_tag_only() {
        let (new, old) = (Digest::sha256(b"new"), Digest::sha256(b"old"));
        let (target, descriptor) = (at("r.io/a:0"), descriptor());
        let tag = |current: Option<Result<Option<&Digest>, Error>>, if_match: Option<IfMatch>| {
            let current = current.map(|current| current.map(|digest| digest.cloned()));
            TagTarget { location: at("r.io/a:0"), current, if_match }
        };
        let (is_missing, is_old) = (|| Some(IfMatch::Missing), || Some(IfMatch::Digest(Digest::sha256(b"old"))));
        for (tag, is_met) in [
            (tag(Some(Ok(None)), is_missing()), true),
            (tag(Some(Ok(Some(&old))), is_missing()), false),
            (tag(Some(Ok(Some(&new))), is_missing()), true),
            (tag(Some(Ok(Some(&old))), is_old()), true),
            (tag(Some(Ok(None)), is_old()), false),
            (tag(Some(Err(failure("x", "no"))), is_old()), true),
            (tag(None, is_old()), true),
            (tag(Some(Ok(Some(&old))), None), true),
        ] {
            let other = TagTarget::new(at("r.io/a:1"), Ok(Some(old.clone())));
            for tags in [vec![tag.clone(), other.clone()], vec![other, tag.clone()]] {
                let checked = publication(&target, tags, &descriptor).check();
                assert_eq!(checked.is_ok(), is_met, "{tag:?}");
                assert!(checked.err().is_none_or(|error| error.is_changed() && error.subject() == "r.io/a:0"));
            }
        }
    }

    #[test]
    fn only_written_tags_count_as_a_change() {
        let (target, descriptor) = (at("r.io/a:0"), descriptor());
        for (outcome, is_change) in [
            (TagOutcome::Created, true),
            (TagOutcome::Updated, true),
            (TagOutcome::Written, true),
            (TagOutcome::Unchanged, false),
            (TagOutcome::Failed, false),
            (TagOutcome::Unknown, false),
        ] {
            let tag = |outcome| TagReport { location: target.clone(), outcome, previous: None };
            let tags = vec![tag(TagOutcome::Unchanged), tag(outcome)];
            assert_eq!(
                PublishReport { descriptor: descriptor.clone(), tags, platforms: Vec::new() }.has_written_tags(),
                is_change,
                "{outcome:?}"
            );
        }
    }

    fn failed(outcomes: &[TagOutcome], errors: &[(&str, &str)]) -> PublishError {
        let tag = |(n, outcome): (usize, &TagOutcome)| {
            let location = at(&format!("r.io/a:{n}"));
            TagReport { location, outcome: *outcome, previous: None }
        };
        PublishError {
            target: at("r.io/a:0"),
            descriptor: descriptor(),
            errors: errors.iter().map(|(subject, reason)| failure(subject, reason)).collect(),
            tags: outcomes.iter().enumerate().map(tag).collect(),
        }
    }

    #[test]
    fn the_message_lists_sorted_reasons_and_the_state_of_each_tag() {
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
                "x: but\n  no\n    x\n    y\n  no tag was written",
            ),
        ] {
            let expected = format!("cannot push r.io/a:0: {text}");
            assert_eq!(failed(outcomes, errors).to_string(), expected, "{outcomes:?}");
        }
        let all = [Created, Updated, Written, Unchanged, Failed, Unknown];
        for (one, other) in all.iter().flat_map(|one| all.map(|other| (*one, other))) {
            let text = failed(&[one, other], &[("x", "no")]).to_string();
            let (_, last) = text.rsplit_once('\n').unwrap();
            let count = usize::from((one, other) != (Failed, Failed));
            assert!(["r.io/a:0", "r.io/a:1"].iter().all(|tag| last.matches(tag).count() == count), "{text}");
        }
    }

    #[test]
    fn a_failed_archive_reports_all_its_tags_as_not_written() {
        let outcomes = [TagOutcome::Created, TagOutcome::Unchanged, TagOutcome::Unknown];
        for (target, kept) in [("r.io/a:0", true), ("oci:dir:0", true), ("oci-archive:a.tar:0", false)] {
            let (target, descriptor) = (at(target), descriptor());
            let report = || PublishReport {
                descriptor: descriptor.clone(),
                tags: failed(&outcomes, &[]).tags,
                platforms: Vec::new(),
            };
            let error = publication(&target, Vec::new(), &descriptor).failed(vec![failure("x", "no")], report());
            let reported: Vec<TagOutcome> = error.tags.iter().map(|tag| tag.outcome).collect();
            assert_eq!(reported, if kept { outcomes } else { [TagOutcome::Failed; 3] }, "{target}");
            assert!(error.to_string().starts_with(&format!("cannot push {target}: x: no\n")), "{error}");
            let uncommitted =
                PublishError::uncommitted(&target, descriptor.clone(), report().tags, Some(failure("x", "no")));
            assert_eq!(uncommitted.to_string(), format!("cannot push {target}: x: no\n  no tag was written"));
        }
    }

    #[test]
    fn is_changed_requires_every_error_to_be_a_failed_precondition() {
        let changed = || IfMatch::Missing.check("r.io/a:0", Some(&Digest::sha256(b"old"))).unwrap_err();
        let mut unknown = registry::Error::stopped("r.io/a:0", StopReason::Deadline);
        unknown.kind = ErrorKind::OutcomeUnknown(Box::new(unknown.kind));
        for (errors, expected) in [
            (vec![changed()], true),
            (vec![failure("x", "no")], false),
            (vec![changed(), failure("x", "no")], false),
            (vec![unknown.into()], false),
        ] {
            let error = PublishError { errors, ..failed(&[TagOutcome::Failed], &[]) };
            assert_eq!(error.is_changed(), expected, "{error}");
        }
    }
}
