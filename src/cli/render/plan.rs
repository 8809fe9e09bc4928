//! The text of a dry run.

use std::fmt::Display;

use super::Colour;
use super::delete_tags::{reason_text, referrers_text, uses_text};
use super::quantity::{plural, size_text};
use super::tag::state;
use crate::assemble::{BlobStats, Change, TargetReport};
use crate::delete::{Deleted, KeepReason, KeptTag, PlannedDeletion, TagPlan};
use crate::image::{Descriptor, Location, Platform, REFERENCE_DIGEST, UntrustedText, visible};
use crate::store::{PublishReport, TagOutcome, TagReport};

/// The text of a dry run, in one form for every command: a first line, the lines of each item, and a count.
pub(in crate::cli) struct PlanText {
    colour: Colour,
    counts: PlanCounts,
    has_begun: bool,
}

/// What the planned items would do to tags and manifests.
#[derive(Default)]
struct PlanCounts {
    created: usize,
    updated: usize,
    unchanged: usize,
    deleted_tags: usize,
    deleted_manifests: usize,
    kept: usize,
}

/// What a line of a plan does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Add,
    Change,
    Remove,
    /// Nothing: the line describes the item, or something that stays.
    Keep,
}

impl PlanText {
    pub(in crate::cli) fn new(colour: Colour) -> Self {
        Self { colour, counts: PlanCounts::default(), has_begun: false }
    }

    /// Returns the text for an index that a push or a change would write.
    pub(in crate::cli) fn index(&mut self, report: &TargetReport) -> String {
        let mut lines = self.begin(&report.plan.target);
        lines.extend(self.descriptor(&report.plan.descriptor));
        let entries = entry_lines(report);
        let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or_default();
        for EntryLine { mark, change, name, digests } in entries {
            lines.push(self.line(mark, change, &format!("{name:<width$} {digests}")));
        }
        for (what, BlobStats { blobs, bytes, .. }) in
            [("mounted", report.placement.mounted), ("sent", report.placement.uploaded)]
        {
            if blobs > 0 {
                let amount = format!("{blobs} blob{}, {}", plural(blobs), size_text(bytes));
                lines.push(self.line(Mark::Add, what, &amount));
            }
        }
        let pushed = report.placement.manifests.len();
        if pushed > 0 {
            lines.push(self.line(Mark::Add, "pushed", &format!("{pushed} manifest{}", plural(pushed))));
        }
        lines.extend(self.tags(&report.tags, &report.plan.descriptor));
        lines.concat()
    }

    /// Returns the text for a copy.
    pub(in crate::cli) fn copy(&mut self, from: &Location, to: &Location, report: &PublishReport) -> String {
        let mut lines = self.begin(report.tags.first().map_or(to, |tag| &tag.location));
        lines.push(self.line(Mark::Keep, "source", &from.to_string()));
        lines.extend(self.descriptor(&report.descriptor));
        lines.extend(self.tags(&report.tags, &report.descriptor));
        lines.concat()
    }

    /// Counts a tag that stays unchanged, without lines of its own. Returns the first line of the plan, if this is the
    /// first item.
    pub(in crate::cli) fn unchanged_tag(&mut self) -> String {
        self.counts.unchanged += 1;
        self.first_line().unwrap_or_default()
    }

    /// Returns the text for a deletion. `name` is the reference as the user wrote it.
    pub(in crate::cli) fn deletion(&mut self, name: &str, deleted: &Deleted) -> String {
        let mut lines = self.begin(visible(name));
        match deleted.location.tag() {
            Some(_) => {
                self.counts.deleted_tags += 1;
                lines.push(self.line(Mark::Keep, "digest", deleted.digest.as_str()));
            }
            None => self.counts.deleted_manifests += 1,
        }
        lines.push(self.line(Mark::Remove, "deleted", &deleted.location.to_string()));
        lines.extend(note_of(deleted).map(|note| self.line(Mark::Keep, "note", &note)));
        lines.concat()
    }

    /// Returns the text for a deletion of a manifest that an earlier item deletes.
    pub(in crate::cli) fn repeated_deletion(&mut self, name: &str, deleted: &Deleted) -> String {
        let mut lines = self.begin(visible(name));
        lines.push(self.line(Mark::Remove, "deleted", &format!("{} (see above)", deleted.location)));
        lines.concat()
    }

    /// Returns the text for the tags of a repository that match patterns.
    pub(in crate::cli) fn tag_deletions(&mut self, plan: &TagPlan) -> String {
        let mut lines = self.begin(&plan.repository);
        let at = |tag: &UntrustedText| plan.repository.with_tag(tag);
        for PlannedDeletion { tag, digest, remaining_uses, .. } in &plan.deletions {
            lines.push(self.line(Mark::Remove, "deleted", &format!("{} {digest}", at(tag))));
            if !remaining_uses.is_empty() {
                let note = format!("a registry that deletes only manifests keeps it: {}", uses_text(remaining_uses));
                lines.push(self.line(Mark::Keep, "note", &note));
            }
        }
        let is_of_other = |kept: &&KeptTag| kept.reason == KeepReason::Referrers;
        for KeptTag { tag, reason, .. } in plan.kept.iter().filter(|kept| !is_of_other(kept)) {
            lines.push(self.line(Mark::Keep, "kept", &format!("{} ({})", at(tag), reason_text(tag, reason))));
        }
        let of_others = plan.kept.iter().filter(is_of_other).count();
        if of_others > 0 {
            let text = format!("{of_others} tag{}: {}", plural(of_others), referrers_text());
            lines.push(self.line(Mark::Keep, "kept", &text));
        }
        self.counts.deleted_tags += plan.deletions.len();
        self.counts.kept += plan.kept.len();
        lines.concat()
    }

    /// Returns the last line, which counts what would change. Without items, it is an empty string.
    pub(in crate::cli) fn end(&self) -> String {
        if !self.has_begun {
            return String::new();
        }
        let PlanCounts { created, updated, unchanged, deleted_tags, deleted_manifests, kept } = self.counts;
        let tags = [
            (created, "to create"),
            (updated, "to update"),
            (deleted_tags, "to delete"),
            (unchanged, "unchanged"),
            (kept, "kept"),
        ];
        let tags = tags.into_iter().filter(|(count, _)| *count > 0).map(|counted| (counted, "tag"));
        let manifests = (deleted_manifests > 0).then_some(((deleted_manifests, "to delete"), "manifest"));
        let mut previous = "";
        let parts = tags.chain(manifests).map(|((count, what), noun)| {
            // "2 tags to create, 1 to update"
            let is_same = std::mem::replace(&mut previous, noun) == noun;
            if is_same { format!("{count} {what}") } else { format!("{count} {noun}{} {what}", plural(count)) }
        });
        format!("plan: {}\n", parts.collect::<Vec<_>>().join(", "))
    }

    /// Returns the first lines of an item.
    fn begin(&mut self, item: impl Display) -> Vec<String> {
        self.first_line().into_iter().chain([format!("{item}\n")]).collect()
    }

    /// Returns the first line of the plan, once.
    fn first_line(&mut self) -> Option<String> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        is_first.then(|| "plan: nothing is written\n".to_owned())
    }

    fn descriptor(&self, descriptor: &Descriptor) -> [String; 2] {
        let digest = format!("{} {}", descriptor.digest, descriptor.size);
        [self.line(Mark::Keep, "type", &descriptor.media_type), self.line(Mark::Keep, "digest", &digest)]
    }

    /// Returns a line per tag, and counts the tags.
    fn tags(&mut self, tags: &[TagReport], descriptor: &Descriptor) -> Vec<String> {
        let line = |tag: &TagReport| {
            let (mark, count) = match tag.outcome {
                TagOutcome::Created => (Mark::Add, &mut self.counts.created),
                TagOutcome::Unchanged => (Mark::Keep, &mut self.counts.unchanged),
                _ => (Mark::Change, &mut self.counts.updated),
            };
            *count += 1;
            let previous = tag.previous.as_ref().filter(|previous| **previous != descriptor.digest);
            let previous = previous.map(|previous| format!(" (now {previous})")).unwrap_or_default();
            (mark, state(tag.outcome), format!("{}{previous}", tag.location))
        };
        let lines: Vec<_> = tags.iter().map(line).collect();
        lines.iter().map(|(mark, word, text)| self.line(*mark, word, text)).collect()
    }

    /// Returns a line: its mark, what happens, and to what.
    fn line(&self, mark: Mark, word: &str, text: &str) -> String {
        let (sign, colour) = match mark {
            Mark::Add => ('+', 32),
            Mark::Change => ('~', 33),
            Mark::Remove => ('-', 31),
            Mark::Keep => return format!("    {word:<10} {text}\n"),
        };
        match self.colour {
            Colour::Always => format!("  \x1b[{colour}m{sign} {word:<10}\x1b[0m {text}\n"),
            Colour::Never => format!("  {sign} {word:<10} {text}\n"),
        }
    }
}

/// A line about an entry of the new or the existing index.
struct EntryLine {
    mark: Mark,
    change: &'static str,
    name: String,
    digests: String,
}

/// Returns a line per entry, if the new index was compared with the existing one.
fn entry_lines(report: &TargetReport) -> Vec<EntryLine> {
    let entries: Vec<Descriptor> = report.plan.entries.iter().map(|entry| entry.descriptor.clone()).collect();
    let planned = report.plan.entries.iter().filter_map(|entry| {
        let (entry, change) = (&entry.descriptor, entry.change.as_ref()?);
        let digest = &entry.digest;
        let (mark, change, digests) = match change {
            Change::Added => (Mark::Add, "added", digest.to_string()),
            Change::Unchanged => (Mark::Keep, "unchanged", digest.to_string()),
            Change::Replaced(before) if before == digest => {
                (Mark::Change, "replaced", format!("{digest} (described otherwise)"))
            }
            Change::Replaced(before) => (Mark::Change, "replaced", format!("{before} -> {digest}")),
        };
        Some(EntryLine { mark, change, name: name(entry, &entries), digests })
    });
    let removed = report.plan.removed.as_deref().unwrap_or_default();
    // The image of an attestation may have been removed as well.
    let before = [removed, &*entries].concat();
    let removed = removed.iter().map(|entry| EntryLine {
        mark: Mark::Remove,
        change: "removed",
        name: name(entry, &before),
        digests: entry.digest.to_string(),
    });
    planned.chain(removed).collect()
}

/// Returns the note about what else is deleted with a manifest. For a tag, that is only if the registry cannot delete
/// only the tag.
fn note_of(deleted: &Deleted) -> Option<String> {
    const NEEDS: &str = "a registry that deletes only manifests needs --yes";
    let uses = match deleted.uses.as_ref()? {
        Ok(uses) => uses,
        Err(error) => return Some(format!("{NEEDS}, because the other uses of the manifest cannot be read: {error}")),
    };
    let others: Vec<String> =
        uses.tags.iter().filter(|tag| Some(tag.as_str()) != deleted.location.tag()).map(ToString::to_string).collect();
    let held_by: Vec<String> = uses.held_by.iter().map(ToString::to_string).collect();
    let tags = (!others.is_empty()).then(|| format!("also deletes the tags {}", others.join(", ")));
    let indexes = (!held_by.is_empty()).then(|| format!("breaks the indexes {}", held_by.join(", ")));
    let effects: Vec<String> = tags.into_iter().chain(indexes).collect();
    let effects = (!effects.is_empty()).then(|| effects.join(" and "))?;
    Some(if deleted.location.tag().is_some() { format!("{NEEDS}, and {effects}") } else { effects })
}

/// Names an entry by its platform, and an attestation by the platform of its image.
fn name(entry: &Descriptor, entries: &[Descriptor]) -> String {
    let platform = |entry: &Descriptor| entry.platform.as_ref().map(Platform::to_string);
    if !entry.is_attestation() {
        return platform(entry).unwrap_or_else(|| "(no platform)".into());
    }
    let subject = entry.annotations.get(REFERENCE_DIGEST);
    let image = subject.and_then(|subject| entries.iter().find(|image| *subject == image.digest.as_str()));
    let subject = image.and_then(platform).or_else(|| subject.map(ToString::to_string)).unwrap_or_default();
    format!("attestation of {subject}")
}
