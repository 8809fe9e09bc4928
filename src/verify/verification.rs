use std::collections::HashSet;

use super::finding::{Finding, ImagePart};
use super::node::{Node, is_known};
use super::referrer_checks::ImageSignatures;
use crate::image::{Descriptor, ImageManifest, media_type};
use crate::store::Error;

/// Maximum number of listed images and signatures, because an index of ten thousand images can have a million.
pub(super) const MAX_SIGNATURES: usize = 50_000;

/// The result of verifying a reference.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Verification {
    /// Media type, digest and size of the manifest, or `None` if it cannot be read.
    pub descriptor: Option<Descriptor>,
    /// Number of images, without attestations.
    pub images: usize,
    /// Number of attestations.
    pub attestations: usize,
    /// Number of entries that are neither an image, an index nor a known kind of blob. Only their existence is checked.
    pub others: usize,
    /// Number of foreign layers, which are stored elsewhere and not checked.
    pub foreign: usize,
    /// Number of distinct configs, layers and blobs that an index lists.
    pub blobs: usize,
    /// Total size of these blobs in bytes, from their descriptors.
    pub bytes: u64,
    /// All problems found, in the order of the index.
    pub findings: Vec<Finding>,
    /// Errors of the registry or network that prevented a check.
    pub unchecked: Vec<Error>,
    /// The signatures of the index and of each image, in the order of the index, if they were looked for. Without
    /// [`VerifyOptions::signatures`](super::VerifyOptions::signatures), those read until one was valid.
    pub signatures: Vec<ImageSignatures>,
}

impl Verification {
    /// Returns whether everything was checked without a finding.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.unchecked.is_empty()
    }
}

/// Counts the content of a reference, and collects the problems of its manifests as findings.
pub(super) fn summarize(
    descriptor: Descriptor,
    nodes: Vec<Node>,
    first_occurrences: &[usize],
    unchecked: Vec<Error>,
) -> Verification {
    let mut summary = Verification { descriptor: Some(descriptor), unchecked, ..Verification::default() };
    let (mut seen, mut listed) = (HashSet::new(), 0);
    for (position, node) in nodes.into_iter().enumerate() {
        if let Some(image) = node.image().filter(|_| first_occurrences.get(position) == Some(&position)) {
            summary.foreign += image.layers.iter().filter(|layer| ImageManifest::is_foreign(layer)).count();
            for blob in image.blobs().into_iter().filter(|blob| seen.insert(blob.digest.clone())) {
                summary.blobs += 1;
                summary.bytes = summary.bytes.saturating_add(blob.size);
            }
        }
        match &node {
            node if node.entry.is_attestation() => summary.attestations += 1,
            node if media_type::is_index(&node.entry.media_type) => {}
            node if ImageManifest::is_foreign(&node.entry) => summary.foreign += 1,
            node if media_type::is_blob(&node.entry.media_type) => {
                if seen.insert(node.entry.digest.clone()) {
                    summary.blobs += 1;
                    summary.bytes = summary.bytes.saturating_add(node.entry.size);
                }
            }
            node if is_known(&node.entry) => summary.images += 1,
            _ => summary.others += 1,
        }
        listed += node.signature_weight();
        if listed <= MAX_SIGNATURES {
            summary.signatures.extend(signatures(&node));
        }
        let (platform, is_attestation) = (node.platform().cloned(), node.entry.is_attestation());
        summary.findings.extend(node.problems.into_iter().map(|(part, problem)| Finding {
            platform: platform.clone(),
            is_attestation,
            manifest: Some(node.entry.digest.clone()),
            digest: Some(match &part {
                ImagePart::Manifest => node.entry.digest.clone(),
                ImagePart::Config(digest) | ImagePart::Layer(_, digest) | ImagePart::Blob(digest) => digest.clone(),
            }),
            part,
            problem,
        }));
    }
    summary
}

/// Returns the signatures of a manifest, if they were looked for.
fn signatures(node: &Node) -> Option<ImageSignatures> {
    let signatures = node.referrers.as_ref()?.signatures.clone()?;
    Some(ImageSignatures { platform: node.platform().cloned(), manifest: node.entry.digest.clone(), signatures })
}
