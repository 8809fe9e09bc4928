//! Publishes a manifest: its children, then its tags.

use futures_util::future::join_all;

use super::publication::{Publication, TagTarget};
use super::run::OnStep;
use super::{Error, PublishError, PublishReport, Run, TagOutcome, TagReport};
use crate::event::{Phase, Step};

impl Run {
    /// Publishes a manifest: its children, then its tags. Tags are written one after another, because some registries
    /// fail when two tags of one manifest are written concurrently, or together where [`MultiTag`] allows it. A dry run
    /// reports every predicted failure, or the predicted outcome for each tag.
    ///
    /// [`MultiTag`]: super::MultiTag
    pub(crate) async fn publish(
        &self,
        publication: &Publication<'_>,
        on_step: OnStep<'_>,
    ) -> Result<PublishReport, PublishError> {
        self.prepare(publication, on_step).await?;
        if self.is_dry {
            return Ok(publication.predicted());
        }
        let report = self.write_tags(publication, on_step).await?;
        if publication.wait {
            self.read_back(publication, &report).await?;
        }
        Ok(report)
    }

    /// Checks a publication and pushes its children, before any tag is written. Children are pushed once per run.
    pub(crate) async fn prepare(&self, publication: &Publication<'_>, on_step: OnStep<'_>) -> Result<(), PublishError> {
        let mut errors = self.check(publication);
        for level in publication.children {
            if errors.is_empty() || self.is_dry {
                errors.extend(self.push_children(publication.target, level, on_step).await);
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(publication.failed_before(errors)) }
    }

    /// Checks a publication before any write. Preconditions are checked again just before each tag is written.
    fn check(&self, publication: &Publication<'_>) -> Vec<Error> {
        let mut errors = Vec::new();
        if self.is_dry {
            errors.extend(publication.tags.iter().filter_map(TagTarget::lookup_error).cloned());
        }
        errors.extend(publication.check().err());
        if self.is_dry {
            errors.extend(self.store.check_target(publication.target).err());
        }
        errors
    }

    async fn write_tags(
        &self,
        publication: &Publication<'_>,
        on_step: OnStep<'_>,
    ) -> Result<PublishReport, PublishError> {
        let mut report = publication.unwritten();
        self.write_tags_together(publication, &mut report, on_step).await?;
        let total = publication.tags.len();
        for (at, tag) in publication.tags.iter().enumerate() {
            if report.tags.get(at).is_some_and(|tag| tag.outcome.is_written()) {
                continue;
            }
            let location = || tag.location.clone();
            self.report(publication.target, || Phase::WritingTag { tag: location(), number: at + 1, total });
            let written = self.write_tag(publication, tag, on_step).await;
            if let Some(tag) = report.tags.get_mut(at) {
                tag.outcome = match &written {
                    Ok(outcome) => *outcome,
                    Err(error) if error.is_outcome_unknown() => TagOutcome::Unknown,
                    Err(_) => TagOutcome::Failed,
                };
            }
            if let Err(error) = written {
                return Err(publication.failed(vec![error], report));
            }
        }
        Ok(report)
    }

    async fn write_tag(
        &self,
        publication: &Publication<'_>,
        tag: &TagTarget,
        on_step: OnStep<'_>,
    ) -> Result<TagOutcome, Error> {
        let (location, outcome) = (&tag.location, tag.predicted(&publication.descriptor.digest, publication.bytes));
        if outcome == TagOutcome::Unchanged {
            on_step(Step::TagUnchanged(location.clone()));
            return Ok(outcome);
        }
        let Publication { descriptor, bytes, .. } = publication;
        self.store.push_manifest(location, descriptor, bytes, tag.if_match.as_ref()).await?;
        on_step(Step::Tag(location.clone()));
        Ok(outcome)
    }

    async fn read_back(&self, publication: &Publication<'_>, report: &PublishReport) -> Result<(), PublishError> {
        let written: Vec<&TagReport> = report.tags.iter().filter(|tag| tag.outcome.is_written()).collect();
        let digest = &publication.descriptor.digest;
        self.report(publication.target, || Phase::ReadingBack { tags: written.len() });
        let reading = join_all(written.into_iter().map(|tag| self.store.read_back(&tag.location, digest))).await;
        let errors: Vec<Error> = reading.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(publication.failed(errors, report.clone())) }
    }
}
