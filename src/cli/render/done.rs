//! Lines for a person about what a command did. Programs read stdout instead.

use crate::assemble::TargetReport;
use crate::copy::UpdateReport;
use crate::delete::Deleted;
use crate::image::{Location, Platform};
use crate::store::{PublishReport, TagReport};

/// The maximum number of platforms in a line.
const MAX_PLATFORMS: usize = 12;

/// Describes an index that was pushed: `pushed r.io/app:v1 (also v1.2, latest): linux/amd64, linux/arm64`.
pub(in crate::cli) fn pushed_line(report: &TargetReport) -> String {
    let verb = if report.has_written_tags() { "pushed" } else { "unchanged:" };
    format!("{verb} {}{}{}", report.plan.target, also(&report.tags), list(&platforms(report)))
}

/// Describes an index from which images were removed.
pub(in crate::cli) fn removed_line(report: &TargetReport) -> String {
    let (target, remaining) = (&report.plan.target, list(&platforms(report)));
    let removed = report.plan.removed.as_deref().unwrap_or_default();
    let removed = removed.iter().filter(|entry| !entry.is_attestation());
    let removed: Vec<String> = removed
        .map(|entry| entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), Platform::to_string))
        .collect();
    match removed.is_empty() {
        true => format!("unchanged: {target}{remaining}"),
        false => format!("removed {} from {target}{remaining}", removed.join(", ")),
    }
}

/// Describes a copy.
pub(in crate::cli) fn copied_line(from: &Location, to: &Location, report: &PublishReport) -> String {
    let verb = if report.has_written_tags() { "copied" } else { "unchanged:" };
    let to = report.tags.first().map_or(to, |tag| &tag.location);
    format!("{verb} {from} to {to}{}{}", also(&report.tags), list(&report.platforms))
}

/// Describes an image of a sync.
pub(in crate::cli) fn synced_line(from: &Location, to: &Location, report: &UpdateReport) -> String {
    match &report.copied {
        Some(copied) => copied_line(from, to, copied),
        None => format!("unchanged: {from} to {to}"),
    }
}

/// Describes a deletion. `name` is the reference as the user wrote it.
pub(in crate::cli) fn deleted_line(name: &Location, Deleted { location, digest, .. }: &Deleted) -> String {
    match (name.tag(), location.tag()) {
        (Some(_), None) => format!("deleted {name}, with its manifest {digest}"),
        _ => format!("deleted {name}"),
    }
}

/// Names the tags after the first: those in its repository without the repository.
fn also(tags: &[TagReport]) -> String {
    let Some((first, others)) = tags.split_first() else { return String::new() };
    let name = |tag: &TagReport| match tag.location.tag() {
        Some(name) if tag.location.same_repository(&first.location) => name.to_owned(),
        _ => tag.location.to_string(),
    };
    let others: Vec<String> = others.iter().map(name).collect();
    if others.is_empty() { String::new() } else { format!(" (also {})", others.join(", ")) }
}

/// Returns the distinct platforms of the images in an index.
fn platforms(report: &TargetReport) -> Vec<Platform> {
    let images = report.plan.entries.iter().map(|entry| &entry.descriptor).filter(|entry| !entry.is_attestation());
    let mut platforms: Vec<Platform> = Vec::new();
    for platform in images.filter_map(|image| image.platform.as_ref()) {
        if !platforms.contains(platform) {
            platforms.push(platform.clone());
        }
    }
    platforms
}

/// Lists platforms after a colon.
fn list(platforms: &[Platform]) -> String {
    let shown: Vec<String> = platforms.iter().take(MAX_PLATFORMS).map(Platform::to_string).collect();
    match platforms.len() {
        0 => String::new(),
        count if count > MAX_PLATFORMS => format!(": {} and {} more", shown.join(", "), count - MAX_PLATFORMS),
        _ => format!(": {}", shown.join(", ")),
    }
}
