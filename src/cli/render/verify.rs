use serde::Serialize;

use super::checked::counted;
use super::descriptor::DescriptorJson;
use super::index::BlobStatsJson;
use super::signatures::{ImageSignaturesJson, signature_lines};
use crate::image::{Digest, Platform, Reference, visible};
use crate::verify::{Finding, ImagePart, Problem, Verification};

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
    /// Present if signatures were looked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signatures: Vec<ImageSignaturesJson>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Returns the text of `verify`: a summary line, one line per finding, and the signatures if they are listed. `name` is
/// the reference as the user wrote it.
#[must_use]
pub(in crate::cli) fn verification_text(name: &str, verification: &Verification, lists_signatures: bool) -> String {
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
    let signed = verification.signatures.iter().filter(|image| image.is_verified()).count();
    if signed > 0 {
        parts.push(format!("{signed} signed"));
    }
    let mut lines = vec![format!("{}: {verdict} ({})", visible(name), parts.join(", "))];
    for finding in &verification.findings {
        let hint = finding_hint(finding).map(|hint| format!("; {hint}"));
        lines.push(format!("  {finding}{}", hint.unwrap_or_default()));
    }
    if lists_signatures {
        lines.extend(verification.signatures.iter().flat_map(signature_lines));
    }
    lines.into_iter().map(|line| line + "\n").collect()
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
            signatures: verification.signatures.iter().map(ImageSignaturesJson::from).collect(),
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
            hint: finding_hint(finding),
        }
    }
}

/// Returns the flag that accepts a signature of another repository.
fn finding_hint(finding: &Finding) -> Option<String> {
    let Problem::Signature { signed_as: Some(repository), .. } = &finding.problem else { return None };
    let repository = repository.parse::<Reference>().ok()?.without_name();
    Some(format!("--signed-as {repository} accepts signatures of that repository"))
}
