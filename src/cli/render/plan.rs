use std::fmt::{self, Write as _};

use super::tag::state;
use crate::assemble::{BlobStats, Change, TargetReport};
use crate::image::{Descriptor, Platform, REFERENCE_DIGEST};

/// Returns the text of a dry run: one line per action that a push would take.
#[must_use]
pub(in crate::cli) fn plan_text(report: &TargetReport) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &TargetReport) -> fmt::Result {
    let descriptor = &report.plan.descriptor;
    writeln!(out, "{}", report.plan.target)?;
    writeln!(out, "  type       {}", descriptor.media_type)?;
    writeln!(out, "  digest     {} {}", descriptor.digest, descriptor.size)?;
    let entries = entry_lines(report);
    let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or_default();
    for EntryLine { change, name, digests } in entries {
        writeln!(out, "  {change:<10} {name:<width$} {digests}")?;
    }
    for (what, BlobStats { blobs, bytes, .. }) in
        [("mounted", report.placement.mounted), ("sent", report.placement.uploaded)]
    {
        if blobs > 0 {
            writeln!(out, "  {what:<10} {blobs} blob{}, {bytes} bytes", plural(blobs))?;
        }
    }
    let pushed = report.placement.manifests.len();
    if pushed > 0 {
        writeln!(out, "  pushed     {pushed} manifest{}", plural(pushed))?;
    }
    for tag in &report.tags {
        write!(out, "  {:<10} {}", state(tag.outcome), tag.location)?;
        match &tag.previous {
            Some(previous) if *previous != descriptor.digest => writeln!(out, " (now {previous})")?,
            _ => writeln!(out)?,
        }
    }
    Ok(())
}

/// A line about an entry of the new or the existing index.
struct EntryLine {
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
        let (change, digests) = match change {
            Change::Added => ("added", digest.to_string()),
            Change::Unchanged => ("unchanged", digest.to_string()),
            Change::Replaced(before) if before == digest => ("replaced", format!("{digest} (described otherwise)")),
            Change::Replaced(before) => ("replaced", format!("{before} -> {digest}")),
        };
        Some(EntryLine { change, name: name(entry, &entries), digests })
    });
    let removed = report.plan.removed.as_deref().unwrap_or_default();
    // The image of an attestation may have been removed as well.
    let before = [removed, &*entries].concat();
    let removed = removed.iter().map(|entry| EntryLine {
        change: "removed",
        name: name(entry, &before),
        digests: entry.digest.to_string(),
    });
    planned.chain(removed).collect()
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
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
