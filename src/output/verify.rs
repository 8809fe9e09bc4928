use serde_json::{Value, json};

use super::document::{descriptor_json, merge};
use crate::image::visible;
use crate::verify::{Finding, Part, Verification};

/// What `verify` says: a line, and one for each finding. `name` is the reference as the user wrote it.
#[must_use]
pub(crate) fn verification_text(name: &str, found: &Verification) -> String {
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let verdict = match found.findings.len() {
        0 if found.is_sound() => "sound".to_owned(),
        0 => "not wholly checked".to_owned(),
        count => format!("unsound, {}", counted(count, "finding")),
    };
    let mut parts = Vec::from_iter(found.descriptor.as_ref().map(|descriptor| descriptor.digest.to_string()));
    parts.push(counted(found.images, "image"));
    if found.attestations > 0 {
        parts.push(counted(found.attestations, "attestation"));
    }
    parts.push(format!("{}, {}", counted(found.blobs, "blob"), counted_bytes(found.bytes)));
    if found.others > 0 {
        parts.push(format!("{} of another type, not opened", found.others));
    }
    if found.elsewhere > 0 {
        parts.push(format!("{} elsewhere, not looked for", counted(found.elsewhere, "foreign layer")));
    }
    let lines = found.findings.iter().map(|finding| format!("  {finding}"));
    let lines = std::iter::once(format!("{}: {verdict} ({})", visible(name), parts.join(", "))).chain(lines);
    lines.map(|line| line + "\n").collect()
}

fn counted_bytes(bytes: u64) -> String {
    format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" })
}

/// The same for programs.
#[must_use]
pub(crate) fn verification_json(name: &str, found: &Verification) -> Value {
    let mut out = json!({"reference": name});
    if let Some(descriptor) = &found.descriptor {
        merge(&mut out, descriptor_json(descriptor));
    }
    let unchecked: Vec<String> = found.unchecked.iter().map(ToString::to_string).collect();
    merge(
        &mut out,
        json!({
            "sound": found.is_sound(),
            "images": found.images,
            "attestations": found.attestations,
            "others": found.others,
            "elsewhere": found.elsewhere,
            "blobs": {"count": found.blobs, "bytes": found.bytes},
            "findings": found.findings.iter().map(finding_json).collect::<Vec<_>>(),
            "unchecked": unchecked,
        }),
    );
    out
}

fn finding_json(finding: &Finding) -> Value {
    let Finding { platform, is_attestation, manifest, part, digest, fault } = finding;
    let (part, layer) = match part {
        Part::Manifest => ("manifest", None),
        Part::Config(_) => ("config", None),
        Part::Layer(number, _) => ("layer", Some(number)),
        Part::Blob(_) => ("blob", None),
    };
    let mut out = json!({"fault": fault.word(), "platform": platform, "manifest": manifest, "part": part});
    if *is_attestation {
        merge(&mut out, json!({"attestation": true}));
    }
    if let Some(layer) = layer {
        merge(&mut out, json!({"layer": layer}));
    }
    merge(&mut out, json!({"digest": digest, "message": fault.to_string()}));
    out
}
