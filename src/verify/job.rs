use std::collections::{HashMap, HashSet};

use futures_util::future::join;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Semaphore;

use super::finding::{Finding, ImagePart, Problem};
use super::verifier::{DECODERS, MAX_CONCURRENT, Node, Verifier};
use super::{check, layers, manifests, referrers};
use crate::event::Event;
use crate::image::{Descriptor, Digest, ImageManifest, Location, Platform, UntrustedText, media_type};
use crate::single_flight::SingleFlight;
use crate::store::{Error, Store};

/// Maximum number of reported findings, because an index of ten thousand images can have millions.
const MAX_FINDINGS: usize = 10_000;

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
}

impl Verification {
    /// Returns whether everything was checked without a finding.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.unchecked.is_empty()
    }
}

/// Options for [`verify`].
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Read every layer, and verify both its digest and, against the config's `diff_ids`, its uncompressed digest.
    /// Defaults to false, which only checks that layers exist.
    pub layers: bool,
    /// Report every difference from this set of platforms: a platform without an image, and an image for another
    /// platform. Variants are normalized, and OS versions and features are ignored. Defaults to an empty list, which
    /// allows any platforms.
    pub platforms: Vec<Platform>,
    /// Report every image, except attestations, that lacks a referrer of one of these artifact types, such as
    /// `application/spdx+json`. Defaults to an empty list.
    pub referrers: Vec<UntrustedText>,
}

/// Verifies a reference. Reads all manifests and configs, and checks that every blob exists.
///
/// ```
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
/// use manifest_tool::verify::{VerifyOptions, verify};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let reference = "oci:examples/layouts/amd64".parse()?;
/// let options = VerifyOptions { layers: true, ..VerifyOptions::default() };
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let verification = runtime.block_on(verify(&store, &reference, &options))?;
/// assert!(verification.is_sound() && verification.images == 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The reference does not exist, cannot be read or is neither an image nor an index, or the run was stopped. Defects of
/// the image or index are findings, not errors.
pub async fn verify(store: &Store, reference: &Location, options: &VerifyOptions) -> Result<Verification, Error> {
    let layers = options.layers;
    let root = match store.fetch_manifest(reference).await {
        Ok(root) => root,
        Err(error) => {
            let is_absent = error.is_missing() && !error.is_lost();
            let is_unread = is_absent || error.is_of_other_type();
            let Some(problem) = Problem::from_error(&error).filter(|_| !is_unread) else { return Err(error) };
            return Ok(Verification { findings: vec![Finding::for_reference(problem)], ..Verification::default() });
        }
    };
    let verifier = Verifier {
        store,
        at: reference,
        manifests: SingleFlight::default(),
        blobs: SingleFlight::default(),
        contents: SingleFlight::default(),
        decoders: Semaphore::new(DECODERS as usize),
    };
    let descriptor = root.descriptor.clone();
    let (mut nodes, mut unchecked) = manifests::read(&verifier, root).await;
    let first_occurrences = first_occurrences(&nodes);
    // Iterate over positions: futures that borrow nodes would not be `Send`.
    let check = async |position: usize| {
        let node = nodes.get(position).filter(|_| first_occurrences.get(position) == Some(&position));
        let Some(node) = node else { return layers::CheckedBlobs::default() };
        let blobs = async {
            match node.image() {
                Some(image) => layers::check(&verifier, node, image, layers).await,
                None if layers && node.is_blob => layers::check_blob(&verifier, &node.entry).await,
                None => layers::CheckedBlobs::default(),
            }
        };
        let (mut checked, referrers) = join(blobs, referrers::check(&verifier, node, &options.referrers)).await;
        match referrers {
            Ok(problem) => checked.problems.extend(problem.map(|problem| (ImagePart::Manifest, problem))),
            Err(error) => checked.unchecked.push(error),
        }
        if manifests::is_known(&node.entry) && !media_type::is_index(&node.entry.media_type) {
            store.client().emit(|| verified(reference, node, &checked));
        }
        checked
    };
    let checked: Vec<_> = stream::iter(0..nodes.len()).map(check).buffered(MAX_CONCURRENT).collect().await;
    let platforms: Vec<_> = checked.iter().map(|blobs| blobs.platform.clone()).collect();
    for ((node, blobs), first) in nodes.iter_mut().zip(checked).zip(&first_occurrences) {
        node.config = platforms.get(*first).cloned().flatten();
        node.problems.extend(blobs.problems);
        unchecked.extend(blobs.unchecked);
    }
    if let Some(stopped) = unchecked.iter().find(|error| error.is_stopped()) {
        return Err(stopped.clone());
    }
    check::entries(&mut nodes);
    if !options.platforms.is_empty() {
        check::platforms(&mut nodes, &options.platforms);
    }
    let mut verification = summarize(descriptor, nodes, &first_occurrences, unchecked);
    let count = verification.findings.len();
    if count > MAX_FINDINGS {
        verification.findings.truncate(MAX_FINDINGS);
        let reason = format!("it has {count} findings; only the first {MAX_FINDINGS} are listed");
        verification.unchecked.push(Error::unsuitable(reference, reason));
    }
    Ok(verification)
}

/// Returns the event for a manifest with its checked config and layers.
fn verified(reference: &Location, node: &Node, checked: &layers::CheckedBlobs) -> Event {
    let blobs = node.image().map(ImageManifest::blobs).unwrap_or_default();
    Event::Verified {
        target: reference.clone(),
        digest: node.entry.digest.clone(),
        platform: node.entry.platform.clone().or_else(|| checked.platform.clone()),
        is_attestation: node.entry.is_attestation(),
        blobs: blobs.len(),
        bytes: blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.size)),
        findings: node.problems.len() + checked.problems.len(),
        unchecked: checked.unchecked.len(),
    }
}

/// Returns for each node the position of the first entry for the same manifest. A manifest that is listed repeatedly is
/// checked and reported once.
fn first_occurrences(nodes: &[Node]) -> Vec<usize> {
    let mut first_occurrences: HashMap<(&Digest, bool), usize> = HashMap::new();
    let keys = nodes.iter().map(|node| (&node.entry.digest, node.entry.is_attestation()));
    keys.enumerate().map(|(position, key)| *first_occurrences.entry(key).or_insert(position)).collect()
}

fn summarize(
    descriptor: Descriptor,
    nodes: Vec<Node>,
    first_occurrences: &[usize],
    unchecked: Vec<Error>,
) -> Verification {
    let mut summary = Verification { descriptor: Some(descriptor), unchecked, ..Verification::default() };
    let mut seen = HashSet::new();
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
            node if manifests::is_known(&node.entry) => summary.images += 1,
            _ => summary.others += 1,
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
