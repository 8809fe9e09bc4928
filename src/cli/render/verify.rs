use serde::Serialize;

use super::descriptor::DescriptorJson;
use crate::image::{Digest, Platform, visible};
use crate::verify::{Finding, ImagePart, Verification};

/// What `verify` found out about a reference.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct VerificationJson {
    reference: String,
    /// Absent if the reference cannot be read.
    #[serde(flatten)]
    descriptor: Option<DescriptorJson>,
    sound: bool,
    images: usize,
    attestations: usize,
    others: usize,
    foreign: usize,
    blobs: BlobsJson,
    findings: Vec<FindingJson>,
    unchecked: Vec<String>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct BlobsJson {
    count: usize,
    bytes: u64,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FindingJson {
    fault: &'static str,
    platform: Option<Platform>,
    manifest: Option<Digest>,
    part: &'static str,
    /// Present, and true, for a part of an attestation.
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<usize>,
    digest: Option<Digest>,
    message: String,
}

/// The text of `verify`: a line, and one for each finding. `name` is the reference as the user wrote it.
#[must_use]
pub(in crate::cli) fn verification_text(name: &str, found: &Verification) -> String {
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
    if found.foreign > 0 {
        parts.push(format!("{} elsewhere, not looked for", counted(found.foreign, "foreign layer")));
    }
    let lines = found.findings.iter().map(|finding| format!("  {finding}"));
    let lines = std::iter::once(format!("{}: {verdict} ({})", visible(name), parts.join(", "))).chain(lines);
    lines.map(|line| line + "\n").collect()
}

fn counted_bytes(bytes: u64) -> String {
    format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" })
}

impl VerificationJson {
    /// The JSON of a verification. `name` is the reference as the user wrote it.
    pub(in crate::cli) fn new(name: &str, found: &Verification) -> Self {
        Self {
            reference: name.to_owned(),
            descriptor: found.descriptor.as_ref().map(DescriptorJson::from),
            sound: found.is_sound(),
            images: found.images,
            attestations: found.attestations,
            others: found.others,
            foreign: found.foreign,
            blobs: BlobsJson { count: found.blobs, bytes: found.bytes },
            findings: found.findings.iter().map(FindingJson::from).collect(),
            unchecked: found.unchecked.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<&Finding> for FindingJson {
    fn from(finding: &Finding) -> Self {
        let Finding { platform, is_attestation, manifest, part, digest, problem, .. } = finding;
        let (part, layer) = match part {
            ImagePart::Manifest => ("manifest", None),
            ImagePart::Config(_) => ("config", None),
            ImagePart::Layer(number, _) => ("layer", Some(*number)),
            ImagePart::Blob(_) => ("blob", None),
        };
        Self {
            fault: problem.word(),
            platform: platform.clone(),
            manifest: manifest.clone(),
            part,
            attestation: is_attestation.then_some(true),
            layer,
            digest: digest.clone(),
            message: problem.to_string(),
        }
    }
}
