//! Writes several tags of a manifest in one request.

use super::publication::{Publication, TagTarget};
use super::run::OnStep;
use super::{Error, PublishError, PublishReport, Run, TagOutcome};
use crate::event::{Phase, Step};
use crate::image::{Digest, Reference};
use crate::registry::{self, Guard, MAX_TAGS, TagState, TagsPushed};

impl Run {
    /// Writes as many tags as possible in requests of several tags, and sets their outcomes in the report.
    pub(super) async fn write_tags_together(
        &self,
        publication: &Publication<'_>,
        report: &mut PublishReport,
        on_step: OnStep<'_>,
    ) -> Result<(), PublishError> {
        let digest = &publication.descriptor.digest;
        let is_pending = |tag: &TagTarget| !tag.points_at(digest, publication.bytes);
        let pending: Vec<usize> = positions(&publication.tags, is_pending);
        for group in pending.chunks(MAX_TAGS) {
            let tags: Vec<&TagTarget> = group.iter().filter_map(|at| publication.tags.get(*at)).collect();
            let Some(pushed) = self.push_tags(publication, &tags).await else { return Ok(()) };
            for ((at, tag), state) in group.iter().zip(&tags).zip(&pushed.states) {
                let outcome = match state {
                    TagState::Written => tag.predicted(digest, publication.bytes),
                    TagState::NotWritten => TagOutcome::Failed,
                    TagState::Unknown => TagOutcome::Unknown,
                };
                if outcome.is_written() {
                    on_step(Step::Tag(tag.location.clone()));
                }
                if let Some(tag) = report.tags.get_mut(*at) {
                    tag.outcome = outcome;
                }
            }
            if let Some(error) = pushed.error {
                for (tag, report) in publication.tags.iter().zip(&mut report.tags).filter(|(tag, _)| !is_pending(tag)) {
                    report.outcome = tag.predicted(digest, publication.bytes);
                }
                return Err(publication.failed(vec![error.into()], report.clone()));
            }
        }
        Ok(())
    }

    /// Writes tags in one request, if the registry takes several tags. Returns `None` if that is not tried: for fewer
    /// than two tags, for a layout, and for a registry that does not support it.
    async fn push_tags(
        &self,
        Publication { target, descriptor, bytes, .. }: &Publication<'_>,
        tags: &[&TagTarget],
    ) -> Option<TagsPushed> {
        let references: Option<Vec<&Reference>> = tags.iter().map(|tag| tag.location.reference()).collect();
        let references: Vec<Reference> = references?.into_iter().cloned().collect();
        let registry = references.first().filter(|_| references.len() > 1)?.registry().to_owned();
        if !self.multi_tag.claim(&registry) {
            return None;
        }
        self.report(target, || Phase::WritingTags { tags: tags.len() });
        let check = |tag: &TagTarget, current: Option<&Digest>| -> Result<(), registry::Error> {
            let Some(if_match) = &tag.if_match else { return Ok(()) };
            if_match.check(&tag.location.to_string(), current).map_err(Error::into_registry)
        };
        let checks: Vec<_> = tags.iter().map(|tag| move |current: Option<&Digest>| check(tag, current)).collect();
        let guarded = tags.iter().zip(&references).zip(&checks).filter(|((tag, _), _)| tag.if_match.is_some());
        let guards: Vec<Guard<'_>> = guarded.map(|((_, tag), check)| Guard { tag, precondition: check }).collect();
        let pushed = self.store.client().push_tags(&references, descriptor, bytes, &guards).await;
        self.multi_tag.record(&registry, pushed.is_supported);
        Some(pushed)
    }
}

/// Returns the positions of the tags that match.
fn positions(tags: &[TagTarget], is_match: impl Fn(&TagTarget) -> bool) -> Vec<usize> {
    tags.iter().enumerate().filter(|(_, tag)| is_match(tag)).map(|(at, _)| at).collect()
}
