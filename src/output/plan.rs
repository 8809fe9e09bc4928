use std::fmt::{self, Write as _};

use super::document::state;
use crate::assemble::{Change, Outcome, Volume};
use crate::image::{Descriptor, Platform, REFERENCE_DIGEST};

/// What a push would do, in words, a line for each thing.
#[must_use]
pub fn plan_text(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, outcome);
    out.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

fn write(out: &mut String, outcome: &Outcome) -> fmt::Result {
    let plan = &outcome.plan;
    writeln!(out, "{}", plan.target)?;
    writeln!(out, "  type       {}", plan.descriptor.media_type)?;
    writeln!(out, "  digest     {} {}", plan.descriptor.digest, plan.descriptor.size)?;
    let entries = &plan.index.manifests;
    let no_changes = Vec::new();
    let changes = plan.difference.as_ref().map_or(&no_changes, |difference| &difference.changes);
    for (entry, change) in entries.iter().zip(changes) {
        let name = name(entry, entries);
        match change {
            Change::Added => writeln!(out, "  added      {name} {}", entry.digest)?,
            Change::Unchanged => writeln!(out, "  unchanged  {name} {}", entry.digest)?,
            Change::Replaced(before) if *before == entry.digest => {
                writeln!(out, "  replaced   {name} {} (the same, described otherwise)", entry.digest)?;
            }
            Change::Replaced(before) => writeln!(out, "  replaced   {name} {before} -> {}", entry.digest)?,
        }
    }
    for entry in plan.difference.iter().flat_map(|difference| &difference.removed) {
        writeln!(out, "  removed    {} {}", name(entry, &[]), entry.digest)?;
    }
    for (what, Volume { blobs, bytes }) in [("mounted", outcome.moves.mounted), ("sent", outcome.moves.sent)] {
        if blobs > 0 {
            writeln!(out, "  {what:<10} {blobs} blob{}, {bytes} bytes", plural(blobs))?;
        }
    }
    let pushed = outcome.moves.manifests.len();
    if pushed > 0 {
        writeln!(out, "  pushed     {pushed} manifest{}", plural(pushed))?;
    }
    for tag in &outcome.tags {
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
    let image = of.and_then(|of| among.iter().find(|image| image.digest.as_str() == of));
    let of = image.and_then(platform).or_else(|| of.cloned()).unwrap_or_default();
    format!("attestation of {of}")
}
