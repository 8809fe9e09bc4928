use super::super::existing::Existing;
use crate::image::{Descriptor, Location};
use crate::store::{PublishError, PublishReport, TagOutcome, TagReport};

/// The progress of a convergence.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) attempts: u32,
    /// The content that the last write replaced.
    pub(super) before: Option<Existing>,
    /// Whether the target, with the change, stayed the same for a settling time.
    pub(super) is_settled: bool,
    /// Whether the registry may still carry out an earlier attempt of a write, which would hide that another writer
    /// replaced the index since.
    pub(super) has_late_attempt: bool,
    pub(super) tags: Vec<TagReport>,
    /// How often the target was written, including writes whose response was lost.
    pub(super) writes: u32,
    /// The index that was written last.
    pub(super) descriptor: Option<Descriptor>,
}

impl Progress {
    pub(super) fn add(&mut self, target: &Location, report: &PublishReport) {
        if report.tags.iter().any(|tag| tag.location == *target && tag.outcome.is_written()) {
            self.writes += 1;
            self.descriptor = Some(report.descriptor.clone());
        }
        for tag in &report.tags {
            match self.tags.iter_mut().find(|known| known.location == tag.location) {
                Some(known) if known.outcome.is_written() => {}
                // The write whose response was lost has succeeded.
                Some(known) if (known.outcome, tag.outcome) == (TagOutcome::Unknown, TagOutcome::Unchanged) => {
                    let is_new = known.previous.is_none();
                    known.outcome = if is_new { TagOutcome::Created } else { TagOutcome::Updated };
                }
                // Keep `previous`, the digest from before this run.
                Some(known) => known.outcome = tag.outcome,
                None => self.tags.push(tag.clone()),
            }
        }
    }

    /// Whether any tag was written, or may have been.
    pub(super) fn may_have_written(&self) -> bool {
        self.tags.iter().any(|tag| may_be_written(tag.outcome))
    }

    /// Records tags that may have been written, although another writer then changed them.
    pub(super) fn add_lost(&mut self, error: &PublishError) {
        for tag in error.tags.iter().filter(|tag| tag.outcome == TagOutcome::Unknown) {
            self.writes += 1;
            self.descriptor = Some(error.descriptor.clone());
            match self.tags.iter_mut().find(|known| known.location == tag.location) {
                Some(known) if known.outcome.is_written() => {}
                Some(known) => known.outcome = TagOutcome::Unknown,
                None => self.tags.push(tag.clone()),
            }
        }
    }

    /// Replaces the outcomes in a report with the combined outcomes of all writes.
    pub(super) fn report(&self, mut report: PublishReport) -> PublishReport {
        for tag in &mut report.tags {
            if let Some(known) = self.tags.iter().find(|known| known.location == tag.location) {
                tag.clone_from(known);
            }
        }
        report
    }

    /// Adds the combined outcomes of all writes to an error. A tag that was written but not read back may have been
    /// overwritten by another writer, so its outcome is unknown.
    pub(super) fn complete(&self, mut error: PublishError) -> PublishError {
        for known in &self.tags {
            let may_be_written = may_be_written(known.outcome);
            let Some(tag) = error.tags.iter_mut().find(|tag| tag.location == known.location) else {
                // An extra tag was written before the target changed again.
                error.tags.extend(may_be_written.then(|| TagReport { outcome: TagOutcome::Unknown, ..known.clone() }));
                continue;
            };
            tag.previous.clone_from(&known.previous);
            match tag.outcome {
                TagOutcome::Failed if may_be_written => tag.outcome = TagOutcome::Unknown,
                TagOutcome::Unchanged if may_be_written => tag.outcome = known.outcome,
                _ => {}
            }
        }
        error
    }
}

fn may_be_written(outcome: TagOutcome) -> bool {
    outcome.is_written() || outcome == TagOutcome::Unknown
}
