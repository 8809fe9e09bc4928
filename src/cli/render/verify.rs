use serde::Serialize;

use super::checked::counted;
use super::descriptor::DescriptorJson;
use super::index::BlobStatsJson;
use crate::image::{Digest, Platform, visible};
use crate::verify::{Finding, ImagePart, Verification};

/// The result of `verify` for a reference.
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
    blobs: BlobStatsJson,
    findings: Vec<FindingJson>,
    unchecked: Vec<String>,
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

/// Returns the text of `verify`: a summary line and one line per finding. `name` is the reference as the user wrote it.
#[must_use]
pub(in crate::cli) fn verification_text(name: &str, verification: &Verification) -> String {
    let verdict = match verification.findings.len() {
        0 if verification.is_sound() => "sound".to_owned(),
        0 => "not wholly checked".to_owned(),
        count => format!("unsound, {}", counted(count, "finding")),
    };
    let mut parts = Vec::from_iter(verification.descriptor.as_ref().map(|descriptor| descriptor.digest.to_string()));
    parts.push(counted(verification.images, "image"));
    if verification.attestations > 0 {
        parts.push(counted(verification.attestations, "attestation"));
    }
    parts.push(format!("{}, {}", counted(verification.blobs, "blob"), counted_bytes(verification.bytes)));
    if verification.others > 0 {
        parts.push(format!("{} of another type, not opened", verification.others));
    }
    if verification.foreign > 0 {
        parts.push(format!("{} elsewhere, not looked for", counted(verification.foreign, "foreign layer")));
    }
    let lines = verification.findings.iter().map(|finding| format!("  {finding}"));
    let lines = std::iter::once(format!("{}: {verdict} ({})", visible(name), parts.join(", "))).chain(lines);
    lines.map(|line| line + "\n").collect()
}

fn counted_bytes(bytes: u64) -> String {
    format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" })
}

impl VerificationJson {
    /// Creates the JSON of a verification. `name` is the reference as the user wrote it.
    pub(in crate::cli) fn new(name: &str, verification: &Verification) -> Self {
        Self {
            reference: name.to_owned(),
            descriptor: verification.descriptor.as_ref().map(DescriptorJson::from),
            sound: verification.is_sound(),
            images: verification.images,
            attestations: verification.attestations,
            others: verification.others,
            foreign: verification.foreign,
            blobs: BlobStatsJson { count: verification.blobs, bytes: verification.bytes },
            findings: verification.findings.iter().map(FindingJson::from).collect(),
            unchecked: verification.unchecked.iter().map(ToString::to_string).collect(),
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
