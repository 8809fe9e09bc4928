//! What must hold at the end of every schedule.

use super::super::super::error::Error;
use super::super::MAX_ATTEMPTS;
use super::edits::{Change, EditCache, PLATFORMS, Versions, shown};
use super::registry::Version;
use super::schedule::Run;
use super::writers::Finished;
use crate::image::Location;
use crate::store::{TagOutcome, TagReport};

/// Checks a schedule that has run to its end.
///
/// # Errors
/// What does not hold.
pub fn check(run: &Run, edits: &EditCache) -> Result<(), String> {
    let check = Check { run, edits, written: run.registry.history(0) };
    check.indexes()?;
    check.untouched_images()?;
    run.writers.iter().try_for_each(|writer| {
        let checked = match &writer.outcome {
            Ok(_) => check.success(writer),
            Err(error) => check.failure(writer, error),
        };
        // Each attempt reads the target at most twice.
        let has_ended = writer.reads <= 2 * (MAX_ATTEMPTS + 2);
        let checked = checked.and(if has_ended { Ok(()) } else { Err("it exceeds the limit of attempts".into()) });
        checked.map_err(|problem| format!("writer {}: {problem}", writer.number))
    })
}

struct Check<'a> {
    run: &'a Run,
    edits: &'a EditCache,
    /// What the target pointed at.
    written: Vec<Version>,
}

impl Check<'_> {
    /// Returns the images of the index that a tag points at in the end.
    fn images_at(&self, tag: &Location) -> Versions {
        let history = self.run.registry.history(self.run.registry.tag(tag));
        self.edits.versions(history.last().and_then(|version| version.digest.as_ref()))
    }

    fn has_written(&self, writer: usize, tag: &Location) -> bool {
        let history = self.run.registry.history(self.run.registry.tag(tag));
        history.iter().any(|version| version.writer == Some(writer))
    }

    /// Checks that no index lists an image twice.
    fn indexes(&self) -> Result<(), String> {
        let mut digests = self.written.iter().filter_map(|version| version.digest.as_ref());
        match digests.find(|digest| !self.edits.content(digest).is_distinct) {
            Some(digest) => {
                Err(format!("an index lists an image twice: {}", shown(&self.edits.versions(Some(digest)))))
            }
            None => Ok(()),
        }
    }

    /// Checks that the images that no writer changes are still in the index.
    fn untouched_images(&self) -> Result<(), String> {
        let (before, now) = (&self.run.initial, self.images_at(&self.edits.target));
        let is_untouched = |platform: usize| !self.run.writers.iter().any(|writer| touches(writer, platform));
        match (0..PLATFORMS.len()).find(|at| before[*at] != now[*at] && is_untouched(*at)) {
            Some(at) => Err(format!("LOST: no writer changes {}, but the index has {}", PLATFORMS[at], shown(&now))),
            None => Ok(()),
        }
    }

    /// Checks that the change of a successful writer is in the target's index, and in those of its extra tags. A push
    /// that replaces the index has no such promise.
    fn success(&self, writer: &Finished) -> Result<(), String> {
        if matches!(writer.change, Change::Replace(_)) {
            return Ok(());
        }
        self.change(writer, &self.edits.target, false)?;
        writer.tags.iter().try_for_each(|tag| {
            let history = self.run.registry.history(self.run.registry.tag(tag));
            let last_writer = history.last().and_then(|version| version.writer);
            // A writer that fails may leave an extra tag at an older index, and says that the outcome is unknown.
            let has_failed = last_writer.is_some_and(|last| self.run.writers[last].outcome.is_err());
            if has_failed { Ok(()) } else { self.change(writer, tag, true) }
        })
    }

    /// Checks that an index has a writer's change, or what a later writer put there.
    fn change(&self, writer: &Finished, tag: &Location, is_extra: bool) -> Result<(), String> {
        let now = self.images_at(tag);
        for (at, platform) in PLATFORMS.iter().enumerate().filter(|(at, _)| touches(writer, *at)) {
            let is_applied = match writer.change {
                Change::Append(images) | Change::Replace(images) => now[at] == images[at],
                Change::Remove { version, .. } => now[at] != Some(version),
            };
            // Either of two writers that run at the same time may be the later one.
            let is_rival =
                |other: &Finished| other.number != writer.number && touches(other, at) && other.ended >= writer.started;
            let is_theirs = |version: &Version| {
                version.writer.is_some_and(|other| is_rival(&self.run.writers[other]))
                    && self.edits.versions(version.digest.as_ref())[at] == now[at]
            };
            // The first rival replaces the old image again if it comes back. The others cannot tell that it is old,
            // so they rely on the first one, and their extra tags may list it.
            let is_left_behind = |other: &Finished| {
                let target = &self.edits.target;
                is_rival(other) && (is_extra || other.outcome.is_err() && self.has_written(other.number, target))
            };
            let is_excused = self.written.iter().any(is_theirs) || self.run.writers.iter().any(is_left_behind);
            if !is_applied && !is_excused {
                return Err(format!("LOST: its change of {platform} is not in {tag}: {}", shown(&now)));
            }
        }
        Ok(())
    }

    /// Checks that a failed writer reports honestly which tags it has written.
    fn failure(&self, writer: &Finished, error: &Error) -> Result<(), String> {
        let (reports, is_unmatched): (&[TagReport], bool) = match error {
            Error::Publish(error) => (&error.tags, error.errors.iter().any(|error| error.is_changed())),
            Error::Contended { written, .. } | Error::Unplanned { written, .. } => (&written.tags, false),
            _ => (&[], false),
        };
        // A tag that points at the same index counts as written, even if another writer with the same change wrote it.
        let is_twin = |other: &Finished| other.number != writer.number && other.change == writer.change;
        let has_twin = self.run.writers.iter().any(is_twin);
        for tag in std::iter::once(&self.edits.target).chain(&writer.tags) {
            let has_written = self.has_written(writer.number, tag);
            let outcome = reports.iter().find(|report| report.location == *tag).map(|report| report.outcome);
            let is_honest = match outcome {
                // A tag that the error does not list was not written.
                None | Some(TagOutcome::Failed | TagOutcome::Unchanged) => !has_written,
                Some(TagOutcome::Unknown) => true,
                Some(TagOutcome::Created | TagOutcome::Updated | TagOutcome::Written) => has_written || has_twin,
            };
            // Exit code 3 says that no tag was written.
            if !is_honest || (is_unmatched && has_written) {
                let actual = if has_written { "was written" } else { "was not written" };
                return Err(format!("DISHONEST: {tag} {actual}, but is reported as {outcome:?}: {error}"));
            }
        }
        Ok(())
    }
}

fn touches(writer: &Finished, changed: usize) -> bool {
    match writer.change {
        Change::Append(images) | Change::Replace(images) => images[changed].is_some(),
        Change::Remove { platform, .. } => platform == changed,
    }
}
