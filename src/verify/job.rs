use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Semaphore;

use super::finding::{Finding, ImagePart, Problem};
use super::verifier::{DECODERS, MAX_CONCURRENT, Node, Verifier};
use super::{check, layers, manifests};
use crate::image::{Descriptor, Digest, ImageManifest, Location, media_type};
use crate::single_flight::SingleFlight;
use crate::store::{Error, Store};

/// Findings that are listed; an index of ten thousand images can have millions.
const MAX_FINDINGS: usize = 10_000;

/// What was found out about a reference.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Verification {
    /// Type, digest and size of what it points at; nothing where that cannot be read.
    pub descriptor: Option<Descriptor>,
    /// Images that are not attestations.
    pub images: usize,
    /// Attestations of images.
    pub attestations: usize,
    /// Entries that are neither image nor index nor a known kind of blob, which are looked for and not opened.
    pub others: usize,
    /// Foreign layers, which are elsewhere and not looked for.
    pub foreign: usize,
    /// Configs, layers, and blobs that an index lists, each once.
    pub blobs: usize,
    /// Their bytes, as their descriptors have them.
    pub bytes: u64,
    /// Everything that is wrong, in the order of the index.
    pub findings: Vec<Finding>,
    /// What could not be checked, for the registry's or the network's reasons.
    pub unchecked: Vec<Error>,
}

impl Verification {
    /// Whether everything was checked without a finding.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.unchecked.is_empty()
    }
}

/// How to verify.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Read every layer, and compare it with its digest as it is stored and, by the config's `diff_ids`, unpacked. Defaults
    /// to false: layers are only looked for.
    pub layers: bool,
}

/// Verifies a reference: reads its manifests and configs, and looks for every blob.
///
/// ```
/// use manifest_tool::registry::{Client, ClientConfig};
/// use manifest_tool::store::Store;
/// use manifest_tool::verify::{VerifyOptions, verify};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::new(Client::new(ClientConfig::default()));
/// let reference = "oci:examples/layouts/amd64".parse()?;
/// let options = VerifyOptions { layers: true };
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// let verification = runtime.block_on(verify(&store, &reference, &options))?;
/// assert!(verification.is_sound() && verification.images == 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The reference does not exist, cannot be read or is neither an image nor an index, or the run was stopped. What is
/// wrong with the image or index is a finding, not an error.
pub async fn verify(store: &Store, reference: &Location, options: &VerifyOptions) -> Result<Verification, Error> {
    let layers = options.layers;
    let root = match store.fetch_manifest(reference).await {
        Ok(root) => root,
        Err(error) => {
            let is_nothing = error.is_missing() && !error.is_lost();
            let is_unread = is_nothing || error.is_of_other_type();
            let Some(problem) = Problem::of(&error).filter(|_| !is_unread) else { return Err(error) };
            return Ok(Verification { findings: vec![Finding::of_reference(problem)], ..Verification::default() });
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
    // Futures of places: those of nodes could not be sent to another thread.
    let check = async |place: usize| match nodes.get(place).filter(|_| first_occurrences.get(place) == Some(&place)) {
        Some(node) => match node.image() {
            Some(image) => layers::check(&verifier, node, image, layers).await,
            None if layers && node.is_blob => layers::check_blob(&verifier, &node.entry).await,
            None => layers::CheckedBlobs::default(),
        },
        None => layers::CheckedBlobs::default(),
    };
    let checked: Vec<_> = stream::iter(0..nodes.len()).map(check).buffered(MAX_CONCURRENT).collect().await;
    let platforms: Vec<_> = checked.iter().map(|found| found.platform.clone()).collect();
    for ((node, found), first) in nodes.iter_mut().zip(checked).zip(&first_occurrences) {
        node.config = platforms.get(*first).cloned().flatten();
        node.problems.extend(found.problems);
        unchecked.extend(found.unchecked);
    }
    if let Some(stopped) = unchecked.iter().find(|error| error.is_stopped()) {
        return Err(stopped.clone());
    }
    check::entries(&mut nodes);
    let mut found = summarize(descriptor, nodes, &first_occurrences, unchecked);
    let count = found.findings.len();
    if count > MAX_FINDINGS {
        found.findings.truncate(MAX_FINDINGS);
        let reason = format!("it has {count} findings, of which the first {MAX_FINDINGS} are listed");
        found.unchecked.push(Error::unsuitable(reference, reason));
    }
    Ok(found)
}

/// For each manifest the place of its first entry: one that is listed again is checked, and its faults are reported, once.
fn first_occurrences(nodes: &[Node]) -> Vec<usize> {
    let mut first_occurrences: HashMap<(&Digest, bool), usize> = HashMap::new();
    let keys = nodes.iter().map(|node| (&node.entry.digest, node.entry.is_attestation()));
    keys.enumerate().map(|(place, key)| *first_occurrences.entry(key).or_insert(place)).collect()
}

fn summarize(
    descriptor: Descriptor,
    nodes: Vec<Node>,
    first_occurrences: &[usize],
    unchecked: Vec<Error>,
) -> Verification {
    let mut sum = Verification { descriptor: Some(descriptor), unchecked, ..Verification::default() };
    let mut seen = HashSet::new();
    for (place, node) in nodes.into_iter().enumerate() {
        if let Some(image) = node.image().filter(|_| first_occurrences.get(place) == Some(&place)) {
            sum.foreign += image.layers.iter().filter(|layer| ImageManifest::is_foreign(layer)).count();
            for blob in image.blobs().into_iter().filter(|blob| seen.insert(blob.digest.clone())) {
                sum.blobs += 1;
                sum.bytes = sum.bytes.saturating_add(blob.size);
            }
        }
        match &node {
            node if node.entry.is_attestation() => sum.attestations += 1,
            node if media_type::is_index(&node.entry.media_type) => {}
            node if ImageManifest::is_foreign(&node.entry) => sum.foreign += 1,
            node if media_type::is_blob(&node.entry.media_type) => {
                if seen.insert(node.entry.digest.clone()) {
                    sum.blobs += 1;
                    sum.bytes = sum.bytes.saturating_add(node.entry.size);
                }
            }
            node if manifests::is_known(&node.entry) => sum.images += 1,
            _ => sum.others += 1,
        }
        let (platform, is_attestation) = (node.platform().cloned(), node.entry.is_attestation());
        sum.findings.extend(node.problems.into_iter().map(|(part, problem)| Finding {
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
    sum
}
