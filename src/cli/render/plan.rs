use std::fmt::{self, Write as _};

use super::tag::state;
use crate::assemble::{Change, Report, Volume};
use crate::image::{Descriptor, Platform, REFERENCE_DIGEST};

/// What a push would do, in words, a line for each thing.
#[must_use]
pub(in crate::cli) fn plan_text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let plan = &report.plan;
    writeln!(out, "{}", plan.target)?;
    writeln!(out, "  type       {}", plan.descriptor.media_type)?;
    writeln!(out, "  digest     {} {}", plan.descriptor.digest, plan.descriptor.size)?;
    let entries: Vec<Descriptor> = plan.entries.iter().map(|entry| entry.descriptor.clone()).collect();
    let mut lines: Vec<(&str, String, String)> = Vec::new();
    for planned in &plan.entries {
        let (entry, Some(change)) = (&planned.descriptor, &planned.change) else { continue };
        let digest = &entry.digest;
        let (what, digests) = match change {
            Change::Added => ("added", digest.to_string()),
            Change::Unchanged => ("unchanged", digest.to_string()),
            Change::Replaced(before) if before == digest => ("replaced", format!("{digest} (described otherwise)")),
            Change::Replaced(before) => ("replaced", format!("{before} -> {digest}")),
        };
        lines.push((what, name(entry, &entries), digests));
    }
    let removed: &[Descriptor] = plan.removed.as_deref().unwrap_or_default();
    for entry in removed {
        // Its image may be gone as well.
        lines.push(("removed", name(entry, &[removed, &entries].concat()), entry.digest.to_string()));
    }
    let width = lines.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or_default();
    for (what, name, digests) in lines {
        writeln!(out, "  {what:<10} {name:<width$} {digests}")?;
    }
    for (what, Volume { blobs, bytes }) in [("mounted", report.placement.mounted), ("sent", report.placement.uploaded)]
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
        match &tag.was {
            Some(was) if *was != plan.descriptor.digest => writeln!(out, " (now {was})")?,
            _ => writeln!(out)?,
        }
    }
    Ok(())
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The platform of an image, or that of the image that an attestation is of.
fn name(entry: &Descriptor, among: &[Descriptor]) -> String {
    let platform = |entry: &Descriptor| entry.platform.as_ref().map(Platform::to_string);
    if !entry.is_attestation() {
        return platform(entry).unwrap_or_else(|| "(no platform)".into());
    }
    let of = entry.annotations.get(REFERENCE_DIGEST);
    let image = of.and_then(|of| among.iter().find(|image| *of == image.digest.as_str()));
    let of = image.and_then(platform).or_else(|| of.map(ToString::to_string)).unwrap_or_default();
    format!("attestation of {of}")
}
