use serde::Serialize;

use super::delete::{DeletedKind, UsesJson};
use crate::delete::{DeletionOutcome, KeepReason, KeptTag, OrphanedTag, PlannedDeletion, UndatedReason, Uses};
use crate::image::{Digest, Location, Timestamp, UntrustedText};

/// The maximum number of tags in a line.
const MAX_NAMED: usize = 12;

/// A tag that was deleted by `delete --tags`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct DeletedTagJson {
    tag: UntrustedText,
    digest: Digest,
    deleted: DeletedKind,
    /// The remaining tags and indexes that use the manifest, if there are any.
    #[serde(flatten)]
    uses: Option<UsesJson>,
}

/// A tag that matches a pattern of `delete --tags` but stays.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct KeptTagJson {
    tag: UntrustedText,
    digest: Digest,
    reason: &'static str,
    /// The reason in words.
    message: String,
    /// The created date, if it is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    /// The remaining tags and indexes that use the manifest, if they are the reason.
    #[serde(flatten)]
    uses: Option<UsesJson>,
}

/// A tag with referrers or signatures of a manifest that no remaining tag uses.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct OrphanedTagJson {
    tag: UntrustedText,
    subject: Digest,
}

impl DeletedTagJson {
    pub(in crate::cli) fn new(planned: &PlannedDeletion, outcome: &DeletionOutcome) -> Self {
        let deleted = match outcome {
            DeletionOutcome::Manifest => DeletedKind::Manifest,
            _ => DeletedKind::Tag,
        };
        let uses = Some(&planned.remaining_uses).filter(|uses| !uses.is_empty()).map(UsesJson::from);
        Self { tag: planned.tag.clone(), digest: planned.digest.clone(), deleted, uses }
    }
}

impl KeptTagJson {
    pub(in crate::cli) fn new(tag: &UntrustedText, digest: &Digest, reason: &KeepReason) -> Self {
        let (word, created) = match reason {
            KeepReason::Newest(_) => ("newest", None),
            KeepReason::Recent(created) => ("recent", Some(*created)),
            KeepReason::Undated(UndatedReason::Placeholder(created)) => ("undated", Some(*created)),
            KeepReason::Undated(_) => ("undated", None),
            KeepReason::Referrers => ("referrers", None),
            KeepReason::Used(_) => ("used", None),
            KeepReason::Moved { .. } => ("moved", None),
        };
        let uses = match reason {
            KeepReason::Used(uses) => Some(uses.into()),
            _ => None,
        };
        let message = reason_text(tag, reason);
        Self { tag: tag.clone(), digest: digest.clone(), reason: word, message, created, uses }
    }
}

impl From<OrphanedTag> for OrphanedTagJson {
    fn from(OrphanedTag { tag, subject, .. }: OrphanedTag) -> Self {
        Self { tag, subject }
    }
}

/// Returns the line that `delete --tags` prints for a deleted tag.
pub(in crate::cli) fn deleted_tag_text(at: &Location, digest: &Digest, outcome: &DeletionOutcome) -> String {
    let with = if *outcome == DeletionOutcome::Manifest { ", with its manifest" } else { "" };
    format!("Deleted: {at} ({digest}{with})\n")
}

/// Returns the reason why a tag stays.
pub(in crate::cli) fn reason_text(tag: &UntrustedText, reason: &KeepReason) -> String {
    match reason {
        KeepReason::Newest(1) => "the newest".into(),
        KeepReason::Newest(count) => format!("one of the newest {count}"),
        KeepReason::Recent(created) => format!("created {created}, not old enough"),
        KeepReason::Undated(UndatedReason::Unreadable(why)) => format!("its created date cannot be read: {why}"),
        KeepReason::Undated(UndatedReason::Placeholder(date)) => format!("its created date {date} is a placeholder"),
        KeepReason::Undated(_) => "its created date is unknown".into(),
        KeepReason::Referrers => "it belongs to another manifest".into(),
        KeepReason::Used(uses) => format!("the registry deletes only whole manifests, and {}", uses_text(uses)),
        KeepReason::Moved { tag: moved, to } if moved == tag => format!("it points at {to} now"),
        KeepReason::Moved { tag: moved, to } => format!("another client moved {moved} to {to} during the run"),
    }
}

/// Describes the tags and indexes that use a manifest.
pub(super) fn uses_text(uses: &Uses) -> String {
    let tags = |tags: &[UntrustedText]| -> String { named(tags.iter().collect()) };
    let verb = |tags: &[UntrustedText], singular: &str, other: &str| {
        if tags.len() == 1 { singular.to_owned() } else { other.to_owned() }
    };
    let mut parts = Vec::new();
    if !uses.tags.is_empty() {
        let verb = verb(&uses.tags, "points", "point");
        parts.push(format!("{} {verb} at the same manifest", tags(&uses.tags)));
    }
    if !uses.held_by.is_empty() {
        let (noun, verb) = (verb(&uses.held_by, "index", "indexes"), verb(&uses.held_by, "lists", "list"));
        parts.push(format!("the {noun} {} {verb} its manifest", tags(&uses.held_by)));
    }
    parts.join(" and ")
}

/// Returns a line for each reason why tags stay.
pub(in crate::cli) fn kept_lines(kept: &[KeptTag]) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&UntrustedText>)> = Vec::new();
    for KeptTag { tag, reason, .. } in kept {
        let why = group_text(reason);
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, tags)) => tags.push(tag),
            None => groups.push((why, vec![tag])),
        }
    }
    groups.into_iter().map(|(why, tags)| format!("kept {}: {why}", named(tags))).collect()
}

/// Returns the reason for a group of tags, without the details of each.
fn group_text(reason: &KeepReason) -> String {
    match reason {
        KeepReason::Newest(1) => "the newest".into(),
        KeepReason::Newest(count) => format!("the newest {count}"),
        KeepReason::Recent(_) => "not old enough".into(),
        KeepReason::Undated(_) => "unknown created date".into(),
        _ => referrers_text().into(),
    }
}

/// Returns the reason why tags of referrers and signatures stay.
pub(in crate::cli) fn referrers_text() -> &'static str {
    "referrers or signatures of other manifests, which need a pattern that starts with sha256- or sha512-"
}

/// Describes the tags whose subjects no remaining tag uses. `None` without such tags.
pub(in crate::cli) fn orphans_text(orphans: &[OrphanedTag]) -> Option<String> {
    let tags = named(orphans.iter().map(|orphan| &orphan.tag).collect());
    match orphans.len() {
        0 => None,
        1 => Some(format!("1 tag belongs to an image that no remaining tag uses, and stays: {tags}")),
        count => Some(format!("{count} tags belong to images that no remaining tag uses, and stay: {tags}")),
    }
}

/// Lists tags, at most 12.
fn named(tags: Vec<&UntrustedText>) -> String {
    let shown: Vec<String> = tags.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    match tags.len().saturating_sub(MAX_NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<UntrustedText> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn uses(tags: &[&str], held_by: &[&str]) -> Uses {
        let mut uses = Uses::default();
        (uses.tags, uses.held_by) = (texts(tags), texts(held_by));
        uses
    }

    #[test]
    fn reasons_name_what_keeps_a_tag() {
        let (digest, tag) = (Digest::sha256(b""), UntrustedText::from("v1"));
        let date = Timestamp::parse("2026-05-01T10:00:00Z").unwrap();
        let moved = |tag: &str| KeepReason::Moved { tag: tag.into(), to: digest.clone() };
        for (reason, text) in [
            (KeepReason::Newest(1), "the newest".to_owned()),
            (KeepReason::Newest(3), "one of the newest 3".into()),
            (KeepReason::Recent(date), "created 2026-05-01T10:00:00Z, not old enough".into()),
            (KeepReason::Undated(UndatedReason::NoDate), "its created date is unknown".into()),
            (
                KeepReason::Undated(UndatedReason::Placeholder(date)),
                "its created date 2026-05-01T10:00:00Z is a placeholder".into(),
            ),
            (
                KeepReason::Undated(UndatedReason::Unreadable("gone".into())),
                "its created date cannot be read: gone".into(),
            ),
            (
                KeepReason::Used(uses(&["a"], &["i", "j"])),
                "the registry deletes only whole manifests, and a points at the same manifest and the indexes i, j list \
                 its manifest"
                    .into(),
            ),
            (
                KeepReason::Used(uses(&[], &["i"])),
                "the registry deletes only whole manifests, and the index i lists its manifest".into(),
            ),
            (moved("v1"), format!("it points at {digest} now")),
            (moved("v2"), format!("another client moved v2 to {digest} during the run")),
        ] {
            assert_eq!(reason_text(&tag, &reason), text);
        }
    }

    #[test]
    fn a_line_names_at_most_12_tags() {
        let tags = texts(&["t"; 14]);
        assert_eq!(named(tags.iter().take(12).collect()), ["t"; 12].join(", "));
        assert_eq!(named(tags.iter().collect()), ["t"; 12].join(", ") + " and 2 more");
    }
}
