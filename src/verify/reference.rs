//! Verifies one reference.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join;
use futures_util::stream::{self, StreamExt as _};

use super::context::{CheckContext, MAX_CONCURRENT};
use super::finding::ImagePart;
use super::node::{EntryRole, Node, is_known};
use super::options::VerifyOptions;
use super::verification::{MAX_SIGNATURES, Verification, summarize};
use super::{check, layers, manifests, referrers};
use crate::event::Event;
use crate::image::{Digest, Fetched, ImageManifest, Location, media_type};
use crate::store::Error;

/// Maximum number of reported findings, because an index of ten thousand images can have millions.
const MAX_FINDINGS: usize = 10_000;

/// Verifies the reference to the manifest `root`, with everything below it.
///
/// # Errors
/// The run was stopped.
pub(super) async fn check_reference(
    context: &CheckContext<'_>,
    root: Arc<Fetched>,
    options: &VerifyOptions,
) -> Result<Verification, Error> {
    let layers = options.layers;
    let descriptor = root.descriptor.clone();
    let (mut nodes, mut unchecked) = manifests::read(context, root).await;
    let first_occurrences = first_occurrences(&nodes);
    // Iterate over positions: futures that borrow nodes would not be `Send`.
    let check = async |position: usize| {
        let node = nodes.get(position).filter(|_| first_occurrences.get(position) == Some(&position));
        let Some(node) = node else { return (layers::CheckedBlobs::default(), None) };
        let blobs = async {
            match node.image() {
                Some(image) => layers::check(context, node, image, layers).await,
                None if layers && node.is_blob => layers::check_blob(context, &node.entry).await,
                None => layers::CheckedBlobs::default(),
            }
        };
        let (mut checked, referrers) = join(blobs, referrers::check(context, node, options)).await;
        let mut own_referrers = None;
        match referrers {
            Ok(referrers) => {
                let problems = referrers.problems.iter().cloned();
                checked.problems.extend(problems.map(|problem| (ImagePart::Manifest, problem)));
                checked.unchecked.extend(referrers.unchecked.iter().cloned());
                own_referrers = Some(referrers);
            }
            Err(error) => checked.unchecked.push(error),
        }
        if is_known(&node.entry) && !media_type::is_index(&node.entry.media_type) {
            context.store.client().emit(|| verified(context.at, node, &checked));
        }
        (checked, own_referrers)
    };
    let checked: Vec<_> = stream::iter(0..nodes.len()).map(check).buffered(MAX_CONCURRENT).collect().await;
    let platforms: Vec<_> = checked.iter().map(|(blobs, _)| blobs.platform.clone()).collect();
    for ((node, (blobs, referrers)), first) in nodes.iter_mut().zip(checked).zip(&first_occurrences) {
        node.config = platforms.get(*first).cloned().flatten();
        node.problems.extend(blobs.problems);
        unchecked.extend(blobs.unchecked);
        node.referrers = referrers;
    }
    if let Some(stopped) = unchecked.iter().find(|error| error.is_stopped()) {
        return Err(stopped.clone());
    }
    check::entries(&mut nodes);
    if !options.platforms.is_empty() {
        check::platforms(&mut nodes, &options.platforms);
    }
    if nodes.iter().map(Node::signature_weight).sum::<usize>() > MAX_SIGNATURES {
        let reason = format!("it has more than {MAX_SIGNATURES} images and signatures; only the first are listed");
        unchecked.push(Error::unsuitable(context.at, reason));
    }
    let mut verification = summarize(descriptor, nodes, &first_occurrences, unchecked);
    let count = verification.findings.len();
    if count > MAX_FINDINGS {
        verification.findings.truncate(MAX_FINDINGS);
        let reason = format!("it has {count} findings; only the first {MAX_FINDINGS} are listed");
        verification.unchecked.push(Error::unsuitable(context.at, reason));
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

/// Returns for each node the position of the first entry for the same manifest in the same role. A manifest that is listed
/// repeatedly is checked and reported once for each role.
fn first_occurrences(nodes: &[Node]) -> Vec<usize> {
    let mut first_occurrences: HashMap<(&Digest, EntryRole), usize> = HashMap::new();
    let keys = nodes.iter().map(|node| (&node.entry.digest, node.role()));
    keys.enumerate().map(|(position, key)| *first_occurrences.entry(key).or_insert(position)).collect()
}
